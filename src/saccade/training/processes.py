"""Several processes that train one network: who they are, and the few things they tell each other.

Every process holds the whole network, the whole optimiser and all progress, and goes through the
same steps; it computes its part of each batch. What differs between them, gradients and the
statistics of batch norm, is put together after every batch, so that all hold equal numbers again.
Evaluation deals whole batches out in turn and puts the results back in their order: the same
batches as in one process, each example once, and every process knows every score.

lightning-fabric starts the processes, or finds those that torchrun has started, and connects them.
"""

from __future__ import annotations

import io
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from saccade.errors import SaccadeError

T = TypeVar("T")

FAR = 0x9E3779B97F4A7C15
"""An odd number of 64 random bits: seeds of neighbouring processes end up far apart."""


@dataclass(frozen=True, kw_only=True)
class Processes:
    """One of `count` processes, number `rank`; alone by default, when nothing below does anything.

    local   rank and count on this machine
    fabric  lightning-fabric's connection to the others
    """

    rank: int = 0
    count: int = 1
    local: tuple[int, int] = (0, 1)
    fabric: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def device(self, asked: str | None) -> str | None:
        """This process's own accelerator, or what was asked for where it is alone."""
        return asked if self.fabric is None else str(self.fabric.device)

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            _talk(self.fabric.barrier)

    def told(self, value: T) -> T:
        """What the first process has there; one call in every process."""
        if self.count == 1:
            return value
        answer: T = _talk(lambda: self.fabric.broadcast(value, src=0))
        return answer

    def seed(self, seed: int) -> int:
        """A seed of this process's own, for what it draws for its part of a batch."""
        return (seed + self.rank * FAR) % 2**63

    def any(self, value: int | None) -> int | None:
        """The largest number that one of them has; None where none has one."""
        if self.count == 1:
            return value
        found = torch.tensor([-1 if value is None else value], device=self.fabric.device)
        largest = int(self._sum(found, "max"))
        return None if largest < 0 else largest

    def share_start(self, model: nn.Module) -> None:
        """Begin with the first process's weights, whatever another kind of processor made."""
        if self.count > 1:
            for each in model.state_dict().values():
                self._same(each)

    def _same(self, tensor: Tensor) -> None:
        whole = tensor.contiguous()
        _talk(lambda: torch.distributed.broadcast(whole, src=0))
        tensor.copy_(whole)

    @torch.no_grad()
    def merge(
        self, model: nn.Module, indices: Tensor, losses: Tensor, weight: float
    ) -> tuple[Tensor, Tensor]:
        """After backward: the batch's gradients in place of those of this process's part.

        indices, losses   of this part (n,);  weight: of this part in the batch, not normalised

        Returns indices and losses of the whole batch, on the CPU and in its order. Statistics of
        norms become the mean over the processes.
        """
        if self.count == 1:
            return indices.cpu(), losses
        known = self._all((indices.cpu(), losses, weight))
        total = sum(item[2] for item in known)
        wanted = [each for each in model.parameters() if each.requires_grad]
        norms = [each for each in model.buffers() if each.is_floating_point()]
        present = torch.tensor([float(each.grad is not None) for each in wanted])
        parts = [_or_zeros(each).flatten().float() * (weight / total) for each in wanted]
        parts += [each.flatten().float() / self.count for each in norms]
        flat = torch.cat([*parts, present.to(self.fabric.device)])
        flat = self._sum(flat, "sum")
        sizes = [each.numel() for each in (*wanted, *norms)]
        pieces = torch.split(flat, [*sizes, len(wanted)])
        for each, piece, there in zip(wanted, pieces, pieces[-1].tolist(), strict=False):
            # weights that nobody used have no gradient, as in one process
            each.grad = _laid_out_as(each, piece) if there else None
        for norm, piece in zip(norms, pieces[len(wanted) :], strict=False):
            norm.copy_(piece.view(norm.shape))
        return torch.cat([item[0] for item in known]), torch.cat([item[1] for item in known])

    def in_turn(self, own: Iterable[T]) -> Iterator[T]:
        """All items in order; `own` are those with number rank, rank + count, ..."""
        if self.count == 1:
            yield from own
            return
        every = self._all(list(own))
        for place in range(max(map(len, every))):
            yield from (items[place] for items in every if place < len(items))

    def _all(self, value: T) -> list[T]:
        """Everybody's value, by rank."""
        # torch's own format keeps tensors that share memory together; pickle would repeat them
        file = io.BytesIO()
        torch.save(value, file)
        found: list[Any] = [None] * self.count
        _talk(lambda: torch.distributed.all_gather_object(found, file.getvalue()))
        # these bytes come from processes of this very training, never from a file
        return [
            torch.load(io.BytesIO(each), map_location="cpu", weights_only=False) for each in found
        ]

    def _sum(self, tensor: Tensor, how: str) -> Tensor:
        kinds = {"sum": torch.distributed.ReduceOp.SUM, "max": torch.distributed.ReduceOp.MAX}
        _talk(lambda: torch.distributed.all_reduce(tensor, op=kinds[how]))
        return tensor


ALONE = Processes()


def start(devices: int | None, device: str | None) -> Processes:
    """This process's part: of those that torchrun has started, of `devices` new ones, or alone.

    devices  processes on this machine; None = as torchrun says
    device   as in `device.choose`; one accelerator each

    Raises SaccadeError where there are fewer accelerators.
    """
    launched = int(os.environ.get("WORLD_SIZE", "1")) > 1 and "LOCAL_RANK" in os.environ
    if not launched and (devices or 1) < 2:
        return ALONE
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError as error:
        raise SaccadeError(
            "several processes need lightning-fabric: pip install lightning-fabric.",
            name="missing-extra",
        ) from error
    # it tells at length what the run says in a line
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    cuda = torch.cuda.is_available() and not (device or "cuda").startswith("cpu")
    size = int(os.environ.get("WORLD_SIZE", str(devices or 1)))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", str(devices or size)))
    if cuda and local > torch.cuda.device_count():
        raise SaccadeError(
            f"--devices {local}: this machine has {torch.cuda.device_count()} GPUs; one process "
            "needs one. --device cpu trains on processors.",
            name="unknown-device",
        )
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=local,
        num_nodes=max(1, size // local),
        strategy="ddp",
    )
    if restarted() and os.environ.get("GROUP_WORLD_SIZE") == "1":
        _connect_anew("nccl" if cuda else "gloo")
    fabric.launch()
    return Processes(
        rank=fabric.global_rank,
        count=fabric.world_size,
        local=(fabric.local_rank, local),
        fabric=fabric,
    )


def restarted() -> bool:
    """Whether torchrun has started this training anew after a process was lost."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def _connect_anew(backend: str) -> None:
    """Join the others under names of this attempt.

    torchrun's store outlives the attempt that failed; a process that found an address left there
    would wait for the dead. Machines count their restarts apart, so this serves a single one.
    """
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    store, rank, size = next(rendezvous("env://"))
    attempt = "attempt " + os.environ["TORCHELASTIC_RESTART_COUNT"]
    own = PrefixStore(attempt, store)
    torch.distributed.init_process_group(backend, store=own, rank=rank, world_size=size)


def pieces_of_part(pieces: int, count: int) -> int:
    """Pieces that a process's part of a batch is cut into, no larger than those of the whole."""
    return max(1, math.ceil(pieces / count))


def synchronised(model: nn.Module, device: str, processes: Processes) -> nn.Module:
    """The network with batch norms that see the whole batch, where they can (on GPUs)."""
    if processes.count == 1 or not device.startswith("cuda"):
        return model
    convert: Callable[[nn.Module], nn.Module] = nn.SyncBatchNorm.convert_sync_batchnorm
    return convert(model)


def sentences(model: nn.Module, batch: int, smallest: int, processes: Processes) -> list[str]:
    """For the user: who computes what. smallest: examples of the smallest batch.

    Raises SaccadeError where a process would have nothing to do.
    """
    count = processes.count
    if count == 1:
        return []
    if smallest < count:
        raise SaccadeError(
            f"train.batch: batches of {smallest} examples are too small for {count} processes; "
            f"choose --batch {count} or more, or fewer processes.",
            name="bad-setting",
        )
    told = [f"{count} processes: each batch of {batch} is one update, {batch // count} in each"]
    kinds = {type(each) for each in model.modules() if isinstance(each, _BatchNorm)}
    if kinds - {nn.SyncBatchNorm}:
        told.append(
            f"warning: batch norm sees the {batch // count} examples of a process, not the batch's "
            f"{batch}; on GPUs it sees all. --set model.norm=group depends on no batch."
        )
    elif kinds:
        told.append("batch norm is synchronised: it sees the whole batch")
    return told


def _laid_out_as(parameter: nn.Parameter, flat: Tensor) -> Tensor:
    """Fused optimisers walk weights and gradients alike, so both need the same strides."""
    return torch.empty_like(parameter, requires_grad=False).copy_(flat.view(parameter.shape))


def _or_zeros(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


def _talk(action: Callable[[], Any]) -> Any:
    """What `action` returns; one sentence where another process is gone."""
    try:
        return action()
    except RuntimeError as error:
        raise SaccadeError(
            "Another process of this training has ended; what was saved is intact. Go on with "
            f"--resume. ({str(error).splitlines()[0][:200]})",
            name="process-lost",
        ) from error

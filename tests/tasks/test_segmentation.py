"""Segmentation: losses and results of networks whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from saccade.errors import SaccadeError
from saccade.models import catalog
from saccade.ops import mask_scores, pixels
from saccade.tasks.segmentation import SegmentationTask
from saccade.types import Batch, Field, Geometry

CLASSES = ("ground", "cat", "dog")
FIELD = Field(name="mask", kind="mask", classes=CLASSES)


class Says(nn.Module):
    """Logits that are sure of what the first channel of the inputs says."""

    def segment(self, inputs: Tensor) -> Tensor:
        return 20.0 * F.one_hot(inputs[:, 0].round().long(), 3).permute(0, 3, 1, 2).float()


def batch(said: Tensor, masks: Tensor, scale: float = 1.0) -> Batch:
    count, height, width = said.shape
    matrix = torch.diag(torch.tensor([scale, scale, 1.0])).double().repeat(count, 1, 1)
    size = torch.tensor([[round(height / scale), round(width / scale)]]).repeat(count, 1)
    return Batch(
        inputs=said[:, None].float(),
        targets={"mask": masks},
        indices=torch.arange(count),
        geometry=Geometry(matrix=matrix, size=size),
    )


def scenes() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 3, (4, 16, 20), generator=generator)
    said = masks.clone()
    said[:2, :4] = (said[:2, :4] + 1) % 3
    masks[3, 8:] = -1
    return said, masks


def test_scores_and_errors() -> None:
    said, masks = scenes()
    task = SegmentationTask(fields=(FIELD,))
    scored = task.evaluate(Says(), batch(said, masks))
    metric = task.metric()
    metric.update(scored, batch(said, masks))
    found = metric.compute()
    known = masks >= 0
    assert found["pixel_accuracy"].value == pytest.approx(
        float((said == masks)[known].float().mean())
    )
    each = []
    for index in range(3):
        a, b = (said == index) & known, masks == index
        each.append(float((a & b).sum() / (a | b).sum()))
        assert found[f"iou_{CLASSES[index]}"].value == pytest.approx(each[-1])
    assert found["miou"].value == pytest.approx(np.mean(each))
    assert next(iter(found)) == metric.main == "miou"
    assert found["miou"].low <= found["miou"].value <= found["miou"].high
    assert scored.errors[2] == scored.errors[3] == 0 and scored.errors[0] > 0.1
    rows = metric.details()["per_pixel_class"]
    assert rows["cat"]["pixels"] == int((masks == 1).sum())


def test_results_lie_on_the_original_picture() -> None:
    said, masks = scenes()
    task = SegmentationTask(fields=(FIELD,))
    (first, *_) = task.predict(Says(), batch(said.repeat_interleave(2, 1), masks, scale=2.0))
    assert first.mask.shape == (16, 10)
    (same, *_) = task.predict(Says(), batch(said, masks))
    assert torch.equal(same.mask.long(), said[0])


def test_many_at_once_in_pieces_and_in_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    network = catalog.create("unet_small", width=2, in_channels=1, num_classes=3)
    assert isinstance(network, nn.Module)
    network.eval()
    said, masks = (part.repeat(1, 6, 6)[:2] for part in scenes())
    task = SegmentationTask(fields=(FIELD,))
    with torch.no_grad():
        together = task.predict(network, batch(said, masks))
        monkeypatch.setattr("saccade.tasks.segmentation.AT_ONCE", 1)
        alone = task.predict(network, batch(said, masks))
        tiled = SegmentationTask(fields=(FIELD,), tile=64, overlap=32)
        pieces = tiled.predict(network, batch(said, masks))
    assert all(torch.equal(a.mask, b.mask) for a, b in zip(together, alone, strict=True))
    assert [piece.mask.shape for piece in pieces] == [one.mask.shape for one in together]


@pytest.mark.parametrize("name", ["cross-entropy", "dice", "focal", "cross-entropy+dice"])
def test_losses_reward_the_right_answer(name: str) -> None:
    said, masks = scenes()
    task = SegmentationTask(fields=(FIELD,), loss_name=name, gaps=10.0)  # type: ignore[arg-type]
    parts = task.loss(Says(), batch(said, masks))
    total = torch.stack(list(parts.values())).sum(0)
    assert total.shape == (4,)
    assert total[2] < 1e-3 < total[0]
    assert len(parts) == name.count("+") + 1


def test_balanced_class_weights_count_pixels() -> None:
    masks = torch.zeros(1, 4, 4, dtype=torch.int16)
    masks[0, 0, 0], masks[0, 0, 1:4] = 1, 2
    masks[0, 3] = -1
    task = SegmentationTask(fields=(FIELD,), class_weights="balanced").fit({"mask": masks})
    assert task.class_weights is not None
    counts = np.array([8, 1, 3])
    assert np.allclose(np.array(task.class_weights) * counts, 12 / 3)
    again = SegmentationTask(fields=(FIELD,), **task.arguments())
    assert again == task
    with pytest.raises(SaccadeError, match="call fit"):
        SegmentationTask(fields=(FIELD,), class_weights="balanced").loss(Says(), batch(*scenes()))


def test_a_network_with_other_outputs_is_told_what_is_needed() -> None:
    with pytest.raises(SaccadeError, match=r"needs one number per class and pixel"):
        SegmentationTask(fields=(FIELD,)).loss(nn.Conv2d(1, 2, 1), batch(*scenes()))


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("segnet_small", {}, 0.97),
        ("unet_small", {"width": 8}, 0.97),
        ("unet", {"backbone": "resnet20"}, 0.97),
    ],
)
def test_one_picture_is_learnt_by_heart(
    name: str, options: dict[str, object], least: float
) -> None:
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    mask = ((y - 24) ** 2 + (x - 30) ** 2 < 260).long() + 2 * ((y > 44) & (x > 20)).long()
    inputs = torch.randn(1, 1, 64, 64) * 0.3 + mask
    scene = Batch(inputs=inputs, targets={"mask": mask[None]}, indices=torch.arange(1))
    task = SegmentationTask(fields=(FIELD,))
    network = task.build(catalog.create(name, in_channels=1, **options))  # type: ignore[arg-type]
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for _ in range(60):
        optimizer.zero_grad()
        sum(part.sum() for part in task.loss(network, scene).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    # batch statistics of the one picture that was seen
    guess = network.segment(inputs).argmax(1)  # type: ignore[operator]
    sums = pixels.counts(guess, mask[None], 3).flatten().double().numpy()
    assert float(mask_scores.mean_iou(sums)) > least

"""Who learns, who chooses, who judges: the train, dev and test part of every example.

Examples that must not be parted (one group, or the same picture twice) form a unit; units are
dealt out, largest first, to the part that lacks their classes most, then whatever stands alone
fills each class up to its exact share. The same seed and files give the same parts in any order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.dealing import Deal, deal
from saccade.data.strata import strata, units
from saccade.errors import SaccadeError
from saccade.types import Notice, Split

PARTS: tuple[Split, ...] = ("train", "dev", "test")
SMALL = 10_000  # examples up to which dev and test take a fifth each
LARGE = 1_000_000  # examples from which on a hundredth is enough
LEAST = 0.0025  # the smallest share of dev and of test, reached at about eight million
TOLERANCE = 0.05  # a part may miss its share by this much before it is said aloud


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The part of each example.

    part     (N,) str: "train", "dev", "test" or, after `bridge.carve`, "train-dev", in the order
             of the rows that were split
    notices  classes too rare to be measured, groups too large for the shares, ...
    method   one sentence on how it was done, for the user
    """

    part: np.ndarray
    notices: tuple[Notice, ...] = ()
    method: str = ""

    def __len__(self) -> int:
        return len(self.part)

    def rows(self, part: Split) -> np.ndarray:
        """Positions (int64) of the examples in `part`, ascending."""
        return np.flatnonzero(self.part == part)

    def counts(self) -> dict[str, int]:
        """Examples in each part that has any."""
        names = ("train", "train-dev", "dev", "test")
        return {name: count for name in names if (count := int((self.part == name).sum()))}


def shares(count: int) -> tuple[float, float, float]:
    """Shares of train, dev and test for `count` examples.

    60/20/20 up to ten thousand, 98/1/1 at a million, 99.5/0.25/0.25 from about eight million on;
    between these the held-out share falls as a power of the count, so that more pictures always
    mean more of them held out: 82/9/9 at 35,000, 91/4.5/4.5 at 100,000.
    """
    power = np.log(0.2 / 0.01) / np.log(LARGE / SMALL)
    held = float(np.clip(0.2 * (max(count, 1) / SMALL) ** -power, LEAST, 0.2))
    return 1 - 2 * held, held, held


def split(
    dataset: Dataset,
    *,
    images: Mapping[str, np.ndarray] | None = None,
    rows: np.ndarray | None = None,
    seed: int = 0,
    dev: float | None = None,
    test: float | None = None,
    together: np.ndarray | None = None,
) -> Splits:
    """Give every example a part; parts that the user's own files name are kept.

    Args:
        dataset: examples with their targets, groups and given splits.
        images: columns "sha256" and "pixel_hash" of the pictures, to keep copies on one side.
        rows: (N,) rows of the data set that `images` tells of and that are split; None = all.
        seed: another seed, another random split.
        dev: share of all that is split, 0..1; None = as `shares` tells.
        test: likewise; None also means no test part where the files name a dev part but no test.
        together: (M, 2) positions within `rows` that must lie in one part, such as near-copies.

    Raises:
        SaccadeError: shares that leave nothing to train on, no training part among the user's
            own parts, or too few examples or groups to hold any out.
    """
    chosen = dataset if rows is None else dataset.select(rows.tolist())
    _check_shares(dev, test)
    given = np.array([example.split or "" for example in chosen.examples], dtype="<U5")
    official = {part for part in PARTS if (given == part).any()}
    if official - {"train"} and not (given[np.isin(given, ["", "train"])]).size:
        raise SaccadeError(
            f"the files name a {' and a '.join(sorted(official))} part but no training part; add "
            "a train folder (or 'train' in the split column)",
            name="no-training-part",
        )
    parts = _wanted(official, len(chosen), dev, test)
    plan = "/".join(f"{100 * share:.3g}" for share in parts.values())
    free = np.isin(given, ["", "train"])
    linked = units(chosen.examples, images, together)
    held = ~np.isin(linked, linked[~free]) & free
    part = np.where(free, "train", given)
    notices = _unused(official, dev=dev, test=test)
    if len(parts) > 1:
        job = deal(
            [chosen.examples[row].key for row in np.flatnonzero(held)],
            linked[held],
            strata(chosen.select(np.flatnonzero(held).tolist())),
            _rescaled(parts, int(free.sum()), int(held.sum())),
            seed,
        )
        part[held] = job.part
        notices += _judge(chosen, part, free, parts, job)
    method = _method(official - {"train"}, parts, plan, chosen, linked, seed)
    return Splits(part=part, notices=tuple(notices), method=method)


def _check_shares(dev: float | None, test: float | None) -> None:
    for name, share in (("data.dev", dev), ("data.test", test)):
        if share is not None and not 0 <= share < 1:
            raise SaccadeError(
                f"{name} is {share}; expected a share of the examples from 0 to below 1",
                name="bad-share",
            )
    if (dev or 0) + (test or 0) >= 1:
        raise SaccadeError(
            f"data.dev {dev} and data.test {test} leave nothing to train on; together they must "
            "stay below 1",
            name="bad-share",
        )


def _wanted(
    official: set[Split], count: int, dev: float | None, test: float | None
) -> dict[Split, float]:
    """The parts to make of the free examples, with their shares of these."""
    _, usual_dev, usual_test = shares(count)
    wanted: dict[Split, float] = {}
    if "dev" not in official:
        wanted["dev"] = min(usual_dev, (1 - (test or 0)) / 2) if dev is None else dev
    if "test" not in official:
        spare = 0.0 if "dev" in official else min(usual_test, (1 - (dev or 0)) / 2)
        wanted["test"] = spare if test is None else test
    wanted = {part: share for part, share in wanted.items() if share > 0}
    return {"train": 1 - sum(wanted.values()), **wanted}


def _unused(official: set[Split], **asked: float | None) -> list[Notice]:
    """Shares asked for that give way to the user's own parts."""
    return [
        Notice(
            name="share-not-used",
            severity="info",
            message=f"data.{part}={share} is not used, because the files name a {part} part; it is "
            "kept as it is",
        )
        for part, share in asked.items()
        if share and part in official
    ]


def _rescaled(parts: dict[Split, float], free: int, held: int) -> dict[Split, float]:
    """Shares of the examples that may move, where some of the free ones have to stay in train."""
    asked = 1 - parts["train"]
    factor = min(free / max(held, 1), max(1.0, 0.8 / asked))
    grown: dict[Split, float] = {
        part: share * factor for part, share in parts.items() if part != "train"
    }
    return {"train": 1 - sum(grown.values()), **grown}


def _judge(
    dataset: Dataset, part: np.ndarray, free: np.ndarray, parts: dict[Split, float], job: Deal
) -> list[Notice]:
    """Say what the shares, classes and groups did not allow."""
    examples = int(free.sum())
    grouped = any(example.group is not None for example in dataset.examples)
    missing = [name for name in parts if not (part[free] == name).any()]
    noun = (
        f"{job.num_units} separate {'group' if grouped else 'picture'}{'s' * (job.num_units != 1)}"
    )
    if "train" in missing or "dev" in missing:
        raise SaccadeError(
            f"{examples} examples ({noun}) are too few to hold a dev part out; "
            + (
                "give more groups, or a dev part of your own"
                if grouped
                else "add pictures, or name the parts yourself (folders train and dev)"
            ),
            name="too-few-groups" if grouped else "too-few-examples",
        )
    notices = []
    if "test" in missing:
        notices.append(
            Notice(
                name="no-test-part",
                severity="warning",
                message=f"{examples} examples ({noun}) are too few for a test part; there is a "
                "dev part only: add pictures"
                + (" of further groups" if grouped else "")
                + " for an unbiased measure",
            )
        )
    rare = rare_classes(job.missing, [name for name in parts if name not in missing])
    return notices + rare + _off_share(part[free], parts)


def rare_classes(missing: Mapping[str, int], parts: Sequence[str]) -> list[Notice]:
    """What to say of classes, with their numbers of examples, that are not in all `parts`."""
    few = {name: n for name, n in sorted(missing.items()) if n < len(PARTS)}
    bound = {name: n for name, n in sorted(missing.items()) if n >= len(PARTS)}
    notices = []
    if few:
        notices.append(
            Notice(
                name="rare-class",
                severity="warning",
                message=f"{_listed(few)}: fewer than three examples, kept in training first, so "
                "that little or nothing is measured for them; add pictures or merge classes",
                files=tuple(few),
            )
        )
    if bound:
        notices.append(
            Notice(
                name="rare-class-in-parts",
                severity="warning",
                message=f"{_listed(bound)}: not in all of {', '.join(parts)}, as too few separate "
                "groups, pictures or combinations of labels have them; add such pictures",
                files=tuple(bound),
            )
        )
    return notices


def _listed(counts: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name!r} ({n})" for name, n in list(counts.items())[:10])
    more = f" and {len(counts) - 10} more" if len(counts) > 10 else ""
    return f"{len(counts)} class{'es' * (len(counts) > 1)}, {shown}{more}"


def _off_share(part: np.ndarray, parts: Mapping[Split, float]) -> list[Notice]:
    actual = {name: float((part == name).mean()) for name in parts}
    slack = max(TOLERANCE, 2 / len(part))
    if all(abs(actual[name] - share) <= slack for name, share in parts.items()):
        return []
    got = "/".join(f"{100 * share:.3g}" for share in actual.values())
    asked = "/".join(f"{100 * share:.3g}" for share in parts.values())
    return [
        Notice(
            name="uneven-parts",
            severity="info",
            message=f"{'/'.join(parts)} became {got} % instead of {asked} %, because whole groups "
            "and rare classes cannot be divided; more and smaller groups would come closer",
        )
    ]


def _method(
    kept: set[Split],
    parts: Mapping[Split, float],
    plan: str,
    dataset: Dataset,
    linked: np.ndarray,
    seed: int,
) -> str:
    """One sentence on what was kept and what was made."""
    own = [part for part in PARTS if part in kept]
    made = [part for part in parts if part != "train"]
    if not made:
        extra = "; there is no test part" if "test" not in kept else ""
        return f"parts as the files name them ({', '.join(['train', *own])}){extra}"
    details = ["stratified"] if any(field.classes for field in dataset.fields) else []
    if any(example.group is not None for example in dataset.examples):
        details.append("groups kept whole")
    if len(np.unique(linked)) < len(linked) and "groups kept whole" not in details:
        details.append("copies of a picture kept together")
    how = "".join(f", {detail}" for detail in details)
    if own:
        return (
            f"{' and '.join(own)} as the files name {'them' if len(own) > 1 else 'it'}; "
            f"{' and '.join(made)} cut from training ({plan} %, seed {seed}{how})"
        )
    return f"{'/'.join(parts)} {plan} % at random (seed {seed}{how})"

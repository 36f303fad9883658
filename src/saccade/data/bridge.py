"""Train-dev: training examples kept aside where dev comes from elsewhere.

Dev can be worse than training because the network does not generalise, or because dev is another
kind of picture. Only examples of the training kind that are not trained on tell these apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from saccade.data.dataset import Dataset
from saccade.data.splits import Splits
from saccade.data.strata import units
from saccade.types import Example

BRIDGE = "train-dev"

DIFFER = 0.2
"""Share of dev that would have to change its source for the sources to be as in training."""

MOST = 0.15
"""Of the training part that is kept aside at most; as many as dev has are enough."""


def carve(
    dataset: Dataset,
    splits: Splits,
    *,
    images: Mapping[str, np.ndarray],
    seed: int,
    share: float | None = None,
    together: np.ndarray | None = None,
) -> Splits:
    """The split with a part of training set aside, where the sources of train and dev differ.

    share: of the training part; 0 = never, None = by itself. Groups and copies are kept whole.
    """
    part = splits.part.astype("<U9")
    train, dev = splits.rows("train"), splits.rows("dev")
    apart = sources_differ(dataset.examples, train, dev)
    if share == 0 or not len(train) or (share is None and apart < DIFFER):
        return splits
    wanted = round(share * len(train)) if share else min(len(dev), round(MOST * len(train)))
    linked = units(dataset.examples, images, together)[train]
    order = np.random.default_rng((13, seed)).permutation(np.unique(linked))
    sizes = Counter(linked.tolist())
    taken = np.cumsum([sizes[unit] for unit in order.tolist()])
    # the units up to the wanted number; one that is too large for it stays in training
    chosen = order[taken <= wanted]
    part[train[np.isin(linked, chosen)]] = BRIDGE
    count = int((part == BRIDGE).sum())
    if count == 0:
        return splits
    why = "as asked" if share else "as dev comes from other sources"
    method = f"{splits.method}; {count} training examples kept aside as train-dev, {why}"
    return replace(splits, part=part, method=method)


def sources_differ(examples: Sequence[Example], train: np.ndarray, dev: np.ndarray) -> float:
    """Total variation distance between the sources of two parts, 0..1; 0 where none are named."""
    if not any(example.source for example in examples) or not len(train) or not len(dev):
        return 0.0
    counts = [Counter(examples[row].source for row in rows.tolist()) for rows in (train, dev)]
    names = set(counts[0]) | set(counts[1])
    shares = [{name: each[name] / each.total() for name in names} for each in counts]
    return sum(abs(shares[0][name] - shares[1][name]) for name in names) / 2

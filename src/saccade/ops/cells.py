"""Single things in a mask: connected components, and weights for the gaps between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask = npt.NDArray[np.bool_]

EIGHT = np.ones((3, 3), dtype=np.int64)


def components(mask: Mask) -> tuple[npt.NDArray[np.int32], int]:
    """(H, W) bool -> numbers 1 ... n of its connected pieces (also by corners), and n."""
    numbers, count = ndimage.label(mask, structure=EIGHT)
    return numbers, int(count)


def gap_weights(
    mask: Mask, *, strength: float = 10.0, sigma: float = 5.0
) -> npt.NDArray[np.float32]:
    """(H, W) float32: 1 + strength exp(-(d1 + d2)^2 / (2 sigma^2)) in the background.

    d1 and d2 are the distances in pixels to the nearest and the second nearest thing; things are
    the mask's connected pieces. Ronneberger et al. 2015, equation 2 (without its class weights):
    the network is made to learn the narrow gaps between cells that touch.
    """
    numbers, count = components(mask)
    weights = np.ones(mask.shape, dtype=np.float32)
    if count < 2:
        return weights
    far = 4 * sigma  # beyond it the weight is below 0.04 % of the strength
    reach = int(np.ceil(far))
    first = np.full(mask.shape, np.inf, dtype=np.float32)
    second = first.copy()
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbers), start=1):
        near = (
            slice(max(0, rows.start - reach), rows.stop + reach),
            slice(max(0, columns.start - reach), columns.stop + reach),
        )
        distance = ndimage.distance_transform_edt(numbers[near] != number).astype(np.float32)
        second[near] = np.minimum(second[near], np.maximum(first[near], distance))
        first[near] = np.minimum(first[near], distance)
    close = np.exp(-np.square(first + second) / (2 * sigma**2))
    weights[~mask] += strength * close[~mask]
    return weights

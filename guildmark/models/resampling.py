"""Bring an image to the size that a model takes, in exact integers: every pixel is the mean of the area it covers.

A target pixel covers a rectangle of the source, whose sides fall between source pixels. With sizes w from W, the source
pixel j spans [j w, (j + 1) w) and the target pixel i spans [i W, (i + 1) W) on one integer scale, so the overlap is an
integer and the sum over a row is a difference of two prefix sums. The same then happens to columns, and one division
at the end rounds to nearest, halves up. It serves for shrinking and for enlarging, and gives the same bytes anywhere.
"""

from __future__ import annotations

import numpy as np

from guildmark.models.dataset import Array

RED, GREEN, BLUE, WHOLE = 299, 587, 114, 1_000
"""Weights of the luma of ITU-R BT.601, in thousandths."""


def resample(image: Array, height: int, width: int) -> Array:
    """Bring `image` (rows, columns, channels) of uint8 to (height, width, channels) of uint8."""
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    # No sum is above 255 * rows * columns * the larger target side: far below 2**63 within the bounds of `images`.
    sums = _spread(_spread(image.astype(np.int64), width, 1), height, 0)
    area = rows * columns
    mean: Array = ((2 * sums + area) // (2 * area)).astype(np.uint8)
    return mean


def gray(image: Array) -> Array:
    """The luma of an image of three channels, as one channel: rounded to nearest, halves up."""
    weights = np.array([RED, GREEN, BLUE], np.int64)
    sums = (image.astype(np.int64) * weights).sum(axis=2, keepdims=True)
    luma: Array = ((2 * sums + WHOLE) // (2 * WHOLE)).astype(np.uint8)
    return luma


def _spread(values: Array, target: int, axis: int) -> Array:
    """Sums over `target` equal spans of an axis, each times `target` (the source pixels have that length)."""
    source = values.shape[axis]
    before = np.concatenate([np.zeros_like(values.take([0], axis)), np.cumsum(values, axis=axis)], axis=axis)
    ends = np.arange(target + 1, dtype=np.int64) * source
    whole, part = ends // target, ends % target
    shape = [1] * values.ndim
    shape[axis] = target + 1
    inside = values.take(np.minimum(whole, source - 1), axis)
    sums = before.take(whole, axis) * target + inside * part.reshape(shape)
    spread: Array = np.diff(sums, axis=axis)
    return spread

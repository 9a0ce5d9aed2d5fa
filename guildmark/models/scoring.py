"""From scores to counts: which classes a sample certainly got, and which it could have got in another arithmetic.

Sums of floats depend on their order, and that on threads, kernels, batch sizes and processors. Where the best scores of
a sample lie nearer than SEPARATION, the sample is undecided: it counts by the rule that all share (the first of equals
wins), and its other outcomes widen the bounds of the counts. Two scores that any run puts in another order lie within
twice its noise in every run; as noise is held to a quarter of SEPARATION (`noise_of`), who finds nothing undecided
knows that everybody counts the same. Floats end here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from guildmark.models.dataset import Array
from guildmark.models.errors import ModelRefused
from guildmark.models.metrics import TOP, Class, Counts

BATCH: Final = 256
PPM: Final = 1_000_000
SEPARATION: Final = 2.0**-12
"""Scores are told apart when they differ by more than this part of the sample's largest score (by amount)."""
NOISE_MAX: Final = SEPARATION / 4
"""Above it a run is refused: the model's sums are less exact than the separation supposes."""

_Counter = NDArray[np.int64]


class Tally:
    """Counts over the samples of a run. Its size does not depend on their number."""

    def __init__(self, classes: int, groups: int) -> None:
        self._classes = classes
        self._samples = 0
        self._undecided = 0
        self._of_class: _Counter = np.zeros(classes, np.int64)
        self._hits: _Counter = np.zeros((3, classes), np.int64)
        self._false: _Counter = np.zeros((3, classes), np.int64)
        self._top = [0, 0, 0]
        self._of_group: _Counter = np.zeros(groups, np.int64)
        self._group_hits: _Counter = np.zeros((3, groups), np.int64)

    def add(self, scores: Array, labels: Array, groups: Array) -> None:
        """Count a batch: `scores` (samples, classes) of floats, `labels` and `groups` (samples,) of indices.

        Raises:
            ModelRefused: `model.scores`, a score is no finite number.
        """
        exact = checked(scores, self._classes)
        rows = np.arange(len(exact))
        separation = SEPARATION * np.abs(exact).max(axis=1)
        own = exact[rows, labels]
        # Ranks of the label: classes that are ahead whatever the arithmetic, by the shared rule, and possibly.
        surely = (exact > (own + separation)[:, None]).sum(axis=1)
        ties = (exact == own[:, None]) & (np.arange(self._classes)[None, :] < labels[:, None])
        ahead = (exact > own[:, None]).sum(axis=1) + ties.sum(axis=1)
        maybe = (exact >= (own - separation)[:, None]).sum(axis=1) - 1
        hits = [rank < 1 for rank in (maybe, ahead, surely)]
        near = exact >= (exact.max(axis=1) - separation)[:, None]
        alone = near.sum(axis=1) == 1
        won = exact.argmax(axis=1)
        for which, hit in enumerate(hits):
            np.add.at(self._hits[which], labels[hit], 1)
            np.add.at(self._group_hits[which], groups[hit], 1)
        wrong = won != labels
        np.add.at(self._false[0], won[wrong & alone], 1)
        np.add.at(self._false[1], won[wrong], 1)
        near[rows, labels] = False
        self._false[2] += near.sum(axis=0)
        top = [rank < TOP for rank in (maybe, ahead, surely)]
        for which, found in enumerate(top):
            self._top[which] += int(found.sum())
        self._undecided += int((~alone | (top[0] != top[2])).sum())
        np.add.at(self._of_class, labels, 1)
        np.add.at(self._of_group, groups, 1)
        self._samples += len(exact)

    def counts(self) -> Counts:
        """What was counted so far."""
        return Counts(
            self._samples,
            self._undecided,
            tuple(
                Class(int(samples), _triple(self._hits[:, i]), _triple(self._false[:, i]))
                for i, samples in enumerate(self._of_class)
            ),
            (self._top[0], self._top[1], self._top[2]),
            tuple((int(samples), *_triple(self._group_hits[:, i])) for i, samples in enumerate(self._of_group)),
        )


def checked(scores: Array, classes: int) -> NDArray[np.float64]:
    """The scores, exactly, as doubles. Raises ModelRefused: `model.scores`."""
    if scores.ndim != 2 or scores.shape[1] != classes or scores.dtype.kind != "f":
        raise ModelRefused(
            "model.scores", f"the model answers {scores.dtype} of shape {scores.shape[1:]}, not {classes} scores"
        )
    exact = scores.astype(np.float64)
    if not np.isfinite(exact).all():
        raise ModelRefused("model.scores", "the model answers scores that are no finite numbers")
    return exact


def noise_of(scores: Array, again: Array) -> float:
    """The largest difference between two computations of the same scores, as a part of each sample's largest; without
    bound where the second has what is no number."""
    one, two = scores.astype(np.float64), again.astype(np.float64)
    scale = np.maximum(np.abs(one).max(axis=1), np.finfo(np.float64).tiny)
    if not np.isfinite(two).all():
        return float("inf")
    return float((np.abs(one - two).max(axis=1) / scale).max()) if len(one) else 0.0


def count_correct(model: Any, inputs: Array, labels: Array) -> int:
    """Count the examples whose likeliest class is their label. The first of equals wins, as `argmax` decides.

    `inputs` has shape (examples, ...), `labels` (examples,); the model answers (examples, classes).
    """
    correct = 0
    for start in range(0, len(inputs), BATCH):
        scores = np.asarray(model(inputs[start : start + BATCH], training=False))
        correct += int(np.sum(scores.argmax(axis=-1) == labels[start : start + BATCH]))
    return correct


def accuracy_ppm(correct: int, total: int) -> int:
    """Accuracy in parts per million, rounded down; 0 without examples."""
    return correct * PPM // total if total else 0


def _triple(values: _Counter) -> tuple[int, int, int]:
    return int(values[0]), int(values[1]), int(values[2])

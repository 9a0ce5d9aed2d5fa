"""How many held-out examples a classifier gets right: an integer, because floats differ between machines."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from guildmark.models.dataset import Array

BATCH: Final = 256
PPM: Final = 1_000_000


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

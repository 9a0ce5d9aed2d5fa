"""The samples of a data set, a batch at a time, from arrays or from images. Runs in the confined child only."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, Protocol

import numpy as np

from guildmark.models.dataset import Array, has_array, read_arrays
from guildmark.models.errors import ModelRefused
from guildmark.models.images import decode
from guildmark.models.openimages import GROUPS_MAX, ImageSet, read_images

CHANNELS: Final = (1, 3)


class Arrays(NamedTuple):
    """Names of the arrays of a `.npz` file."""

    inputs: str = "x_test"
    labels: str = "y_test"
    groups: str = "group_test"
    """Left out, the labels are the groups."""


class Batch(NamedTuple):
    """Some samples: what the model gets, and indices of classes and groups."""

    inputs: Array
    labels: Array
    groups: Array


class Examples(Protocol):
    """Samples in a fixed order."""

    count: int
    classes: int | None
    """How many scores the model must answer; None leaves it to the model."""
    groups: int
    left_out: int
    """Of the data set's samples, those that the metrics cannot use."""
    largest_label: int

    def input_shape(self, stated: tuple[int | None, ...]) -> tuple[int, ...]:
        """The shape of one sample for a model that states `stated`. Raises ModelRefused: `model.inputs`."""
        ...

    def batch(self, start: int, stop: int) -> Batch:
        """The samples `start` to `stop`. Raises ModelRefused: `dataset.*`."""
        ...


def open_examples(path: Path, names: Arrays) -> Examples:
    """Open a directory in the layout of Open Images, or a `.npz` file.

    Raises:
        ModelRefused: `dataset.*`. OSError: it cannot be read.
    """
    return ImageExamples(read_images(path)) if path.is_dir() else ArrayExamples(path, names)


class ArrayExamples:
    """Samples as arrays of one length: numbers as they are, and a class index for each."""

    classes: int | None = None
    left_out = 0

    def __init__(self, path: Path, names: Arrays) -> None:
        self._inputs, labels = read_arrays(path, (names.inputs, names.labels))
        groups = read_arrays(path, (names.groups,))[0] if has_array(path, names.groups) else labels
        self.count = len(labels) if labels.ndim else 0
        if self._inputs.ndim < 2:
            raise ModelRefused(
                "dataset.array", f"{names.inputs} has the shape {self._inputs.shape}, not (samples, ...)"
            )
        if self.count == len(self._inputs) == 0:
            raise ModelRefused("dataset.array", f"no samples: {names.inputs} and {names.labels} are empty")
        if any(array.ndim != 1 or array.dtype.kind not in "iu" for array in (labels, groups)):
            raise ModelRefused("dataset.array", "labels and groups are one integer for each sample")
        if not len(self._inputs) == self.count == len(groups):
            raise ModelRefused(
                "dataset.array",
                f"{len(self._inputs)} inputs, {self.count} labels and {len(groups)} groups: not as many of each",
            )
        if int(labels.min()) < 0 or int(labels.max()) >= 2**31:
            raise ModelRefused("dataset.array", "a label is the index of a class, counted from 0")
        self._labels = labels.astype(np.int64)
        names_of_groups, index = np.unique(groups, return_inverse=True)
        if len(names_of_groups) > GROUPS_MAX and groups is not labels:
            raise ModelRefused("dataset.too_large", f"more than {GROUPS_MAX} groups")
        self._groups = index.astype(np.int64)
        self.groups = len(names_of_groups)
        self.largest_label = int(labels.max())

    def input_shape(self, stated: tuple[int | None, ...]) -> tuple[int, ...]:
        shape = tuple(int(size) for size in self._inputs.shape[1:])
        if len(shape) != len(stated) or any(a is not None and a != b for a, b in zip(stated, shape, strict=True)):
            raise ModelRefused("model.inputs", f"the model takes samples of shape {stated}, these have {shape}")
        return shape

    def batch(self, start: int, stop: int) -> Batch:
        return Batch(self._inputs[start:stop], self._labels[start:stop], self._groups[start:stop])


class ImageExamples:
    """Images, decoded and brought to the model's size as they are asked for: values 0 to 255, channels last."""

    def __init__(self, images: ImageSet) -> None:
        self._samples = images.samples
        self.count = len(images.samples)
        self.classes: int | None = len(images.classes)
        self.groups = len(images.groups)
        self.left_out = images.left_out
        self.largest_label = max(sample.label for sample in images.samples)
        self._shape: tuple[int, int, int] | None = None

    def input_shape(self, stated: tuple[int | None, ...]) -> tuple[int, ...]:
        if len(stated) != 3 or stated[2] not in CHANNELS or not (stated[0] and stated[1]):
            raise ModelRefused(
                "model.inputs", f"a model of images states height, width and 1 or 3 channels last, not {stated}"
            )
        self._shape = (stated[0], stated[1], stated[2])
        return self._shape

    def batch(self, start: int, stop: int) -> Batch:
        assert self._shape is not None, "the model's shape is asked first"
        chosen = self._samples[start:stop]
        inputs = np.stack([_read(sample.path, self._shape) for sample in chosen])
        return Batch(
            inputs,
            np.array([sample.label for sample in chosen], np.int64),
            np.array([sample.group for sample in chosen], np.int64),
        )


def _read(path: Path, shape: tuple[int, int, int]) -> Array:
    try:
        return decode(path.read_bytes(), *shape)
    except ModelRefused as error:
        raise ModelRefused(error.code, f"{path.name}: {error.message}") from error

"""Data sets of images as directories in the layout of Open Images: which images there are, and what they show.

    images/...                     ID.jpg, ID.jpeg or ID.png, in the directory itself or one below it
    *class-descriptions*.csv       LabelName,DisplayName; the head may be missing, as in some published files
    *labels*.csv                   ImageID,Source,LabelName,Confidence, and Group where there is one; in any order

The tables lie in the root or in `annotations/`. The classes are the LabelNames of the class descriptions, in the order
of their bytes: that is the order of a model's scores. A label counts where its Confidence is 1 and no row for the same
image says 0; rows of other confidences (machines wrote them), other classes and images without a file are passed over.
An image that shows exactly one class is a sample; the others are left out, and counted. Standard library only; this
reads a stranger's tables within bounds and decodes no image. Source: the format page of Open Images V4 to V7.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from guildmark.models.errors import ModelRefused

CLASSES_MAX: Final = 20_000
"""Open Images has 19,983."""
GROUPS_MAX: Final = 1_000
ROWS_MAX: Final = 5_000_000
"""Rows of the table of labels."""
TABLE_BYTES_MAX: Final = 512 << 20
FIELD_CHARACTERS_MAX: Final = 1_024
IMAGES_MAX: Final = 500_000
DIRECTORIES_MAX: Final = 1_000
IMAGE_BYTES_MAX: Final = 32 << 20
"""Of one file."""
IMAGES_BYTES_MAX: Final = 64 << 30
"""Of all files together."""
ENDINGS: Final = (".jpg", ".jpeg", ".png")
_IMAGE_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}\Z")


class Sample(NamedTuple):
    """One image to be classified."""

    path: Path
    label: int
    """Index of its class."""
    group: int


class ImageSet(NamedTuple):
    """What a directory holds."""

    classes: tuple[str, ...]
    """LabelNames, in the order of the scores."""
    groups: tuple[str, ...]
    """Names of the groups; the classes themselves where the table has no column Group."""
    samples: tuple[Sample, ...]
    """In the order of their ids."""
    left_out: int
    """Images that show no class or several."""


def read_classes(root: Path) -> tuple[str, ...]:
    """The classes of the data set at `root`, in the order in which a model scores them: for who trains one.

    Raises:
        ModelRefused: `dataset.layout`, `dataset.table`, `dataset.too_large`. OSError: it cannot be read.
    """
    names: set[str] = set()
    for count, row in enumerate(_rows(_table(root, "class-descriptions"))):
        if count == 0 and row[:1] == ["LabelName"]:
            continue
        if len(row) < 2 or not row[0] or row[0] in names:
            raise _refused("dataset.table", f"row {count + 1} of the class descriptions is no LabelName,DisplayName")
        names.add(row[0])
        if len(names) > CLASSES_MAX:
            raise _refused("dataset.too_large", f"more than {CLASSES_MAX} classes")
    if len(names) < 2:
        raise _refused("dataset.table", "a classifier has at least two classes")
    return tuple(sorted(names, key=lambda name: name.encode()))


def read_images(root: Path) -> ImageSet:
    """Read the data set at `root`.

    Raises:
        ModelRefused: `dataset.layout` (no such directory or table, or several), `dataset.table` (a row that cannot be
            read), `dataset.too_large`, `dataset.empty`. OSError: it cannot be read.
    """
    classes = read_classes(root)
    files = _image_files(root / "images")
    labels, groups = _read_labels(root, {name: index for index, name in enumerate(classes)}, files)
    usable = [(image, next(iter(found))) for image, found in sorted(labels.items()) if len(found) == 1]
    if not usable:
        raise _refused("dataset.empty", "no image shows exactly one of the classes")
    if groups is None:
        samples = tuple(Sample(files[image], label, label) for image, label in usable)
        return ImageSet(classes, classes, samples, len(files) - len(samples))
    names = tuple(sorted({groups[image] for image, _ in usable}))
    if len(names) > GROUPS_MAX:
        raise _refused("dataset.too_large", f"more than {GROUPS_MAX} groups")
    index = {name: number for number, name in enumerate(names)}
    samples = tuple(Sample(files[image], label, index[groups[image]]) for image, label in usable)
    return ImageSet(classes, names, samples, len(files) - len(samples))


def _read_labels(
    root: Path, classes: dict[str, int], files: dict[str, Path]
) -> tuple[dict[str, set[int]], dict[str, str] | None]:
    rows = _rows(_table(root, "labels"))
    head = next(rows, [])
    needed = ("ImageID", "LabelName", "Confidence")
    if any(head.count(name) != 1 for name in needed) or head.count("Group") > 1:
        raise _refused("dataset.table", f"the table of labels has a head with {', '.join(needed)}")
    image_at, label_at, confidence_at = (head.index(name) for name in needed)
    group_at = head.index("Group") if "Group" in head else None
    shown: dict[str, set[int]] = {}
    denied: dict[str, set[int]] = {}
    groups: dict[str, str] = {}
    for count, row in enumerate(rows):
        if len(row) != len(head) or count >= ROWS_MAX:
            code = "dataset.table" if count < ROWS_MAX else "dataset.too_large"
            raise _refused(code, f"row {count + 2} of the labels has not the fields of the head, or is one too many")
        image, label = row[image_at], classes.get(row[label_at])
        verdict = _verdict(row[confidence_at], count + 2)
        if image not in files:
            continue
        if group_at is not None and groups.setdefault(image, row[group_at]) != row[group_at]:
            raise _refused("dataset.table", f"row {count + 2} of the labels gives {image} a second group")
        if label is not None and verdict is not None:
            (shown if verdict else denied).setdefault(image, set()).add(label)
    return (
        {image: found - denied.get(image, set()) for image, found in shown.items()},
        groups if group_at is not None else None,
    )


def _verdict(text: str, row: int) -> bool | None:
    """Whether people said that the image shows the class; None for a machine's guess."""
    whole, _, part = text.partition(".")
    if whole not in ("0", "1") or not (part == "" or (part.isascii() and part.isdigit())):
        raise _refused("dataset.table", f"row {row} of the labels has no Confidence from 0 to 1")
    if part.strip("0"):
        return None
    return whole == "1"


def _table(root: Path, what: str) -> Path:
    """The one table whose name has `what` in it."""
    found = []
    for directory in (root, root / "annotations"):
        if directory.is_dir() and not directory.is_symlink():
            with os.scandir(directory) as entries:
                found += [
                    Path(entry.path)
                    for entry in entries
                    if entry.name.endswith(".csv") and what in entry.name and entry.is_file(follow_symlinks=False)
                ]
    if len(found) != 1:
        raise _refused("dataset.layout", f"the data set has {len(found)} tables named *{what}*.csv, not one")
    if found[0].stat().st_size > TABLE_BYTES_MAX:
        raise _refused("dataset.too_large", f"{found[0].name} has more than {TABLE_BYTES_MAX} bytes")
    return found[0]


def _rows(path: Path) -> Iterator[list[str]]:
    with path.open("rb") as file:
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        reader = csv.reader(_bounded(lines), strict=True)
        try:
            for row in reader:
                if row:
                    yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise _refused("dataset.table", f"{path.name} cannot be read: {error}") from error


def _bounded(lines: io.TextIOWrapper) -> Iterator[str]:
    """Lines of bounded length: a table of one endless line is not read into memory."""
    while line := lines.readline(16 * FIELD_CHARACTERS_MAX):
        if len(line) >= 16 * FIELD_CHARACTERS_MAX:
            raise _refused("dataset.table", "a line of the table is too long")
        yield line


def _image_files(root: Path) -> dict[str, Path]:
    """Image id -> file, of the directory and those directly below it. Links are passed over."""
    if not root.is_dir() or root.is_symlink():
        raise _refused("dataset.layout", "the data set has no directory images/")
    found: dict[str, Path] = {}
    total = 0
    directories = [root]
    for count, directory in enumerate(directories):
        if count >= DIRECTORIES_MAX:
            raise _refused("dataset.too_large", f"more than {DIRECTORIES_MAX} directories of images")
        with os.scandir(directory) as entries:
            for entry in entries:
                if directory == root and entry.is_dir(follow_symlinks=False):
                    directories.append(Path(entry.path))
                name, ending = os.path.splitext(entry.name)
                if ending.lower() not in ENDINGS or not entry.is_file(follow_symlinks=False):
                    continue
                if not _IMAGE_ID.match(name) or name in found:
                    raise _refused("dataset.layout", f"{entry.name[:80]!r} is no image id, or one that occurs twice")
                size = entry.stat(follow_symlinks=False).st_size
                total += size
                if size > IMAGE_BYTES_MAX or total > IMAGES_BYTES_MAX or len(found) >= IMAGES_MAX:
                    raise _refused(
                        "dataset.too_large",
                        f"more than {IMAGES_MAX} images, {IMAGE_BYTES_MAX} bytes in one or {IMAGES_BYTES_MAX} in all",
                    )
                found[name] = Path(entry.path)
    return found


def _refused(code: str, message: str) -> ModelRefused:
    return ModelRefused(code, message)

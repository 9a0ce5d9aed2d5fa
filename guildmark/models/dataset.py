"""Data sets as one `.npz` file: named arrays of plain numbers, never pickles.

Imports numpy, so only children and code that has it already import this module.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from artifacts.archive import list_members, read_member
from artifacts.errors import InvalidModelFile
from guildmark.models.errors import ModelRefused

ARRAY_BYTES_MAX: Final = 512 << 20
ARRAYS_MAX: Final = 64

Array = NDArray[Any]


def write_dataset(path: Path, arrays: dict[str, Array]) -> None:
    """Write the arrays, compressed; equal arrays give equal bytes with one version of numpy and zlib."""
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # numpy's stub takes **kwds for its own options


def read_arrays(path: Path, names: tuple[str, ...]) -> list[Array]:
    """Read the named arrays.

    Raises:
        ModelRefused: `dataset.archive`, `dataset.missing`, `dataset.array` (too large, an object array, or damaged).
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        try:
            members = list_members(file)
        except InvalidModelFile as error:
            raise ModelRefused("dataset.archive", error.message) from error
        if len(members) > ARRAYS_MAX or any(f"{name}.npy" not in members for name in names):
            raise ModelRefused("dataset.missing", f"the data set has no arrays {', '.join(names)}, or too many others")
        arrays = []
        for name in names:
            try:
                data = read_member(file, members[f"{name}.npy"], ARRAY_BYTES_MAX)
                _check_header(data, name)
                array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
            except (InvalidModelFile, ValueError, EOFError, MemoryError) as error:
                raise ModelRefused("dataset.array", f"the array {name} cannot be read: {error}") from error
            if array.dtype.kind not in "fiub":
                raise ModelRefused("dataset.array", f"the array {name} does not hold plain numbers")
            arrays.append(array)
        return arrays


def has_array(path: Path, name: str) -> bool:
    """Whether the data set has an array of this name; raises as `read_arrays`."""
    with path.open("rb") as file:
        try:
            return f"{name}.npy" in list_members(file)
        except InvalidModelFile as error:
            raise ModelRefused("dataset.archive", error.message) from error


def _check_header(data: bytes, name: str) -> None:
    """Raise ValueError unless the values that the header claims are there: nothing is allocated for a claim alone.

    Raises:
        ModelRefused: `dataset.array`, an object array.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"the format {version} is not read")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ModelRefused(
            "dataset.array", f"the array {name} is an object array, which holds pickles: save plain numbers instead"
        )
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(data) - file.tell():
        raise ValueError("its values do not fill the shape that it claims")

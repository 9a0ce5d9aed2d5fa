"""The tensors of a `.keras` file: what they are called, where they lie, and what they hash to.

A `.keras` archive differs at every save (dates), its tensors do not: their digests say whether two files hold one
model. The index reads metadata through h5py and the values as plain bytes of the file; nothing is deserialized.
Hidden ways out of the file (external and soft links, external and virtual data sets) and shapes larger than the file
are refused. h5py parses hostile input in C, so index a stranger's file in a confined child process.
"""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Final, cast

import msgspec

from artifacts.archive import STORED, Member, list_members
from artifacts.errors import InvalidModelFile
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

WEIGHTS_MEMBER: Final = "model.weights.h5"
TENSORS_MAX: Final = 65_536
GROUP_DEPTH_MAX: Final = 32
DIMENSIONS_MAX: Final = 32
_READ_BYTES: Final = 1 << 20
_OPTIMIZER: Final = "optimizer/"


class TensorEntry(msgspec.Struct, frozen=True):
    """One tensor of a model file."""

    name: str
    """Path inside the weights file, for instance `layers/dense/vars/0`; sorted by it."""
    dtype: str
    """numpy's name of the element type, for instance `float32`."""
    shape: tuple[int, ...]
    sha256: bytes
    """32 bytes: of the values as they lie in the file (little-endian, row-major)."""
    offset: int
    """Of the first value from the start of the `.keras` file, in bytes; 0 for a tensor without values."""


def tensor_index(path: Path) -> tuple[TensorEntry, ...]:
    """Index the tensors of the `.keras` file at `path`, in the order of their names.

    Raises:
        InvalidModelFile: `model.hdf5_refused`, `model.archive`, `model.weights` (missing, packed or not plain), or
            `model.h5py_missing` (it comes with the extra `tensorflow`).
        OSError: the file cannot be read.
    """
    h5py = _h5py()
    with path.open("rb") as file:
        member = list_members(file).get(WEIGHTS_MEMBER)
        if member is None or member.method != STORED:
            raise _refused(f"the archive has no plainly stored member {WEIGHTS_MEMBER}")
        try:
            with h5py.File(cast(Any, _Window(file, member)), "r") as weights:
                found = [(*facts, member) for facts in _walk(h5py, weights)]
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
            # What libhdf5 says to damaged input surfaces as any of these.
            raise _refused(f"{WEIGHTS_MEMBER} cannot be read: {error}") from error
        _refuse_overlap(found)
        return tuple(sorted((_entry(file, *facts) for facts in found), key=lambda entry: entry.name))


def tensors_digest(entries: Iterable[TensorEntry]) -> Digest:
    """One digest for a model's weights: of the sorted digests of its tensors.

    Names, order and the optimizer's state do not matter: renaming layers or stripping the optimizer leads to the same
    digest. Repeated tensors count as often as they occur.
    """
    return tagged_hash("tensors", encode(sorted(e.sha256 for e in entries if not e.name.startswith(_OPTIMIZER))))


def _h5py() -> ModuleType:
    try:
        import h5py
    except ImportError as error:
        raise InvalidModelFile(
            "model.h5py_missing",
            "a model's tensors are read by h5py, which comes with TensorFlow: in a clone, `make demo` installs it, or "
            "`pip install '.[tensorflow]'`",
        ) from error
    return cast(ModuleType, h5py)


class _Window(io.RawIOBase):
    """The bytes of one stored member, as a file of its own."""

    def __init__(self, file: BinaryIO, member: Member) -> None:
        self._file = file
        self._start = member.offset
        self._length = member.size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._length - self._position))
        self._file.seek(self._start + self._position)
        data = self._file.read(length)
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


_Facts = tuple[str, str, tuple[int, ...], int, int]
"""name, dtype, shape, offset inside the member, bytes."""


def _walk(h5py: ModuleType, root: Any) -> Iterator[_Facts]:
    seen = set()
    pending = [("", root, 0)]
    count = 0
    while pending:
        prefix, group, depth = pending.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen or depth > GROUP_DEPTH_MAX:
            raise _refused("groups that contain themselves, are linked twice or lie too deep")
        seen.add(address)
        for key in group:
            count += 1
            if count > TENSORS_MAX:
                raise _refused(f"more than {TENSORS_MAX} tensors and groups")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise _refused(f"{prefix}{key} is a link that leads elsewhere")
            item = group[key]
            if isinstance(item, h5py.Group):
                pending.append((f"{prefix}{key}/", item, depth + 1))
            else:
                yield _facts(h5py, f"{prefix}{key}", item)


def _facts(h5py: ModuleType, name: str, item: Any) -> _Facts:
    if not isinstance(item, h5py.Dataset) or item.external or item.is_virtual or item.chunks is not None:
        raise _refused(f"{name} is not a plain contiguous data set")
    if item.dtype.kind not in "fiub" or item.dtype.byteorder == ">" or item.shape is None:
        raise _refused(f"{name} does not hold plain little-endian numbers")
    shape = tuple(int(n) for n in item.shape)
    size_bytes = math.prod(shape) * item.dtype.itemsize
    offset = item.id.get_offset()
    if len(shape) > DIMENSIONS_MAX or (size_bytes and offset is None) or item.id.get_storage_size() != size_bytes:
        raise _refused(f"{name} claims a shape that its bytes do not fill")
    return name, str(item.dtype.name), shape, int(offset or 0), size_bytes


def _refuse_overlap(found: list[tuple[str, str, tuple[int, ...], int, int, Member]]) -> None:
    ranges = sorted((offset, offset + size) for _, _, _, offset, size, _ in found if size)
    if any(end > start for (_, end), (start, _) in pairwise(ranges)):
        raise _refused("tensors overlap")
    if ranges and ranges[-1][1] > found[0][5].size_bytes:
        raise _refused("a tensor reaches past the end of its file")


def _entry(
    file: BinaryIO, name: str, dtype: str, shape: tuple[int, ...], offset: int, size_bytes: int, member: Member
) -> TensorEntry:
    digest = hashlib.sha256()
    file.seek(member.offset + offset)
    left = size_bytes
    while left:
        piece = file.read(min(left, _READ_BYTES))
        if not piece:
            raise _refused(f"{name} is cut off")
        digest.update(piece)
        left -= len(piece)
    return TensorEntry(name, dtype, shape, digest.digest(), member.offset + offset if size_bytes else 0)


def _refused(message: str) -> InvalidModelFile:
    return InvalidModelFile("model.weights", message)

"""List the members of a zip archive (a `.keras` file, an `.npz` data set) without trusting it.

Only what such files need: one disk, members stored or deflated, names that stay inside, local headers that agree with
the central directory, and members that do not overlap. Sizes are claims until a member is read; `read_member`
enforces them. Source: PKWARE APPNOTE 6.3 (zip64 included, as models pass 4 GiB).
"""

from __future__ import annotations

import os
import struct
import zlib
from itertools import pairwise
from typing import BinaryIO, Final, NamedTuple

from artifacts.errors import InvalidModelFile

MEMBERS_MAX: Final = 1_024
DIRECTORY_BYTES_MAX: Final = 1 << 20
"""Bytes of the central directory."""
NAME_BYTES_MAX: Final = 512

STORED: Final = 0
DEFLATED: Final = 8

_END: Final = struct.Struct("<4s4H2LH")
_END_64_LOCATOR: Final = struct.Struct("<4sLQL")
_END_64: Final = struct.Struct("<4sQ2H2L4Q")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_COMMENT_BYTES_MAX: Final = 0xFFFF
_ENCRYPTED: Final = 0x1
_UNSET_16: Final = 0xFFFF
_UNSET_32: Final = 0xFFFFFFFF
_ZIP64_FIELD: Final = 1
HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"


class Member(NamedTuple):
    """A file inside the archive."""

    name: str
    method: int
    """STORED or DEFLATED."""
    packed_bytes: int
    size_bytes: int
    crc: int
    offset: int
    """Where the packed bytes begin in the archive file, as the local header says."""


def list_members(file: BinaryIO) -> dict[str, Member]:
    """List a seekable archive.

    Raises:
        InvalidModelFile: not a zip archive that these bounds and rules admit; `model.hdf5_refused` for an HDF5 file.
        OSError: reading failed.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    if _at(file, 0, len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
        raise InvalidModelFile(
            "model.hdf5_refused", "this is an HDF5 (.h5) file, whatever its name; save the model as .keras instead"
        )
    offset, length, count = _directory(file, size_bytes)
    if count > MEMBERS_MAX or length > DIRECTORY_BYTES_MAX or offset + length > size_bytes:
        raise _refused(f"an archive has at most {MEMBERS_MAX} members in a directory of {DIRECTORY_BYTES_MAX} bytes")
    data = _at(file, offset, length)
    members: dict[str, Member] = {}
    position = 0
    for _ in range(count):
        member, header_offset, position = _central_entry(data, position)
        if member.name in members:
            raise _refused(f"two members are named {member.name!r}")
        members[member.name] = _with_local_header(file, member, header_offset, size_bytes)
    if position != len(data):
        raise _refused("surplus bytes in the archive's directory")
    _refuse_overlap(members, offset)
    return members


def read_member(file: BinaryIO, member: Member, size_bytes_max: int) -> bytes:
    """Read a member of at most `size_bytes_max` bytes, checking its size and CRC.

    Raises:
        InvalidModelFile: larger, or not what the directory says (a zip bomb lies about its size).
    """
    if member.size_bytes > size_bytes_max:
        raise _refused(f"{member.name} has {member.size_bytes} bytes, more than the {size_bytes_max} allowed")
    packed = _at(file, member.offset, member.packed_bytes)
    data = packed if member.method == STORED else _inflate(packed, member)
    if len(data) != member.size_bytes or zlib.crc32(data) != member.crc:
        raise _refused(f"{member.name} is not what the archive's directory says")
    return data


def _inflate(packed: bytes, member: Member) -> bytes:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = engine.decompress(packed, member.size_bytes + 1)
    except zlib.error as error:
        raise _refused(f"{member.name} cannot be decompressed ({error})") from error
    if not engine.eof or engine.unused_data:
        raise _refused(f"{member.name} is larger than the archive's directory says, or cut off")
    return data


def _directory(file: BinaryIO, size_bytes: int) -> tuple[int, int, int]:
    """(offset, bytes, entries) of the central directory."""
    start = max(0, size_bytes - _END.size - _COMMENT_BYTES_MAX)
    tail = _at(file, start, size_bytes - start)
    position = tail.rfind(b"PK\x05\x06")
    if position < 0 or len(tail) - position < _END.size:
        raise _refused("not a zip archive")
    _, disk, first_disk, here, count, length, offset, comment = _END.unpack_from(tail, position)
    if comment != len(tail) - position - _END.size:
        raise _refused("surplus bytes at the end of the archive")
    if count == _UNSET_16 or length == _UNSET_32 or offset == _UNSET_32:
        return _directory_64(file, start + position)
    if disk or first_disk or here != count:
        raise _refused("an archive of several parts")
    return offset, length, count


def _directory_64(file: BinaryIO, end: int) -> tuple[int, int, int]:
    located = _at(file, end - _END_64_LOCATOR.size, _END_64_LOCATOR.size) if end >= _END_64_LOCATOR.size else b""
    if located[:4] != b"PK\x06\x07":
        raise _refused("the zip64 directory is missing")
    position = _END_64_LOCATOR.unpack(located)[2]
    record = _at(file, position, _END_64.size)
    if len(record) != _END_64.size or record[:4] != b"PK\x06\x06":
        raise _refused("the zip64 directory is missing")
    _, _, _, _, disk, first_disk, here, count, length, offset = _END_64.unpack(record)
    if disk or first_disk or here != count:
        raise _refused("an archive of several parts")
    return offset, length, count


def _central_entry(data: bytes, position: int) -> tuple[Member, int, int]:
    """(member without its offset, offset of its local header, position of the next entry)."""
    if len(data) - position < _CENTRAL.size or data[position : position + 4] != b"PK\x01\x02":
        raise _refused("the archive's directory is cut off")
    fields = _CENTRAL.unpack_from(data, position)
    flags, method = fields[3], fields[4]
    crc, packed, size = fields[7:10]
    name_length, extra_length, comment_length = fields[10:13]
    header_offset = fields[16]
    position += _CENTRAL.size
    name = data[position : position + name_length]
    extra = data[position + name_length : position + name_length + extra_length]
    position += name_length + extra_length + comment_length
    if position > len(data):
        raise _refused("the archive's directory is cut off")
    if flags & _ENCRYPTED or method not in (STORED, DEFLATED):
        raise _refused(f"{_name(name)} is encrypted or packed in an unsupported way")
    if _UNSET_32 in (packed, size, header_offset):
        size, packed, header_offset = _zip64_values(extra, size, packed, header_offset)
    if method == STORED and packed != size:
        raise _refused(f"{_name(name)} is stored but has two sizes")
    return Member(_name(name), method, packed, size, crc, 0), header_offset, position


def _zip64_values(extra: bytes, *values: int) -> list[int]:
    """Replace each unset value by the next one of the zip64 field (APPNOTE 4.5.3)."""
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _ZIP64_FIELD:
            numbers = [int.from_bytes(extra[4 + i : 12 + i], "little") for i in range(0, length - length % 8, 8)]
            result = [numbers.pop(0) if value == _UNSET_32 and numbers else value for value in values]
            if _UNSET_32 not in result:
                return result
        extra = extra[4 + length :]
    raise _refused("a member's zip64 sizes are missing")


def _with_local_header(file: BinaryIO, member: Member, header_offset: int, size_bytes: int) -> Member:
    header = _at(file, header_offset, _LOCAL.size) if header_offset < size_bytes else b""
    if len(header) != _LOCAL.size or header[:4] != b"PK\x03\x04":
        raise _refused(f"the header of {member.name} is missing")
    fields = _LOCAL.unpack(header)
    name_length, extra_length = fields[9:11]
    name = _at(file, header_offset + _LOCAL.size, name_length)
    offset = header_offset + _LOCAL.size + name_length + extra_length
    if _name(name) != member.name or fields[3] != member.method or offset + member.packed_bytes > size_bytes:
        raise _refused(f"the header of {member.name} contradicts the archive's directory")
    return member._replace(offset=offset)


def _refuse_overlap(members: dict[str, Member], directory_offset: int) -> None:
    ranges = sorted((member.offset, member.offset + member.packed_bytes) for member in members.values())
    ranges.append((directory_offset, directory_offset))
    if any(end > start for (_, end), (start, _) in pairwise(ranges)):
        raise _refused("members of the archive overlap")


def _name(name: bytes) -> str:
    """A member's name, kept only where extracting it would stay inside the target."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused("a member's name is not UTF-8") from error
    parts = text.removesuffix("/").split("/")
    if len(name) > NAME_BYTES_MAX or any(p in {"", ".", ".."} for p in parts) or any(c in text for c in "\\\x00:"):
        raise _refused(f"the member name {text[:80]!r} could lead outside the archive")
    return text


def _at(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _refused(message: str) -> InvalidModelFile:
    return InvalidModelFile("model.archive", message)

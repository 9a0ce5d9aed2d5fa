"""Cut files and directories into content-addressed blocks: profile `unixfs-v1-2025`.

CIDv1 in base32, SHA-256, chunks of 1 MiB, raw leaves, a balanced graph of width 1,024, links before data, empty names
in file links, Tsize = own block and the children's. A file of one chunk is its raw leaf. Directories are flat; one
whose block would pass 256 KiB is sharded. The result is the CID that other tools of the profile give.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from artifacts import cid as cids
from artifacts import hamt, nodes
from artifacts.dag_pb import Link
from artifacts.errors import InvalidBlock, UnsupportedArtifact
from artifacts.nodes import (
    ARTIFACT_BYTES_MAX,
    CHUNK_BYTES,
    DIRECTORY_BYTES_MAX,
    DIRECTORY_DEPTH_MAX,
    ENTRIES_MAX,
    WIDTH,
    links,
)
from artifacts.reader import extract, read_file

__all__ = [
    "ARTIFACT_BYTES_MAX",
    "CHUNK_BYTES",
    "DIRECTORY_DEPTH_MAX",
    "BuiltFile",
    "Put",
    "build",
    "build_directory",
    "build_file",
    "extract",
    "links",
    "read_file",
]

Put = Callable[[str, bytes], object]
"""Takes a block under its CID; called children first, the root last. `discard` where only the CID is wanted."""


class BuiltFile(NamedTuple):
    """What building a file or a directory gave."""

    cid: str
    size_bytes: int
    """Content: the bytes of the file, or of all files of a directory."""
    blocks: int
    """Blocks in the graph, each counted as often as it is linked."""
    tsize: int
    """Bytes of these blocks."""


class _Part(NamedTuple):
    cid: bytes
    size_bytes: int
    tsize: int


def discard(cid: str, data: bytes) -> None:
    """A `put` that keeps nothing."""


def build_file(source: bytes | BinaryIO | Iterable[bytes], put: Put = discard) -> BuiltFile:
    """Cut `source` (bytes, a readable binary stream, or pieces of any size) into blocks and hand each to `put`.

    Memory stays below a few chunks and the links of one path of the graph.

    Raises:
        UnsupportedArtifact: more than ARTIFACT_BYTES_MAX.
        whatever `put` or the stream raises.
    """
    levels: list[list[_Part]] = [[]]
    blocks = size_bytes = 0
    for chunk in _chunks(source):
        size_bytes += len(chunk)
        if size_bytes > ARTIFACT_BYTES_MAX:
            raise UnsupportedArtifact("artifact.too_large", f"an artifact has at most {ARTIFACT_BYTES_MAX} bytes")
        name = cids.raw_cid(chunk)
        put(name, chunk)
        blocks += 1
        levels[0].append(_Part(cids.to_bytes(name), len(chunk), len(chunk)))
        level = 0
        while len(levels[level]) == WIDTH:
            blocks += _raise_level(levels, level, put)
            level += 1
    level = 0
    # A lone part below the top is wrapped as well, so that all leaves lie at one depth.
    while level + 1 < len(levels) or len(levels[level]) > 1:
        if levels[level]:
            blocks += _raise_level(levels, level, put)
        level += 1
    (root,) = levels[-1]
    return BuiltFile(cids.from_bytes(root.cid), size_bytes, blocks, root.tsize)


def _raise_level(levels: list[list[_Part]], level: int, put: Put) -> int:
    """Join the parts of `level` under one node of the level above; return the number of blocks made (1)."""
    parts, levels[level] = levels[level], []
    if level + 1 == len(levels):
        levels.append([])
    sizes = tuple(part.size_bytes for part in parts)
    block = nodes.encode_file_node(tuple(Link(part.cid, b"", part.tsize) for part in parts), sizes)
    name = cids.dag_pb_cid(block)
    put(name, block)
    tsize = len(block) + sum(part.tsize for part in parts)
    levels[level + 1].append(_Part(cids.to_bytes(name), sum(sizes), tsize))
    return 1


def _chunks(source: bytes | BinaryIO | Iterable[bytes]) -> Iterator[bytes]:
    """Cut into CHUNK_BYTES pieces; an empty source is one empty chunk."""
    if isinstance(source, bytes | bytearray | memoryview):
        source = io.BytesIO(source)
    # Iterating a binary stream would give lines.
    pieces = _pieces(cast(BinaryIO, source)) if hasattr(source, "read") else iter(source)
    pending = bytearray()
    empty = True
    for piece in pieces:
        if not pending and len(piece) == CHUNK_BYTES:
            empty = False
            yield piece
            continue
        pending += piece
        position = 0
        while len(pending) - position >= CHUNK_BYTES:
            empty = False
            yield bytes(memoryview(pending)[position : position + CHUNK_BYTES])
            position += CHUNK_BYTES
        del pending[:position]
    if pending or empty:
        yield bytes(pending)


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(CHUNK_BYTES):
        yield piece


def build(path: Path, put: Put = discard) -> BuiltFile:
    """Build the file or directory at `path`; raises as `build_file` and `build_directory` do."""
    if path.is_dir():
        return build_directory(path, put)
    with path.open("rb") as stream:
        return build_file(stream, put)


def build_directory(path: Path, put: Put = discard) -> BuiltFile:
    """Build a directory with everything in it, hidden files included; modes and times are not kept.

    Raises:
        UnsupportedArtifact: a symbolic link, device or socket; a name that is not UTF-8 or would not survive on another
            system; more than DIRECTORY_DEPTH_MAX levels or ENTRIES_MAX entries; too many bytes.
        OSError: a file cannot be read.
    """
    return _directory(path, put, 0, _Budget(ARTIFACT_BYTES_MAX, ENTRIES_MAX))


class _Budget:
    """What a directory and all below it may still use up."""

    def __init__(self, bytes_left: int, entries_left: int) -> None:
        self._bytes_left = bytes_left
        self._entries_left = entries_left

    def spend(self, file_bytes: int) -> None:
        self._bytes_left -= file_bytes
        self._entries_left -= 1
        if self._bytes_left < 0 or self._entries_left < 0:
            raise UnsupportedArtifact(
                "artifact.too_large", f"an artifact has at most {ARTIFACT_BYTES_MAX} bytes and {ENTRIES_MAX} entries"
            )


def _directory(path: Path, put: Put, depth: int, budget: _Budget) -> BuiltFile:
    if depth > DIRECTORY_DEPTH_MAX:
        raise UnsupportedArtifact("artifact.too_deep", f"{path} lies more than {DIRECTORY_DEPTH_MAX} directories deep")
    entries = []
    blocks = 1
    size_bytes = 0
    for entry in sorted(os.scandir(path), key=lambda item: os.fsencode(item.name)):
        name = os.fsencode(entry.name)
        try:
            nodes.check_name(name)
        except InvalidBlock as error:
            raise UnsupportedArtifact("artifact.name", f"in {path}: {error.message}") from error
        built = _entry(Path(entry.path), put, depth, budget)
        entries.append(Link(cids.to_bytes(built.cid), name, built.tsize))
        blocks += built.blocks
        size_bytes += built.size_bytes
    joined = join_directory(entries, put)
    return BuiltFile(joined.cid, size_bytes, blocks - 1 + joined.blocks, joined.tsize)


def join_directory(entries: Sequence[Link], put: Put = discard) -> BuiltFile:
    """Make a directory of links sorted by name, flat where that fits and sharded else; `size_bytes` is left 0.

    Raises:
        UnsupportedArtifact: two names have one hash. whatever `put` raises.
    """
    block = nodes.encode_directory_node(tuple(entries))
    if len(block) > DIRECTORY_BYTES_MAX:
        shard = hamt.build(entries, put)
        return BuiltFile(cids.from_bytes(shard.link.cid), 0, shard.blocks, shard.link.tsize)
    name = cids.dag_pb_cid(block)
    put(name, block)
    return BuiltFile(name, 0, 1, len(block) + sum(link.tsize for link in entries))


def _entry(path: Path, put: Put, depth: int, budget: _Budget) -> BuiltFile:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        budget.spend(0)
        return _directory(path, put, depth + 1, budget)
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedArtifact("artifact.symlink", f"{path} is neither a file nor a directory")
    budget.spend(found.st_size)
    with path.open("rb") as stream:
        return build_file(stream, put)

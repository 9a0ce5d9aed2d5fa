"""Cutting a state into subtrees, and putting them together again.

The tree's shape follows from its records alone (`ledger/state/tree.py`), so the hash of the node at a place follows
from the records below it; what is computed here is that hash, without a tree.
"""

from __future__ import annotations

import hashlib
import operator
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final, NamedTuple

from ledger.snapshot.format import (
    CHUNK_BYTES_TARGET,
    PIECE_BYTES_MAX,
    RECORD_OVERHEAD_BYTES,
    InvalidSnapshot,
    Subtree,
    read,
)
from ledger.state.nodes import branch_hash, leaf_hash, root_of, value_hash
from primitives.codec import encode
from primitives.digest import Digest

_BEHIND: Final = "g"
"""Sorts behind every hexadecimal digit."""


class Record(NamedTuple):
    path: str
    """sha256(key) in hexadecimal digits."""
    key: bytes
    value: bytes


class Chunk(NamedTuple):
    subtree: Subtree
    data: bytes


def size_of(record: Record) -> int:
    """Return what a record counts towards `CHUNK_BYTES_TARGET` (bytes)."""
    return len(record.key) + len(record.value) + RECORD_OVERHEAD_BYTES


def cut(prefix: str, records: Sequence[Record]) -> Iterator[Chunk]:
    """Yield the chunks of the subtree at `prefix`, whose records are given, rising by path, and at least one."""
    sums = [0, *accumulate(map(size_of, records))]
    paths = [record.path for record in records]
    yield from _cut(prefix, records, paths, sums, 0, len(records))


def _cut(
    prefix: str, records: Sequence[Record], paths: Sequence[str], sums: Sequence[int], start: int, end: int
) -> Iterator[Chunk]:
    if end - start == 1 or sums[end] - sums[start] <= CHUNK_BYTES_TARGET:
        yield _chunk(prefix, records[start:end])
        return
    while start < end:
        below = paths[start][: len(prefix) + 1]
        stop = bisect_left(paths, below + _BEHIND, start, end)
        yield from _cut(below, records, paths, sums, start, stop)
        start = stop


def _chunk(prefix: str, records: Sequence[Record]) -> Chunk:
    flat = [part for record in records for part in record[1:]]
    data = encode(flat)
    if len(data) > PIECE_BYTES_MAX:
        raise InvalidSnapshot("snapshot.too_large", f"the record {records[0].key.hex()} fills more than a piece")
    hashed = _top_hash([record.path for record in records], flat[1::2], len(prefix))
    return Chunk(Subtree(prefix, hashed), data)


def open_chunk(subtree: Subtree, data: bytes) -> tuple[list[bytes], list[bytes]]:
    """Return the keys and values of a chunk, which are proven to be all records of the subtree.

    Raises:
        InvalidSnapshot: `snapshot.malformed`, or `snapshot.chunk` when it is not the subtree's.
    """
    flat: list[bytes] = read(data, list[bytes])
    keys, values = flat[::2], flat[1::2]
    if not keys or len(keys) != len(values):
        raise InvalidSnapshot("snapshot.malformed", "a chunk has a value for each key, and one at least")
    paths = [hashlib.sha256(key).hexdigest() for key in keys]
    if not all(map(operator.lt, paths, paths[1:])):
        raise InvalidSnapshot("snapshot.chunk", "the chunk's records do not rise")
    if not (paths[0].startswith(subtree.prefix) and paths[-1].startswith(subtree.prefix)):
        raise InvalidSnapshot("snapshot.chunk", f"the chunk has records beside the subtree {subtree.prefix!r}")
    if _top_hash(paths, values, len(subtree.prefix)) != subtree.hash:
        raise InvalidSnapshot("snapshot.chunk", f"the chunk is not that of the subtree {subtree.hash.hex()}")
    return keys, values


def _top_hash(paths: Sequence[str], values: Sequence[bytes], depth: int) -> bytes:
    """Return the hash of the node at `depth` above these records."""
    fromhex = bytes.fromhex
    leaves = [leaf_hash(fromhex(path) + value_hash(value)) for path, value in zip(paths, values, strict=True)]

    def node(depth: int, start: int, end: int) -> bytes:
        if end - start == 1:
            return leaves[start]
        bitmap, hashes = 0, []
        while start < end:
            path = paths[start]
            stop = start + 1
            if stop < end and paths[stop][depth] == path[depth]:
                stop = bisect_left(paths, path[: depth + 1] + _BEHIND, stop, end)
            bitmap |= 1 << int(path[depth], 16)
            hashes.append(node(depth + 1, start, stop))
            start = stop
        return branch_hash(bitmap.to_bytes(2, "big") + b"".join(hashes))

    return node(depth, 0, len(leaves))


def root_above(subtrees: Sequence[Subtree]) -> Digest:
    """Return the state root over subtrees that cover the whole tree.

    A list that leads to a true root is the tree's own: whatever it leaves out or names wrongly changes a hash above.

    Raises:
        InvalidSnapshot: `snapshot.cover`: not rising, or one is below another.
    """
    for one, following in pairwise(subtrees):
        if following.prefix <= one.prefix or following.prefix.startswith(one.prefix):
            raise InvalidSnapshot("snapshot.cover", f"{following.prefix!r} does not lie behind {one.prefix!r}")
    prefixes = [subtree.prefix for subtree in subtrees]

    def node(depth: int, start: int, end: int) -> bytes:
        if end - start == 1 and len(prefixes[start]) == depth:
            return subtrees[start].hash
        bitmap, hashes = 0, []
        while start < end:
            below = prefixes[start][: depth + 1]
            stop = bisect_left(prefixes, below + _BEHIND, start, end)
            bitmap |= 1 << int(below[depth], 16)
            hashes.append(node(depth + 1, start, stop))
            start = stop
        return branch_hash(bitmap.to_bytes(2, "big") + b"".join(hashes))

    return root_of(node(0, 0, len(subtrees)))

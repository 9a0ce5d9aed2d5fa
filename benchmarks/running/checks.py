"""After the load: do all nodes have the same chain, and is every acknowledged transaction in it exactly once?"""

from __future__ import annotations

import http.client
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec
import numpy
from numpy.typing import NDArray

from benchmarks.errors import BenchError

BLOCKS_AT_ONCE: Final = 32
ID_BYTES: Final = 32
Identities = NDArray[numpy.uint8]
"""One row of 32 bytes each."""


class ChainPart(NamedTuple):
    """What one node says that blocks have executed."""

    heights: list[int]
    hashes: list[bytes]
    state_roots: list[bytes]
    ids: Identities
    height_of: NDArray[numpy.int64]
    """The height of each id."""
    refused: dict[int, str]
    """Row of `ids` -> the code of a receipt that is a refusal."""


class Found(NamedTuple):
    """Where acknowledged transactions are."""

    once: int
    missing: int
    twice: int
    row: NDArray[numpy.int64]
    """Of each asked-for id: the row of the chain that has it, -1 where none has."""


def read_chain(url: str, first: int, last: int) -> ChainPart:
    """Ask a node what blocks `first` to `last` have executed.

    Raises:
        BenchError: `checks.unreadable`.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    blocks: list[tuple[int, bytes, bytes, bytes, list[tuple[int, str]]]] = []
    try:
        for height in range(first, last + 1, BLOCKS_AT_ONCE):
            count = min(BLOCKS_AT_ONCE, last + 1 - height)
            connection.request("GET", f"/v1/blocks/{height}/executed?count={count}")
            response = connection.getresponse()
            data = response.read()
            if response.status != 200:
                raise BenchError("checks.unreadable", f"{url}: blocks from {height} on: {data[:300]!r}")
            blocks += msgspec.msgpack.decode(data, type=list[tuple[int, bytes, bytes, bytes, list[tuple[int, str]]]])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
        raise BenchError("checks.unreadable", f"{url}: {error}") from error
    finally:
        connection.close()
    return _chain_part(blocks)


def _chain_part(blocks: list[tuple[int, bytes, bytes, bytes, list[tuple[int, str]]]]) -> ChainPart:
    refused: dict[int, str] = {}
    rows = 0
    for _, _, _, ids, codes in blocks:
        refused.update({rows + at: code for at, code in codes})
        rows += len(ids) // ID_BYTES
    return ChainPart(
        heights=[block[0] for block in blocks],
        hashes=[block[1] for block in blocks],
        state_roots=[block[2] for block in blocks],
        ids=numpy.frombuffer(b"".join(block[3] for block in blocks), dtype=numpy.uint8).reshape(-1, ID_BYTES),
        height_of=numpy.repeat(
            numpy.array([block[0] for block in blocks], dtype=numpy.int64),
            numpy.array([len(block[3]) // ID_BYTES for block in blocks], dtype=numpy.int64),
        ),
        refused=refused,
    )


def disagreement(parts: dict[int, ChainPart]) -> str:
    """Say where the chains of nodes differ; empty when they are the same."""
    (first, reference), *others = parts.items()
    for node, part in others:
        if part.heights != reference.heights:
            return f"validators {first} and {node} have other heights"
        for at, height in enumerate(reference.heights):
            if part.hashes[at] != reference.hashes[at] or part.state_roots[at] != reference.state_roots[at]:
                return f"validators {first} and {node} have other blocks at height {height}"
        if not numpy.array_equal(part.ids, reference.ids):
            return f"validators {first} and {node} name other transactions in the same blocks"
    return ""


def find(acknowledged: Identities, executed: Identities) -> Found:
    """Look for ids among what blocks have executed. A doubled id is counted whether or not it was acknowledged."""
    both = numpy.concatenate([acknowledged, executed])
    if not len(both):
        return Found(0, 0, 0, numpy.empty(0, dtype=numpy.int64))
    _, numbers = numpy.unique(_rows(both), return_inverse=True)
    asked, there = numbers[: len(acknowledged)], numbers[len(acknowledged) :]
    times = numpy.bincount(there, minlength=int(numbers.max()) + 1)
    row_of: NDArray[Any] = numpy.full(int(numbers.max()) + 1, -1, dtype=numpy.int64)
    row_of[there[::-1]] = numpy.arange(len(there) - 1, -1, -1)
    return Found(
        once=int((times[asked] == 1).sum()),
        missing=int((times[asked] == 0).sum()),
        twice=int((times > 1).sum()),
        row=row_of[asked],
    )


def _rows(ids: Identities) -> NDArray[Any]:
    return numpy.ascontiguousarray(ids).view(f"V{ID_BYTES}").ravel()

"""Signing ahead: chunks of finished requests on disk, made by processes of their own before they are needed.

A transaction's expiry is half the chain's lifetime after it is due, so that it is admitted when sent on time and waits
as long as any other. In a saturated run nothing is due: its transactions expire four fifths of a lifetime after the
beginning, or after their signing where that is later.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy
from numpy.typing import NDArray

from benchmarks.generator.plan import CHUNK_TRANSACTIONS, Plan, read_plan
from benchmarks.workloads.accounts import Accounts
from benchmarks.workloads.choosing import workload
from benchmarks.workloads.workload import Facts, Workload, numbers_of
from ledger.transaction import SALT_BYTES, build, transaction_id
from node.parents import end_with_parent

NICENESS: Final = 10
"""Of signing beside the load: it must not take processors from the network under test."""


class Chunk(NamedTuple):
    """Requests `first` to `first` + `requests` - 1."""

    number: int
    first: int
    requests: int


class Signer:
    """Makes the requests of one plan."""

    def __init__(self, plan: Plan) -> None:
        asked = plan.configuration
        self._plan = plan
        self._workload: Workload = workload(asked.workload)
        accounts = Accounts(plan.network_id, asked.seed, asked.accounts, plan.organizations, plan.account_salt)
        facts = Facts(plan.network_id, plan.urls, (), accounts, asked.payload_bytes)
        self._workload.load(facts, msgspec.msgpack.decode(plan.workload_state))

    def transaction(self, index: int, expires_at_ms: int) -> tuple[bytes, int]:
        """Return the bytes of transaction `index` and its number of operations."""
        asked = self._plan.configuration
        rng = numbers_of(asked.seed, index)
        sender, operations = self._workload.operations(index, rng)
        data = build(
            network_id=self._plan.network_id,
            sender=sender.account,
            key=sender.key,
            operations=operations,
            expires_at_ms=expires_at_ms,
            salt=rng.randbytes(SALT_BYTES),
        )
        return data, len(operations)


class SignedChunk:
    """Finished requests, read back. They can be read once."""

    def __init__(self, directory: Path, chunk: Chunk) -> None:
        self.chunk = chunk
        path = directory / f"chunk-{chunk.number}.bodies"
        self.bodies = path.read_bytes()
        path.unlink()  # a long run signs more than anybody wants to keep
        with numpy.load(directory / f"chunk-{chunk.number}.npz") as arrays:
            self.ends: NDArray[numpy.int64] = arrays["ends"]
            self.expires_at_ms = int(arrays["expires_at_ms"].min())

    def body(self, request: int) -> memoryview:
        at = request - self.chunk.first
        return memoryview(self.bodies)[int(self.ends[at - 1]) if at else 0 : int(self.ends[at])]


def chunks_of(plan: Plan, requests: int) -> list[Chunk]:
    """Divide requests into chunks."""
    size = max(1, CHUNK_TRANSACTIONS // plan.units)
    return [Chunk(number, first, min(size, requests - first)) for number, first in enumerate(range(0, requests, size))]


def chunk_identities(directory: Path, chunk: Chunk) -> tuple[NDArray[numpy.uint8], NDArray[numpy.uint16]]:
    """Return the ids (one row each) and the numbers of operations of a chunk's transactions."""
    with numpy.load(directory / f"chunk-{chunk.number}.npz") as arrays:
        return arrays["ids"], arrays["operations"]


_signer: Signer | None = None
_directory = Path()


def begin_worker(directory: Path, parent: int) -> None:
    """Get a signing process ready."""
    global _signer, _directory  # noqa: PLW0603 - a pool's process has no other place for what it keeps
    end_with_parent(parent)
    _directory = directory
    _signer = Signer(read_plan(directory))


def sign_chunk(chunk: Chunk, expires_at_ms: NDArray[numpy.int64], *, beside_load: bool = False) -> Chunk:
    """Write a chunk; `expires_at_ms` has one value a request. Runs in a signing process."""
    assert _signer is not None
    if beside_load and os.nice(0) < NICENESS:
        os.nice(NICENESS)
    write_chunk(_signer, read_plan(_directory), _directory, chunk, expires_at_ms)
    return chunk


def write_chunk(signer: Signer, plan: Plan, directory: Path, chunk: Chunk, expires_at_ms: NDArray[numpy.int64]) -> None:
    each = plan.transactions
    ids, operations, ends = bytearray(), [], []
    path = directory / f"chunk-{chunk.number}.bodies"
    written = 0
    with path.open("wb") as file:
        for at in range(chunk.requests):
            first = (chunk.first + at) * each
            made = [signer.transaction(index, int(expires_at_ms[at])) for index in range(first, first + each)]
            for data, count in made:
                ids += transaction_id(data)
                operations.append(count)
            written += file.write(request_body([data for data, _ in made]))
            ends.append(written)
    arrays: dict[str, NDArray[Any]] = {
        "ends": numpy.array(ends, dtype=numpy.int64),
        "ids": numpy.frombuffer(bytes(ids), dtype=numpy.uint8).reshape(-1, 32),
        "operations": numpy.array(operations, dtype=numpy.uint16),
        "expires_at_ms": expires_at_ms,
    }
    with (directory / f"chunk-{chunk.number}.npz").open("wb") as file:
        numpy.savez(file, **arrays)  # type: ignore[arg-type]  # its stubs take the keywords for its own


def request_body(transactions: list[bytes]) -> bytes:
    """What one request carries."""
    return msgspec.msgpack.encode(transactions)

"""Everything that a run has left behind, before it is judged."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy
from numpy.typing import NDArray

from benchmarks.generator.plan import Plan
from benchmarks.measurement.events import NodeEvents
from benchmarks.results.schema import Mark
from benchmarks.running.checks import ChainPart
from benchmarks.running.sampling import Sample


class Requests(NamedTuple):
    """The generator's columns, one row a request or a transaction."""

    due_ns: NDArray[numpy.int64]
    sent_ns: NDArray[numpy.int64]
    answered_ns: NDArray[numpy.int64]
    node: NDArray[numpy.int8]
    fate: NDArray[numpy.uint8]
    """Of each transaction, see `benchmarks.generator.plan.Fate`."""
    ids: NDArray[numpy.uint8]
    operations: NDArray[numpy.uint16]

    @property
    def each(self) -> int:
        """Transactions in a request."""
        return len(self.fate) // max(1, len(self.due_ns))


class Evidence(msgspec.Struct, frozen=True):
    plan: Plan
    requests: Requests
    codes: tuple[str, ...]
    """Of refusals, in the order of their numbers."""
    starved: int
    began_ns: int
    """When the load began, warm-up included."""
    samples: dict[str, list[Sample]]
    """Of "generator" and of each validator by its index."""
    node_events: dict[int, NodeEvents]
    """Empty for a network that somebody else runs."""
    heard: list[dict[int, int]]
    """Of each validator: height -> when the generator heard that it is certified."""
    chains: dict[int, ChainPart]
    """Of the validators that answer at the end."""
    disturbed: frozenset[int]
    """Validators that did not run from beginning to end."""
    lost_memory_ns: dict[int, list[int]]
    """When validators were killed: what they had taken is lost where no other had it."""
    marks: tuple[Mark, ...]

    @property
    def start_ns(self) -> int:
        """The beginning of the measured part."""
        return self.began_ns + int(self.plan.configuration.warmup_s * 1e9)

    @property
    def end_ns(self) -> int:
        return self.start_ns + int(self.plan.configuration.duration_s * 1e9)


def read_requests(directory: Path, plan: Plan, offered: int) -> Requests:
    """Read the generator's columns, as far as it came."""
    from benchmarks.generator.signing import chunk_identities, chunks_of

    with numpy.load(directory / "requests.npz") as arrays:
        due_ns = arrays["due_ns"]
        ids, operations = [numpy.empty((0, 32), dtype=numpy.uint8)], [numpy.empty(0, dtype=numpy.uint16)]
        if not plan.signed:
            ids.append(arrays["ids"])
            operations.append(numpy.ones(offered, dtype=numpy.uint16))
        for chunk in chunks_of(plan, len(due_ns)):
            if chunk.first >= offered or not plan.signed:
                break
            of_chunk = chunk_identities(directory, chunk)
            ids.append(of_chunk[0])
            operations.append(of_chunk[1])
        end = offered * plan.transactions
        return Requests(
            due_ns=due_ns[:offered],
            sent_ns=arrays["sent_ns"][:offered],
            answered_ns=arrays["answered_ns"][:offered],
            node=arrays["node"][:offered],
            fate=arrays["fate"][:end],
            ids=numpy.concatenate(ids)[:end],
            operations=numpy.concatenate(operations)[:end],
        )

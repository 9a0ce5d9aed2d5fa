"""What the generator is told, and what it leaves behind. All of it lies in one directory.

plan.msgpack          `Plan`
chunk-N.bodies        bodies of requests, one behind the other
chunk-N.npz           where each body ends, the ids of its transactions and their numbers of operations
requests.npz          when each request was due, sent and answered, by whom, and what became of its transactions
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from benchmarks.results.schema import Configuration

CHUNK_TRANSACTIONS: Final = 20_000
"""Signed at a time, in one file."""
WINDOW_S: Final = 30.0
"""While a run lasts, transactions are signed so long before they are due."""
AHEAD_MAX: Final = 1_000_000
"""Transactions that are signed before the load begins; later ones are signed meanwhile."""


class Fate:
    """What became of a transaction, one byte each. From REFUSED on: a code of the list that the generator leaves."""

    UNSENT: Final = 0
    ACKNOWLEDGED: Final = 1
    UNANSWERED: Final = 2
    """Sent, and the connection broke or the time was up: it may be in a block or not."""
    REFUSED: Final = 3


class Plan(msgspec.Struct, frozen=True):
    configuration: Configuration
    network_id: bytes
    lifetime_ms: int
    """The chain's parameter."""
    organizations: tuple[str, ...]
    account_salt: bytes
    urls: tuple[str, ...]
    workload_state: bytes
    """MessagePack of what the workload's setting up returned."""
    rate: float
    """Units a second. In a saturated run: more than this the machine cannot do, so that so many suffice."""
    outstanding: int
    """Transactions that may be neither refused nor certified yet; 0: as the schedule has it, whatever happens."""
    follow: bool
    """Note when certified blocks are heard of."""

    @property
    def units(self) -> int:
        """Units in a request."""
        return self.configuration.batch_submit

    @property
    def transactions(self) -> int:
        """Transactions in a request: payloads travel in one bundle."""
        return self.configuration.batch_submit if self.signed else 1

    @property
    def signed(self) -> bool:
        """Whether requests are signed ahead; bundles are made where they are sent."""
        return self.configuration.workload != "opaque"

    @property
    def total_s(self) -> float:
        return self.configuration.warmup_s + self.configuration.duration_s


def write_plan(directory: Path, plan: Plan) -> None:
    (directory / "plan.msgpack").write_bytes(msgspec.msgpack.encode(plan))


def read_plan(directory: Path) -> Plan:
    return msgspec.msgpack.decode((directory / "plan.msgpack").read_bytes(), type=Plan)

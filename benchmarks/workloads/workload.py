"""What a workload is: something to set up once, and then a transaction for every index.

Setting up happens before the load, in the process that started the network. What it has made (ids of offers, for
instance) travels as plain values to the processes that sign, which ask for transactions in any order: each gets a
generator of numbers that depends on the seed and the index alone.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from benchmarks.workloads.accounts import Accounts, Identity
from ledger.operations import Operation


class Facts(msgspec.Struct, frozen=True):
    """What a workload may know of the network."""

    network_id: bytes
    urls: tuple[str, ...]
    sponsors: tuple[Identity, ...]
    """The account of the genesis of each organization. Empty where transactions are only made, not set up."""
    accounts: Accounts
    payload_bytes: int


def numbers_of(seed: int, index: int) -> random.Random:
    """Return the generator of numbers of signed transaction `index`, in real runs and in virtual time alike."""
    return random.Random(seed << 48 | index)  # seeding by a text would cost as much as half a signature


class Workload(Protocol):
    """Transactions by index."""

    @property
    def name(self) -> str: ...

    @property
    def signed(self) -> bool:
        """Whether clients sign; else a transaction is an opaque bundle of payloads."""
        ...

    def set_up(self, facts: Facts) -> dict[str, Any]:
        """Make what the transactions need and wait until it is certified; return what `load` wants to know."""
        ...

    def load(self, facts: Facts, state: Mapping[str, Any]) -> None:
        """Get ready to make transactions."""
        ...

    def operations(self, index: int, rng: random.Random) -> tuple[Identity, Sequence[Operation]]:
        """Return who sends the transaction `index` and what it asks for."""
        ...


class Simple:
    """A workload that needs nothing but accounts."""

    signed = True

    def set_up(self, facts: Facts) -> dict[str, Any]:  # noqa: ARG002 - others need it
        return {}

    def load(self, facts: Facts, state: Mapping[str, Any]) -> None:  # noqa: ARG002
        self.accounts = facts.accounts

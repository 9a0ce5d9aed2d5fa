"""Transactions that were taken and not yet executed. Full means refusing, never dropping what was taken."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Final

import msgspec

DEFAULT_SHARE: Final = 4
"""One sender may fill a quarter of the pool."""


class PoolLimits(msgspec.Struct, frozen=True):
    transactions_max: int = 50_000
    bytes_max: int = 64 * 1024 * 1024


class Entry(msgspec.Struct):
    """A transaction in the pool."""

    data: bytes
    sender: bytes
    expires_at_ms: int
    in_flight: bool = False
    """It is in a batch of ours."""


class Pool:
    """Pending transactions by id, in order of arrival."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._fresh: OrderedDict[bytes, None] = OrderedDict()
        self._by_sender: Counter[bytes] = Counter()
        self._bytes = 0
        self._fresh_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, identifier: bytes) -> bool:
        return identifier in self._entries

    @property
    def size_bytes(self) -> int:
        return self._bytes

    @property
    def fresh(self) -> int:
        """Transactions that are in no batch of ours yet."""
        return len(self._fresh)

    @property
    def fresh_bytes(self) -> int:
        return self._fresh_bytes

    @property
    def in_flight(self) -> int:
        return len(self._entries) - len(self._fresh)

    def add(self, identifier: bytes, entry: Entry) -> str:
        """Take a transaction. Return "" or the code of the refusal: `pool.full` or `pool.sender_full`."""
        if identifier in self._entries:
            return ""
        if (
            len(self._entries) >= self._limits.transactions_max
            or self._bytes + len(entry.data) > self._limits.bytes_max
        ):
            return "pool.full"
        if self._by_sender[entry.sender] >= max(1, self._limits.transactions_max // DEFAULT_SHARE):
            return "pool.sender_full"
        self._entries[identifier] = entry
        self._fresh[identifier] = None
        self._by_sender[entry.sender] += 1
        self._bytes += len(entry.data)
        self._fresh_bytes += len(entry.data)
        return ""

    def take(self, transactions_max: int, bytes_max: int) -> tuple[bytes, ...]:
        """Move the oldest fresh transactions into flight and return their bytes."""
        taken: list[bytes] = []
        room = bytes_max
        while self._fresh and len(taken) < transactions_max:
            identifier = next(iter(self._fresh))
            entry = self._entries[identifier]
            if len(entry.data) > room:
                break
            room -= len(entry.data)
            del self._fresh[identifier]
            self._fresh_bytes -= len(entry.data)
            entry.in_flight = True
            taken.append(entry.data)
        return tuple(taken)

    def remove(self, identifier: bytes) -> None:
        """Forget a transaction that was executed, marked or expired."""
        entry = self._entries.pop(identifier, None)
        if entry is None:
            return
        self._bytes -= len(entry.data)
        self._by_sender[entry.sender] -= 1
        if not self._by_sender[entry.sender]:
            del self._by_sender[entry.sender]
        if identifier in self._fresh:
            del self._fresh[identifier]
            self._fresh_bytes -= len(entry.data)

    def expire(self, time_ms: int) -> list[bytes]:
        """Drop what block time `time_ms` has overtaken; return the ids."""
        gone = [identifier for identifier, entry in self._entries.items() if entry.expires_at_ms <= time_ms]
        for identifier in gone:
            self.remove(identifier)
        return gone

"""Transactions that were taken and not yet executed. Full means refusing, never dropping what was taken."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

SENDER_SHARE: Final = 4
"""One sender may fill a quarter of the pool."""
NOBODY: Final = b""
"""The sender of what has none: it has no share, so the pool's own limits are all there are."""
OWN_RESERVED: Final = 256
"""Room beyond the limit for this validator's own statements: a flood must not keep it from saying what it holds, that
it is ready, or whom it caught."""
EXPIRY_BUCKET_MS: Final = 1_000
"""Entries are kept by the second in which they expire, so that a block looks at those only that are due."""


class PoolLimits(msgspec.Struct, frozen=True):
    transactions_max: int = 12_000
    """With four validators that commit 4,000 transactions a second together, so many take twelve seconds: a longer
    queue would not commit more, only later."""
    bytes_max: int = 64 * 1024 * 1024
    organization_transactions_per_second: int = 0
    """What all accounts of one organization together may send here, with a burst of twice that; 0 does not limit."""


class Entry(msgspec.Struct):
    """A transaction in the pool."""

    data: bytes
    sender: bytes
    expires_at_ms: int
    place: Literal["fresh", "in_flight", "parked"] = "fresh"
    """fresh: in no batch of ours yet; in flight: in one; parked: a block marked it, so it only waits to expire."""


class Pool:
    """Pending transactions by id, in order of arrival."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._entries: dict[bytes, Entry] = {}
        self._fresh: OrderedDict[bytes, None] = OrderedDict()
        self._expiring: dict[int, dict[bytes, None]] = {}
        self._by_sender: Counter[bytes] = Counter()
        self._bytes = 0
        self._fresh_bytes = 0
        self._in_flight = 0

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
        """Transactions in batches of ours that no block has executed yet."""
        return self._in_flight

    def room(self, *, own: bool = False) -> int:
        """Return how many further transactions would be taken at most. `own`: of this validator's statements."""
        return self._limits.transactions_max + (OWN_RESERVED if own else 0) - len(self._entries)

    def refusal(self, sender: bytes, size_bytes: int, *, own: bool = False) -> str:
        """Return "" where there is room for a transaction, else `pool.full` or `pool.sender_full`."""
        if own:
            return "" if self.room(own=True) > 0 else "pool.full"
        if self.room() <= 0 or self._bytes + size_bytes > self._limits.bytes_max:
            return "pool.full"
        share = max(1, self._limits.transactions_max // SENDER_SHARE)
        if sender != NOBODY and self._by_sender.get(sender, 0) >= share:
            return "pool.sender_full"
        return ""

    def add(self, identifier: bytes, entry: Entry, *, own: bool = False) -> str:
        """Take a transaction. Return "" or the code of the refusal, see `refusal`."""
        if identifier in self._entries:
            return ""
        if code := self.refusal(entry.sender, len(entry.data), own=own):
            return code
        entry.place = "fresh"
        self._entries[identifier] = entry
        self._fresh[identifier] = None
        self._fresh_bytes += len(entry.data)
        self._expiring.setdefault(entry.expires_at_ms // EXPIRY_BUCKET_MS, {})[identifier] = None
        self._by_sender[entry.sender] += 1
        self._bytes += len(entry.data)
        return ""

    def take(self, transactions_max: int, bytes_max: int) -> tuple[bytes, ...]:
        """Move the oldest fresh transactions into flight and return their bytes: at least one, where there is one."""
        taken: list[bytes] = []
        room = bytes_max
        while self._fresh and len(taken) < transactions_max:
            identifier = next(iter(self._fresh))
            entry = self._entries[identifier]
            if taken and len(entry.data) > room:
                break
            room -= len(entry.data)
            self._leave_place(identifier, entry)
            entry.place = "in_flight"
            self._in_flight += 1
            taken.append(entry.data)
        return tuple(taken)

    def put_back(self, identifiers: Iterable[bytes]) -> None:
        """What was in flight and has come back undecided is fresh again, before everything that came later."""
        for identifier in reversed(list(identifiers)):
            entry = self._entries.get(identifier)
            if entry is None or entry.place == "fresh":
                continue
            self._leave_place(identifier, entry)
            entry.place = "fresh"
            self._fresh[identifier] = None
            self._fresh.move_to_end(identifier, last=False)
            self._fresh_bytes += len(entry.data)

    def park(self, identifier: bytes) -> None:
        """A block marked it and might mark it again: keep it, unoffered, until its end is certain."""
        entry = self._entries.get(identifier)
        if entry is not None:
            self._leave_place(identifier, entry)
            entry.place = "parked"

    def remove(self, identifier: bytes) -> None:
        """Forget a transaction that was executed or has expired; one that is not here is no error."""
        entry = self._entries.pop(identifier, None)
        if entry is None:
            return
        self._leave_place(identifier, entry)
        second = entry.expires_at_ms // EXPIRY_BUCKET_MS
        del self._expiring[second][identifier]
        if not self._expiring[second]:
            del self._expiring[second]
        self._bytes -= len(entry.data)
        self._by_sender[entry.sender] -= 1
        if not self._by_sender[entry.sender]:
            del self._by_sender[entry.sender]

    def expire(self, time_ms: int) -> list[bytes]:
        """Drop what block time `time_ms` has overtaken; return the ids."""
        last = time_ms // EXPIRY_BUCKET_MS
        gone = [
            identifier
            for second in sorted(second for second in self._expiring if second <= last)
            for identifier in self._expiring[second]
            if self._entries[identifier].expires_at_ms <= time_ms
        ]
        for identifier in gone:
            self.remove(identifier)
        return gone

    def _leave_place(self, identifier: bytes, entry: Entry) -> None:
        if entry.place == "fresh":
            del self._fresh[identifier]
            self._fresh_bytes -= len(entry.data)
        elif entry.place == "in_flight":
            self._in_flight -= 1

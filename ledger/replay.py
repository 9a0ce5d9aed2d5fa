"""The ids executed in the last ten minutes of block time: no transaction executes twice.

A transaction executes only while `block time < expires_at_ms <= block time + lifetime`, and the lifetime is at most ten
minutes whatever the parameter was then or is now. So an id needs to be known for ten minutes; after that its expiry has
passed. The ids are not in the state: they follow from the blocks, and are read from them when a chain opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ledger.parameters import LIFETIME_MS_MAX, MINUTE_MS

BUCKET_MS: Final = MINUTE_MS
"""Ids are forgotten by the bucket. One may so be known up to a minute longer than needed, when it has long expired."""


class ReplayIds:
    """Executed ids in buckets of block time."""

    __slots__ = ("_buckets", "_known")

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._buckets: dict[int, list[bytes]] = {}

    def __contains__(self, transaction_id: bytes) -> bool:
        return transaction_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, ids: Iterable[bytes], block_time_ms: int) -> None:
        """Enter the ids that a block of time `block_time_ms` executed, and forget those that are no longer needed."""
        fresh = list(ids)
        if fresh:
            self._buckets.setdefault(block_time_ms // BUCKET_MS, []).extend(fresh)
            self._known.update(fresh)
        oldest = (block_time_ms - LIFETIME_MS_MAX) // BUCKET_MS
        for number in [number for number in self._buckets if number < oldest]:
            self._known.difference_update(self._buckets.pop(number))

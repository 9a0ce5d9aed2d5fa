"""The ids of executed transactions that have not expired yet: no transaction executes twice.

A transaction executes only while `block time < expires_at_ms`, so its id needs to be known until then and no longer. A
block's ids are held together until the last of them has expired, which is a lifetime after the block at most. The ids
are not in the state: they follow from the blocks, and are read from what is kept of them when a chain opens.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ledger.parameters import SECOND_MS

BUCKET_MS: Final = 5 * SECOND_MS
"""Ids are forgotten by the bucket: one may be known so much longer than its block needs it, when it has expired."""


class ReplayIds:
    """Executed ids in buckets of block time until which they are held."""

    __slots__ = ("_buckets", "_known")

    def __init__(self) -> None:
        self._known: set[bytes] = set()
        self._buckets: dict[int, list[bytes]] = {}

    def __contains__(self, transaction_id: bytes) -> bool:
        return transaction_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, ids: Iterable[bytes], expire_at_ms: int, block_time_ms: int) -> None:
        """Enter the ids that a block of time `block_time_ms` executed, the last of which expires at `expire_at_ms`, and
        forget those that are no longer needed."""
        fresh = list(ids)
        if fresh:
            self._buckets.setdefault(expire_at_ms // BUCKET_MS, []).extend(fresh)
            self._known.update(fresh)
        current = block_time_ms // BUCKET_MS
        for number in [number for number in self._buckets if number < current]:
            self._known.difference_update(self._buckets.pop(number))

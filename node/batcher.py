"""When a batch is closed: at once while nothing of ours is under way, else when it is full or the way is free again.

Batching clocks itself. An idle node adds no delay; a busy one gathers what arrives while its previous batch is ordered.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from node.pool import Pool


class BatchLimits(msgspec.Struct, frozen=True):
    transactions_max: int = 1_000
    bytes_max: int = 512 * 1024
    in_flight_max: int = 8_000
    """Transactions in batches of ours that are not executed yet; beyond it nothing is closed."""


class Batcher:
    """Turns the pool's fresh transactions into batches."""

    def __init__(self, pool: Pool, limits: BatchLimits, close: Callable[[tuple[bytes, ...]], None]) -> None:
        self._pool = pool
        self._limits = limits
        self._close = close

    def poll(self) -> None:
        """Close what should be closed now. Called after every arrival and every execution."""
        while self._due():
            self._close(self._pool.take(self._limits.transactions_max, self._limits.bytes_max))

    def _due(self) -> bool:
        pool, limits = self._pool, self._limits
        if not pool.fresh or pool.in_flight + limits.transactions_max > limits.in_flight_max:
            return False
        return pool.in_flight == 0 or pool.fresh >= limits.transactions_max or pool.fresh_bytes >= limits.bytes_max

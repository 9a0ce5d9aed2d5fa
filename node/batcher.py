"""When a batch is closed: at once while nothing of ours is under way, else when it is full or the way is free again.

Batching clocks itself. An idle node adds no delay; a busy one gathers what arrives while its previous batch is ordered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from node.pool import Pool
from node.ports import Cancelable, Clock

RETRY_MS: Final = 250
"""How long nothing is closed after the engine gave a batch back: it would give back the next one too."""


class BatchLimits(msgspec.Struct, frozen=True):
    transactions_max: int = 1_000
    bytes_max: int = 512 * 1024
    in_flight_max: int = 8_000
    """Transactions in batches of ours that are not executed yet; with so many, no further batch is closed."""


class Batcher:
    """Turns the pool's fresh transactions into batches."""

    def __init__(
        self, clock: Clock, pool: Pool, limits: BatchLimits, close: Callable[[tuple[bytes, ...]], None]
    ) -> None:
        self._clock = clock
        self._pool = pool
        self._limits = limits
        self._close = close
        self._pause: Cancelable | None = None
        self._stopped = False

    def poll(self) -> None:
        """Close what should be closed now. Called after every arrival and every execution."""
        while self._due():
            self._close(self._pool.take(self._limits.transactions_max, self._limits.bytes_max))

    def pause(self) -> None:
        """Close nothing for a while."""
        if self._pause is None and not self._stopped:
            self._pause = self._clock.call_later(RETRY_MS, self._resume)

    def stop(self) -> None:
        self._stopped = True
        if self._pause is not None:
            self._pause.cancel()

    def _resume(self) -> None:
        self._pause = None
        self.poll()

    def _due(self) -> bool:
        pool, limits = self._pool, self._limits
        if self._pause is not None or self._stopped or not pool.fresh:
            return False
        if pool.in_flight == 0:
            return True
        full = pool.fresh >= limits.transactions_max or pool.fresh_bytes >= limits.bytes_max
        return full and pool.in_flight + limits.transactions_max <= limits.in_flight_max

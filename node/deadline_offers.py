"""An idle network proposes nothing, so a due deadline makes a validator offer an empty batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from node.ports import Cancelable, Clock

STAGGER_MS: Final = 300
"""Validators offer the block that a due deadline needs one after the other, so that one batch usually does."""
REPEAT_MS: Final = 5_000
"""How soon the offer is repeated when no block has come of it."""
WAIT_MS_MAX: Final = 60_000
"""Timers are planned no further ahead: a wall clock may be set meanwhile, and a timer does not notice."""


class DeadlineOffers:
    """Watches the next deadline against the local clock."""

    def __init__(self, clock: Clock, index: int | None, offer: Callable[[], None]) -> None:
        """`index` is this validator's, None for a node that offers nothing; `offer` asks for a block."""
        self._clock = clock
        self._index = index
        self._offer = offer
        self._timer: Cancelable | None = None
        self._stopped = False

    def set_index(self, index: int | None) -> None:
        """Another epoch gave this validator another place, or none."""
        self._index = index

    def plan(self, next_deadline_ms: int | None, clock_offset_ms: int) -> None:
        """The next deadline is due at block time `next_deadline_ms`; the local clock lacks `clock_offset_ms` to it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if next_deadline_ms is None or self._index is None or self._stopped:
            return
        wait_ms = next_deadline_ms - (self._clock.now_ms() + clock_offset_ms)
        if wait_ms > WAIT_MS_MAX:
            self._timer = self._clock.call_later(WAIT_MS_MAX, lambda: self.plan(next_deadline_ms, clock_offset_ms))
            return

        def due() -> None:
            self._timer = self._clock.call_later(REPEAT_MS, lambda: self.plan(next_deadline_ms, clock_offset_ms))
            self._offer()

        self._timer = self._clock.call_later(max(0, wait_ms) + 1 + STAGGER_MS * self._index, due)

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

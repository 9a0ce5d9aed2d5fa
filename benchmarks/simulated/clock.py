"""Virtual time in microseconds: a heap of events and one source of chance."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final

from simulation.world import START_MS, Handle

US_PER_MS: Final = 1_000
US_PER_S: Final = 1_000_000


class Time:
    """Time and chance of one run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"simulated {seed}")
        self.now_us = 0
        self._heap: list[tuple[int, int, Handle, Callable[[], object]]] = []
        self._order = 0

    @property
    def now_ms(self) -> int:
        """The wall clock, Unix milliseconds."""
        return START_MS + self.now_us // US_PER_MS

    def after(self, delay_us: float, callback: Callable[[], object]) -> Handle:
        """Run `callback` later; events of one moment run in the order in which they were scheduled."""
        handle = Handle()
        self._order += 1
        heapq.heappush(self._heap, (self.now_us + max(0, round(delay_us)), self._order, handle, callback))
        return handle

    def run_until(self, end_us: int) -> None:
        """Let time pass."""
        heap = self._heap
        while heap and heap[0][0] <= end_us:
            self.now_us, _, handle, callback = heapq.heappop(heap)
            if not handle.canceled:
                callback()
        self.now_us = end_us

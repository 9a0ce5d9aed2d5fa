"""Virtual time: a heap of events and one seeded source of chance."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Final

from simulation.trace import Trace

START_MS: Final = 1_700_000_000_000
"""The wall clock at the beginning of every run, Unix milliseconds."""


class Handle:
    """A scheduled callback that can be canceled."""

    __slots__ = ("canceled",)

    def __init__(self) -> None:
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True


class World:
    """Time and chance of one run. Nothing in a run may ask any other clock or source of randomness."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.now_ms = START_MS
        self.trace = Trace()
        self.events = 0
        self.touched: set[int] = set()
        """Nodes that did anything since the last check; it is the checks' to clear."""
        self.after_event: Callable[[], None] = lambda: None
        """The checks that run after every event."""
        self._heap: list[tuple[int, int, Handle, Callable[[], None]]] = []
        self._order = 0

    def at(self, delay_ms: int, callback: Callable[[], None]) -> Handle:
        """Run `callback` `delay_ms` from now; events of one moment run in the order in which they were scheduled."""
        handle = Handle()
        self._order += 1
        heapq.heappush(self._heap, (self.now_ms + max(0, delay_ms), self._order, handle, callback))
        return handle

    def run(self, duration_ms: int) -> None:
        """Let `duration_ms` of virtual time pass."""
        end_ms = self.now_ms + duration_ms
        while self._heap and self._heap[0][0] <= end_ms:
            due_ms, _, handle, callback = heapq.heappop(self._heap)
            self.now_ms = max(self.now_ms, due_ms)
            if handle.canceled:
                continue
            self.events += 1
            callback()
            self.after_event()
        self.now_ms = end_ms

    def run_until(self, holds: Callable[[], bool], limit_ms: int, step_ms: int = 50) -> bool:
        """Let time pass until `holds`, at most `limit_ms`. Return whether it did."""
        end_ms = self.now_ms + limit_ms
        while not holds():
            if self.now_ms >= end_ms:
                return False
            self.run(step_ms)
        return True

"""Machines, nodes' interpreter locks and threads: who computes when.

A machine's cores take turns among the threads that have work, in the order in which they became ready. A node's threads
never compute at once, but for those that need no interpreter lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.simulated.clock import Time
from benchmarks.simulated.costs import QUANTUM_US


class Charge(NamedTuple):
    """What a piece of work costs, and what follows when it is paid for."""

    cpu_us: float
    wait_us: float
    """Then the thread waits so long, without computing: for a disk."""
    done: Callable[[], None]


Work = Callable[[], Charge]
"""Does the work at once, and says what it costs. Whatever others see of it must wait for `done`."""


class Machine:
    """Cores."""

    def __init__(self, time: Time, cores: int) -> None:
        self._time = time
        self._free = cores
        self._ready: deque[Thread] = deque()

    def enqueue(self, thread: Thread) -> None:
        """The thread has work."""
        self._ready.append(thread)
        self.dispatch()

    def dispatch(self) -> None:
        """Give free cores to threads that may compute."""
        for _ in range(len(self._ready)):
            if not self._free or not self._ready:
                return
            thread = self._ready.popleft()
            if thread.gone:
                continue
            if not thread.process.may_run(thread):
                self._ready.append(thread)
                continue
            self._free -= 1
            thread.process.enter(thread)
            slice_us = thread.begin_slice()
            self._time.after(slice_us, partial(self._end, thread, slice_us))

    def _end(self, thread: Thread, slice_us: float) -> None:
        self._free += 1
        thread.process.leave(thread, slice_us)
        if thread.end_slice(slice_us) and not thread.gone:
            self._ready.append(thread)
        self.dispatch()


class Process:
    """A node's process: one interpreter lock."""

    def __init__(self, machine: Machine, slowdown: float) -> None:
        """`slowdown` is how many times longer work takes than it costs, for what else the machine does."""
        self.machine = machine
        self.slowdown = slowdown
        self.cpu_us = 0.0
        """Charged so far, without the slowdown."""
        self.paused = False
        self._locked = False

    def may_run(self, thread: Thread) -> bool:
        return not self.paused and (thread.lockless or not self._locked)

    def enter(self, thread: Thread) -> None:
        if not thread.lockless:
            self._locked = True

    def leave(self, thread: Thread, slice_us: float) -> None:
        self.cpu_us += slice_us / self.slowdown
        if not thread.lockless:
            self._locked = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False
        self.machine.dispatch()


class Thread:
    """Work in order."""

    def __init__(self, time: Time, process: Process, *, lockless: bool = False) -> None:
        self.process = process
        self.lockless = lockless
        self.gone = False
        """Its process was killed: it does nothing any more."""
        self._time = time
        self._work: deque[Work] = deque()
        self._current: Charge | None = None
        self._left_us = 0.0
        self._active = False
        """Ready, computing, or waiting for a disk."""

    @property
    def waiting(self) -> int:
        return len(self._work)

    def post(self, work: Work) -> None:
        """Add work."""
        self._work.append(work)
        if not self._active and not self.gone:
            self._active = True
            self.process.machine.enqueue(self)

    def begin_slice(self) -> float:
        """Compute; return for how long."""
        if self._current is None:
            self._current = self._work.popleft()()
            self._left_us = self._current.cpu_us * self.process.slowdown
        return min(self._left_us, QUANTUM_US)

    def end_slice(self, slice_us: float) -> bool:
        """Tell whether there is more to compute at once."""
        self._left_us -= slice_us
        current = self._current
        if current is None or self._left_us > 1e-9:
            return True
        if current.wait_us:
            self._time.after(current.wait_us, self._end_wait)
            return False
        return self._finish(current)

    def _end_wait(self) -> None:
        if self._current is not None and not self.gone and self._finish(self._current):
            self.process.machine.enqueue(self)

    def _finish(self, current: Charge) -> bool:
        self._current = None
        if not self.gone:
            current.done()
        self._active = bool(self._work)
        return self._active

"""The background scrub: reads all that the ledger keeps once in a set time, in steps that nobody notices.

What it meets is mended like what any request meets: the executor does that. Here is the pace only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.errors import LedgerError
from ledger.scrubbing import STEP_BYTES_MAX, ScrubStep
from node.ports import Cancelable, Clock, ExecutorPort, Links

INTERVAL_MS_MIN: Final = 2
"""Between steps; a step takes a few milliseconds itself. A store that is too large for its period takes longer."""
INTERVAL_MS_MAX: Final = 60_000


class Scrubber:
    """Belongs to the deciding thread."""

    def __init__(
        self,
        clock: Clock,
        links: Links,
        executor: ExecutorPort,
        period_s: int,
        size_bytes: Callable[[], int],
        on_pass: Callable[[], None] = lambda: None,
    ) -> None:
        """`size_bytes` says about how much there is to read; `period_s` 0 reads nothing; `on_pass` hears when all was
        read."""
        self._clock = clock
        self._links = links
        self._executor = executor
        self._period_ms = period_s * 1_000
        self._measure = size_bytes
        self._on_pass = on_pass
        self._timer: Cancelable | None = None
        self._cursor = b""
        self._stopped = False
        self._interval_ms = INTERVAL_MS_MAX
        self.passes = 0
        """Times that everything was read."""
        self.read_bytes = 0
        self.pass_bytes = 0
        """In this pass."""
        self.total_bytes = 0
        """What this pass is expected to read."""

    def start(self) -> None:
        if self._period_ms:
            self._begin_pass()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _begin_pass(self) -> None:
        self.pass_bytes = 0
        self.total_bytes = max(1, self._measure())
        steps = 1 + self.total_bytes // STEP_BYTES_MAX
        self._interval_ms = min(INTERVAL_MS_MAX, max(INTERVAL_MS_MIN, self._period_ms // (steps + 1)))
        self._plan()

    def _plan(self) -> None:
        if not self._stopped:
            self._timer = self._clock.call_later(self._interval_ms, self._step)

    def _step(self) -> None:
        if self._links.connected():
            self._executor.call("scrub", (self._cursor,), self._done)
        else:
            self._plan()  # nobody is there who could help with what it might find

    def _done(self, result: Any, error: BaseException | None) -> None:
        if self._stopped:
            return
        if isinstance(error, LedgerError) and not error.code.startswith("storage."):
            self._plan()  # the ledger is busy
        elif error is None:
            step: ScrubStep = result
            self._cursor = step.cursor
            self.read_bytes += step.size_bytes
            self.pass_bytes += step.size_bytes
            if step.cursor:
                self._plan()
            else:
                self.passes += 1
                self._on_pass()
                self._begin_pass()

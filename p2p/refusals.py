"""A log of refusals that a hostile peer cannot fill, and their count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from p2p.errors import ORDINARY, Reason
from p2p.statistics import Statistics

REPEAT_AFTER_S: Final = 10.0
"""One line for a peer and reason in this time."""
LINES_PER_PERIOD_MAX: Final = 20
"""Lines in the same time for all peers together, who may come from many addresses."""
ENTRIES_MAX: Final = 512
"""(peer, reason) pairs remembered; beyond it the oldest is forgotten."""


class Refusals:
    """Counts every refusal and logs the first of each kind in a while."""

    def __init__(self, statistics: Statistics, logger: Any, clock: Callable[[], float]) -> None:
        self._statistics = statistics
        self._logger = logger
        self._clock = clock
        self._last: dict[tuple[str, Reason], tuple[float, int]] = {}
        self._period_start = clock()
        self._period_lines = 0

    def note(self, peer: str, reason: Reason, detail: str = "", **context: Any) -> None:
        """Record that `peer` (a node id, else an IP address) was refused or its link ended."""
        self._statistics.refused(reason)
        now = self._clock()
        key = (peer, reason)
        last, suppressed = self._last.pop(key, (float("-inf"), 0))
        if now - last < REPEAT_AFTER_S or not self._may_log(now):
            self._statistics.log_lines_suppressed += 1
            self._remember(key, (last, suppressed + 1))
            return
        self._remember(key, (now, 0))
        event = "link_ended" if reason in ORDINARY else "peer_refused"
        self._logger.info(event, peer=peer, reason=reason.value, detail=detail[:160], suppressed=suppressed, **context)

    def _may_log(self, now: float) -> bool:
        if now - self._period_start >= REPEAT_AFTER_S:
            self._period_start, self._period_lines = now, 0
        self._period_lines += 1
        return self._period_lines <= LINES_PER_PERIOD_MAX

    def _remember(self, key: tuple[str, Reason], value: tuple[float, int]) -> None:
        if len(self._last) >= ENTRIES_MAX:
            del self._last[next(iter(self._last))]
        self._last[key] = value

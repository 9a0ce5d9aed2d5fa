"""How fast the pieces of a snapshot come, all holders together."""

from __future__ import annotations

from typing import Final

RATE_WINDOW_MS: Final = 60_000
RATE_BYTES_MIN: Final = 4 * 1024 * 1024
"""What must come in a window. Less, and the snapshot is left as one that nobody has: a sole holder that sends a piece
now and then would else keep a node from blocks for as long as it likes."""


class Pace:
    """Bytes in windows of time, one after the other."""

    def __init__(self) -> None:
        self._from_ms = 0
        self._bytes = 0

    def begin(self, now_ms: int) -> None:
        """Begin a window."""
        self._from_ms, self._bytes = now_ms, 0

    def add(self, count: int) -> None:
        """So many bytes came."""
        self._bytes += count

    def too_slow(self, now_ms: int) -> bool:
        """Tell, at the end of each window, whether too little came in it; within one nothing is told.

        A clock that is set back must not make a window longer.
        """
        if abs(now_ms - self._from_ms) < RATE_WINDOW_MS:
            return False
        came = self._bytes
        self.begin(now_ms)
        return came < RATE_BYTES_MIN

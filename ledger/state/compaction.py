"""LevelDB gives back the room of deleted records when it comes by; this makes it come by, beside the blocks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any, Final

import plyvel

PENDING_MAX: Final = 64
"""Ranges that wait; further ones are left to LevelDB itself."""


class Compactor:
    """A thread that compacts ranges of one database; it exists once there is something to do. LevelDB writes on
    meanwhile."""

    def __init__(self, database: Any) -> None:
        self._database = database
        self._pending: list[tuple[bytes, bytes]] = []
        self._changed = threading.Condition()
        self._closed = False
        self._busy = False
        self._thread: threading.Thread | None = None

    def request(self, ranges: Sequence[tuple[bytes, bytes]]) -> None:
        """Compact each (first key, key behind the last), some time soon."""
        with self._changed:
            if self._closed:
                return
            fresh = [wanted for wanted in ranges if wanted not in self._pending]
            self._pending += fresh[: PENDING_MAX - len(self._pending)]
            if self._thread is None and self._pending:
                self._thread = threading.Thread(target=self._run, name="compaction", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is pending; tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._pending and not self._busy, timeout_s)

    def close(self) -> None:
        """Finish the range under way, which takes seconds at most, and end. The database is still open."""
        with self._changed:
            self._closed = True
            self._pending.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._pending or self._closed)
                if self._closed:
                    return
                start, stop = self._pending.pop(0)
                self._busy = True
            # What LevelDB finds wrong here it also tells the next writer, who can act on it.
            with contextlib.suppress(plyvel.Error):
                self._database.compact_range(start=start, stop=stop)

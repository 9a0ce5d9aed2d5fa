"""What happened, as a running hash: two runs of one seed must have the same."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final

LINES_KEPT: Final = 2_000
"""The last lines of a run, for whoever has to find out what went wrong."""


class Trace:
    """Hashes every line and keeps the last ones."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)

    def note(self, line: str) -> None:
        self._hash.update(line.encode() + b"\n")
        self.lines.append(line)

    def digest(self) -> str:
        return self._hash.hexdigest()

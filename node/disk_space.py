"""How much room the data directory's disk has, and what the node makes of little of it.

Below the reserve the node takes no transactions of clients any more, and goes on following and voting: the reserve is
what this may need. When a write fails for want of space nothing is certain any more but what had been durable, so the
node stops voting and waits; with room again it begins anew, as after a crash.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from ledger.errors import LedgerError
from node.journal import JournalFull

OUT_OF_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
ROOM_BYTES_MIN: Final = 16 * 1024 * 1024
"""Free space with which a node that has run out of it begins anew, however small its reserve: the ledger's log is
written once more when it is opened."""
POLL_PERIOD_S: Final = 1.0
RETRY_DELAY_MAX_S: Final = 60.0
"""Where the disk says that there is room and writes fail all the same (a quota), tries are so far apart at last."""


class DiskSpace:
    """Watches one file system. `poll` is called every `POLL_PERIOD_S`."""

    def __init__(self, directory: Path, reserve_bytes: int, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._directory = directory
        self._free_bytes = free_bytes or _free_bytes
        self.reserve_bytes = reserve_bytes
        self.free_bytes = 0
        self.refusal = ""
        """Why no transactions are taken; empty while they are."""
        self.suspended = ""
        """Why the node takes no part at all; empty while it does."""
        self.poll()

    def poll(self) -> None:
        """Look again."""
        try:
            self.free_bytes = self._free_bytes(self._directory)
        except OSError as error:
            self.refusal = f"the free space of {self._directory} is unknown: {error.strerror or error}"
            return
        short = self.free_bytes < self.reserve_bytes
        self.refusal = (
            f"{self.free_bytes:,} bytes are free on the disk, less than the reserve of {self.reserve_bytes:,}: "
            "no transactions are taken"
            if short
            else ""
        )

    @property
    def room(self) -> bool:
        """Whether a node that ran out of space may begin anew."""
        return self.free_bytes >= max(self.reserve_bytes, ROOM_BYTES_MIN)


def directory_bytes(directory: Path) -> int:
    """Return how large the files of a directory are together; those that vanish meanwhile are not counted."""
    total = 0
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):
                total += entry.stat(follow_symlinks=False).st_size
    return total


def is_full(error: BaseException | None) -> bool:
    """Tell whether a node ended because its disk was full."""
    return isinstance(error, JournalFull) or (isinstance(error, LedgerError) and error.code == "storage.full")


def _free_bytes(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize

"""What a download has of an artifact before it is whole: blocks in a directory beside the destination.

    .NAME.ROOT.part/       NAME is the destination's, ROOT the end of the artifact's CID
        store/             blocks, each checked before it was stored
        lock               held by the process that downloads

It stays when a download is interrupted, and the next one to the same destination goes on from it, from whichever nodes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from artifacts.chunk_store import ChunkStore
from artifacts.holdings import Holding
from guildmark.errors import Refused

ROOT_CHARACTERS: Final = 16
NAME_CHARACTERS_MAX: Final = 200
"""Of the destination's name; the rest of a longer one is left out, so that the directory's name stays legal."""


def part_path(destination: Path, root: str) -> Path:
    """Where an unfinished download of the artifact `root` to `destination` keeps its blocks."""
    return destination.parent / f".{destination.name[:NAME_CHARACTERS_MAX]}.{root[-ROOT_CHARACTERS:]}.part"


class PartialDownload:
    """The blocks that are there, for one process at a time. Enter it, fetch what `holding` misses, then `finish`."""

    def __init__(self, destination: Path, root: str, size_bytes: int) -> None:
        """Open what an earlier download left, or begin; damaged blocks are dropped, and fetched again.

        Raises:
            Refused: `download.under_way`, another process downloads to the same place.
            ArtifactError: the root and size cannot be. OSError: the directory cannot be used.
        """
        self.directory = part_path(destination, root)
        self._destination = destination
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock: BinaryIO = (self.directory / "lock").open("ab")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise Refused("download.under_way", f"another process downloads to {destination}") from error
        try:
            self.store = ChunkStore(self.directory / "store")
            for _ in self.store.scrub():
                pass  # what changed on disk since is not held any more
            self.holding = Holding(root, size_bytes, self.store)
        except BaseException:
            self._lock.close()
            raise
        self.resumed_bytes = min(self.store.size_bytes, size_bytes)
        """Bytes of blocks that an earlier download left."""

    def finish(self, content: Path, *, overwrite: bool) -> None:
        """Put the extracted `content` in its place and remove the rest."""
        if overwrite and self._destination.is_dir():
            shutil.rmtree(self._destination)
        os.replace(content, self._destination)
        self.discard()

    def discard(self) -> None:
        """Remove all that was fetched: it can never become the artifact."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> PartialDownload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.close()
        if not self.holding.blocks_held:
            self.discard()

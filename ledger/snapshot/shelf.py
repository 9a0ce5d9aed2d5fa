"""The snapshots of a node, on disk. A snapshot is a directory of files that are never changed:

    HEIGHT/manifest  HEIGHT/chunk-HASH  HEIGHT/handoffs-EPOCH  HEIGHT/history-HEIGHT

Each file ends with a hash of the rest: what has decayed is not handed on, for whoever gets a wrong piece takes its
sender for a liar. What is being made lies in a directory of another name, and gets its own when all of it is durable,
so that after a crash there is a whole snapshot or none. Safe to read while another thread writes.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Final, NamedTuple

from ledger.errors import StorageError
from ledger.snapshot.format import InvalidSnapshot, Manifest, decode_manifest
from primitives.digest import DIGEST_BYTES, tagged_hash

MANIFEST: Final = "manifest"
KEEP_DEFAULT: Final = 2
"""Snapshots kept; a further one takes the place of the oldest. Two, so that who is fetching the one before the newest
can finish."""
_DRAFT: Final = ".draft-"
_GOING: Final = ".going-"


def chunk_name(subtree_hash: bytes) -> str:
    return f"chunk-{subtree_hash.hex()}"


def handoffs_name(epoch: int) -> str:
    return f"handoffs-{epoch}"


def history_name(height: int) -> str:
    return f"history-{height}"


class SnapshotEntry(NamedTuple):
    """A snapshot on the shelf."""

    height: int
    block_hash: bytes
    chunks: int


class Draft:
    """A snapshot in the making: of this node's own state, or fetched from peers piece by piece."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, data: bytes) -> None:
        """Write a piece, durably but for its name. Raises StorageError."""
        partial = self.path.joinpath(name + ".partial")
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.write(_check_of(data))
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self.path.joinpath(name))
        except OSError as error:
            raise disk_error(partial, error) from error

    def read(self, name: str) -> bytes | None:
        """Return a piece that was written before, in an earlier life perhaps; None when it is not there or decayed."""
        return _read(self.path.joinpath(name))

    def remove(self, name: str) -> None:
        self.path.joinpath(name).unlink(missing_ok=True)


class SnapshotShelf:
    """The directory."""

    def __init__(self, path: Path, keep: int = KEEP_DEFAULT, *, reads_only: bool = False) -> None:
        """Open it, or make it; clear away what a crash left. With `reads_only` nothing is made, and nothing removed.

        Raises:
            StorageError: `storage.full`, `storage.failed`.
        """
        self.path = path
        self.keep = keep
        self._reads_only = reads_only
        self._known: dict[int, SnapshotEntry] = {}
        if reads_only:
            return
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in path.glob(f"{_GOING}*"):
                shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            raise disk_error(path, error) from error

    def heights(self) -> list[int]:
        """Return the heights of all snapshots, rising."""
        try:
            return sorted(int(entry.name) for entry in os.scandir(self.path) if entry.name.isdecimal())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(self.path, error) from error

    def entries(self) -> list[SnapshotEntry]:
        """Return what is there, rising by height; what has decayed is put away, except by who only reads."""
        heights = self.heights()
        self._known = {height: entry for height, entry in self._known.items() if height in heights}
        for height in heights:
            if height not in self._known:
                manifest = self.manifest(height)
                if manifest is not None:
                    finality = manifest.finality
                    self._known[height] = SnapshotEntry(height, finality.block_hash, len(manifest.subtrees))
        return [self._known[height] for height in sorted(self._known)]

    def manifest(self, height: int) -> Manifest | None:
        data = self.read(height, MANIFEST)
        try:
            return None if data is None else decode_manifest(data)
        except InvalidSnapshot:
            self.drop(height)
            return None

    def read(self, height: int, name: str) -> bytes | None:
        """Return a piece, or None. A snapshot of which a piece has decayed is put away: nobody can begin with it."""
        path = self.path.joinpath(str(height), name)
        data = _read(path)
        if data is None and path.exists():
            self.drop(height)
        return data

    def chunk(self, subtree_hash: bytes) -> bytes | None:
        """Return the chunk of a subtree, of whatever height."""
        name = chunk_name(subtree_hash)
        for height in reversed(self.heights()):
            data = self.read(height, name)
            if data is not None:
                return data
        return None

    def size_bytes(self, height: int) -> int:
        """Return how much room a snapshot takes."""
        try:
            return sum(entry.stat().st_size for entry in os.scandir(self.path.joinpath(str(height))))
        except FileNotFoundError:
            return 0

    # --- making one

    def draft(self, name: str, *, resume: bool = False) -> Draft:
        """Begin a snapshot in a directory of its own; with `resume` go on with one that was begun under this name.

        Raises:
            StorageError: `storage.full`, `storage.failed`.
        """
        path = self.path.joinpath(_DRAFT + name)
        try:
            if not resume and path.exists():
                shutil.rmtree(path)
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise disk_error(path, error) from error
        return Draft(path)

    def finish(self, draft: Draft, height: int) -> None:
        """Put a complete draft on the shelf, durably, and take away the oldest beyond `keep`.

        Raises:
            StorageError: `storage.full`, `storage.failed`.
        """
        try:
            sync_directory(draft.path)
            if (self.path.joinpath(str(height))).exists():
                self.drop(height)
            draft.path.rename(self.path.joinpath(str(height)))
            sync_directory(self.path)
        except OSError as error:
            raise disk_error(draft.path, error) from error
        for old in self.heights()[: -self.keep]:
            self.drop(old)

    def discard(self, draft: Draft) -> None:
        shutil.rmtree(draft.path, ignore_errors=True)

    def drop(self, height: int) -> None:
        """Remove a snapshot: at once from the shelf, whatever becomes of its files. Nothing, for who only reads."""
        if self._reads_only:
            return
        self._known.pop(height, None)
        gone = self.path.joinpath(f"{_GOING}{height}")
        shutil.rmtree(gone, ignore_errors=True)
        try:
            (self.path.joinpath(str(height))).rename(gone)
        except FileNotFoundError:
            return
        except OSError as error:
            raise disk_error(gone, error) from error
        shutil.rmtree(gone, ignore_errors=True)


def _read(path: Path) -> bytes | None:
    try:
        stored = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(path, error) from error
    data = stored[:-DIGEST_BYTES]
    return data if stored[-DIGEST_BYTES:] == _check_of(data) else None


def _check_of(data: bytes) -> bytes:
    return tagged_hash("snapshot-file", data)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(path: Path, error: OSError) -> StorageError:
    """Return what to raise: `storage.full` where room would help, else `storage.failed`."""
    code = "storage.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "storage.failed"
    return StorageError(code, f"{path}: {error.strerror or error}")

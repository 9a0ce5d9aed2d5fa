"""Blocks on disk: one file a block, in a fan-out tree, checked on every write and every read.

    DIRECTORY/blocks/xy/CID      the block; xy are the two characters before the CID's last one
    DIRECTORY/incoming/*         writes under way; emptied when the store is opened
    DIRECTORY/damaged/CID.*      blocks whose bytes changed on disk, the newest QUARANTINE_FILES_MAX of them

A write goes to `incoming`, is synced, renamed and the directory synced: after a crash a block is held whole or not at
all. Names are CIDs in their one spelling, so nothing outside the tree can be named. One process may own a directory;
the methods are synchronous and may be called from several threads.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from artifacts import cid as cids
from artifacts.errors import (
    ChunkDamaged,
    ChunkMissing,
    ChunkStoreFailure,
    ChunkStoreFull,
    ChunkTooLarge,
    InvalidCid,
)

BLOCK_BYTES_MAX: Final = 2 << 20
"""Bytes of a block; a leaf has at most 1 MiB. A larger one is refused before it is hashed or written."""
CAPACITY_BYTES: Final = 1 << 40
"""Default bound on the bytes a store holds; a write beyond it is refused with `ChunkStoreFull`."""
QUARANTINE_FILES_MAX: Final = 64
"""Damaged blocks kept for inspection; further ones are deleted."""
OUT_OF_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class ChunkStore:
    """The blocks below one directory."""

    def __init__(self, directory: Path, capacity_bytes: int = CAPACITY_BYTES) -> None:
        """Open or create the store.

        Raises:
            ChunkStoreFailure: the directory cannot be used.
        """
        self.directory = directory
        self._blocks = directory / "blocks"
        self._incoming = directory / "incoming"
        self._damaged = directory / "damaged"
        self._capacity_bytes = capacity_bytes
        self._lock = threading.Lock()
        self._reserved_bytes = 0
        """Of writes under way."""
        try:
            for folder in (self._blocks, self._incoming, self._damaged):
                folder.mkdir(parents=True, exist_ok=True)
            for leftover in self._incoming.iterdir():
                leftover.unlink()
            self._size_bytes = sum(size for _, size in self._scan())
        except OSError as error:
            raise ChunkStoreFailure(f"cannot open the chunk store in {directory}: {error}") from error

    @property
    def size_bytes(self) -> int:
        """Bytes of all blocks held."""
        return self._size_bytes

    def put(self, cid: str, data: bytes) -> bool:
        """Store `data` durably under `cid`; return False when it was held already.

        Raises:
            InvalidCid, BlockMismatch: the name is not a CID, or not of these bytes. Nothing is written.
            ChunkTooLarge, ChunkStoreFull: a bound is reached. Nothing is written.
            ChunkStoreFailure: the file system refused.
        """
        if len(data) > BLOCK_BYTES_MAX:
            raise ChunkTooLarge(len(data), BLOCK_BYTES_MAX)
        cids.check_block(cid, data)
        path = self._path(cid)
        if self.has(cid):
            return False
        with self._lock:
            if self._size_bytes + self._reserved_bytes + len(data) > self._capacity_bytes:
                raise ChunkStoreFull(f"the chunk store's capacity of {self._capacity_bytes} bytes is used up")
            self._reserved_bytes += len(data)
        try:
            return self._write(path, data)
        except OSError as error:
            if error.errno in OUT_OF_SPACE:
                raise ChunkStoreFull(f"no space left for block {cid}") from error
            raise ChunkStoreFailure(f"cannot write block {cid}: {error}") from error
        finally:
            with self._lock:
                self._reserved_bytes -= len(data)

    def get(self, cid: str) -> bytes:
        """Return the block, checked against its name.

        Raises:
            InvalidCid: the name is not a CID.
            ChunkMissing: not held.
            ChunkDamaged: held, but other bytes (or not a plain file); it is in quarantine now and counts as missing.
            ChunkStoreFailure: the file system refused.
        """
        parsed = cids.parse(cid)
        path = self._path(cid)
        try:
            data = _read(path)
        except FileNotFoundError as error:
            raise ChunkMissing(cid) from error
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENXIO}:  # a symbolic link, a socket
                raise ChunkStoreFailure(f"cannot read block {cid}: {error}") from error
            data = None
        if data is None or not cids.matches(parsed, data):
            self._quarantine(path)
            raise ChunkDamaged(cid)
        return data

    def has(self, cid: str) -> bool:
        """Tell whether a block is held; raises as `block_bytes`."""
        return self.block_bytes(cid) is not None

    def block_bytes(self, cid: str) -> int | None:
        """The size of a held block without reading it, None when it is not held.

        Raises:
            InvalidCid: the name is not a CID.
            ChunkStoreFailure: the file system refused.
        """
        cids.parse(cid)
        try:
            found = self._path(cid).lstat()
            return found.st_size if stat.S_ISREG(found.st_mode) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ChunkStoreFailure(f"cannot look up block {cid}: {error}") from error

    def delete(self, cid: str) -> bool:
        """Remove a block; return whether it was held. Raises `InvalidCid`, `ChunkStoreFailure`."""
        cids.parse(cid)
        path = self._path(cid)
        try:
            with self._lock:
                size_bytes = path.lstat().st_size
                path.unlink()
                self._size_bytes -= size_bytes
            _sync_directory(path.parent)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ChunkStoreFailure(f"cannot delete block {cid}: {error}") from error
        return True

    def iterate(self) -> Iterator[str]:
        """The CIDs held, in no stated order; raises `ChunkStoreFailure`."""
        try:
            for cid, _ in self._scan():
                yield cid
        except OSError as error:
            raise ChunkStoreFailure(f"cannot list the chunk store: {error}") from error

    def scrub(self) -> Iterator[tuple[str, bool]]:
        """Read every block; yield each CID and whether it was sound. Damaged ones are in quarantine afterwards.

        The caller paces it: one block is read a step. Raises `ChunkStoreFailure`.
        """
        for cid in self.iterate():
            try:
                self.get(cid)
            except ChunkMissing:
                continue
            except ChunkDamaged:
                yield cid, False
            else:
                yield cid, True

    def _path(self, cid: str) -> Path:
        return self._blocks / cid[-3:-1] / cid

    def _scan(self) -> Iterator[tuple[str, int]]:
        for folder in sorted(self._blocks.iterdir()):
            with os.scandir(folder) as entries:
                for entry in entries:
                    try:
                        cids.parse(entry.name)
                        size_bytes = entry.stat(follow_symlinks=False).st_size
                    except (InvalidCid, FileNotFoundError):
                        continue  # foreign, or deleted meanwhile
                    yield entry.name, size_bytes

    def _write(self, path: Path, data: bytes) -> bool:
        temporary = self._incoming / secrets.token_hex(16)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if not path.parent.is_dir():
                path.parent.mkdir(exist_ok=True)
                _sync_directory(self._blocks)
            with self._lock:
                if path.is_file() and not path.is_symlink():  # another thread was faster
                    return False
                temporary.rename(path)
                self._size_bytes += len(data)
            _sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _quarantine(self, path: Path) -> None:
        try:
            with self._lock:
                path.rename(self._damaged / f"{path.name}.{secrets.token_hex(4)}")
                # What was counted for it is not known: its length may have changed. This is rare enough to count anew.
                self._size_bytes = sum(size for _, size in self._scan())
                kept = sorted(self._damaged.iterdir(), key=lambda item: item.lstat().st_ctime_ns)
                for old in kept[:-QUARANTINE_FILES_MAX]:
                    shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
            _sync_directory(path.parent)
        except FileNotFoundError:
            return  # another thread was faster
        except OSError as error:
            raise ChunkStoreFailure(f"cannot move the damaged block {path.name} away: {error}") from error


def _read(path: Path) -> bytes | None:
    """Read at most BLOCK_BYTES_MAX; None when the file is larger or not plain. A symbolic link is not followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if found.st_size > BLOCK_BYTES_MAX or not stat.S_ISREG(found.st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(BLOCK_BYTES_MAX + 1)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where the ledger keeps its records: bytes under bytes, one atomic and synced batch a block.

Two stores with one contract: `LevelStore` on disk, and `MemoryStore` for tests, simulation and tools. Both refuse to
answer rather than answer wrongly: LevelDB's own block checksums are checked at every read, and every value carries a
checksum of its key and itself, because a flipped bit can otherwise reach us as another value or as no value.
"""

from __future__ import annotations

import errno
import fcntl
import os
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol
from zlib import crc32

import plyvel

from ledger.errors import Damage, StorageError
from ledger.state.compaction import Compactor

CHECK_BYTES: Final = 4
"""Of the CRC-32 kept in front of each value: against decay, not against forgers, who would own the disk. It is of
another polynomial than LevelDB's own, and costs a third of a cryptographic hash's, at every read and write."""
WRITE_BUFFER_BYTES: Final = 32 * 1024 * 1024
"""LevelDB's default of 4 MiB stalls a writer for half a second now and then, and 16 MiB for a third of one under full
load; 64 MiB make every write dearer by a tenth, because what is inserted into lies far from the processor."""
CACHE_BYTES: Final = 64 * 1024 * 1024
BLOOM_BITS: Final = 10
KEYS_END: Final = b"\xff" * 64
"""Above every key that is written."""
LOCK_NAME: Final = "LOCK-guildmark"

_OUT_OF_SPACE: Final = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
"""As LevelDB words them: nothing else of the error number comes through."""


class StoreSnapshot(Protocol):
    """A store as it was at one moment, readable from another thread than the store's, whatever is written meanwhile.

    Reads raise as those of `Store`, also when that has been closed.
    """

    def get(self, key: bytes) -> bytes | None: ...

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]: ...

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        ...


class Store(Protocol):
    """Records in order of key. Reads see every earlier `write_batch`."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None where there is none.

        Raises:
            StorageError: `storage.damaged` or `storage.failed`.
        """
        ...

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the records whose key starts with `prefix` and is not below `start`, in order of key; raises as `get`.

        What lies before `start` is not read.
        """
        ...

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        """Apply all `changes` (None deletes) or none; with `sync` they are durable on return.

        Raises:
            StorageError: `storage.full` or `storage.failed`. The store then takes no writes until it is opened again;
                after `storage.full` it still answers reads, as of before.
        """
        ...

    def snapshot(self) -> StoreSnapshot:
        """Return the store as it is now, to be closed by whoever asked for it."""
        ...

    def close(self) -> None:
        """Release the store; closing twice is harmless."""
        ...


class MemoryStore:
    """A store in a dictionary."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}
        self._order: list[bytes] = []
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        self._check_open()
        return self._values.get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        first = end = bisect_left(self._order, max(prefix, start))
        while end < len(self._order) and self._order[end].startswith(prefix):
            end += 1
        # The records of this moment, as LevelDB's snapshot would give them.
        return iter([(key, self._values[key]) for key in self._order[first:end]])

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:  # noqa: ARG002 - protocol
        self._check_open()
        for key, value in changes.items():
            present = key in self._values
            if value is not None:
                if not present:
                    insort(self._order, key)
                self._values[key] = value
            elif present:
                del self._values[key]
                del self._order[bisect_left(self._order, key)]

    def snapshot(self) -> StoreSnapshot:
        self._check_open()
        copy = MemoryStore()
        copy._values, copy._order = dict(self._values), list(self._order)
        return copy

    def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise StorageError("storage.failed", "the store is closed")


class LevelStore:
    """A store in LevelDB, in a directory of its own that one process may use."""

    def __init__(self, path: Path) -> None:
        """Open or create the store at `path`.

        Raises:
            StorageError: `storage.locked` when a process has it open, `storage.damaged` when LevelDB refuses it,
                `storage.full` when there is no room, `storage.failed` for other failures (rights, not a directory).
        """
        self._path = path
        self._failure: StorageError | None = None
        """Of a write: none is taken any more."""
        self._lock: int | None = None
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError("storage.failed", f"{path}: {error.strerror or error}") from error
        # A second open of one path in one process drops LevelDB's own lock (POSIX fcntl), hence a flock before it.
        self._lock = _lock(path / LOCK_NAME)
        try:
            self._db: Any = plyvel.DB(
                str(path),
                create_if_missing=True,
                write_buffer_size=WRITE_BUFFER_BYTES,
                lru_cache_size=CACHE_BYTES,
                bloom_filter_bits=BLOOM_BITS,
                paranoid_checks=True,
                # Ids, hashes and signatures are most of it: a fifth less on disk is not worth the processor's time.
                compression=None,
            )
        except plyvel.Error as error:
            self._release()
            raise self._error(error) from error
        self._compactor = Compactor(self._db)

    def get(self, key: bytes) -> bytes | None:
        return self._get(self._db, key)

    def _get(self, source: Any, key: bytes) -> bytes | None:
        """Read from the database, or from a snapshot of it."""
        self._check_open()
        try:
            stored = source.get(key, verify_checksums=True)
        except plyvel.Error as error:
            raise self._damage(error, key) from error
        return None if stored is None else self._open_value(key, stored)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._iterate(self._db, prefix, start)

    def _iterate(self, source: Any, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        self._check_open()
        first, stop = max(prefix, start), prefix_end(prefix)
        reached = first
        try:
            with source.iterator(start=first or None, stop=stop, verify_checksums=True) as records:
                for key, stored in records:
                    reached = key + b"\x00"
                    yield key, self._open_value(key, stored)
        except plyvel.Error as error:
            raise self._damage(error, reached) from error

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        self._check_open()
        if self._failure is not None:
            raise StorageError(self._failure.code, self._failure.message)
        try:
            batch = self._db.write_batch(sync=sync)
            # In order: what is inserted beside the last one finds the way there in the processor's cache.
            for key in sorted(changes):
                value = changes[key]
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, check_of(key, value) + value)
            batch.write()
        except plyvel.Error as error:
            # LevelDB refuses all later writes after a failed one until it is opened again; a failed fsync may have
            # lost pages that a second one would call durable. So: no retry, and no reads that run ahead of the disk,
            # but for want of space: then nothing of the batch went into what is read.
            self._failure = self._error(error)
            raise self._failure from error

    def snapshot(self) -> StoreSnapshot:
        self._check_open()
        return _LevelSnapshot(self, self._db.snapshot())

    def compact_later(self, ranges: Sequence[tuple[bytes, bytes]]) -> None:
        """Give back the room of what was deleted in each (first key, key behind the last), beside all else."""
        self._compactor.request(ranges)

    def compacted(self, timeout_s: float) -> bool:
        """Wait until all that is done; tell whether it is."""
        return self._compactor.wait(timeout_s)

    def close(self) -> None:
        if self._lock is not None:
            self._compactor.close()
            self._db.close()
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _check_open(self) -> None:
        if self._lock is None:
            raise StorageError("storage.failed", f"{self._path}: the store is closed")
        if self._failure is not None and self._failure.code != "storage.full":
            raise StorageError("storage.failed", f"{self._path}: an earlier write failed; restart the node")

    def _open_value(self, key: bytes, stored: bytes) -> bytes:
        value = stored[CHECK_BYTES:]
        if stored[:CHECK_BYTES] != check_of(key, value):
            message = f"{self._path}: the record {key.hex()} does not match its checksum"
            raise Damage(key, key + b"\x00", message, physical=False)
        return value

    def _damage(self, error: Exception, at: bytes) -> StorageError:
        """Return what a read of `at`, or of what follows it, failed with, and how much cannot be read there."""
        found = self._error(error)
        if found.code != "storage.damaged":
            return found
        with self._db.raw_iterator(verify_checksums=True) as records:
            # A damaged block is passed by with an error, which stays, and the iterator is beside it.
            behind = _stand(records, lambda: records.seek(at))
            before = _stand(records, records.seek_to_last if behind is None else records.prev)
        first = b"" if before is None else before + b"\x00"
        return Damage(first, KEYS_END if behind is None else behind, found.message, physical=True)

    def _error(self, error: Exception) -> StorageError:
        words = b"; ".join(each for each in error.args if isinstance(each, bytes)).decode("utf-8", "replace")
        words = words or str(error)
        # plyvel reports damage seen on the way as IOError too, hence the text.
        if isinstance(error, plyvel.CorruptionError) or "orruption" in words:
            return StorageError("storage.damaged", f"{self._path}: {words}")
        if any(reason in words for reason in _OUT_OF_SPACE):
            return StorageError("storage.full", f"{self._path}: {words}")
        return StorageError("storage.failed", f"{self._path}: {words}")


def _stand(records: Any, move: Callable[[], None]) -> bytes | None:
    """Return the key where `move` leads, whatever lies on the way; None at an end."""
    with suppress(plyvel.Error):
        move()
    return bytes(records.key()) if records.valid() else None


class _LevelSnapshot:
    """A store's snapshot. LevelDB serves it beside the writer, in whatever thread."""

    def __init__(self, store: LevelStore, snapshot: Any) -> None:
        self._store = store
        self._snapshot = snapshot

    def get(self, key: bytes) -> bytes | None:
        return self._store._get(self._snapshot, key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return self._store._iterate(self._snapshot, prefix, start)

    def close(self) -> None:
        self._snapshot.close()


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the first key behind all that start with `prefix`; None where there is none."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def check_of(key: bytes, value: bytes) -> bytes:
    """Return what is kept in front of a value."""
    # From the key's length on: no other key and value run together to the same bytes.
    return crc32(key + value, len(key)).to_bytes(CHECK_BYTES, "big")


def _lock(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError("storage.failed", f"{path}: {error.strerror or error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StorageError(
            "storage.locked", f"{path.parent} is in use by another process; stop it, or use another directory"
        ) from error
    return descriptor

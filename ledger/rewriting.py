"""Writing a store anew without what cannot be read of it, so that damage is neither met nor passed on again.

LevelDB can write over a record in a damaged block, but it can neither drop the block nor merge the table it is in. So
everything that can be read is copied into a store of its own, which takes the damaged
one's place. Whether a
record of the state is missing then, the chain finds when it opens; that no block is, is looked at here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import plyvel

from ledger.errors import StorageError
from ledger.state.store import CHECK_BYTES, RESYNC, LevelStore, check_of

BATCH_BYTES: Final = 8 * 1024 * 1024


def rewrite_store(path: Path, kept: Path) -> int:
    """Copy what can be read of the store at `path` into a new one in its place; the old one goes to `kept`.

    Returns the records copied. Nobody may have the store open. After a crash either the old one or the new one is at
    `path`, or neither, and then both are beside it, as `kept` and with the suffix `.new`.

    Raises:
        StorageError: `storage.damaged` when LevelDB does not open it, or blocks are missing; nothing has changed then.
    """
    fresh = path.with_name(path.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    count = _copy(path, fresh)
    shutil.rmtree(kept, ignore_errors=True)
    path.rename(kept)
    fresh.rename(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return count


def finish_rewriting(path: Path) -> None:
    """Put a new store in place that a crash left beside it. For the start, before the store is opened."""
    fresh = path.with_name(path.name + ".new")
    if not fresh.is_dir():
        return
    if path.is_dir() and any(path.iterdir()):
        shutil.rmtree(fresh, ignore_errors=True)
    else:
        if path.is_dir():
            path.rmdir()
        fresh.rename(path)


def _copy(path: Path, fresh: Path) -> int:
    try:
        old = plyvel.DB(str(path), create_if_missing=False, paranoid_checks=True, compression=None)
    except plyvel.Error as error:
        raise StorageError("storage.damaged", f"{path}: LevelDB does not open it ({error}); {RESYNC}") from error
    count = 0
    store = LevelStore(fresh)
    try:
        blocks: dict[bytes, int] = {b"h": 0, b"b": 0, b"r": 0}
        oldest = head = 0
        batch: dict[bytes, bytes | None] = {}
        size = 0
        for key, value in _readable(old):
            batch[key] = value
            size += len(key) + len(value)
            count += 1
            if len(key) == 9 and key[:1] in blocks:
                blocks[key[:1]] += 1
            elif key == b"m/height":
                head = int.from_bytes(value, "big")
            elif key == b"m/oldest-block":
                oldest = int.from_bytes(value, "big")
            if size >= BATCH_BYTES:
                store.write_batch(batch, sync=False)
                batch, size = {}, 0
        store.write_batch(batch, sync=True)
        expected = head - oldest + 1
        for prefix, what in ((b"h", "headers"), (b"b", "blocks"), (b"r", "receipts")):
            if blocks[prefix] < expected:
                missing = expected - blocks[prefix]
                raise StorageError("storage.damaged", f"{path}: {missing} {what} cannot be read; {RESYNC}")
    except BaseException:
        store.close()
        old.close()
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    store.close()
    old.close()
    return count


def _readable(old: Any) -> Iterator[tuple[bytes, bytes]]:
    """Yield all records but those in blocks that cannot be read, and those that are not what was written."""
    with old.raw_iterator(verify_checksums=True) as records:
        with suppress(plyvel.Error):
            records.seek_to_first()
        while records.valid():
            key, stored = bytes(records.key()), bytes(records.value())
            value = stored[CHECK_BYTES:]
            if stored[:CHECK_BYTES] == check_of(key, value):
                yield key, value
            with suppress(plyvel.Error):  # once it has passed a damaged block it says so at every step
                records.next()

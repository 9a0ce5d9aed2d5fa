"""Writing a store anew without what cannot be read of it, so that damage is neither met nor passed on again.

LevelDB can write over a record in a damaged block, but it can neither drop the block nor merge the table it is in. So
everything that can be read is copied into a store of its own, which takes the damaged one's place. What is missing then
is found when the chain opens, or when it is asked for. Headers are in the blocks too, and places of transactions follow
from receipts: those are put back on the way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import plyvel

from ledger.archive import location_records
from ledger.block import BlockResults, decode_block
from ledger.errors import InvalidBlock, StorageError
from ledger.state.store import CHECK_BYTES, LevelStore, check_of
from primitives.codec import CodecError, decode, encode

BATCH_BYTES: Final = 8 * 1024 * 1024
_MARKS: Final = {b"m/format", b"m/network", b"m/height", b"m/certified"}
_FIRST_BODY: Final = b"b" + bytes(8)
_SECOND_HEADER: Final = b"h" + (1).to_bytes(8, "big")
_SECOND_BODILESS: Final = b"v" + (1).to_bytes(8, "big")
"""A chain that has the first of these, or the second without the third, has its beginning, whatever it has lost."""


def rewrite_store(path: Path, kept: Path) -> int:
    """Copy what can be read of the store at `path` into a new one in its place; the old one goes to `kept`.

    Returns the records copied. Nobody may have the store open. After a crash either the old one or the new one is at
    `path`, or neither, and then both are beside it, as `kept` and with the suffix `.rewritten`.

    Raises:
        StorageError: `storage.damaged` when LevelDB does not open it, or it cannot be told how far the chain goes;
            nothing has changed then.
    """
    fresh = path.with_name(path.name + ".rewritten")
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
    fresh = path.with_name(path.name + ".rewritten")
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
        raise StorageError("storage.damaged", f"{path}: LevelDB does not open it ({error})") from error
    count = 0
    store = LevelStore(fresh)
    try:
        batch: dict[bytes, bytes | None] = {}
        size = 0
        marks, found = dict[bytes, bytes](), _Found()
        for key, value in _readable(old):
            found.note(key)
            changes = {key: value, **_following(key, value)}
            batch.update(changes)
            size += sum(len(each) + len(made) for each, made in changes.items())
            count += 1
            if key.startswith(b"m/"):
                marks[key] = value
            if size >= BATCH_BYTES:
                store.write_batch(batch, sync=False)
                batch, size = {}, 0
        if not marks.keys() >= _MARKS:
            raise StorageError("storage.damaged", f"{path}: the marks of the chain cannot be read")
        store.write_batch({**batch, **found.windows(marks)}, sync=True)
    except BaseException:
        store.close()
        old.close()
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    store.close()
    old.close()
    return count


class _Found:
    """Whether a chain has its beginning, and how far back it goes where it has not."""

    def __init__(self) -> None:
        self._first: set[bytes] = set()
        self._oldest: dict[bytes, bytes] = {}
        """By prefix, the lowest height of which there is a record."""

    def note(self, key: bytes) -> None:
        """See a record; they come in order of key."""
        if len(key) == 9:
            if key in (_FIRST_BODY, _SECOND_HEADER, _SECOND_BODILESS):
                self._first.add(key)
            self._oldest.setdefault(key[:1], key[1:])

    def windows(self, marks: dict[bytes, bytes]) -> dict[bytes, bytes]:
        """Return the marks of what has been dropped, where they are lost. A chain that has its beginning needs none;
        of another, one without them would be taken to have it, and asked for what it dropped."""
        if _FIRST_BODY in self._first or (_SECOND_HEADER in self._first and _SECOND_BODILESS not in self._first):
            return {}
        head = int.from_bytes(marks[b"m/height"], "big")
        block, undone = self._oldest.get(b"b"), self._oldest.get(b"d")
        made = {
            b"m/oldest-block": (head + 1).to_bytes(8, "big") if block is None else block,
            b"m/oldest-state": (head if undone is None else int.from_bytes(undone, "big") - 1).to_bytes(8, "big"),
        }
        return {key: value for key, value in made.items() if key not in marks}


def _following(key: bytes, value: bytes) -> dict[bytes, bytes]:
    """Return what follows from a record, and may have been lost."""
    if len(key) != 9:
        return {}
    try:
        if key[:1] == b"b":
            return {b"h" + key[1:]: encode(decode_block(value).header)}
        if key[:1] == b"r":
            return location_records(int.from_bytes(key[1:], "big"), decode(value, BlockResults))
    except (CodecError, InvalidBlock):
        pass  # found when it is read
    return {}


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

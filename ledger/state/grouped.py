"""A store whose batches can be held back and written as one: many blocks, one synced write.

A disk syncs a few hundred times a second, and a node that catches up has thousands of blocks to write. Reads see what
is held back, so that whoever executes the next block notices nothing. The whole group reaches the disk in one atomic
batch: unsynced writes before a synced one would not do, because LevelDB may begin another log file between them, and a
loss of power then take the older ones and leave the newer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ledger.state.store import Store, StoreSnapshot
from ledger.state.view import StateView


class GroupedStore:
    """`ledger.state.store.Store` over another one. Without a group under way it adds nothing."""

    __slots__ = ("_held", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: StateView | None = None

    @contextmanager
    def group(self) -> Iterator[None]:
        """Hold back what is written within, and write it at the end, synced; nothing of it after an exception.

        Bounded by its caller: everything is in memory until then.

        Raises:
            StorageError: as `write_batch`, at the end.
        """
        assert self._held is None
        held = self._held = StateView(self._store)
        try:
            yield
        finally:
            self._held = None
        if changes := held.changes():
            self._store.write_batch(changes, sync=True)

    def get(self, key: bytes) -> bytes | None:
        return (self._held or self._store).get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        return (self._held or self._store).iterate(prefix, start)

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        held = self._held
        if held is None:
            self._store.write_batch(changes, sync=sync)
            return
        for key, value in changes.items():
            if value is None:
                held.delete(key)
            else:
                held.put(key, value)

    def snapshot(self) -> StoreSnapshot:
        assert self._held is None
        return self._store.snapshot()

    def close(self) -> None:
        self._store.close()

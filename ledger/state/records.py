"""The flat state as views read it: records of the store under one prefix, checked against the tree, with a bounded
cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ledger.errors import StorageError
from ledger.state.store import Store
from ledger.state.tree import StateTree

STATE_PREFIX: Final = b"s"
CACHE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Memory for records, in two generations of half of it: when the young one is full, the old one goes. Plain
dictionaries of bytes, because the garbage collector passes those over."""
RECORD_OVERHEAD_BYTES: Final = 192
"""What a record in a dictionary takes beside its key and value, about."""

_ABSENT: Final[Any] = object()


class StateRecords:
    """Reads of the state at the head."""

    __slots__ = ("_old", "_room", "_store", "_tree", "_young")

    def __init__(self, store: Store, tree: StateTree) -> None:
        self._store = store
        self._tree = tree
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}
        self._room = CACHE_BYTES_MAX // 2
        """Bytes that the young generation may still take."""

    def get(self, key: bytes) -> bytes | None:
        """Return the record, or None.

        Raises:
            StorageError: `storage.damaged` also when the store has lost a record that the tree commits to.
        """
        value: bytes | None = self._young.get(key, _ABSENT)
        if value is not _ABSENT:
            return value
        value = self._old.get(key, _ABSENT)
        if value is _ABSENT:
            value = self._store.get(STATE_PREFIX + key)
            if value is None and self._tree.holds(key):
                raise StorageError("storage.damaged", f"the state's record {key.hex()} is missing from the store")
        self._hold(key, value)
        return value

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        cut = len(STATE_PREFIX)
        for key, value in self._store.iterate(STATE_PREFIX + prefix):
            yield key[cut:], value

    def written(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Follow a batch that has just been written to the store: what was written will likely be read."""
        for key, value in changes.items():
            self._hold(key, value)

    def _hold(self, key: bytes, value: bytes | None) -> None:
        cost = RECORD_OVERHEAD_BYTES + len(key) + (0 if value is None else len(value))
        held = self._young.get(key, _ABSENT)
        freed = 0 if held is _ABSENT else RECORD_OVERHEAD_BYTES + len(key) + (0 if held is None else len(held))
        if cost - freed > self._room:
            self._young, self._old = {}, self._young
            self._room, freed = CACHE_BYTES_MAX // 2, 0
        self._young[key] = value
        self._room -= cost - freed

"""The flat state as views read it: records of the store under one prefix, checked against the tree, with a bounded
cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

from ledger.errors import StorageError
from ledger.state.store import Store
from ledger.state.tree import StateTree

STATE_PREFIX: Final = b"s"
CACHE_RECORDS_MAX: Final = 262_144
"""Records held in memory, some 300 bytes each; at the bound the longest held goes."""


class StateRecords:
    """Reads of the state at the head."""

    __slots__ = ("_cache", "_store", "_tree")

    def __init__(self, store: Store, tree: StateTree) -> None:
        self._store = store
        self._tree = tree
        # Of a plain dictionary the first key is found by walking over all that were deleted before it.
        self._cache: OrderedDict[bytes, bytes | None] = OrderedDict()

    def get(self, key: bytes) -> bytes | None:
        """Return the record, or None.

        Raises:
            StorageError: `storage.damaged` also when the store has lost a record that the tree commits to.
        """
        cache = self._cache
        if key in cache:
            return cache[key]
        value = self._store.get(STATE_PREFIX + key)
        if value is None and self._tree.holds(key):
            raise StorageError("storage.damaged", f"the state's record {key.hex()} is missing from the store")
        if len(cache) >= CACHE_RECORDS_MAX:
            cache.popitem(last=False)
        cache[key] = value
        return value

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        cut = len(STATE_PREFIX)
        for key, value in self._store.iterate(STATE_PREFIX + prefix):
            yield key[cut:], value

    def written(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Follow a batch that has just been written to the store."""
        cache = self._cache
        for key, value in changes.items():
            if key in cache:
                cache[key] = value

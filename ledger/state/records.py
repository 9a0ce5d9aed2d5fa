"""The flat state as views read it: records of the store under one prefix, checked against the tree where the tree
commits to them, with bounded caches of records and of short lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from ledger.errors import Damage
from ledger.state.indexes import is_index_key
from ledger.state.nodes import value_hash
from ledger.state.store import Store
from ledger.state.tree import StateTree
from ledger.state.view import table_of

STATE_PREFIX: Final = b"s"
CACHE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Memory for records, in two generations of half of it: when the young one is full, the old one goes. Plain
dictionaries of bytes, because the garbage collector passes those over."""
RECORD_OVERHEAD_BYTES: Final = 192
"""What a record in a dictionary takes beside its key and value, about."""

LISTS_MAX: Final = 16_384
"""Prefixes whose records are known, in two generations of half of them."""
LIST_RECORDS_MAX: Final = 8
LIST_BYTES_MAX: Final = 1_024
"""Of keys and values. Longer lists are read from the store each time."""

_ABSENT: Final[Any] = object()


class StateRecords:
    """Reads of the state at the head."""

    __slots__ = ("_generation_bytes", "_lists", "_old", "_room", "_store", "_tree", "_young")

    def __init__(self, store: Store, tree: StateTree, cache_bytes: int = CACHE_BYTES_MAX) -> None:
        self._store = store
        self._tree = tree
        self._young: dict[bytes, bytes | None] = {}
        self._old: dict[bytes, bytes | None] = {}
        self._generation_bytes = cache_bytes // 2
        self._room = self._generation_bytes
        """Bytes that the young generation may still take."""
        self._lists = _ShortLists()

    def get(self, key: bytes) -> bytes | None:
        """Return the record, or None.

        Raises:
            StorageError: Damage also when the store has lost a record that the tree commits to.
        """
        value: bytes | None = self._young.get(key, _ABSENT)
        if value is not _ABSENT:
            return value
        value = self._old.get(key, _ABSENT)
        if value is _ABSENT:
            value = self._find(key)
        self._hold(key, value)
        return value

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        known = self._lists.get(prefix)
        if start <= prefix:
            return self._read(prefix) if known is None else iter(known)
        if known is None:
            return self._stored(prefix, start)  # a part of the list is not kept: it may be short where the list is long
        return iter([record for record in known if record[0] >= start])

    def _stored(self, prefix: bytes, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        cut = len(STATE_PREFIX)
        return ((key[cut:], value) for key, value in self._store.iterate(STATE_PREFIX + prefix, STATE_PREFIX + start))

    def _read(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        records = self._stored(prefix, prefix)
        first = tuple(islice(records, LIST_RECORDS_MAX + 1))
        if len(first) <= LIST_RECORDS_MAX:
            self._lists.hold(prefix, first)
        yield from first
        yield from records

    def _find(self, key: bytes) -> bytes | None:
        if is_index_key(key):
            return self._store.get(STATE_PREFIX + key)
        # The tree is in memory: a record that it does not commit to is not looked for on the disk.
        expected = self._tree.value_hash(key)
        if expected is None:
            return None
        value = self._store.get(STATE_PREFIX + key)
        if value is None:
            raise _wrong(key, f"the state's record {key.hex()} is missing from the store")
        if value_hash(value) != expected:
            raise _wrong(key, f"the state's record {key.hex()} is not the one of the state's tree")
        return value

    def written(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Follow a batch that has just been written to the store: what was written will likely be read."""
        for key, value in changes.items():
            self._hold(key, value)
        self._lists.written(changes)

    def _hold(self, key: bytes, value: bytes | None) -> None:
        cost = RECORD_OVERHEAD_BYTES + len(key) + (0 if value is None else len(value))
        held = self._young.get(key, _ABSENT)
        freed = 0 if held is _ABSENT else RECORD_OVERHEAD_BYTES + len(key) + (0 if held is None else len(held))
        if cost - freed > self._room:
            self._young, self._old = {}, self._young
            self._room, freed = self._generation_bytes, 0
        self._young[key] = value
        self._room -= cost - freed


class _ShortLists:
    """The records under prefixes that have few, often none: opening an iterator of the store costs more than most
    handlers do.

    A list goes when a record under its prefix is written, found by the lengths that prefixes of its table have had.
    """

    __slots__ = ("_lengths", "_old", "_young")

    def __init__(self) -> None:
        self._young: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}
        self._old: dict[bytes, tuple[tuple[bytes, bytes], ...]] = {}
        self._lengths: dict[bytes, set[int]] = {}

    def get(self, prefix: bytes) -> tuple[tuple[bytes, bytes], ...] | None:
        known = self._young.get(prefix)
        if known is None and (known := self._old.get(prefix)) is not None:
            self.hold(prefix, known)
        return known

    def hold(self, prefix: bytes, records: tuple[tuple[bytes, bytes], ...]) -> None:
        table = table_of(prefix)
        if not table or sum([len(key) + len(value) for key, value in records]) > LIST_BYTES_MAX:
            return
        if len(self._young) >= LISTS_MAX // 2:
            self._young, self._old = {}, self._young
        self._young[prefix] = records
        self._lengths.setdefault(table, set()).add(len(prefix))

    def written(self, keys: Iterable[bytes]) -> None:
        """Forget the lists that a change of these records could have changed."""
        for key in keys:
            for length in self._lengths.get(table_of(key), ()):
                self._young.pop(key[:length], None)
                self._old.pop(key[:length], None)


def _wrong(key: bytes, what: str) -> Damage:
    stored = STATE_PREFIX + key
    return Damage(stored, stored + b"\x00", what, physical=False)

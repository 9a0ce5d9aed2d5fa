"""Reads and buffered writes over the flat state.

A view never writes through: its changes are collected, so that a transaction and a block can each be given up without a
trace. Views nest; the changes since a savepoint can be taken back, which costs a transaction less than a view of its
own.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, Protocol, TypeVar

from primitives.codec import encode, own_reader

T = TypeVar("T")

_ABSENT: Final[Any] = object()


class Readable(Protocol):
    """What a view reads from: the store, or another view."""

    def get(self, key: bytes) -> bytes | None: ...

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the records whose key starts with `prefix` and is not below `start`, in order of key.

        What lies before `start` is not read.
        """
        ...


class StateView:
    """Buffered changes over a `Readable`."""

    __slots__ = ("_base", "_changes", "_orders", "_undo")

    def __init__(self, base: Readable) -> None:
        self._base = base
        self._changes: dict[bytes, bytes | None] = {}
        self._orders: dict[bytes, list[bytes]] = {}
        """Of each table that was iterated the changed keys, sorted, so that iterating again does not sort again."""
        self._undo: dict[bytes, Any] | None = None
        """Key -> what the changes held at the savepoint, for keys that were changed since."""

    def get(self, key: bytes) -> bytes | None:
        if key in self._changes:
            return self._changes[key]
        return self._base.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._set(key, value)

    def delete(self, key: bytes) -> None:
        self._set(key, None)

    def _set(self, key: bytes, value: bytes | None) -> None:
        changes, undo = self._changes, self._undo
        if undo is not None and key not in undo:
            undo[key] = changes.get(key, _ABSENT)
        if self._orders and key not in changes and (order := self._orders.get(table_of(key))) is not None:
            insort(order, key)
        changes[key] = value

    def set_savepoint(self) -> None:
        """Remember how things are, until `release` or `roll_back`. There is one savepoint at a time."""
        self._undo = {}

    def release(self) -> None:
        """Keep what was changed since the savepoint."""
        self._undo = None

    def roll_back(self) -> None:
        """Take back what was changed since the savepoint."""
        assert self._undo is not None
        for key, value in self._undo.items():
            if value is not _ABSENT:
                self._changes[key] = value
                continue
            del self._changes[key]
            if (order := self._orders.get(table_of(key))) is not None:
                del order[bisect_left(order, key)]
        self._undo = None

    def forget_order(self) -> None:
        """Nobody may iterate for long: keys are sorted again when somebody does."""
        self._orders = {}

    def changed(self, key: bytes) -> bool:
        """Tell whether a record was written or deleted in this view itself."""
        return key in self._changes

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield live records under `prefix`, from `start` on, in order of key. The view must not be changed
        meanwhile."""
        own = self._own(prefix, start)
        below = self._base.iterate(prefix, start)
        return self._merged(below, own) if own else below

    def _merged(self, below: Iterator[tuple[bytes, bytes]], own: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        theirs = next(below, None)
        for key in own:
            while theirs is not None and theirs[0] < key:
                yield theirs
                theirs = next(below, None)
            if theirs is not None and theirs[0] == key:
                theirs = next(below, None)
            value = self._changes[key]
            if value is not None:
                yield key, value
        while theirs is not None:
            yield theirs
            theirs = next(below, None)

    def _own(self, prefix: bytes, first: bytes) -> list[bytes]:
        """Return the changed keys under `prefix` that are not below `first`, sorted."""
        table = table_of(prefix)
        if not table:
            return sorted([key for key in self._changes if key.startswith(prefix) and key >= first])
        order = self._orders.get(table)
        if order is None:
            order = self._orders[table] = sorted([key for key in self._changes if key.startswith(table)])
        if not order:
            return order
        start = end = bisect_left(order, max(prefix, first))
        while end < len(order) and order[end].startswith(prefix):
            end += 1
        return order[start:end]

    def child(self) -> StateView:
        """Return a view over this one; `apply` moves its changes here."""
        return StateView(self)

    def apply(self, child: StateView) -> None:
        """Take over the changes of `child`."""
        if not self._orders and self._undo is None:
            self._changes.update(child._changes)
            return
        for key, value in child._changes.items():
            self._set(key, value)

    def changes(self) -> dict[bytes, bytes | None]:
        """Return key -> new value, or None where the record is deleted."""
        return dict(self._changes)


def table_of(key: bytes) -> bytes:
    """Return the name of the table that a key, or a prefix of keys, belongs to: all up to the first slash. Empty where
    there is none."""
    return key[: key.find(b"/") + 1]


class Table(Generic[T]):
    """Typed records under one prefix. The full key is the prefix followed by the parts of the record's key.

    Every part but the last must have a fixed width or carry its length: keys of different records must not collide.
    """

    __slots__ = ("prefix", "read", "record")

    def __init__(self, prefix: bytes, record: Any) -> None:
        self.prefix = prefix
        self.record = record
        self.read: Callable[[bytes], T] = own_reader(record)
        """Decode the value of a record."""

    def key(self, *parts: bytes) -> bytes:
        return self.prefix + b"".join(parts)

    def get(self, view: Readable, *parts: bytes) -> T | None:
        value = view.get(self.prefix + b"".join(parts))
        if value is None:
            return None
        return self.read(value)

    def put(self, view: StateView, record: T, *parts: bytes) -> None:
        view.put(self.prefix + b"".join(parts), encode(record))

    def delete(self, view: StateView, *parts: bytes) -> None:
        view.delete(self.key(*parts))

    def items(self, view: Readable, *parts: bytes, after: bytes = b"") -> Iterator[tuple[bytes, T]]:
        """Yield (the key after this table's prefix and `parts`, record) in order of key.

        With `after` it begins behind that key, given as the yielded ones are: what comes before is not read.
        """
        prefix = self.key(*parts)
        start = prefix + after + b"\x00" if after else b""  # the least key above
        for key, value in view.iterate(prefix, start):
            yield key[len(prefix) :], self.read(value)

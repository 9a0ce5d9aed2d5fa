"""Reads and buffered writes over the flat state.

A view never writes through: its changes are collected, so that an operation, a transaction and a block can each be
given up without a trace. Views nest: a block's view over the store, a transaction's over the block's.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Generic, Protocol, TypeVar

from primitives.codec import decode, encode

T = TypeVar("T")


class Readable(Protocol):
    """What a view reads from: the store, or another view."""

    def get(self, key: bytes) -> bytes | None: ...

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records whose key starts with `prefix`, in order of key."""
        ...


class StateView:
    """Buffered changes over a `Readable`."""

    __slots__ = ("_base", "_changes", "_order")

    def __init__(self, base: Readable) -> None:
        self._base = base
        self._changes: dict[bytes, bytes | None] = {}
        self._order: list[bytes] | None = None
        """The changed keys, sorted; kept from the first `iterate` on, so that iterating does not sort each time."""

    def get(self, key: bytes) -> bytes | None:
        if key in self._changes:
            return self._changes[key]
        return self._base.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        self._set(key, value)

    def delete(self, key: bytes) -> None:
        self._set(key, None)

    def _set(self, key: bytes, value: bytes | None) -> None:
        if self._order is not None and key not in self._changes:
            insort(self._order, key)
        self._changes[key] = value

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield live records under `prefix` in order of key. The view must not be changed meanwhile."""
        if self._order is None:
            self._order = sorted(self._changes)
        below = iter(self._base.iterate(prefix))
        theirs = next(below, None)
        for key in self._own(prefix):
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

    def _own(self, prefix: bytes) -> Iterator[bytes]:
        assert self._order is not None
        index = bisect_left(self._order, prefix)
        while index < len(self._order) and self._order[index].startswith(prefix):
            yield self._order[index]
            index += 1

    def child(self) -> StateView:
        """Return a view over this one; `apply` moves its changes here."""
        return StateView(self)

    def apply(self, child: StateView) -> None:
        """Take over the changes of `child`."""
        if self._order is None:
            self._changes.update(child._changes)
            return
        for key, value in child._changes.items():
            self._set(key, value)

    def changes(self) -> dict[bytes, bytes | None]:
        """Return key -> new value, or None where the record is deleted."""
        return dict(self._changes)


class Table(Generic[T]):
    """Typed records under one prefix. The full key is the prefix followed by the parts of the record's key.

    Every part but the last must have a fixed width or carry its length: keys of different records must not collide.
    """

    __slots__ = ("prefix", "record")

    def __init__(self, prefix: bytes, record: Any) -> None:
        self.prefix = prefix
        self.record = record

    def key(self, *parts: bytes) -> bytes:
        return self.prefix + b"".join(parts)

    def get(self, view: Readable, *parts: bytes) -> T | None:
        value = view.get(self.key(*parts))
        return None if value is None else decode(value, self.record)

    def put(self, view: StateView, record: T, *parts: bytes) -> None:
        view.put(self.key(*parts), encode(record))

    def delete(self, view: StateView, *parts: bytes) -> None:
        view.delete(self.key(*parts))

    def items(self, view: Readable, *parts: bytes) -> Iterator[tuple[bytes, T]]:
        """Yield (the key after this table's prefix and `parts`, record) in order of key."""
        start = self.key(*parts)
        for key, value in view.iterate(start):
            yield key[len(start) :], decode(value, self.record)

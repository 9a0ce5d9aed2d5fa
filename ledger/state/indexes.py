"""Indexes: entries that say nothing which the records do not, kept so that records are found quickly.

They lie among the flat records, in tables whose names begin with `~`, and are written with the block, but the state's
tree does not commit to them. An entry proves nothing that its record does not prove, and its absence cannot be proven,
because the tree is ordered by hashes; a fresh entry in the tree costs as much as a fresh record.

What the tree does for records an audit does for indexes when a chain opens: the entries that are there must be those
that the records call for, no more and no fewer. The audit adds up hashes of them, in no order and without memory,
which finds decay and defects; who could forge a sum owns the disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec

from ledger.state.view import Table, table_of
from primitives.codec import encode

T = TypeVar("T")

INDEX: Final = b"~"
_MODULUS: Final = 2**256


class Index(Generic[T]):
    """A table of entries, and which of them a record of the source calls for."""

    __slots__ = ("entries", "source", "table", "value")

    def __init__(
        self, table: Table[Any], source: Table[T], entries: Callable[[bytes, T], Iterable[tuple[bytes, ...]]]
    ) -> None:
        """`entries` takes a record's key behind its table's name, and the record; it returns the parts of keys."""
        assert table.prefix.startswith(INDEX), f"{table.prefix!r} is no name of an index"
        assert not source.prefix.startswith(INDEX), f"{source.prefix!r} is an index itself"
        self.table = table
        self.source = source
        self.entries = entries
        self.value = encode(table.record())
        """Of every entry: its key says everything."""


def is_index_key(key: bytes) -> bool:
    return key.startswith(INDEX)


def committed(changes: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    """Return the changes of records, to which the tree commits."""
    first = INDEX[0]
    return {key: value for key, value in changes.items() if key[0] != first}


class IndexAudit:
    """One pass over all records and entries of a state."""

    def __init__(self, indexes: Sequence[Index[Any]]) -> None:
        self._by_source: dict[bytes, list[Index[Any]]] = {}
        for index in indexes:
            self._by_source.setdefault(index.source.prefix, []).append(index)
        self._balance: dict[bytes, int] = {}
        """By table: what is there less what is called for."""
        self._undecodable: set[bytes] = set()
        """Tables with a record that is none."""
        self.count = 0
        """Records that were yielded."""

    def records(self, state: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records of `state`, and take the measure of both sides on the way."""
        table, is_index, sources = b"", False, list[Index[Any]]()
        for key, value in state:
            if not table or not key.startswith(table):  # most follow a record of their own table
                table = table_of(key)
                is_index, sources = is_index_key(key), self._by_source.get(table, [])
            if is_index:
                self._count(table, key, value, 1)
                continue
            for index in sources:
                try:
                    entries = list(index.entries(key[len(table) :], index.source.read(value)))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                    # The root will not be the head's; this makes sure.
                    self._undecodable.add(table)
                    continue
                for parts in entries:
                    self._count(index.table.prefix, index.table.key(*parts), index.value, -1)
            self.count += 1
            yield key, value

    def unsound(self) -> list[str]:
        """Name the tables whose entries are not those that the records call for, or whose records cannot be read; valid
        after `records` has ended."""
        tables = self._undecodable | {table for table, balance in self._balance.items() if balance % _MODULUS}
        return sorted(table.decode("ascii", "replace") for table in tables)

    def _count(self, table: bytes, key: bytes, value: bytes, sign: int) -> None:
        number = int.from_bytes(hashlib.sha256(len(key).to_bytes(4, "big") + key + value).digest(), "big")
        self._balance[table] = self._balance.get(table, 0) + sign * number

"""What queries that list records have in common: the next ids behind a cursor, and the records of a page of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from ledger.modules import texts
from ledger.state.view import Readable, Table

T = TypeVar("T")


def behind(view: Readable, table: Table[Any], *parts: bytes, after: str) -> Iterator[bytes]:
    """Yield what follows `parts` in the keys of a table or of an index, in order, behind the id `after` where it names
    one; what comes before is not read.

    Raises:
        LedgerError: `query.argument`.
    """
    start = texts.identifier(after) if after else b""
    return (key for key, _ in table.items(view, *parts, after=start))


def found(view: Readable, table: Table[T], identifier: bytes, what: str, ended: str = "") -> T:
    """Return the record of an id.

    Raises:
        LedgerError: `query.not_found` with `what` there is none of, and what became of those that have `ended`.
    """
    record = table.get(view, identifier)
    if record is None:
        raise texts.not_found(what, ended)
    return record


def page(view: Readable, table: Table[T], identifiers: Iterator[bytes], limit: int | str) -> list[tuple[bytes, T]]:
    """Return the next (id, record), at most `limit`, of ids that an index has yielded.

    Raises:
        LedgerError: `query.argument`.
    """
    records = []
    for identifier in texts.page(identifiers, limit):
        record = table.get(view, identifier)
        assert record is not None  # an index names what there is
        records.append((identifier, record))
    return records

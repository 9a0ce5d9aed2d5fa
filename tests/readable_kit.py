"""Views that read again whatever is written through them.

Encoding does not ask for the bounds that a record's type states, and decoding does: what outgrew one would be written
by every validator, and halt every one of them when the record is read next. So random lives and the worlds of unit
tests write through views that decode each record by its own table at once. Production pays nothing for it.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import msgspec

import ledger
from ledger.modules.module import Context
from ledger.state.view import StateView, Table, table_of
from primitives.codec import decode, encode


@cache
def tables() -> dict[bytes, Table[Any]]:
    """Return prefix -> table, of all tables of the ledger: names in its packages, or fields of what is named there."""
    found: dict[bytes, Table[Any]] = {}
    for info in pkgutil.walk_packages(ledger.__path__, "ledger."):
        for value in vars(importlib.import_module(info.name)).values():
            table = value if isinstance(value, Table) else getattr(value, "table", None)
            if isinstance(table, Table):
                known = found.setdefault(table.prefix, table)
                assert known.record is table.record, f"two tables are named {table.prefix!r}"
    return found


def require_readable(key: bytes, value: bytes) -> None:
    """Fail unless a table claims the key, and reads the value as what was encoded."""
    table = tables().get(table_of(key) or key)
    assert table is not None, f"no table claims the record {key!r}"
    try:
        read = table.read(value)
    except msgspec.MsgspecError as error:
        raise AssertionError(f"a record of {table.prefix!r} was written that cannot be read: {error}") from error
    assert encode(read) == value, f"a record of {table.prefix!r} is read as another than was written: {read}"


def require_readable_event(event: msgspec.Struct) -> None:
    """Fail unless an event's type reads what a receipt would hold of it."""
    try:
        read = decode(encode(event), type(event))
    except ValueError as error:
        raise AssertionError(f"an event that cannot be read: {event}: {error}") from error
    assert read == event, f"an event is read as another than was written: {event}"


class ReadableView(StateView):
    """A view that reads again what is put into it, as its children do."""

    __slots__ = ()

    def put(self, key: bytes, value: bytes) -> None:
        require_readable(key, value)
        super().put(key, value)

    def child(self) -> ReadableView:
        return ReadableView(self)


@contextmanager
def blocks_read_again() -> Iterator[None]:
    """Let chains begin and execute blocks over such views, and read again what their receipts say."""

    def emit(context: Context, event: msgspec.Struct) -> None:
        require_readable_event(event)
        context.events.append(event)

    with (
        patch("ledger.execution.StateView", ReadableView),
        patch("ledger.founding.StateView", ReadableView),
        patch.object(Context, "emit", emit),
    ):
        yield

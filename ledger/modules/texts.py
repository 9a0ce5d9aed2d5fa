"""Reading the text arguments of queries: ids in hex, accounts as `gm1...`, pages.

Every function raises `LedgerError("query.argument", ...)` naming what is wrong with the text.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final, TypeVar

from ledger.errors import LedgerError
from primitives.identifiers import AccountId, InvalidIdentifier, account_from_text

T = TypeVar("T")

PAGE_MAX: Final = 200
"""The most items that one answer lists; `after` asks for the next page."""


def identifier(text: str, size_bytes: int = 32) -> bytes:
    """Read a lower-case hex id."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size_bytes or value.hex() != text:
        raise LedgerError("query.argument", f"not an id of {2 * size_bytes} lower-case hex digits: {text[:80]!r}")
    return value


def account(text: str) -> AccountId:
    """Read `gm1...`."""
    try:
        return account_from_text(text)
    except InvalidIdentifier as error:
        raise LedgerError("query.argument", str(error)) from error


def number(value: int | str) -> int:
    """Read a decimal integer of at most 19 digits, as it stands in a URL."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise LedgerError("query.argument", f"not a whole number: {text[:80]!r}")
    return int(text)


def page(items: Iterator[T], limit: int | str) -> list[T]:
    """Return the first `limit` items, at most `PAGE_MAX`."""
    return list(islice(items, min(max(number(limit), 1), PAGE_MAX)))


def not_found(what: str, ended: str = "") -> LedgerError:
    """Say that a query's subject does not exist. Where what has ended is gone, `ended` says so and where it is told:
    the state cannot tell it from what never was."""
    return LedgerError("query.not_found", f"no such {what}" + (f" in the state. {ended}" if ended else ""))

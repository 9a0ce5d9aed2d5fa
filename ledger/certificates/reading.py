"""How subjects read records: the same code asks a chain when a certificate is made, and the proven records of a file
when it is checked, so that both agree on which records prove what."""

from __future__ import annotations

from typing import Protocol, TypeVar

from ledger.errors import InvalidProof, LedgerError
from ledger.state.view import Table
from primitives.codec import CodecError, decode

T = TypeVar("T")


class Records(Protocol):
    """Records of the state at one height."""

    def get(self, key: bytes) -> bytes | None:
        """Return the record of `key`, or None where there is none.

        Raises:
            LedgerError: the record cannot be had or is not proven.
        """
        ...

    def refusal(self, code: str, message: str) -> LedgerError:
        """Return the error for records that do not show what they should; `code` is that of an export."""
        ...


def need(records: Records, what: str, table: Table[T], *parts: bytes) -> T:
    """Return a record that must be there; `what` names it for people.

    Raises:
        LedgerError: `query.not_found` of a chain, `certificate.records` of a file.
    """
    value = records.get(table.key(*parts))
    if value is None:
        raise records.refusal("query.not_found", f"there is no {what}")
    return _decoded(table, value)


def find(records: Records, table: Table[T], *parts: bytes) -> T | None:
    """Return a record, or None."""
    value = records.get(table.key(*parts))
    return None if value is None else _decoded(table, value)


def absent(records: Records, what: str, table: Table[T], *parts: bytes) -> None:
    """Require that a record is not there.

    Raises:
        LedgerError: `certificate.present` of a chain, `certificate.records` of a file.
    """
    if records.get(table.key(*parts)) is not None:
        raise records.refusal("certificate.present", f"{what} is there: its absence cannot be shown")


def _decoded(table: Table[T], value: bytes) -> T:
    try:
        record: T = decode(value, table.record)
    except CodecError as error:
        raise InvalidProof("certificate.malformed", str(error)) from error
    return record

"""Writing records on an organization's quota: charged when created or grown, returned when deleted or shrunk.

There are no transaction fees, so the quota is what bounds the state that one organization can make everybody keep.
Only the sender's own organization is ever refused: what others do, and what deadlines do, is counted, but a full quota
never blocks it.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ledger import deadlines
from ledger.errors import OperationError
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import is_validators, membership
from ledger.modules.organizations.operations import Quota
from ledger.modules.organizations.records import ACCOUNTS, USAGE, Usage
from ledger.parameters import Parameters
from ledger.state.view import Readable, Table
from primitives.codec import encode

T = TypeVar("T")


def store(
    context: Context, organization: str, table: Table[T], record: T, *parts: bytes, enforced: bool = True
) -> None:
    """Create or replace a record, charged to `organization`.

    Not `enforced` is what pays somebody out: no full quota may strand credits.

    Raises:
        OperationError: `organizations.quota_records` or `organizations.quota_bytes`.
    """
    key = table.key(*parts)
    before = context.view.get(key)
    after = encode(record)
    context.view.put(key, after)
    if before is None:
        _charge(context, organization, records=1, size_bytes=len(key) + len(after), enforced=enforced)
    elif len(after) != len(before):
        _charge(context, organization, size_bytes=len(after) - len(before), enforced=enforced)


def create(context: Context, organization: str, *records: tuple[Table[Any], Any, tuple[bytes, ...]]) -> None:
    """Create records of (table, record, key parts), none of which exists, charged to `organization` in one go.

    For keys that hold an id made by this very transaction: nothing is read first.

    Raises:
        OperationError: as `store`.
    """
    size_bytes = 0
    for table, record, parts in records:
        key, value = table.key(*parts), encode(record)
        context.view.put(key, value)
        size_bytes += len(key) + len(value)
    _charge(context, organization, records=len(records), size_bytes=size_bytes)


def remove(context: Context, organization: str, table: Table[T], *parts: bytes) -> None:
    """Delete a record that `store` wrote and return its quota; one that is not there is no error."""
    key = table.key(*parts)
    before = context.view.get(key)
    if before is not None:
        context.view.delete(key)
        _charge(context, organization, records=-1, size_bytes=-len(key) - len(before))


class _Charge:
    """What one organization has to be charged."""

    __slots__ = ("bytes", "deadlines", "enforced", "records")

    def __init__(self) -> None:
        self.records = self.bytes = self.deadlines = 0
        self.enforced = False


class Tally:
    """What one step writes, charged to each organization in one go by `settle`: usage is read and written once, and a
    quota looked at once, when all is there."""

    __slots__ = ("_charges", "_context")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._charges: dict[str, _Charge] = {}

    def put(
        self, organization: str, key: bytes, before: bytes | None, record: object, *, enforced: bool = True
    ) -> None:
        """Create a record, or replace the value `before` that the caller has read."""
        after = encode(record)
        self._context.view.put(key, after)
        charge = self._charge_of(organization)
        if before is None:
            charge.records += 1
            charge.bytes += len(key) + len(after)
        else:
            charge.bytes += len(after) - len(before)
        charge.enforced = charge.enforced or enforced

    def store(self, organization: str, table: Table[T], record: T, *parts: bytes, enforced: bool = True) -> None:
        """Create or replace a record, read or not."""
        key = table.key(*parts)
        self.put(organization, key, self._context.view.get(key), record, enforced=enforced)

    def remove(self, organization: str, table: Table[T], *parts: bytes) -> None:
        """Delete a record that was charged to `organization`; one that is not there is no error."""
        key = table.key(*parts)
        before = self._context.view.get(key)
        if before is not None:
            self._context.view.delete(key)
            charge = self._charge_of(organization)
            charge.records -= 1
            charge.bytes -= len(key) + len(before)

    def schedule(self, organization: str, at_ms: int, kind: str, subject: bytes) -> None:
        """Enter a deadline, as the function of this name does."""
        deadlines.schedule(self._context.view, at_ms, kind, subject)
        charge = self._charge_of(organization)
        charge.deadlines += 1
        charge.enforced = True

    def cancel(self, organization: str, at_ms: int, kind: str, subject: bytes) -> None:
        """Remove a deadline that was not swept, as the function of this name does."""
        deadlines.cancel(self._context.view, at_ms, kind, subject)
        self._charge_of(organization).deadlines -= 1

    def swept(self, organization: str) -> None:
        """Return the quota of the deadline whose handler is running, as the function of this name does."""
        self._charge_of(organization).deadlines -= 1

    def settle(self) -> None:
        """Charge what was written; of an organization for which anything was `enforced`, all of it is.

        Raises:
            OperationError: as `store` and `schedule`, where anything was enforced.
        """
        for organization, charge in self._charges.items():
            if charge.records or charge.bytes or charge.deadlines:
                _charge(
                    self._context,
                    organization,
                    records=charge.records,
                    size_bytes=charge.bytes,
                    deadlines=charge.deadlines,
                    enforced=charge.enforced,
                )
        self._charges = {}

    def _charge_of(self, organization: str) -> _Charge:
        charge = self._charges.get(organization)
        if charge is None:
            charge = self._charges[organization] = _Charge()
        return charge


def schedule(
    context: Context, organization: str, at_ms: int, kind: str, subject: bytes, *, enforced: bool = True
) -> None:
    """Enter a deadline, charged to `organization`; each (time, kind, subject) must be scheduled once.

    Raises:
        OperationError: `organizations.quota_deadlines`.
    """
    deadlines.schedule(context.view, at_ms, kind, subject)
    _charge(context, organization, deadlines=1, enforced=enforced)


def cancel(context: Context, organization: str, at_ms: int, kind: str, subject: bytes) -> None:
    """Remove a deadline that `schedule` entered and that was not swept, and return its quota."""
    deadlines.cancel(context.view, at_ms, kind, subject)
    _charge(context, organization, deadlines=-1)


def swept(context: Context, organization: str) -> None:
    """Return the quota of the deadline whose handler is running: the sweep has already removed it."""
    _charge(context, organization, deadlines=-1)


def _charge(
    context: Context,
    organization: str,
    *,
    records: int = 0,
    size_bytes: int = 0,
    deadlines: int = 0,
    enforced: bool = True,
) -> None:
    name = organization.encode("ascii")
    before = USAGE.get(context.view, name) or Usage()
    after = Usage(before.records + records, before.bytes + size_bytes, before.deadlines + deadlines, before.quota)
    assert after.records >= 0, f"{organization} returned more records than it was charged"
    assert after.bytes >= 0, f"{organization} returned more bytes than it was charged"
    assert after.deadlines >= 0, f"{organization} returned more deadlines than it was charged"
    USAGE.put(context.view, after, name)
    if enforced and (records > 0 or size_bytes > 0 or deadlines > 0):
        _check(context, organization, after)


def _answers_for(context: Context, organization: str) -> bool:
    """Tell whether the sender acts for `organization`: a deadline has no sender, a validator acts for the network. Nor
    does a full quota bind a removed organization: it only ends things or hands them on, which must not be stranded."""
    sender = ACCOUNTS.get(context.view, context.sender) if context.sender else None
    if sender is None or sender.organization != organization or is_validators(sender):
        return False
    return membership(context.view, organization) != "removed"


def _check(context: Context, organization: str, usage: Usage) -> None:
    voted, parameters = usage.quota, context.parameters
    if voted is None:
        records, size_bytes, deadlines_max = (
            parameters.quota_records_per_organization,
            parameters.quota_bytes_per_organization,
            parameters.quota_deadlines_per_organization,
        )
    else:
        records, size_bytes, deadlines_max = voted.records, voted.bytes, voted.deadlines
    if usage.records <= records and usage.bytes <= size_bytes and usage.deadlines <= deadlines_max:
        return
    for code, used, limit in (
        ("organizations.quota_records", usage.records, records),
        ("organizations.quota_bytes", usage.bytes, size_bytes),
        ("organizations.quota_deadlines", usage.deadlines, deadlines_max),
    ):
        if used > limit and _answers_for(context, organization):
            what = code.removeprefix("organizations.quota_")
            raise OperationError(code, f"{organization} would use {used} of {limit} {what}")


def default_quota(parameters: Parameters) -> Quota:
    """Return the quota of an organization for which the consortium has voted for none."""
    return Quota(
        parameters.quota_records_per_organization,
        parameters.quota_bytes_per_organization,
        parameters.quota_deadlines_per_organization,
    )


def set_quota(context: Context, organization: str, quota: Quota | None) -> None:
    """Give an organization a quota of its own, or the chain's again. Who uses more than that may only give back."""
    changed = msgspec.structs.replace(usage(context.view, organization), quota=quota)
    USAGE.put(context.view, changed, organization.encode("ascii"))


def usage(view: Readable, organization: str) -> Usage:
    """Return what `organization` uses now, and the quota that was voted for it."""
    return USAGE.get(view, organization.encode("ascii")) or Usage()

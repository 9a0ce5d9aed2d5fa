"""Who of the licensee's organization may use a grant."""

from __future__ import annotations

import msgspec

from ledger.errors import OperationError
from ledger.modules.fields import MARKER
from ledger.modules.licenses import events
from ledger.modules.licenses.grants import is_live, require_grant, require_terms
from ledger.modules.licenses.operations import SetSeats
from ledger.modules.licenses.records import SEATS, SEATS_BY_ACCOUNT, Seats
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import require_party


def set_seats(context: Context, operation: SetSeats) -> None:
    """Replace the accounts that have a seat. The licensee's own account has one without being named."""
    grant = require_grant(context.view, operation.grant)
    if grant.licensee != context.sender:
        raise OperationError("licenses.not_licensee", "only the licensee gives seats")
    terms = require_terms(context.view, grant.terms)
    if terms.seats is None:
        raise OperationError("licenses.no_seats", "the terms speak of no seats: only the licensee may use the grant")
    accounts = tuple(sorted(set(operation.accounts) - {grant.licensee}))
    if accounts and not is_live(grant, context.block_time_ms):
        raise OperationError("licenses.not_active", "the grant has ended: there is nothing to give seats of")
    if len(accounts) + 1 > terms.seats:
        raise OperationError("licenses.too_many_seats", f"{len(accounts) + 1} seats of at most {terms.seats}")
    for account in accounts:
        party = require_party(context.view, account, "licenses.seat_account")
        if party.organization != grant.organization:
            raise OperationError("licenses.seat_account", "a seat is for an account of the licensee's organization")
    _replace(context, operation.grant, Seats(grant.asset, grant.licensee, grant.organization, accounts))
    context.emit(events.SeatsSet(operation.grant, grant.asset, accounts))


def clear_seats(context: Context, grant_id: bytes) -> None:
    """Remove the seats of a grant that goes to another licensee."""
    before = SEATS.get(context.view, grant_id)
    if before is not None:
        _replace(context, grant_id, msgspec.structs.replace(before, accounts=()))


def _replace(context: Context, grant_id: bytes, seats: Seats) -> None:
    before = SEATS.get(context.view, grant_id)
    if before is not None:
        for account in before.accounts:
            quota.remove(context, before.organization, SEATS_BY_ACCOUNT, account, before.asset, grant_id)
        quota.remove(context, before.organization, SEATS, grant_id)
    if not seats.accounts:
        return
    quota.store(context, seats.organization, SEATS, seats, grant_id)
    for account in seats.accounts:
        quota.store(context, seats.organization, SEATS_BY_ACCOUNT, MARKER, account, seats.asset, grant_id)

"""A grant gets another licensee: its records go to that one's quota, the deposit for its use goes along, and seats
end."""

from __future__ import annotations

import msgspec

from ledger.modules.credits import accounting
from ledger.modules.fields import MARKER
from ledger.modules.licenses import usage
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.licenses.records import GRANTS, GRANTS_BY_ASSET, GRANTS_BY_LICENSEE, RESERVING
from ledger.modules.licenses.seats import clear_seats
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.reputation import flows


def hand_over_grant(context: Context, grant_id: bytes, recipient: bytes) -> None:
    """Make `recipient` the licensee of a settled grant. It stays the same token: edition, terms, period and what is
    left of its quota."""
    clear_seats(context, grant_id)
    grant = require_grant(context.view, grant_id)
    assert grant.due_ms is None  # its price is not in escrow
    grant = usage.unscheduled(context, grant_id, grant)
    # Who is handed a deposit has been given that much, and pays it out in its own name.
    flows.moved(context, grant.licensee, recipient, accounting.held(context.view, usage.deposit_id(grant_id)))
    giver, organization = grant.organization, organization_of(context.view, recipient)
    reserves = require_terms(context.view, grant.terms).exclusivity != "none"
    quota.remove(context, giver, GRANTS, grant_id)
    quota.remove(context, giver, GRANTS_BY_LICENSEE, grant.licensee, grant.asset, grant_id)
    quota.remove(context, giver, GRANTS_BY_ASSET, grant.asset, grant_id)
    reserved = reserves and RESERVING.get(context.view, grant.asset, grant_id) is not None
    if reserved:
        quota.remove(context, giver, RESERVING, grant.asset, grant_id)
    handed = msgspec.structs.replace(grant, licensee=recipient, organization=organization, locked_by=None)
    handed = usage.scheduled(context, grant_id, handed)
    quota.store(context, organization, GRANTS, handed, grant_id)
    quota.store(context, organization, GRANTS_BY_LICENSEE, MARKER, recipient, grant.asset, grant_id)
    quota.store(context, organization, GRANTS_BY_ASSET, MARKER, grant.asset, grant_id)
    if reserved:
        quota.store(context, organization, RESERVING, MARKER, grant.asset, grant_id)

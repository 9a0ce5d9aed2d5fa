"""What becomes of a payment in escrow. Nothing here may fail: every way ends with the credits paid out or returned.

An escrow waits for its version to be available (then the grant becomes active), and after that through the terms'
dispute window. `due_ms` is the time of the next step that needs no one: a refund while escrowed, the settlement while
active.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import version_part
from ledger.modules.credits import accounting
from ledger.modules.credits.records import escrow_holder
from ledger.modules.licenses import events
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.records import (
    EDITIONS,
    GRANTS,
    GRANTS_BY_ASSET,
    RESERVING,
    WAITING,
    Editions,
    Grant,
)
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.royalties import payments

ESCROW_DUE: Final = "licenses.escrow_due"


def release_waiting(context: Context, asset: bytes, version: int) -> None:
    """A quorum now holds the version: activate every grant that waits for it (at most WAITING_MAX)."""
    part = version_part(version)
    for grant_id in [key for key, _ in WAITING.items(context.view, asset, part)]:
        grant = require_grant(context.view, grant_id)
        assert grant.due_ms is not None
        quota.cancel(context, grant.organization, grant.due_ms, ESCROW_DUE, grant_id)
        _activate(context, grant_id, grant)


def on_due(context: Context, subject: bytes) -> None:
    """Deadline: refund what never became available, settle what became active."""
    grant = require_grant(context.view, subject)
    quota.swept(context, grant.organization)
    step(context, subject, grant)


def step(context: Context, grant_id: bytes, grant: Grant) -> None:
    """Take the step that is due at `grant.due_ms`; its deadline is gone already."""
    if grant.state == "escrowed":
        refund(context, grant_id, grant, "unavailable")
    else:
        settle(context, grant_id, grant)


def _activate(context: Context, grant_id: bytes, grant: Grant) -> None:
    terms = require_terms(context.view, grant.terms)
    quota.remove(context, grant.organization, WAITING, grant.asset, version_part(grant.version), grant_id)
    start_ms, end_ms = period(terms, context.block_time_ms)
    if end_ms is not None and end_ms <= context.block_time_ms:
        refund(context, grant_id, grant, "term_over")
        return
    active = msgspec.structs.replace(grant, state="active", start_ms=start_ms, end_ms=end_ms, due_ms=None)
    context.emit(events.Activated(grant_id, grant.asset, grant.licensee))
    if terms.dispute_window_ms:
        due_ms = context.block_time_ms + terms.dispute_window_ms
        quota.schedule(context, grant.organization, due_ms, ESCROW_DUE, grant_id)
        waiting = msgspec.structs.replace(active, due_ms=due_ms)
        quota.store(context, grant.organization, GRANTS, waiting, grant_id)
    else:
        settle(context, grant_id, active)


def settle(context: Context, grant_id: bytes, grant: Grant) -> None:
    """Pay the escrow of an active grant out; where least royalties have outgrown the price meanwhile, return it."""
    asset = require_asset(context.view, grant.asset)
    fee_bps = context.parameters.fee_bps
    if not payments.covers(context.view, grant.asset, grant.price, fee_bps, exempt=grant.exempt):
        refund(context, grant_id, grant, "royalties_uncovered")
        return
    escrow = accounting.open_escrow(context, grant_id)
    source = escrow_holder(grant_id)
    payments.pay(context, grant.asset, asset.organization, source, escrow.amount, exempt=grant.exempt)
    settled = msgspec.structs.replace(grant, due_ms=None)
    quota.store(context, grant.organization, GRANTS, settled, grant_id, enforced=False)
    context.emit(events.Settled(grant_id, grant.asset, escrow.amount))


def refund(context: Context, grant_id: bytes, grant: Grant, reason: events.RefundReason) -> None:
    """Return the escrow to the licensee and end the grant."""
    end(context, grant_id, grant, accounting.refund(context, grant_id).amount, reason)


def end(context: Context, grant_id: bytes, grant: Grant, returned: int, reason: events.RefundReason) -> None:
    """End a grant whose price is or will be returned, `returned` units of it from escrow. Its edition can be sold
    again, under a new number."""
    terms = require_terms(context.view, grant.terms)
    organization = grant.organization
    quota.remove(context, organization, WAITING, grant.asset, version_part(grant.version), grant_id)
    quota.remove(context, organization, GRANTS_BY_ASSET, grant.asset, grant_id)
    if terms.exclusivity != "none":
        quota.remove(context, organization, RESERVING, grant.asset, grant_id)
    ended = msgspec.structs.replace(grant, state="refunded", due_ms=None, disputed=False)
    quota.store(context, organization, GRANTS, ended, grant_id, enforced=False)
    _return_edition(context, grant)
    context.emit(events.Refunded(grant_id, grant.asset, grant.licensee, returned, reason))


def period(terms: Terms, active_from_ms: int) -> tuple[int, int | None]:
    """Return [start, end) of a grant that becomes active at a time."""
    begins_ms = active_from_ms if terms.start_ms is None else terms.start_ms
    return max(active_from_ms, begins_ms), None if terms.term_ms is None else begins_ms + terms.term_ms


def _return_edition(context: Context, grant: Grant) -> None:
    editions = EDITIONS.get(context.view, grant.asset, grant.terms)
    assert editions is not None
    asset = require_asset(context.view, grant.asset)
    returned = Editions(editions.issued, editions.outstanding - 1)
    quota.store(context, asset.organization, EDITIONS, returned, grant.asset, grant.terms, enforced=False)

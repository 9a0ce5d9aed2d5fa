"""What becomes of a payment in escrow. Nothing here may fail: every way ends with the credits paid out or returned.

An escrow waits for its version to be available (then the grant becomes active), and after that through the terms'
dispute window. `due_ms` is the time of the next step that needs no one: a refund while escrowed, the settlement while
active. A dispute takes the deadline away and must end by one of the two.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset
from ledger.modules.assets.records import version_part
from ledger.modules.credits import accounting
from ledger.modules.credits.records import escrow_holder
from ledger.modules.licenses import events, usage
from ledger.modules.licenses.grants import is_live, require_grant, require_terms
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.paid import on_returned
from ledger.modules.licenses.records import (
    EDITIONS,
    GRANTS,
    GRANTS_BY_ASSET,
    RESERVING,
    WAITING,
    Editions,
    Grant,
)
from ledger.modules.licenses.standing import require_unopposed
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.reputation import flows
from ledger.modules.royalties import payments

ESCROW_DUE: Final = "licenses.escrow_due"
Outcome = Literal["settle", "refund"]


def release_waiting(context: Context, asset: bytes, version: int) -> None:
    """A quorum now holds the version: activate every grant that waits for it (at most WAITING_MAX). What has waited
    too long returns, as the sweep would have it: for the time from then on another grant may have been sold."""
    part = version_part(version)
    for grant_id in [key for key, _ in WAITING.items(context.view, asset, part)]:
        grant = require_grant(context.view, grant_id)
        assert grant.due_ms is not None
        quota.cancel(context, grant.organization, grant.due_ms, ESCROW_DUE, grant_id)
        if context.block_time_ms < grant.due_ms:
            _activate(context, grant_id, grant)
        else:
            refund(context, grant_id, grant, "unavailable")


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


def hold_for_dispute(context: Context, grant_id: bytes) -> Grant:
    """Let a dispute hold the payment of an active grant: it has no deadline until `release_from_dispute`, which the
    caller must bring about. The grant gives no right meanwhile, and stays live against others. Return it as stored.

    A grant that waits for its version is not disputed: nothing was delivered yet, and its payment returns by itself.

    Raises:
        OperationError: `licenses.unknown_grant`, or `licenses.nothing_in_escrow` where the payment was paid out, never
            in escrow, or is held already.
    """
    grant = require_grant(context.view, grant_id)
    if grant.state != "active" or grant.due_ms is None:
        raise OperationError("licenses.nothing_in_escrow", "no payment of the grant is in its dispute window")
    quota.cancel(context, grant.organization, grant.due_ms, ESCROW_DUE, grant_id)
    held = msgspec.structs.replace(grant, disputed=True, due_ms=None)
    quota.store(context, grant.organization, GRANTS, held, grant_id, enforced=False)
    context.emit(events.HeldForDispute(grant_id, grant.asset))
    return held


def release_from_dispute(context: Context, grant_id: bytes, outcome: Outcome) -> int:
    """End what `hold_for_dispute` began: pay the escrow out and let the grant be live again, or return it. Return the
    units that went back to the licensee.

    Never refuses: where the licensee may not hold the grant any more, a settlement becomes a refund (`not_holdable`).
    """
    held = require_grant(context.view, grant_id)
    assert held.disputed
    grant = msgspec.structs.replace(held, disputed=False)
    if outcome == "refund":
        return refund(context, grant_id, grant, "dispute")
    if is_live(grant, context.block_time_ms) and not _holdable(context, grant_id, grant):
        return refund(context, grant_id, grant, "not_holdable")
    settle(context, grant_id, grant)
    return 0


def _holdable(context: Context, grant_id: bytes, grant: Grant) -> bool:
    """Tell whether a grant may be live again. Its licensee may own a share by now, as when a payment settles by itself:
    who loses a dispute could else buy one, and have the price back all the same."""
    try:
        require_unopposed(context, grant_id, grant, require_terms(context.view, grant.terms), grant.licensee)
    except OperationError:
        return False
    return True


def _activate(context: Context, grant_id: bytes, grant: Grant) -> None:
    terms = require_terms(context.view, grant.terms)
    quota.remove(context, grant.organization, WAITING, grant.asset, version_part(grant.version), grant_id)
    # While escrowed, `start_ms` is the earliest: a successor begins where its predecessor ends.
    start_ms, end_ms = period(terms, max(context.block_time_ms, grant.start_ms))
    if end_ms is not None and end_ms <= start_ms:
        refund(context, grant_id, grant, "term_over")
        return
    active = msgspec.structs.replace(grant, state="active", start_ms=start_ms, end_ms=end_ms, due_ms=None)
    active = usage.scheduled(context, grant_id, active)
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
    payments.pay(
        context, grant.asset, asset.organization, source, escrow.amount, payer=escrow.payer, exempt=grant.exempt
    )
    settled = msgspec.structs.replace(grant, due_ms=None, renewed_from_ms=None)
    quota.store(context, grant.organization, GRANTS, settled, grant_id, enforced=False)
    context.emit(events.Settled(grant_id, grant.asset, escrow.amount))


def refund(context: Context, grant_id: bytes, grant: Grant, reason: events.RefundReason) -> int:
    """Return the escrow to the licensee, and say how many units. A grant whose first payment it was ends, and its
    edition can be sold again, under a new number; a renewal is undone. What is left of a deposit returns with it."""
    amount, grant = _return_payment(context, grant_id, grant)
    end(context, grant_id, grant, amount, reason)
    return amount


def end(context: Context, grant_id: bytes, grant: Grant, amount: int, reason: events.RefundReason) -> None:
    """End a grant, or a renewal that is in escrow, of whose price `amount` units were returned from escrow."""
    grant = usage.unscheduled(context, grant_id, msgspec.structs.replace(grant, due_ms=None))
    if grant.renewed_from_ms is not None:
        _undo_renewal(context, grant_id, grant, grant.renewed_from_ms, (amount, reason))
        on_returned(context, grant_id)
        return
    terms = require_terms(context.view, grant.terms)
    organization = grant.organization
    quota.remove(context, organization, WAITING, grant.asset, version_part(grant.version), grant_id)
    quota.remove(context, organization, GRANTS_BY_ASSET, grant.asset, grant_id)
    if terms.exclusivity != "none":
        quota.remove(context, organization, RESERVING, grant.asset, grant_id)
    ended = msgspec.structs.replace(usage.give_back(context, grant_id, grant), state="refunded")
    quota.store(context, organization, GRANTS, ended, grant_id, enforced=False)
    _return_edition(context, grant)
    if grant.predecessor is not None:
        _free_predecessor(context, grant.predecessor, grant_id)
    on_returned(context, grant_id)
    context.emit(events.Refunded(grant_id, grant.asset, grant.licensee, amount, reason))


def period(terms: Terms, active_from_ms: int) -> tuple[int, int | None]:
    """Return [start, end) of a grant that becomes active at a time."""
    begins_ms = active_from_ms if terms.start_ms is None else terms.start_ms
    return max(active_from_ms, begins_ms), None if terms.term_ms is None else begins_ms + terms.term_ms


def pro_rata(price: int, terms: Terms, from_ms: int, to_ms: int) -> int:
    """Return the price of a part of terms that cost `price` each, rounded up."""
    assert terms.term_ms is not None
    return -(-price * max(to_ms - from_ms, 0) // terms.term_ms)


def _return_payment(context: Context, grant_id: bytes, grant: Grant) -> tuple[int, Grant]:
    """End the escrow in favor of its payer; return (units, grant).

    What a revocation has paid back goes to who paid it: it was for the last of the time, and so is the escrow. Nobody
    is paid twice.
    """
    escrow = accounting.open_escrow(context, grant_id)
    source = escrow_holder(grant_id)
    twice = min(grant.refunded, escrow.amount)
    if twice:
        assert grant.revocation is not None
        accounting.move(context, source, grant.revocation.by, twice)
        flows.moved(context, escrow.payer, grant.revocation.by, twice)
        grant = msgspec.structs.replace(grant, refunded=grant.refunded - twice)
    accounting.move(context, source, escrow.payer, escrow.amount - twice)
    return escrow.amount - twice, grant


def _undo_renewal(
    context: Context, grant_id: bytes, grant: Grant, end_ms: int, why: tuple[int, events.RefundReason]
) -> None:
    terms = require_terms(context.view, grant.terms)
    kept = None if terms.quota is None or grant.quota is None else max(grant.quota - terms.quota, grant.used)
    undone = msgspec.structs.replace(
        grant,
        end_ms=end_ms,
        terms_paid=grant.terms_paid - 1,
        renewed_from_ms=None,
        start_ms=min(grant.start_ms, end_ms),
    )
    if kept is not None:
        undone = usage.give_back(context, grant_id, undone, keep=(kept - grant.used) * terms.usage_price)
        undone = msgspec.structs.replace(undone, quota=kept)
    undone = usage.scheduled(context, grant_id, undone)
    quota.store(context, grant.organization, GRANTS, undone, grant_id, enforced=False)
    amount, reason = why
    context.emit(events.RenewalRefunded(grant_id, grant.asset, grant.licensee, amount, reason, end_ms))


def _free_predecessor(context: Context, predecessor: bytes, successor: bytes) -> None:
    """A successor was refunded: the grant before it may be renewed again."""
    before = require_grant(context.view, predecessor)
    if before.successor == successor:
        freed = msgspec.structs.replace(before, successor=None, superseded_at_ms=None)
        quota.store(context, before.organization, GRANTS, freed, predecessor, enforced=False)


def _return_edition(context: Context, grant: Grant) -> None:
    editions = EDITIONS.get(context.view, grant.asset, grant.terms)
    assert editions is not None
    asset = require_asset(context.view, grant.asset)
    returned = Editions(editions.issued, editions.outstanding - 1)
    quota.store(context, asset.organization, EDITIONS, returned, grant.asset, grant.terms, enforced=False)

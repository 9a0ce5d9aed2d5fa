"""Renewing a grant: a further term of the same one, or a successor under other terms."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_version
from ledger.modules.licenses import events, usage
from ledger.modules.licenses.grants import is_exhausted, require_grant, require_terms, state_at
from ledger.modules.licenses.operations import Renew, Terms
from ledger.modules.licenses.purchases import (
    Order,
    is_exempt,
    order_of,
    reserve,
    reveal,
    take_grant,
    take_payment,
)
from ledger.modules.licenses.records import GRANTS, Grant
from ledger.modules.licenses.standing import require_holdable
from ledger.modules.module import Context
from ledger.modules.organizations import quota

RENEWAL_GRACE_MS: Final = 7 * 86_400_000
"""How long after its end a grant can still be renewed, with its next term from that time on."""
_RENEWED_STATES: Final = frozenset({"scheduled", "active", "exhausted", "expired"})


def renew(context: Context, operation: Renew) -> None:
    """Renew under an open offer on the same asset. All checks of a purchase are made again."""
    grant = require_grant(context.view, operation.grant)
    if grant.licensee != context.sender:
        raise OperationError("licenses.not_licensee", "only its licensee renews a grant")
    terms = require_terms(context.view, grant.terms)
    from_ms = _next_term(context, grant, terms)
    order = order_of(context, operation)
    if order.offer.asset != grant.asset:
        raise OperationError("licenses.other_asset", "the offer is for another asset")
    if order.offer.terms == grant.terms:
        _extend(context, operation.grant, grant, order, from_ms)
    else:
        _succeed(context, operation.grant, grant, order, from_ms)


def _next_term(context: Context, grant: Grant, terms: Terms) -> int:
    """Return when the next term begins: where the grant ends, or now where it has ended or its quota is used."""
    now_ms = context.block_time_ms
    if not terms.renewable or grant.end_ms is None or terms.term_ms is None:
        raise OperationError("licenses.not_renewable", "the terms of the grant are not renewable")
    if grant.revocation is not None or grant.successor is not None:
        raise OperationError("licenses.not_renewable", "the grant is revoked, or has been renewed under other terms")
    state = state_at(grant, now_ms)
    if state not in _RENEWED_STATES:
        raise OperationError("licenses.not_renewable", f"the grant is {state}")
    if now_ms >= grant.end_ms + RENEWAL_GRACE_MS:
        raise OperationError(
            "licenses.renewal_too_late", f"it could be renewed until {grant.end_ms + RENEWAL_GRACE_MS}"
        )
    if grant.due_ms is not None:
        raise OperationError("licenses.payment_in_escrow", f"the payment before is in escrow until {grant.due_ms}")
    if now_ms >= grant.end_ms or is_exhausted(grant):
        return now_ms
    if now_ms < grant.end_ms - terms.term_ms:
        earliest_ms = grant.end_ms - terms.term_ms
        raise OperationError("licenses.renewal_too_early", f"the next term can be bought from {earliest_ms} on")
    return grant.end_ms


def _extend(context: Context, grant_id: bytes, grant: Grant, order: Order, from_ms: int) -> None:
    """Add a term to the grant: same token, same edition. What is left of its quota stays."""
    now_ms, terms = context.block_time_ms, order.terms
    if require_version(context.view, order.offer.asset, order.offer.version).available_at_ms is None:
        raise OperationError("licenses.not_available", "no quorum of validators holds the offered version yet")
    assert grant.end_ms is not None
    assert terms.term_ms is not None
    in_escrow = terms.dispute_window_ms > 0
    extended = msgspec.structs.replace(
        grant,
        start_ms=grant.start_ms if now_ms <= grant.end_ms else now_ms,
        end_ms=max(grant.end_ms, from_ms + terms.term_ms),
        due_ms=now_ms + terms.dispute_window_ms if in_escrow else None,
        renewed_from_ms=grant.end_ms if in_escrow else None,
        exempt=is_exempt(context, grant.asset),
        quota=None if terms.quota is None or grant.quota is None else grant.quota + terms.quota,
        terms_paid=grant.terms_paid + 1,
    )
    require_holdable(context, grant_id, extended, terms, context.sender)
    reveal(context, order, needed=terms.exclusivity == "exclusive")
    take_payment(context, grant_id, extended, order.asset)
    usage.deposit(context, grant_id, terms)
    extended = usage.scheduled(context, grant_id, extended)
    if terms.exclusivity != "none":
        reserve(context, grant_id, extended)
    quota.store(context, grant.organization, GRANTS, extended, grant_id)
    assert extended.end_ms is not None
    context.emit(
        events.Renewed(
            grant=grant_id,
            offer=order.offer_id,
            asset=grant.asset,
            licensee=grant.licensee,
            price=terms.price,
            start_ms=from_ms,
            end_ms=extended.end_ms,
        )
    )


def _succeed(context: Context, grant_id: bytes, grant: Grant, order: Order, from_ms: int) -> None:
    """Buy a grant under other terms that begins where this one ends. What was paid for this one is used up first."""
    successor, _ = take_grant(context, order, from_ms, predecessor=grant_id)
    superseded = msgspec.structs.replace(grant, successor=successor, superseded_at_ms=from_ms)
    quota.store(context, grant.organization, GRANTS, superseded, grant_id)
    context.emit(events.Superseded(grant_id, grant.asset, successor, from_ms))

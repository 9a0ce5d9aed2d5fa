"""Buying a grant: every check again, then payment and grant in one step."""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger.errors import OperationError
from ledger.modules.assets.commitments import CommitmentBook
from ledger.modules.assets.reads import ownership, require_tradable, require_version
from ledger.modules.assets.records import Asset, version_part
from ledger.modules.assets.takedowns import require_up
from ledger.modules.credits import accounting
from ledger.modules.fields import MARKER
from ledger.modules.licenses import events, usage
from ledger.modules.licenses.grants import is_live, require_grant, require_terms
from ledger.modules.licenses.inheritance import check_inherited
from ledger.modules.licenses.offers import require_offer
from ledger.modules.licenses.operations import Claim, Commit, Purchase, Renew, Terms, grant_id, purchase_commitment
from ledger.modules.licenses.records import (
    EDITIONS,
    GRANTS,
    GRANTS_BY_ASSET,
    GRANTS_BY_LICENSEE,
    RESERVING,
    RESERVING_MAX,
    WAITING,
    WAITING_MAX,
    Editions,
    Grant,
    OfferRecord,
)
from ledger.modules.licenses.settlement import ESCROW_DUE, period, step
from ledger.modules.licenses.standing import require_holdable
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.modules.royalties import payments

COMMITMENTS: Final = CommitmentBook("licenses", b"purchase/")


class Order(NamedTuple):
    """What is bought, once the offer's conditions are met."""

    offer_id: bytes
    offer: OfferRecord
    asset: Asset
    terms: Terms
    salt: bytes | None


def commit(context: Context, operation: Commit) -> None:
    """Commit to a purchase that must not be copied."""
    COMMITMENTS.add(context, operation.commitment)
    context.emit(events.Committed(context.sender, operation.commitment))


def purchase(context: Context, operation: Purchase) -> None:
    """Buy under an offer. The price goes to owners, ancestors and treasury at once, or waits in escrow."""
    take_grant(context, order_of(context, operation), context.block_time_ms)


def claim(context: Context, operation: Claim) -> None:
    """Do what a deadline would do, from its time on. Helps where more deadlines are due than a block sweeps."""
    grant = require_grant(context.view, operation.grant)
    due_ms = [at_ms for at_ms in (grant.due_ms, grant.usage_due_ms) if at_ms is not None]
    if not due_ms:
        raise OperationError("licenses.nothing_in_escrow", "the grant has neither a payment in escrow nor a deposit")
    if context.block_time_ms < min(due_ms):
        raise OperationError("licenses.not_due", f"the escrow is due at {min(due_ms)}")
    if grant.due_ms is not None and context.block_time_ms >= grant.due_ms:
        quota.cancel(context, grant.organization, grant.due_ms, ESCROW_DUE, operation.grant)
        step(context, operation.grant, grant)
        grant = require_grant(context.view, operation.grant)
    if grant.usage_due_ms is not None and context.block_time_ms >= grant.usage_due_ms:
        unscheduled = usage.unscheduled(context, operation.grant, grant)
        returned = usage.give_back(context, operation.grant, unscheduled)
        quota.store(context, grant.organization, GRANTS, returned, operation.grant, enforced=False)


def order_of(context: Context, operation: Purchase | Renew) -> Order:
    """Return the order that an operation places, after the checks of its offer: open, of the present owner, the terms
    and price that the sender saw, for the sender, and what the asset's ancestors allow.

    Raises:
        OperationError: `licenses.*`, `assets.*`.
    """
    offer = require_offer(context, operation.offer)
    asset = require_tradable(context.view, offer.asset)
    terms = require_terms(context.view, offer.terms)
    if context.block_time_ms >= offer.expires_at_ms:
        raise OperationError("licenses.offer_expired", f"the offer expired at {offer.expires_at_ms}")
    if offer.transfers != asset.transfers:
        raise OperationError("licenses.offer_void", "the asset has changed hands since the offer")
    require_up(context.view, require_version(context.view, offer.asset, offer.version))
    if operation.terms_digest != offer.terms:
        raise OperationError("licenses.terms_mismatch", "the offer is under other terms")
    if terms.price > operation.price_max:
        raise OperationError("licenses.price_above_max", f"the price is {terms.price}")
    check_inherited(context.view, offer.asset, asset, terms)
    if offer.buyer is not None and offer.buyer != context.sender:
        raise OperationError("licenses.not_the_buyer", "the offer names another buyer")
    return Order(operation.offer, offer, asset, terms, operation.salt)


def take_grant(
    context: Context, order: Order, active_from_ms: int, predecessor: bytes | None = None
) -> tuple[bytes, Grant]:
    """Make and pay a new grant that begins at `active_from_ms` at the earliest; return it with its id.

    Raises:
        OperationError: `licenses.*`, `royalties.uncovered`, `credits.insufficient`, or the quota.
    """
    offer, asset, terms = order.offer, order.asset, order.terms
    editions = EDITIONS.get(context.view, offer.asset, offer.terms) or Editions()
    if terms.editions_max is not None and editions.outstanding >= terms.editions_max:
        raise OperationError("licenses.sold_out", f"all {terms.editions_max} editions are sold")
    identifier = grant_id(context.transaction_id, order.offer_id)
    # Made from the transaction's id, which no other block has executed.
    if context.view.changed(GRANTS.key(identifier)):
        raise OperationError("licenses.grant_exists", "one transaction buys once under one offer")
    grant = _new_grant(context, order, editions.issued + 1, active_from_ms, predecessor)
    require_holdable(context, identifier, grant, terms, context.sender)
    last = terms.editions_max is not None and editions.outstanding == terms.editions_max - 1
    reveal(context, order, needed=last or terms.exclusivity == "exclusive")
    bought = Editions(editions.issued + 1, editions.outstanding + 1)
    quota.store(context, asset.organization, EDITIONS, bought, offer.asset, offer.terms)
    take_payment(context, identifier, grant, asset)
    usage.deposit(context, identifier, terms)
    if terms.usage_price and grant.state == "active":
        grant = usage.scheduled(context, identifier, grant)
    _write_grant(context, identifier, grant, terms)
    context.emit(
        events.Purchased(
            grant=identifier,
            offer=order.offer_id,
            asset=offer.asset,
            terms=offer.terms,
            licensee=context.sender,
            edition=grant.edition,
            price=grant.price,
            state="escrowed" if grant.state == "escrowed" else "active",
        )
    )
    return identifier, grant


def reveal(context: Context, order: Order, *, needed: bool) -> None:
    """Use up the sender's commitment to the offer.

    Raises:
        OperationError: `licenses.commitment_*`.
    """
    if order.salt is not None:
        COMMITMENTS.reveal(context, purchase_commitment(order.offer_id, context.sender, order.salt))
    elif needed:
        raise OperationError(
            "licenses.commitment_required", "an exclusive grant or a last edition is bought by commitment and reveal"
        )


def is_exempt(context: Context, asset: bytes) -> bool:
    """Tell whether the sender pays within its own organization, where no least royalties are due. Several owners are of
    no one organization."""
    owners = ownership(context.view, asset).shares
    return len(owners) == 1 and organization_of(context.view, owners[0].account) == sender_organization(context)


def take_payment(context: Context, identifier: bytes, grant: Grant, asset: Asset) -> None:
    """Take the price of a term from the sender: at once, or into escrow with the deadline that ends it."""
    if grant.due_ms is None:
        source = context.sender
        payments.pay(context, grant.asset, asset.organization, source, grant.price, payer=source, exempt=grant.exempt)
        return
    fee_bps = context.parameters.fee_bps
    if not payments.covers(context.view, grant.asset, grant.price, fee_bps, exempt=grant.exempt):
        raise OperationError("royalties.uncovered", "the price does not cover the least royalties")
    accounting.hold(context, identifier, context.sender, grant.price)
    quota.schedule(context, grant.organization, grant.due_ms, ESCROW_DUE, identifier)


def reserve(context: Context, identifier: bytes, grant: Grant) -> None:
    """Index a sole or exclusive grant, and forget those of the asset that have ended.

    Raises:
        OperationError: `licenses.too_many_reserving`.
    """
    live = 0
    for known in [key for key, _ in RESERVING.items(context.view, grant.asset) if key != identifier]:
        record = require_grant(context.view, known)
        if is_live(record, context.block_time_ms):
            live += 1
        else:
            quota.remove(context, record.organization, RESERVING, grant.asset, known)
    if live >= RESERVING_MAX:
        raise OperationError("licenses.too_many_reserving", f"{live} sole or exclusive grants are live")
    quota.store(context, grant.organization, RESERVING, MARKER, grant.asset, identifier)


def _new_grant(context: Context, order: Order, edition: int, active_from_ms: int, predecessor: bytes | None) -> Grant:
    """Make the grant, escrowed where the version is not available yet. Its payment has not moved."""
    now_ms, offer, terms = context.block_time_ms, order.offer, order.terms
    available = require_version(context.view, offer.asset, offer.version).available_at_ms is not None
    start_ms, end_ms = period(terms, active_from_ms)
    due_ms = now_ms + terms.dispute_window_ms if terms.dispute_window_ms else None
    if end_ms is not None and end_ms <= start_ms:
        raise OperationError("licenses.term_over", f"the license would have ended at {end_ms}")
    if not available:
        due_ms = now_ms + context.parameters.escrow_timeout_ms
        end_ms = period(terms, max(due_ms, active_from_ms))[1]
    return Grant(
        asset=offer.asset,
        version=offer.version,
        terms=offer.terms,
        offer=order.offer_id,
        licensee=context.sender,
        organization=sender_organization(context),
        edition=edition,
        price=terms.price,
        state="active" if available else "escrowed",
        granted_at_ms=now_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        due_ms=due_ms,
        exempt=is_exempt(context, offer.asset),
        quota=terms.quota,
        predecessor=predecessor,
    )


def _write_grant(context: Context, identifier: bytes, grant: Grant, terms: Terms) -> None:
    organization = grant.organization
    quota.create(
        context,
        organization,
        (GRANTS, grant, (identifier,)),
        (GRANTS_BY_LICENSEE, MARKER, (grant.licensee, grant.asset, identifier)),
        (GRANTS_BY_ASSET, MARKER, (grant.asset, identifier)),
    )
    if terms.exclusivity != "none":
        reserve(context, identifier, grant)
    if grant.state == "escrowed":
        part = version_part(grant.version)
        waiting = sum(1 for _ in WAITING.items(context.view, grant.asset, part))
        if waiting >= WAITING_MAX:
            raise OperationError("licenses.too_many_waiting", f"{waiting} buyers already wait for this version")
        quota.store(context, organization, WAITING, MARKER, grant.asset, part, identifier)

"""Buying a grant: every check again, then payment and grant in one step."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.commitments import CommitmentBook
from ledger.modules.assets.reads import ownership, require_tradable, require_version
from ledger.modules.assets.records import Asset, Share, version_part
from ledger.modules.credits import accounting
from ledger.modules.fields import MARKER
from ledger.modules.licenses import events
from ledger.modules.licenses.grants import colliding_grant, is_live, require_grant, require_terms
from ledger.modules.licenses.inheritance import check_inherited
from ledger.modules.licenses.offers import require_offer
from ledger.modules.licenses.operations import Claim, Commit, Purchase, Terms, grant_id, purchase_commitment
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
from ledger.modules.licenses.terms import ORGANIZATION_CREDENTIAL
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.modules.royalties import payments

COMMITMENTS: Final = CommitmentBook("licenses", b"purchase/")


def commit(context: Context, operation: Commit) -> None:
    """Commit to a purchase that must not be copied."""
    COMMITMENTS.add(context, operation.commitment)
    context.emit(events.Committed(context.sender, operation.commitment))


def purchase(context: Context, operation: Purchase) -> None:
    """Buy under an offer. The price goes to owners, ancestors and treasury at once, or waits in escrow."""
    offer = require_offer(context, operation.offer)
    asset = require_tradable(context.view, offer.asset)
    terms = require_terms(context.view, offer.terms)
    _check_offer(context, operation, offer, asset, terms)
    owners = ownership(context.view, offer.asset).shares
    organization = sender_organization(context)
    _check_buyer(context, offer, terms, owners, organization)
    editions = EDITIONS.get(context.view, offer.asset, offer.terms) or Editions()
    if terms.editions_max is not None and editions.outstanding >= terms.editions_max:
        raise OperationError("licenses.sold_out", f"all {terms.editions_max} editions are sold")
    identifier = grant_id(context.transaction_id, operation.offer)
    # Made from the transaction's id, which no other block has executed.
    if context.view.changed(GRANTS.key(identifier)):
        raise OperationError("licenses.grant_exists", "one transaction buys once under one offer")
    # Several owners are of no one organization.
    exempt = len(owners) == 1 and organization_of(context.view, owners[0].account) == organization
    grant = _new_grant(context, operation.offer, offer, terms, _Buyer(organization, exempt, editions.issued + 1))
    _check_collision(context, grant, terms)
    last = terms.editions_max is not None and editions.outstanding == terms.editions_max - 1
    if operation.salt is not None:
        COMMITMENTS.reveal(context, purchase_commitment(operation.offer, context.sender, operation.salt))
    elif last or terms.exclusivity == "exclusive":
        raise OperationError(
            "licenses.commitment_required", "an exclusive grant or a last edition is bought by commitment and reveal"
        )
    bought = Editions(editions.issued + 1, editions.outstanding + 1)
    quota.store(context, asset.organization, EDITIONS, bought, offer.asset, offer.terms)
    _take_payment(context, identifier, grant, asset)
    _write_grant(context, identifier, grant, terms)
    context.emit(
        events.Purchased(
            grant=identifier,
            offer=operation.offer,
            asset=offer.asset,
            terms=offer.terms,
            licensee=context.sender,
            edition=grant.edition,
            price=grant.price,
            state="escrowed" if grant.state == "escrowed" else "active",
        )
    )


def claim(context: Context, operation: Claim) -> None:
    """Do what a deadline would do, from its time on. Helps where more deadlines are due than a block sweeps."""
    grant = require_grant(context.view, operation.grant)
    if grant.due_ms is None:
        raise OperationError("licenses.nothing_in_escrow", "the grant has no payment in escrow")
    if context.block_time_ms < grant.due_ms:
        raise OperationError("licenses.not_due", f"the escrow is due at {grant.due_ms}")
    quota.cancel(context, grant.organization, grant.due_ms, ESCROW_DUE, operation.grant)
    step(context, operation.grant, grant)


def _check_offer(context: Context, operation: Purchase, offer: OfferRecord, asset: Asset, terms: Terms) -> None:
    if context.block_time_ms >= offer.expires_at_ms:
        raise OperationError("licenses.offer_expired", f"the offer expired at {offer.expires_at_ms}")
    if offer.transfers != asset.transfers:
        raise OperationError("licenses.offer_void", "the asset has changed hands since the offer")
    if operation.terms_digest != offer.terms:
        raise OperationError("licenses.terms_mismatch", "the offer is under other terms")
    if terms.price > operation.price_max:
        raise OperationError("licenses.price_above_max", f"the price is {terms.price}")
    check_inherited(context.view, offer.asset, asset, terms)


def _check_buyer(
    context: Context, offer: OfferRecord, terms: Terms, owners: tuple[Share, ...], organization: str
) -> None:
    if offer.buyer is not None and offer.buyer != context.sender:
        raise OperationError("licenses.not_the_buyer", "the offer names another buyer")
    if any(share.account == context.sender for share in owners):
        raise OperationError("licenses.self_purchase", "an owner of the asset cannot buy a license on it")
    wanted = [code for code in terms.credentials if code.startswith(ORGANIZATION_CREDENTIAL)]
    if wanted and ORGANIZATION_CREDENTIAL + organization not in wanted:
        raise OperationError("licenses.credential_missing", f"the terms ask for one of {wanted}")


class _Buyer(NamedTuple):
    """What of a grant depends on who buys, and when."""

    organization: str
    exempt: bool
    edition: int


def _new_grant(context: Context, offer_identifier: bytes, offer: OfferRecord, terms: Terms, buyer: _Buyer) -> Grant:
    """Make the grant, escrowed where the version is not available yet. Its payment has not moved."""
    now_ms = context.block_time_ms
    available = require_version(context.view, offer.asset, offer.version).available_at_ms is not None
    start_ms, end_ms = period(terms, now_ms)
    due_ms = now_ms + terms.dispute_window_ms if terms.dispute_window_ms else None
    if not available:
        due_ms = now_ms + context.parameters.escrow_timeout_ms
        end_ms = period(terms, due_ms)[1]
    if end_ms is not None and end_ms <= now_ms:
        raise OperationError("licenses.term_over", f"the license would have ended at {end_ms}")
    return Grant(
        asset=offer.asset,
        version=offer.version,
        terms=offer.terms,
        offer=offer_identifier,
        licensee=context.sender,
        organization=buyer.organization,
        edition=buyer.edition,
        price=terms.price,
        state="active" if available else "escrowed",
        granted_at_ms=now_ms,
        start_ms=start_ms,
        end_ms=end_ms,
        due_ms=due_ms,
        exempt=buyer.exempt,
    )


def _check_collision(context: Context, grant: Grant, terms: Terms) -> None:
    now_ms = context.block_time_ms
    other = colliding_grant(context.view, grant.asset, terms, grant.start_ms, grant.end_ms, now_ms)
    if other is not None:
        raise OperationError("licenses.collision", f"grant {other.hex()} excludes this one, or this one excludes it")


def _take_payment(context: Context, identifier: bytes, grant: Grant, asset: Asset) -> None:
    """Pay at once, or into escrow with the deadline that ends it."""
    if grant.due_ms is None:
        source = context.sender
        payments.pay(context, grant.asset, asset.organization, source, grant.price, exempt=grant.exempt)
        return
    fee_bps = context.parameters.fee_bps
    if not payments.covers(context.view, grant.asset, grant.price, fee_bps, exempt=grant.exempt):
        raise OperationError("royalties.uncovered", "the price does not cover the least royalties")
    accounting.hold(context, identifier, context.sender, grant.price)
    quota.schedule(context, grant.organization, grant.due_ms, ESCROW_DUE, identifier)


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
        _reserve(context, identifier, grant)
    if grant.state == "escrowed":
        part = version_part(grant.version)
        waiting = sum(1 for _ in WAITING.items(context.view, grant.asset, part))
        if waiting >= WAITING_MAX:
            raise OperationError("licenses.too_many_waiting", f"{waiting} buyers already wait for this version")
        quota.store(context, organization, WAITING, MARKER, grant.asset, part, identifier)


def _reserve(context: Context, identifier: bytes, grant: Grant) -> None:
    """Index a sole or exclusive grant, and forget those of the asset that have ended."""
    live = 0
    for known in [key for key, _ in RESERVING.items(context.view, grant.asset)]:
        record = require_grant(context.view, known)
        if is_live(record, require_terms(context.view, record.terms), context.block_time_ms):
            live += 1
        else:
            quota.remove(context, record.organization, RESERVING, grant.asset, known)
    if live >= RESERVING_MAX:
        raise OperationError("licenses.too_many_reserving", f"{live} sole or exclusive grants are live")
    quota.store(context, grant.organization, RESERVING, MARKER, grant.asset, identifier)


def use_training(context: Context, identifier: bytes) -> None:
    """Count one training against a quota of trainings."""
    grant = require_grant(context.view, identifier)
    if require_terms(context.view, grant.terms).quota_unit == "trainings":
        used = msgspec.structs.replace(grant, used=grant.used + 1)
        quota.store(context, grant.organization, GRANTS, used, identifier)

"""Offering licenses."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset, require_tradable, require_version
from ledger.modules.assets.takedowns import require_up
from ledger.modules.charters.reading import require_unguarded
from ledger.modules.fields import MARKER
from ledger.modules.licenses import events
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.licenses.inheritance import check_inherited
from ledger.modules.licenses.operations import ApproveDerivatives, Offer, WithdrawOffer, offer_id, terms_digest
from ledger.modules.licenses.records import GRANTS, OFFERS, OFFERS_BY_ASSET, TERMS, OfferRecord
from ledger.modules.licenses.terms import check_terms
from ledger.modules.lifetimes import require_lifetime
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import require_party, sender_organization

OFFER_EXPIRY: Final = "licenses.offer_expiry"


def offer(context: Context, operation: Offer) -> None:
    """Offer licenses under checked terms. Terms are kept for ever under their digest: grants refer to them."""
    asset = require_tradable(context.view, operation.asset)
    if asset.manager != context.sender:
        raise OperationError("licenses.not_manager", "only the asset's manager offers licenses")
    require_unguarded(context.view, operation.asset, "terms")
    open_offer(context, operation)


def open_offer(context: Context, operation: Offer) -> None:
    """Offer licenses in the name of the sender, the asset's manager, which may.

    Raises:
        OperationError: `assets.*`, `licenses.*`, or the quota.
    """
    asset = require_tradable(context.view, operation.asset)
    check_terms(operation.terms)
    check_inherited(context.view, operation.asset, asset, operation.terms)
    if operation.buyer is not None:
        require_party(context.view, operation.buyer, "licenses.invalid_buyer")
    version = asset.versions if operation.version is None else operation.version
    require_up(context.view, require_version(context.view, operation.asset, version))
    require_lifetime(context, operation.expires_at_ms, "licenses.expiry_out_of_range", "an offer expires")
    digest = terms_digest(operation.terms)
    identifier = offer_id(context.transaction_id, operation.asset, digest, operation.buyer)
    if OFFERS.get(context.view, identifier) is not None:
        raise OperationError("licenses.offer_exists", "one transaction makes one such offer")
    organization, tally = sender_organization(context), quota.Tally(context)
    if TERMS.get(context.view, digest) is None:
        tally.put(organization, TERMS.key(digest), None, operation.terms)
    record = OfferRecord(
        asset=operation.asset,
        version=version,
        terms=digest,
        maker=context.sender,
        organization=organization,
        buyer=operation.buyer,
        transfers=asset.transfers,
        made_at_ms=context.block_time_ms,
        expires_at_ms=operation.expires_at_ms,
    )
    tally.put(organization, OFFERS.key(identifier), None, record)
    tally.put(organization, OFFERS_BY_ASSET.key(operation.asset, identifier), None, MARKER)
    tally.schedule(organization, operation.expires_at_ms, OFFER_EXPIRY, identifier)
    tally.settle()
    price = operation.terms.price
    context.emit(events.Offered(identifier, operation.asset, version, digest, price, operation.expires_at_ms))


def withdraw_offer(context: Context, operation: WithdrawOffer) -> None:
    """End an offer before it expires. Grants bought under it stay."""
    record = require_offer(context, operation.offer)
    asset = require_asset(context.view, record.asset)
    if context.sender not in (record.maker, asset.manager):
        raise OperationError("licenses.not_manager", "only the asset's manager or the offer's maker may withdraw it")
    require_unguarded(context.view, record.asset, "terms")
    end_offer(context, operation.offer, record)


def end_offer(context: Context, identifier: bytes, record: OfferRecord) -> None:
    """Remove an offer before it expires, for whoever may."""
    quota.cancel(context, record.organization, record.expires_at_ms, OFFER_EXPIRY, identifier)
    _remove(context, identifier, record)
    context.emit(events.OfferWithdrawn(identifier, record.asset))


def on_offer_expired(context: Context, subject: bytes) -> None:
    """Deadline: remove an offer."""
    record = OFFERS.get(context.view, subject)
    assert record is not None  # a withdrawal cancels the deadline
    quota.swept(context, record.organization)
    _remove(context, subject, record)


def approve_derivatives(context: Context, operation: ApproveDerivatives) -> None:
    """Approve that a grant is used for derivatives."""
    grant = require_grant(context.view, operation.grant)
    asset = require_asset(context.view, grant.asset)
    if asset.manager != context.sender:
        raise OperationError("licenses.not_manager", "only the asset's manager approves derivatives")
    terms = require_terms(context.view, grant.terms)
    if terms.derivatives != "on-approval" or grant.approved or grant.state == "refunded":
        raise OperationError("licenses.nothing_to_approve", "the grant waits for no approval")
    approved = msgspec.structs.replace(grant, approved=True)
    quota.store(context, grant.organization, GRANTS, approved, operation.grant)
    context.emit(events.DerivativesApproved(operation.grant, grant.asset))


def require_offer(context: Context, offer: bytes) -> OfferRecord:
    """Return an offer's record. Raises `licenses.unknown_offer`, also when it has been withdrawn or has expired."""
    record = OFFERS.get(context.view, offer)
    if record is None:
        raise OperationError("licenses.unknown_offer", f"no open offer {offer.hex()}")
    return record


def _remove(context: Context, identifier: bytes, record: OfferRecord) -> None:
    quota.remove(context, record.organization, OFFERS, identifier)
    quota.remove(context, record.organization, OFFERS_BY_ASSET, record.asset, identifier)

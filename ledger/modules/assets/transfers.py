"""Handing an asset over: offer and acceptance. Nothing arrives unaccepted, and the asset is locked meanwhile.

Until votes of co-owners exist only a sole owner hands over. What an earlier owner has offered is void afterwards;
grants stay.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import events
from ledger.modules.assets.operations import AcceptTransfer, OfferGift, OfferTransfer, WithdrawTransfer
from ledger.modules.assets.reads import require_asset, require_sole_owner, require_tradable, require_version
from ledger.modules.assets.records import (
    ASSETS,
    BY_OWNER,
    OWNERSHIP,
    TRANSFERS,
    Asset,
    Ownership,
    PendingTransfer,
    Share,
)
from ledger.modules.credits import accounting
from ledger.modules.credits.records import escrow_holder
from ledger.modules.fields import AMOUNT_MAX, BPS, MARKER
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, require_party, require_unfrozen, same_organization
from ledger.modules.royalties import payments, pools
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

TRANSFER_EXPIRY: Final = "assets.transfer_expiry"


def transfer_id(transaction_id: bytes, asset: bytes) -> Digest:
    """Return the id of the transfer or gift that a transaction offers; known before it is sent."""
    return tagged_hash("asset-transfer", encode((transaction_id, asset)))


def offer_transfer(context: Context, operation: OfferTransfer) -> None:
    """Offer the asset for a price."""
    if not 1 <= operation.price <= AMOUNT_MAX:
        raise OperationError(
            "assets.price", "a sale has a price; without one it is a gift, offered by its own operation"
        )
    asset = _check_offer(context, operation.asset, operation.recipient, operation.expires_at_ms)
    if not asset.commercial:
        raise OperationError("assets.non_commercial", "an ancestor's license is not commercial: it cannot be sold")
    identifier = _open(context, operation, asset, operation.price, 0)
    context.emit(
        events.TransferOffered(
            identifier, operation.asset, context.sender, operation.recipient, operation.price, operation.expires_at_ms
        )
    )


def offer_gift(context: Context, operation: OfferGift) -> None:
    """Offer the asset as a gift. The least royalties that creators and ancestors are due are put into escrow now."""
    asset = _check_offer(context, operation.asset, operation.recipient, operation.expires_at_ms)
    if not asset.transfer_terms.gifts:
        raise OperationError("assets.gifts_forbidden", "the asset's transfer terms forbid gifts")
    exempt = same_organization(context.view, context.sender, operation.recipient)
    royalty = payments.gift_royalty(context.view, operation.asset, asset.transfer_terms, exempt=exempt)
    identifier = _open(context, operation, asset, 0, royalty)
    accounting.hold(context, identifier, context.sender, royalty)
    context.emit(
        events.GiftOffered(identifier, operation.asset, context.sender, operation.recipient, operation.expires_at_ms)
    )


def accept_transfer(context: Context, operation: AcceptTransfer) -> None:
    """Take the asset over: all checks again, then price, royalties, shares and manager in one step."""
    pending = _require_transfer(context, operation.transfer)
    if pending.recipient != context.sender:
        raise OperationError("assets.not_the_recipient", "the transfer is offered to another account")
    if context.block_time_ms >= pending.expires_at_ms:
        raise OperationError("assets.transfer_expired", f"the offer expired at {pending.expires_at_ms}")
    if pending.price > operation.price_max:
        raise OperationError("assets.price_above_max", f"the price is {pending.price}")
    require_unfrozen(context, pending.giver)
    asset = require_asset(context.view, pending.asset)
    require_sole_owner(context.view, pending.asset, pending.giver)
    if pending.price:
        _sell(context, pending, asset)
    else:
        _give(context, operation.transfer, pending, asset)
    _end(context, operation.transfer, pending)
    _hand_over(context, pending)
    context.emit(events.Transferred(operation.transfer, pending.asset, pending.giver, pending.recipient, pending.price))


def withdraw_transfer(context: Context, operation: WithdrawTransfer) -> None:
    """Withdraw (the giver) or decline (the recipient)."""
    pending = _require_transfer(context, operation.transfer)
    if context.sender not in (pending.giver, pending.recipient):
        raise OperationError("assets.not_a_party", "only giver and recipient may end the transfer")
    _give_up(context, operation.transfer, pending)
    _end(context, operation.transfer, pending)


def on_transfer_expired(context: Context, subject: bytes) -> None:
    """Deadline: give up a transfer that was not accepted."""
    pending = _require_transfer(context, subject)
    quota.swept(context, organization_of(context.view, pending.giver))
    _give_up(context, subject, pending)
    _close(context, subject, pending)


def _check_offer(context: Context, asset_id: bytes, recipient: bytes, expires_at_ms: int) -> Asset:
    asset = require_tradable(context.view, asset_id)
    require_sole_owner(context.view, asset_id, context.sender)
    if recipient == context.sender:
        raise OperationError("assets.self_transfer", "the recipient is the sender")
    require_party(context.view, recipient, "assets.invalid_recipient")
    latest_ms = context.block_time_ms + context.parameters.offer_lifetime_ms_max
    if not context.block_time_ms < expires_at_ms <= latest_ms:
        raise OperationError(
            "assets.expiry_out_of_range", f"an offer expires after {context.block_time_ms} and by {latest_ms}"
        )
    return asset


def _open(
    context: Context, operation: OfferTransfer | OfferGift, asset: Asset, price: int, royalty_held: int
) -> Digest:
    """Record the pending transfer, lock the asset and set the deadline."""
    identifier = transfer_id(context.transaction_id, operation.asset)
    if TRANSFERS.get(context.view, identifier) is not None:
        raise OperationError("assets.transfer_exists", "one transaction offers an asset once")
    pending = PendingTransfer(
        asset=operation.asset,
        giver=context.sender,
        recipient=operation.recipient,
        price=price,
        royalty_held=royalty_held,
        offered_at_ms=context.block_time_ms,
        expires_at_ms=operation.expires_at_ms,
    )
    organization = organization_of(context.view, context.sender)
    quota.store(context, organization, TRANSFERS, pending, identifier)
    quota.schedule(context, organization, operation.expires_at_ms, TRANSFER_EXPIRY, identifier)
    locked = msgspec.structs.replace(asset, pending_transfer=identifier)
    quota.store(context, asset.organization, ASSETS, locked, operation.asset)
    return identifier


def _sell(context: Context, pending: PendingTransfer, asset: Asset) -> None:
    latest = require_version(context.view, pending.asset, asset.versions)
    if latest.available_at_ms is None:
        raise OperationError("assets.not_available", "no quorum of validators holds the latest version yet")
    exempt = same_organization(context.view, pending.giver, pending.recipient)
    payments.pay_resale(
        context,
        payments.Resale(pending.asset, asset, buyer=pending.recipient, seller=pending.giver, price=pending.price),
        exempt=exempt,
    )


def _give(context: Context, identifier: bytes, pending: PendingTransfer, asset: Asset) -> None:
    """Pay the least royalties from what the giver put aside; where caps were met meanwhile, the rest returns."""
    exempt = same_organization(context.view, pending.giver, pending.recipient)
    accounting.open_escrow(context, identifier)
    source = escrow_holder(identifier)
    terms = asset.transfer_terms
    payments.pay_gift(context, pending.asset, asset.organization, terms, source, exempt=exempt)
    accounting.move(context, source, pending.giver, accounting.balance(context.view, source))


def _give_up(context: Context, identifier: bytes, pending: PendingTransfer) -> None:
    if not pending.price:
        accounting.refund(context, identifier)
    context.emit(events.TransferEnded(identifier, pending.asset))


def _end(context: Context, identifier: bytes, pending: PendingTransfer) -> None:
    organization = organization_of(context.view, pending.giver)
    quota.cancel(context, organization, pending.expires_at_ms, TRANSFER_EXPIRY, identifier)
    _close(context, identifier, pending)


def _close(context: Context, identifier: bytes, pending: PendingTransfer) -> None:
    """Remove the pending transfer and unlock the asset; its deadline is gone already."""
    quota.remove(context, organization_of(context.view, pending.giver), TRANSFERS, identifier)
    asset = require_asset(context.view, pending.asset)
    unlocked = msgspec.structs.replace(asset, pending_transfer=None)
    quota.store(context, asset.organization, ASSETS, unlocked, pending.asset)


def _hand_over(context: Context, pending: PendingTransfer) -> None:
    asset = require_asset(context.view, pending.asset)
    pools.move_share(context, pending.asset, (pending.giver, BPS), (pending.recipient, 0), BPS)
    transfers = asset.transfers + 1
    changed = msgspec.structs.replace(asset, manager=pending.recipient, transfers=transfers)
    quota.store(context, asset.organization, ASSETS, changed, pending.asset)
    owners = Ownership((Share(pending.recipient, BPS),), context.block_time_ms, transfers)
    quota.store(context, asset.organization, OWNERSHIP, owners, pending.asset)
    quota.remove(context, asset.organization, BY_OWNER, pending.giver, pending.asset)
    quota.store(context, asset.organization, BY_OWNER, MARKER, pending.recipient, pending.asset)


def _require_transfer(context: Context, identifier: bytes) -> PendingTransfer:
    pending = TRANSFERS.get(context.view, identifier)
    if pending is None:
        raise OperationError("assets.unknown_transfer", f"no pending transfer {identifier.hex()}")
    return pending

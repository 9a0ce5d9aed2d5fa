"""Offer and acceptance. Nothing arrives unaccepted, and what is offered is locked meanwhile."""

from __future__ import annotations

from typing import Final

from ledger.errors import OperationError
from ledger.modules.assets.reads import require_asset
from ledger.modules.credits import accounting
from ledger.modules.credits.records import escrow_holder
from ledger.modules.fields import MARKER
from ledger.modules.lifetimes import require_lifetime
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of
from ledger.modules.transfers import conveyance, events
from ledger.modules.transfers.conveyance import Conveyance
from ledger.modules.transfers.operations import Accept, Offer, OfferGift, Withdraw, transfer_id
from ledger.modules.transfers.records import BY_PARTY, TRANSFERS, PendingTransfer
from ledger.modules.transfers.things import asset_of, lock, require_offerable, unlock
from primitives.digest import Digest

TRANSFER_EXPIRY: Final = "transfers.expiry"


def offer(context: Context, operation: Offer) -> None:
    """Offer for a price."""
    require_offerable(context, operation.thing, operation, for_price=True)
    _open(context, operation, operation.price, 0)


def offer_gift(context: Context, operation: OfferGift) -> None:
    """Offer as a gift. The least royalties that are due are put into escrow now."""
    thing = operation.thing
    require_offerable(context, thing, operation, for_price=False)
    if thing.kind != "grant" and not require_asset(context.view, thing.id).transfer_terms.gifts:
        raise OperationError("transfers.gifts_forbidden", "the asset's transfer terms forbid gifts")
    planned = Conveyance(thing, context.sender, operation.recipient)
    conveyance.require_recipient(context, planned)
    royalty = conveyance.gift_royalty(context.view, planned)
    identifier = _open(context, operation, 0, royalty)
    accounting.hold(context, identifier, context.sender, royalty)


def accept(context: Context, operation: Accept) -> None:
    """Take over: all checks again, then price, royalties and the thing itself in one step."""
    identifier = operation.transfer
    pending = _require_transfer(context, identifier)
    if pending.recipient != context.sender:
        raise OperationError("transfers.not_the_recipient", "it is offered to another account")
    if context.block_time_ms >= pending.expires_at_ms:
        raise OperationError("transfers.expired", f"the offer expired at {pending.expires_at_ms}")
    if pending.price > operation.price_max:
        raise OperationError("transfers.price_above_max", f"the price is {pending.price}")
    _end(context, identifier, pending)
    agreed = Conveyance(pending.thing, pending.giver, pending.recipient)
    if pending.price:
        conveyance.sell(context, agreed, pending.price, context.sender)
    else:
        # Where caps were met since the offer, a part of what was put aside returns.
        accounting.open_escrow(context, identifier)
        source = escrow_holder(identifier)
        conveyance.give(context, agreed, source)
        accounting.move(context, source, pending.giver, accounting.balance(context.view, source))
    context.emit(events.Accepted(identifier, pending.asset, pending.price))


def withdraw(context: Context, operation: Withdraw) -> None:
    """Withdraw (the giver) or decline (the recipient)."""
    pending = _require_transfer(context, operation.transfer)
    if context.sender not in (pending.giver, pending.recipient):
        raise OperationError("transfers.not_a_party", "only giver and recipient may end the transfer")
    _end(context, operation.transfer, pending)
    _give_up(context, operation.transfer, pending)


def on_expired(context: Context, subject: bytes) -> None:
    """Deadline: give up a transfer that was not accepted."""
    pending = TRANSFERS.get(context.view, subject)
    assert pending is not None  # whatever ends a transfer cancels its deadline
    quota.swept(context, organization_of(context.view, pending.giver))
    _close(context, subject, pending)
    _give_up(context, subject, pending)


def _open(context: Context, operation: Offer | OfferGift, price: int, royalty_held: int) -> Digest:
    """Record the pending transfer, lock the thing and set the deadline."""
    require_lifetime(context, operation.expires_at_ms, "transfers.expiry_out_of_range", "an offer expires")
    thing, giver = operation.thing, context.sender
    conveyance.require_recipient(context, Conveyance(thing, giver, operation.recipient))
    identifier = transfer_id(context.transaction_id, thing)
    if TRANSFERS.get(context.view, identifier) is not None:
        raise OperationError("transfers.transfer_exists", "one transaction offers a thing once")
    pending = PendingTransfer(
        thing=thing,
        asset=asset_of(context.view, thing),
        giver=giver,
        recipient=operation.recipient,
        price=price,
        royalty_held=royalty_held,
        offered_at_ms=context.block_time_ms,
        expires_at_ms=operation.expires_at_ms,
    )
    organization = organization_of(context.view, giver)
    quota.store(context, organization, TRANSFERS, pending, identifier)
    for party in (giver, operation.recipient):
        quota.store(context, organization, BY_PARTY, MARKER, party, identifier)
    quota.schedule(context, organization, operation.expires_at_ms, TRANSFER_EXPIRY, identifier)
    lock(context, thing, giver, identifier)
    context.emit(
        events.Offered(
            transfer=identifier,
            kind=thing.kind,
            id=thing.id,
            bps=thing.bps,
            asset=pending.asset,
            giver=giver,
            recipient=operation.recipient,
            price=price,
            expires_at_ms=operation.expires_at_ms,
        )
    )
    return identifier


def _give_up(context: Context, identifier: bytes, pending: PendingTransfer) -> None:
    if not pending.price:
        accounting.refund(context, identifier)
    context.emit(events.Ended(identifier, pending.asset))


def _end(context: Context, identifier: bytes, pending: PendingTransfer) -> None:
    organization = organization_of(context.view, pending.giver)
    quota.cancel(context, organization, pending.expires_at_ms, TRANSFER_EXPIRY, identifier)
    _close(context, identifier, pending)


def _close(context: Context, identifier: bytes, pending: PendingTransfer) -> None:
    """Remove the pending transfer and open its lock; its deadline is gone already."""
    organization = organization_of(context.view, pending.giver)
    quota.remove(context, organization, TRANSFERS, identifier)
    for party in (pending.giver, pending.recipient):
        quota.remove(context, organization, BY_PARTY, party, identifier)
    unlock(context, pending.thing, pending.giver)


def _require_transfer(context: Context, identifier: bytes) -> PendingTransfer:
    pending = TRANSFERS.get(context.view, identifier)
    if pending is None:
        raise OperationError("transfers.unknown_transfer", f"no pending transfer {identifier.hex()}")
    return pending

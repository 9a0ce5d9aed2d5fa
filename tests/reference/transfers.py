"""Offer and acceptance of assets, shares and grants."""

from __future__ import annotations

from typing import Any

from ledger.modules.transfers import operations as ops
from tests.reference import assets, royalties
from tests.reference.credits import escrow_name, give_back, hold, move
from tests.reference.state import Call, drop_deadline, need, set_deadline
from tests.reference.things import (
    Move,
    asset_of,
    check_offerable,
    check_recipient,
    due_for,
    give,
    plain,
    sell,
)


def offer(call: Call, operation: ops.Offer) -> None:
    check_offerable(call, plain(operation.thing), operation, True)
    open_transfer(call, operation, operation.price, 0)


def offer_gift(call: Call, operation: ops.OfferGift) -> None:
    """The giver puts the least royalties aside."""
    state, thing = call.state, plain(operation.thing)
    check_offerable(call, thing, operation, False)
    need(thing[0] == "grant" or state.assets[thing[1]]["gifts"], "transfers.gifts_forbidden")
    planned = Move(thing, call.sender, operation.recipient)
    check_recipient(state, planned)
    royalty = royalties.gift_royalty(state, due_for(state, planned))
    identifier = open_transfer(call, operation, 0, royalty)
    hold(state, identifier, call.sender, royalty)


def open_transfer(call: Call, operation: ops.Offer | ops.OfferGift, price: int, royalty: int) -> bytes:
    state, thing = call.state, plain(operation.thing)
    assets.check_expiry(call, operation.expires_at_ms, "transfers.expiry_out_of_range")
    check_recipient(state, Move(thing, call.sender, operation.recipient))
    identifier = ops.transfer_id(call.id, operation.thing)
    need(identifier not in state.transfers, "transfers.transfer_exists")
    state.transfers[identifier] = {
        "thing": thing,
        "asset": asset_of(state, thing),
        "holder": call.sender,
        "recipient": operation.recipient,
        "price": price,
        "royalty": royalty,
        "expires": operation.expires_at_ms,
    }
    set_deadline(state, operation.expires_at_ms, "transfers.expiry", identifier, call.organization)
    return identifier


def pending_transfer(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.transfers, "transfers.unknown_transfer")
    pending: dict[str, Any] = state.transfers[identifier]
    return pending


def accept(call: Call, operation: ops.Accept) -> None:
    state = call.state
    pending = pending_transfer(state, operation.transfer)
    need(pending["recipient"] == call.sender, "transfers.not_the_recipient")
    need(call.now < pending["expires"], "transfers.expired")
    need(pending["price"] <= operation.price_max, "transfers.price_above_max")
    close(call, operation.transfer)
    agreed = Move(pending["thing"], pending["holder"], pending["recipient"])
    if pending["price"]:
        sell(state, agreed, pending["price"], call.sender)
        return
    source = escrow_name(operation.transfer)
    del state.escrows[operation.transfer]
    give(state, agreed, source)
    move(state, source, pending["holder"], state.balances.get(source, 0))


def close(call: Call, identifier: bytes) -> None:
    """End a transfer; its deadline may have been what ended it."""
    deadline = (call.state.transfers.pop(identifier)["expires"], "transfers.expiry", identifier)
    if deadline in call.state.deadlines:
        drop_deadline(call.state, *deadline)


def give_up(call: Call, identifier: bytes) -> None:
    if not call.state.transfers[identifier]["price"]:
        give_back(call.state, identifier)
    close(call, identifier)


def withdraw(call: Call, operation: ops.Withdraw) -> None:
    pending = pending_transfer(call.state, operation.transfer)
    need(call.sender in (pending["holder"], pending["recipient"]), "transfers.not_a_party")
    give_up(call, operation.transfer)


OPERATIONS = {ops.Offer: offer, ops.OfferGift: offer_gift, ops.Accept: accept, ops.Withdraw: withdraw}
DEADLINES = {"transfers.expiry": give_up}

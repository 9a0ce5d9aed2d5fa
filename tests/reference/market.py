"""The market: listings, buyers' offers, English and Dutch auctions. What is put up is locked, what is bid in escrow."""

from __future__ import annotations

from typing import Any

from ledger.modules.market import operations as ops
from primitives.codec import encode
from primitives.digest import tagged_hash
from tests.reference.assets import check_expiry, manageable
from tests.reference.credits import escrow_name, give_back, hold
from tests.reference.grants import end_of, outstanding
from tests.reference.locks import Thing, locked_bps
from tests.reference.state import (
    Call,
    Refused,
    commit,
    copy_of,
    drop_deadline,
    forget_commitment,
    need,
    organization_of,
    return_to,
    reveal,
    set_deadline,
)
from tests.reference.things import (
    Move,
    asset_of,
    check_available,
    check_movable,
    check_offerable,
    check_recipient,
    holders_of,
    plain,
    sell,
)

KINDS = {"listings": "market.listing_expiry", "auctions": "market.auction_end"}


# --- what a price was named for


def condition_of(state: Any, thing: Thing) -> dict[str, Any]:
    """All that could make a thing worth less than when its price was named; no value returns to an earlier one."""
    condition = dict.fromkeys(ops.Condition.__struct_fields__, 0) | {"duties": None, "end_ms": None}
    kind, subject, _ = thing
    if kind == "grant":
        grant = state.grants[subject]
        ends = [end for end in (end_of(grant), grant["superseded_at"]) if end is not None]
        return condition | {"used": grant["used"], "end_ms": min(ends, default=None)}
    asset = state.assets[subject]
    licensed = [grant["terms"] for grant in state.grants.values() if grant["asset"] == subject]
    condition["transfers"] = asset["transfers"]
    charter = state.charters.get(subject)
    spent = 0 if kind == "asset" or charter is None else charter["spent"]
    condition["duties"] = duties_of(asset, None if charter is None else (charter["revision"], spent))
    condition["reserved"] = sum(state.terms[terms]["exclusivity"] != "none" for terms in licensed)
    if kind == "asset":
        condition |= {"versions": len(asset["versions"]), "terms": len(set(licensed))}
    return condition


def duties_of(asset: dict[str, Any], decided: tuple[int, int] | None) -> bytes:
    owed = tuple(
        (ancestor, entry["rate"], entry["cap"], entry["least"]) for ancestor, entry in sorted(asset["stack"].items())
    )
    return bytes(tagged_hash("market-duties", encode((owed, tuple(sorted(asset["denied"])), decided))))


def check_condition(state: Any, thing: Thing, condition: dict[str, Any]) -> None:
    need(condition_of(state, thing) == condition, "market.condition_changed")


# --- what all sales have in common


def check_stranger(state: Any, thing: Thing, seller: bytes, buyer: bytes) -> None:
    sellers = [organization_of(state, one) for one in holders_of(state, thing, seller)]
    need(organization_of(state, buyer) not in sellers, "market.own_organization")


def check_sellable(call: Call, thing: Thing, operation: Any) -> None:
    check_offerable(call, thing, operation, True)
    check_available(call.state, thing)


def put_up(call: Call, table: str, identifier: bytes, thing: Thing, ends: int, price: dict[str, Any]) -> None:
    state = call.state
    rows = getattr(state, table)
    need(identifier not in rows, "market.sale_exists")
    rows[identifier] = {
        "thing": thing,
        "asset": asset_of(state, thing),
        "holder": call.sender,
        "opened": call.now,
        "ends": ends,
        "condition": condition_of(state, thing),
        **price,
    }
    set_deadline(state, ends, KINDS[table], identifier, call.organization)


def take_down(call: Call, table: str, identifier: bytes) -> dict[str, Any]:
    """End a sale; its deadline may have been what ended it."""
    sale: dict[str, Any] = getattr(call.state, table).pop(identifier)
    deadline = (sale["ends"], KINDS[table], identifier)
    if deadline in call.state.deadlines:
        drop_deadline(call.state, *deadline)
    return sale


def check_buyable(call: Call, sale: dict[str, Any]) -> None:
    check_stranger(call.state, sale["thing"], sale["holder"], call.sender)
    check_condition(call.state, sale["thing"], sale["condition"])


def only_one(state: Any, thing: Thing) -> bool:
    """Whether there is no other of its kind to buy, so that nobody may see a purchase and be first."""
    kind, subject, _ = thing
    if kind != "grant":
        return kind == "asset"
    grant = state.grants[subject]
    terms = state.terms[grant["terms"]]
    most = terms["editions_max"]
    sold_out = most is not None and outstanding(state, grant["asset"], grant["terms"]) >= most
    return bool(terms["exclusivity"] == "exclusive" or sold_out)


def reveal_purchase(call: Call, sale: bytes, thing: Thing, salt: bytes | None) -> None:
    if salt is not None:
        reveal(call, "market", ops.commitment(sale, call.sender, salt))
    else:
        need(not only_one(call.state, thing), "market.commitment_required")


# --- listings


def list_for_sale(call: Call, operation: ops.List) -> None:
    check_expiry(call, operation.expires_at_ms, "market.end_out_of_range")
    check_sellable(call, plain(operation.thing), operation)
    open_listing(call, operation)


def list_by_vote(call: Call, operation: ops.List) -> None:
    """A whole asset, in the name of who has proposed it."""
    state, thing = call.state, plain(operation.thing)
    check_expiry(call, operation.expires_at_ms, "market.end_out_of_range")
    need(thing[1] not in state.sales, "charters.sale_pending")
    manageable(state, thing[1])
    need(not locked_bps(state, thing[1]), "transfers.shares_locked")
    check_movable(state, thing, call.sender, True)
    check_available(state, thing)
    open_listing(call, operation)


def open_listing(call: Call, operation: ops.List) -> None:
    thing = plain(operation.thing)
    identifier = ops.listing_id(call.id, operation.thing)
    put_up(call, "listings", identifier, thing, operation.expires_at_ms, {"price": operation.price})


def known_listing(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.listings, "market.unknown_listing")
    listing: dict[str, Any] = state.listings[identifier]
    return listing


def buy(call: Call, operation: ops.Buy) -> None:
    listing = known_listing(call.state, operation.listing)
    need(call.now < listing["ends"], "market.listing_expired")
    need(listing["price"] <= operation.price_max, "market.price_above_max")
    buy_now(call, "listings", operation.listing, listing["price"], operation.salt)


def buy_now(call: Call, table: str, identifier: bytes, price: int, salt: bytes | None) -> None:
    sale = getattr(call.state, table)[identifier]
    check_buyable(call, sale)
    reveal_purchase(call, identifier, sale["thing"], salt)
    take_down(call, table, identifier)
    sell(call.state, Move(sale["thing"], sale["holder"], call.sender), price, call.sender)


def withdraw_listing(call: Call, operation: ops.WithdrawListing) -> None:
    listing = known_listing(call.state, operation.listing)
    need(listing["holder"] == call.sender, "market.not_the_seller")
    take_down(call, "listings", operation.listing)


# --- buyers' offers


def make_offer(call: Call, operation: ops.MakeOffer) -> None:
    state = call.state
    check_expiry(call, operation.expires_at_ms, "market.end_out_of_range")
    thing = plain(operation.thing)
    need((thing[0] == "share") == (operation.holder is not None), "market.holder")
    asset = asset_of(state, thing)
    holder = operation.holder or holder_of(state, thing)
    check_movable(state, thing, holder, True)
    check_stranger(state, thing, holder, call.sender)
    check_recipient(state, Move(thing, holder, call.sender))
    condition = {name: getattr(operation.condition, name) for name in operation.condition.__struct_fields__}
    check_condition(state, thing, condition)
    identifier = ops.offer_id(call.id, operation.thing, operation.holder)
    need(identifier not in state.buyers_offers, "market.offer_exists")
    hold(state, identifier, call.sender, operation.price)
    state.buyers_offers[identifier] = {
        "thing": thing,
        "asset": asset,
        "holder": operation.holder,
        "buyer": call.sender,
        "price": operation.price,
        "expires": operation.expires_at_ms,
        "condition": condition,
    }
    set_deadline(state, operation.expires_at_ms, "market.offer_expiry", identifier, call.organization)


def holder_of(state: Any, thing: Thing) -> bytes:
    if thing[0] == "grant":
        return bytes(state.grants[thing[1]]["licensee"])
    return bytes(min(state.assets[thing[1]]["shares"]))


def known_offer(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.buyers_offers, "market.unknown_offer")
    offer: dict[str, Any] = state.buyers_offers[identifier]
    return offer


def accept_offer(call: Call, operation: ops.AcceptOffer) -> None:
    state = call.state
    offer = known_offer(state, operation.offer)
    need(call.now < offer["expires"], "market.offer_expired")
    need(operation.price_min <= offer["price"], "market.price_below_min")
    need(offer["holder"] in (None, call.sender), "market.not_the_holder")
    check_offerable(call, offer["thing"], operation, True)
    check_stranger(state, offer["thing"], call.sender, offer["buyer"])
    check_condition(state, offer["thing"], offer["condition"])
    close_offer(call, operation.offer)
    sell_from_escrow(state, operation.offer, Move(offer["thing"], call.sender, offer["buyer"]))


def sell_from_escrow(state: Any, identifier: bytes, agreed: Move, *, voted: bool = False) -> None:
    _, price = state.escrows.pop(identifier)
    sell(state, agreed, price, escrow_name(identifier), voted=voted)


def close_offer(call: Call, identifier: bytes) -> None:
    deadline = (call.state.buyers_offers.pop(identifier)["expires"], "market.offer_expiry", identifier)
    if deadline in call.state.deadlines:
        drop_deadline(call.state, *deadline)


def withdraw_offer(call: Call, operation: ops.WithdrawOffer) -> None:
    need(known_offer(call.state, operation.offer)["buyer"] == call.sender, "market.not_the_buyer")
    end_offer(call, operation.offer)


def end_offer(call: Call, identifier: bytes) -> None:
    close_offer(call, identifier)
    give_back(call.state, identifier)


# --- auctions


def open_auction(call: Call, operation: ops.OpenAuction) -> None:
    """English: ascending bids, the best one in escrow."""
    check_expiry(call, operation.ends_at_ms, "market.end_out_of_range")
    length = operation.ends_at_ms - call.now
    need(operation.extension_ms <= length, "market.extension_out_of_range")
    thing = plain(operation.thing)
    check_sellable(call, thing, operation)
    english = {
        "format": "english",
        "reserve": operation.reserve,
        "increment": operation.increment,
        "extension": operation.extension_ms,
        "hard_end": call.now + 2 * length,
        "best": None,
    }
    put_up(call, "auctions", ops.auction_id(call.id, operation.thing), thing, operation.ends_at_ms, english)


def open_dutch_auction(call: Call, operation: ops.OpenDutchAuction) -> None:
    """Dutch: the price falls until somebody takes it."""
    check_expiry(call, operation.ends_at_ms, "market.end_out_of_range")
    need(operation.floor_price < operation.start_price, "market.floor_price")
    thing = plain(operation.thing)
    check_sellable(call, thing, operation)
    dutch = {
        "format": "dutch",
        "start_price": operation.start_price,
        "floor": operation.floor_price,
        "steps": operation.steps,
    }
    put_up(call, "auctions", ops.auction_id(call.id, operation.thing), thing, operation.ends_at_ms, dutch)


def known_auction(state: Any, identifier: bytes) -> dict[str, Any]:
    need(identifier in state.auctions, "market.unknown_auction")
    auction: dict[str, Any] = state.auctions[identifier]
    return auction


def best_amount(auction: dict[str, Any]) -> int:
    return 0 if auction["best"] is None else int(auction["best"][1])


def bid(call: Call, operation: ops.Bid) -> None:
    state, identifier = call.state, operation.auction
    auction = known_auction(state, identifier)
    need(auction["format"] == "english", "market.not_english")
    need(call.now < auction["ends"], "market.auction_over")
    check_buyable(call, auction)
    need(operation.amount >= best_amount(auction) + auction["increment"], "market.bid_too_low")
    check_movable(state, auction["thing"], auction["holder"], True)
    check_available(state, auction["thing"])
    check_recipient(state, Move(auction["thing"], auction["holder"], call.sender))
    if auction["best"] is not None:
        give_back(state, identifier)
    hold(state, identifier, call.sender, operation.amount)
    auction["best"] = (call.sender, operation.amount, call.now)
    # Against sniping: bids near the end move it, up to twice the auction's length.
    ends = max(auction["ends"], min(call.now + auction["extension"], auction["hard_end"]))
    drop_deadline(state, auction["ends"], "market.auction_end", identifier)
    auction["ends"] = ends
    seller = organization_of(state, auction["holder"])
    set_deadline(state, ends, "market.auction_end", identifier, seller)


def price_at(auction: dict[str, Any], now: int) -> int:
    """The time has steps + 1 equal parts, and the price is one step lower in each; never below the exact price."""
    length, steps = auction["ends"] - auction["opened"], auction["steps"]
    part = (now - auction["opened"]) * (steps + 1) // length
    return int(auction["start_price"] - (auction["start_price"] - auction["floor"]) * part // steps)


def take(call: Call, operation: ops.Take) -> None:
    auction = known_auction(call.state, operation.auction)
    need(auction["format"] == "dutch", "market.not_dutch")
    need(call.now < auction["ends"], "market.auction_over")
    price = price_at(auction, call.now)
    need(price <= operation.price_max, "market.price_above_max")
    buy_now(call, "auctions", operation.auction, price, operation.salt)


def cancel_auction(call: Call, operation: ops.CancelAuction) -> None:
    auction = known_auction(call.state, operation.auction)
    need(auction["holder"] == call.sender, "market.not_the_seller")
    need(auction.get("best") is None, "market.has_bid")
    take_down(call, "auctions", operation.auction)


def settle(call: Call, operation: ops.Settle) -> None:
    auction = known_auction(call.state, operation.auction)
    need(auction["ends"] <= call.now, "market.auction_running")
    conclude(call, operation.auction)


def conclude(call: Call, identifier: bytes) -> None:
    """Sell to the best bidder; where that cannot be, the bid returns. Nothing here fails."""
    auction = take_down(call, "auctions", identifier)
    if auction.get("best") is None:
        return
    bidder, amount, _ = auction["best"]
    before = copy_of(call.state)
    try:
        need(amount >= auction["reserve"], "market.reserve_not_reached")
        check_condition(call.state, auction["thing"], auction["condition"])
        sell_from_escrow(call.state, identifier, Move(auction["thing"], auction["holder"], bidder))
    except Refused:
        return_to(call.state, before)
        give_back(call.state, identifier)


OPERATIONS = {
    ops.Commit: lambda call, operation: commit(call, "market", operation.commitment),
    ops.List: list_for_sale,
    ops.Buy: buy,
    ops.WithdrawListing: withdraw_listing,
    ops.MakeOffer: make_offer,
    ops.AcceptOffer: accept_offer,
    ops.WithdrawOffer: withdraw_offer,
    ops.OpenAuction: open_auction,
    ops.Bid: bid,
    ops.OpenDutchAuction: open_dutch_auction,
    ops.Take: take,
    ops.CancelAuction: cancel_auction,
    ops.Settle: settle,
}
DEADLINES = {
    "market.commitment_expiry": lambda call, subject: forget_commitment(call, "market", subject),
    "market.listing_expiry": lambda call, subject: take_down(call, "listings", subject),
    "market.auction_end": conclude,
    "market.offer_expiry": end_offer,
}

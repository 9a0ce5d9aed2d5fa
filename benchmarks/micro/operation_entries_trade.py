"""What `operation_costs` measures of transfers, the market and disputes, as `operation_entries_core` does of what they
stand on.

What changes hands is a whole asset that its seller has bought before, so that royalties are due to who made it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from benchmarks.micro.operation_entry import METERED, TERMS, Ready, entry
from benchmarks.micro.operation_world import SALT, World
from ledger.modules.assets.operations import TransferTerms
from ledger.modules.credits.accounting import balance
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.disputes.records import bond_due, debt_id
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS

PRICE: Final = 1_000


def _bought(world: World) -> Thing:
    """An asset that birch has bought from alder, its creator."""
    asset = world.register("alder", "work", transfer_terms=TransferTerms(resale_royalty_bps=500, least_royalty=10))
    thing = Thing("asset", asset)
    offer = transfers.Offer(thing, world.accounts["birch"], PRICE, world.now_ms + DAY_MS)
    world.do("birch", transfers.Accept(transfers.transfer_id(world.do("alder", offer), thing), PRICE))
    return thing


# --- transfers


@entry("transfers.offer")
def _offer(world: World) -> Ready:
    offer = transfers.Offer(_bought(world), world.accounts["cedar"], PRICE, world.now_ms + DAY_MS)
    return Ready(world.accounts["birch"], offer)


@entry("transfers.offer_gift", "with a royalty put aside")
def _offer_gift(world: World) -> Ready:
    gift = transfers.OfferGift(_bought(world), world.accounts["cedar"], world.now_ms + DAY_MS)
    return Ready(world.accounts["birch"], gift)


def _offered(world: World, ready: Ready) -> bytes:
    return transfers.transfer_id(world.do(ready.sender, ready.operation), ready.operation.thing)


@entry("transfers.accept")
def _accept(world: World) -> Ready:
    return Ready(world.accounts["cedar"], transfers.Accept(_offered(world, _offer(world)), PRICE))


@entry("transfers.accept", "of a gift")
def _accept_gift(world: World) -> Ready:
    return Ready(world.accounts["cedar"], transfers.Accept(_offered(world, _offer_gift(world)), 0))


@entry("transfers.accept", "of a grant")
def _accept_grant(world: World) -> Ready:
    thing = Thing("grant", world.license("alder", world.register("alder", "work"), "birch", METERED))
    offer = transfers.Offer(thing, world.accounts["cedar"], PRICE, world.now_ms + DAY_MS)
    return Ready(
        world.accounts["cedar"], transfers.Accept(_offered(world, Ready(world.accounts["birch"], offer)), PRICE)
    )


@entry("transfers.withdraw")
def _withdraw(world: World) -> Ready:
    return Ready(world.accounts["birch"], transfers.Withdraw(_offered(world, _offer_gift(world))))


# --- market


@entry("market.commit")
def _commit(world: World) -> Ready:
    return Ready(world.accounts["cedar"], market.Commit(bytes(32)))


@entry("market.list")
def _list(world: World) -> Ready:
    return Ready(world.accounts["birch"], market.List(_bought(world), PRICE, world.now_ms + DAY_MS))


def _listed(world: World) -> bytes:
    ready = _list(world)
    return market.listing_id(world.do(ready.sender, ready.operation), ready.operation.thing)


def _committed(world: World, sale: bytes) -> bytes:
    """Commit for cedar to a sale."""
    world.do("cedar", market.Commit(market.commitment(sale, world.accounts["cedar"], SALT)))
    return sale


@entry("market.buy")
def _buy(world: World) -> Ready:
    return Ready(world.accounts["cedar"], market.Buy(_committed(world, _listed(world)), PRICE, SALT))


@entry("market.withdraw_listing")
def _withdraw_listing(world: World) -> Ready:
    return Ready(world.accounts["birch"], market.WithdrawListing(_listed(world)))


@entry("market.make_offer")
def _make_offer(world: World) -> Ready:
    thing = _bought(world)
    condition = condition_of(world.view, thing)
    return Ready(world.accounts["cedar"], market.MakeOffer(thing, PRICE, world.now_ms + DAY_MS, condition))


def _made(world: World) -> bytes:
    ready = _make_offer(world)
    return market.offer_id(world.do(ready.sender, ready.operation), ready.operation.thing)


@entry("market.accept_offer")
def _accept_offer(world: World) -> Ready:
    return Ready(world.accounts["birch"], market.AcceptOffer(_made(world)))


@entry("market.withdraw_offer")
def _withdraw_offer(world: World) -> Ready:
    return Ready(world.accounts["cedar"], market.WithdrawOffer(_made(world)))


@entry("market.open_auction")
def _open_auction(world: World) -> Ready:
    auction = market.OpenAuction(_bought(world), PRICE, 10, world.now_ms + DAY_MS, DAY_MS)
    return Ready(world.accounts["birch"], auction)


@entry("market.open_dutch_auction")
def _open_dutch_auction(world: World) -> Ready:
    auction = market.OpenDutchAuction(_bought(world), PRICE, 10, 100, world.now_ms + DAY_MS)
    return Ready(world.accounts["birch"], auction)


def _opened(world: World, ready: Ready) -> bytes:
    return market.auction_id(world.do(ready.sender, ready.operation), ready.operation.thing)


def _auction_with_bid(world: World) -> bytes:
    auction = _opened(world, _open_auction(world))
    world.do("cedar", market.Bid(auction, PRICE))
    return auction


@entry("market.bid", "above another, late")
def _bid(world: World) -> Ready:
    auction = _auction_with_bid(world)
    world.now_ms += DAY_MS // 2
    return Ready(world.accounts["dogwood"], market.Bid(auction, PRICE + 10))


@entry("market.cancel_auction")
def _cancel_auction(world: World) -> Ready:
    return Ready(world.accounts["birch"], market.CancelAuction(_opened(world, _open_auction(world))))


@entry("market.settle", "that sells")
def _settle(world: World) -> Ready:
    auction = _auction_with_bid(world)
    world.now_ms += 2 * DAY_MS
    return Ready(world.accounts["alder"], market.Settle(auction))


@entry("market.take")
def _take(world: World) -> Ready:
    auction = _committed(world, _opened(world, _open_dutch_auction(world)))
    return Ready(world.accounts["cedar"], market.Take(auction, PRICE, SALT))


# --- disputes


@entry("disputes.file", "for a refund")
def _file(world: World) -> Ready:
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=30 * DAY_MS)
    grant = world.license("alder", world.register("alder", "work"), "birch", terms)
    return Ready(world.accounts["birch"], _claim(world, Subject("grant", grant), "refund", terms.price))


_GROUNDS: Final[dict[disputes.Relief, disputes.Ground]] = {"refund": "wrong-content", "payment": "unpaid"}


def _claim(world: World, subject: Subject, relief: disputes.Relief, amount: int) -> disputes.File:
    ground = _GROUNDS.get(relief, "infringement")
    bond = bond_due(amount, world.parameters.dispute_bond_min)
    return disputes.File(subject, ground, relief, amount, bond, world.artifact("evidence").cid)


def _filed(world: World, ready: Ready) -> bytes:
    return disputes.dispute_id(world.do(ready.sender, ready.operation), ready.operation.subject)


@entry("disputes.answer", "with a bond")
def _answer(world: World) -> Ready:
    return Ready(world.accounts["alder"], disputes.Answer(_filed(world, _file(world)), True))


def _voted(world: World, dispute: bytes) -> Ready:
    """Let the time for an answer pass, and the first of two arbiters vote; the second one decides."""
    world.advance(world.parameters.dispute_answer_ms)
    world.do("cedar", disputes.Vote(dispute, True))
    return Ready(world.accounts["dogwood"], disputes.Vote(dispute, True))


@entry("disputes.vote", "that decides")
def _vote(world: World) -> Ready:
    return _voted(world, _filed(world, _file(world)))


def _upheld(world: World, ready: Ready) -> bytes:
    dispute = _filed(world, ready)
    last = _voted(world, dispute)
    world.do(last.sender, last.operation)
    return dispute


@entry("disputes.appeal")
def _appeal(world: World) -> Ready:
    claim = _file(world)
    return Ready(world.accounts["alder"], disputes.Appeal(_upheld(world, claim), 2 * claim.operation.bond))


@entry("disputes.lift")
def _lift(world: World) -> Ready:
    asset = world.register("alder", "work")
    claim = Ready(world.accounts["birch"], _claim(world, Subject("asset", asset), "freeze_sales", 0))
    dispute = _upheld(world, claim)
    world.advance(world.parameters.dispute_appeal_ms)
    return Ready(claim.sender, disputes.Lift(dispute))


@entry("disputes.collect")
def _collect(world: World) -> Ready:
    """alder claims what birch has used; birch can pay only later."""
    grant = world.license("alder", world.register("alder", "work"), "birch", TERMS)
    claim = Ready(world.accounts["alder"], _claim(world, Subject("grant", grant), "payment", PRICE))
    dispute, debtor = _upheld(world, claim), world.accounts["birch"]
    world.do("birch", Transfer(world.accounts["dogwood"], balance(world.view, debtor)))
    world.advance(world.parameters.dispute_appeal_ms)
    world.do("dogwood", Transfer(debtor, PRICE))
    return Ready(world.accounts["alder"], disputes.Collect(debt_id(dispute, debtor)))

"""English and Dutch auctions: bids in escrow, extension, the end, and what becomes of what cannot be conveyed."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import LedgerError
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.dutch import price_at
from ledger.modules.market.records import AUCTIONS, Auction, Dutch
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from tests.unit.market_kit import EXCLUSIVE, HOUR_MS, TOKEN, Bazaar, replaced, tags
from tests.unit.modules_kit import SUPPLY_EACH, make_genesis


def _shown(bazaar: Bazaar, auction: bytes) -> Any:
    return bazaar.query("market.auction", auction=auction.hex())


def _a_thing(bazaar: Bazaar, kind: str) -> tuple[Thing, str]:
    """A thing of a kind and its holder."""
    if kind == "asset":
        return bazaar.whole, "alice"
    return (bazaar.share(4_000), "alice") if kind == "share" else (bazaar.grant("bob"), "bob")


# --- English


@pytest.mark.parametrize("kind", ["asset", "share", "grant"])
def test_the_best_bid_wins_at_the_end(kind: str) -> None:
    bazaar = Bazaar()
    before_any = bazaar.used()
    thing, seller = _a_thing(bazaar, kind)
    before = bazaar.balance(seller)
    auction = bazaar.auction(seller, thing)
    bazaar.do("carol", market.Bid(auction, 500))
    events = bazaar.do("dave", market.Bid(auction, 600))
    assert tags(events) == ["market.bid_returned", "market.bid_placed"]
    assert (events[0].bidder, events[0].amount, events[0].code) == (bazaar.accounts["carol"], 500, "market.outbid")
    assert bazaar.balance("carol") == SUPPLY_EACH
    assert bazaar.balance("dave") == SUPPLY_EACH - 600
    bazaar.check_laws()
    events = bazaar.advance(DAY_MS)
    assert tags(events)[-2:] == ["transfers.conveyed", "market.auction_settled"]
    assert bazaar.balance(seller) == before + 585
    if kind == "grant":
        assert bazaar.holder(thing) == "dave"
    else:
        assert bazaar.owners()["dave"] == (10_000 if kind == "asset" else 4_000)
        assert {name: use.deadlines for name, use in bazaar.used().items()} == {
            name: use.deadlines for name, use in before_any.items()
        }
    bazaar.check_laws()


@pytest.mark.parametrize(
    ("best", "amount", "accepted"),
    [(0, 99, False), (0, 100, True), (500, 500, False), (500, 599, False), (500, 600, True), (500, 10**9, True)],
)
def test_every_bid_is_an_increment_above_the_best(best: int, amount: int, accepted: bool) -> None:
    """An equal bid loses: the first one stays."""
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole)
    if best:
        bazaar.do("bob", market.Bid(auction, best))
    assert _shown(bazaar, auction).english.least_bid == best + 100
    if accepted:
        bazaar.do("carol", market.Bid(auction, amount))
    else:
        bazaar.refused("market.bid_too_low", "carol", market.Bid(auction, amount))


def test_who_raises_its_own_bid_needs_the_difference_only() -> None:
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole)
    bazaar.do("bob", market.Bid(auction, SUPPLY_EACH - 200))
    bazaar.refused("market.bid_too_low", "bob", market.Bid(auction, SUPPLY_EACH - 200))
    bazaar.do("bob", market.Bid(auction, SUPPLY_EACH))
    assert bazaar.balance("bob") == 0
    bazaar.refused("credits.insufficient", "bob", market.Bid(auction, SUPPLY_EACH + 100))
    bazaar.check_laws()


def test_no_bid_is_above_what_its_bidder_has() -> None:
    """E2, E5: and whoever was best stays best."""
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole)
    bazaar.do("bob", market.Bid(auction, 1_000))
    for amount in (SUPPLY_EACH + 1, 2**63 - 1):
        bazaar.refused("credits.insufficient", "carol", market.Bid(auction, amount))
    assert _shown(bazaar, auction).english.best_bidder == bazaar.text("bob")
    bazaar.check_laws()


def test_when_the_next_bid_would_be_no_amount_the_best_one_stays() -> None:
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole, increment=2**63 - 1, reserve=0)
    for who in ("bob", "carol"):
        bazaar.refused("credits.insufficient", who, market.Bid(auction, 2**63 - 1))
    bazaar.advance(DAY_MS)
    assert not bazaar.locked()


def test_bids_of_the_sellers_organization_are_refused() -> None:
    """E6. The attack: a colleague bids the price up."""
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole)
    for who in ("alice", "alan"):
        bazaar.refused("market.own_organization", who, market.Bid(auction, 1_000))


def test_bids_of_any_owners_organization_are_refused() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 1))
    operation = market.OpenAuction(bazaar.whole, 1, 1, bazaar.now_ms + DAY_MS, 0)
    bazaar.refused("assets.consent_missing", "alice", operation)
    bazaar.consent("bob", operation)
    bazaar.do("alice", operation)
    auction = market.auction_id(bazaar.transaction_id, bazaar.whole)
    for who in ("alan", "bob"):
        bazaar.refused("market.own_organization", who, market.Bid(auction, 1_000))
    bazaar.do("carol", market.Bid(auction, 10_000))
    bazaar.advance(DAY_MS)
    assert bazaar.owners() == {"carol": 10_000}
    assert bazaar.owed("alice", bazaar.asset) == 9_749
    bazaar.check_laws()


def test_a_co_owner_may_bid_for_the_share_of_another() -> None:
    bazaar = Bazaar()
    bazaar.co_owned(("bob", 4_000))
    auction = bazaar.auction("alice", bazaar.share(6_000))
    bazaar.do("bob", market.Bid(auction, 1_000))
    bazaar.advance(DAY_MS)
    assert bazaar.owners() == {"bob": 10_000}


# --- the end, and how it moves


@pytest.mark.parametrize(
    ("before_end_ms", "moved_ms"),
    [
        (HOUR_MS + 1, 0),
        (HOUR_MS, 0),
        (HOUR_MS - 1, 1),
        (1, HOUR_MS - 1),
    ],
)
def test_a_bid_near_the_end_moves_it(before_end_ms: int, moved_ms: int) -> None:
    """The attack: to bid in the last millisecond, when nobody can answer."""
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole)
    end_ms = _shown(bazaar, auction).ends_at_ms
    bazaar.advance(DAY_MS - before_end_ms)
    (event,) = bazaar.do("bob", market.Bid(auction, 1_000))
    assert event.ends_at_ms == _shown(bazaar, auction).ends_at_ms == end_ms + moved_ms
    bazaar.check_laws()
    bazaar.advance(before_end_ms + moved_ms - 1)
    bazaar.do("carol", market.Bid(auction, 1_100))


def test_the_end_never_moves_beyond_twice_the_length() -> None:
    bazaar = Bazaar()
    start_ms = bazaar.now_ms
    auction = bazaar.auction("alice", bazaar.whole, lifetime_ms=10_000, extension_ms=10_000)
    hard_end_ms = start_ms + 20_000
    assert _shown(bazaar, auction).english.hard_end_ms == hard_end_ms
    ends = []
    for index, wait_ms in enumerate((9_999, 0, 1, 9_999)):
        bazaar.advance(wait_ms)
        bazaar.do(("bob", "carol")[index % 2], market.Bid(auction, 1_000 + 100 * index))
        ends.append(_shown(bazaar, auction).ends_at_ms - start_ms)
    assert ends == [19_999, 19_999, 20_000, 20_000]
    assert bazaar.now_ms == hard_end_ms - 1
    bazaar.do("dave", market.Bid(auction, 2_000))
    assert _shown(bazaar, auction).ends_at_ms == hard_end_ms
    bazaar.advance(1, limit=0)
    bazaar.refused("market.auction_over", "bob", market.Bid(auction, 9_000))
    bazaar.advance(0)
    assert bazaar.owners() == {"dave": 10_000}
    bazaar.check_laws()


def test_without_an_extension_the_end_stands() -> None:
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole, extension_ms=0, lifetime_ms=1_000)
    end_ms = bazaar.now_ms + 1_000
    bazaar.advance(999)
    bazaar.do("bob", market.Bid(auction, 1_000))
    assert _shown(bazaar, auction).ends_at_ms == end_ms
    bazaar.advance(1)
    assert bazaar.owners() == {"bob": 10_000}


@pytest.mark.parametrize(
    ("lifetime_ms", "extension_ms", "code"),
    [
        (0, 0, "market.end_out_of_range"),
        (1, 1, ""),
        (1, 2, "market.extension_out_of_range"),
        (30 * DAY_MS, 30 * DAY_MS, ""),
        (30 * DAY_MS, 30 * DAY_MS + 1, "market.extension_out_of_range"),
        (30 * DAY_MS + 1, 0, "market.end_out_of_range"),
    ],
)
def test_no_auction_is_without_an_end(lifetime_ms: int, extension_ms: int, code: str) -> None:
    bazaar = Bazaar()
    operation = market.OpenAuction(bazaar.whole, 1, 1, bazaar.now_ms + lifetime_ms, extension_ms)
    if code:
        bazaar.refused(code, "alice", operation)
    else:
        bazaar.do("alice", operation)


def test_the_seller_cancels_only_while_there_is_no_bid() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    auction = bazaar.auction("alice", bazaar.whole)
    for who in ("bob", "alan"):
        bazaar.refused("market.not_the_seller", who, market.CancelAuction(auction))
    events = bazaar.do("alice", market.CancelAuction(auction))
    assert (tags(events), events[0].code) == (["market.auction_ended"], "market.cancelled")
    assert bazaar.used() == before
    auction = bazaar.auction("alice", bazaar.whole)
    bazaar.do("bob", market.Bid(auction, 100))
    bazaar.refused("market.has_bid", "alice", market.CancelAuction(auction))
    bazaar.refused("market.unknown_auction", "alice", market.CancelAuction(bytes(32)))


def test_without_a_bid_the_thing_is_free_again() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    bazaar.auction("alice", bazaar.whole)
    events = bazaar.advance(DAY_MS)
    assert (tags(events), events[0].code) == (["market.auction_ended"], "market.no_bid")
    assert not bazaar.locked()
    assert bazaar.used() == before
    bazaar.check_laws()


@pytest.mark.parametrize(("reserve", "sold"), [(0, True), (600, True), (601, False)])
def test_below_the_reserve_nothing_is_sold(reserve: int, sold: bool) -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    auction = bazaar.auction("alice", bazaar.whole, reserve=reserve)
    bazaar.do("bob", market.Bid(auction, 600))
    assert _shown(bazaar, auction).english.reserve_met == sold
    events = bazaar.advance(DAY_MS)
    if sold:
        assert bazaar.owners() == {"bob": 10_000}
    else:
        assert tags(events) == ["market.bid_returned", "market.auction_ended"]
        assert {event.code for event in events} == {"market.reserve_not_reached"}
        assert bazaar.balance("bob") == SUPPLY_EACH
        assert bazaar.used() == before
    assert not bazaar.locked()
    bazaar.check_laws()


def test_from_the_end_on_anybody_settles() -> None:
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.whole, extension_ms=0)
    bazaar.do("bob", market.Bid(auction, 1_000))
    bazaar.advance(DAY_MS - 1)
    bazaar.refused("market.auction_running", "bob", market.Settle(auction))
    bazaar.advance(1, limit=0)
    bazaar.refused("market.auction_over", "carol", market.Bid(auction, 2_000))
    bazaar.do("dave", market.Settle(auction))
    assert bazaar.owners() == {"bob": 10_000}
    assert bazaar.advance(0) == []
    bazaar.refused("market.unknown_auction", "dave", market.Settle(auction))
    bazaar.check_laws()


def test_settling_an_auction_with_nothing_left_of_the_quota_makes_no_difference() -> None:
    """The attack: the asset's records are on the quota of alice's organization; she uses it up, settles bob's auction
    before the sweep does, and so makes his sale fail."""
    bazaar = Bazaar(make_genesis(quota_records_per_organization=100))
    bazaar.co_owned(("bob", 4_000))
    auction = bazaar.auction("bob", bazaar.share(10), extension_ms=0)
    bazaar.do("carol", market.Bid(auction, 1_000))
    bazaar.advance(DAY_MS, limit=0)
    for index in range(100 - usage(bazaar.view, "org-alice").records):
        bazaar.do("alice", market.Commit(index.to_bytes(32, "big")))
    bazaar.refused("organizations.quota_records", "alice", market.Commit(b"\xff" * 32))
    events = bazaar.do("alice", market.Settle(auction))
    assert tags(events)[-1] == "market.auction_settled"
    assert bazaar.owners()["carol"] == 10
    bazaar.check_laws()


# --- what cannot be conveyed any more


def _retire(bazaar: Bazaar, _grant: Thing) -> str:
    bazaar.do("alice", assets.Retire(bazaar.asset))
    return "assets.retired"


def _sell_an_exclusive_license(bazaar: Bazaar, _grant: Thing) -> str:
    bazaar.license("alice", bazaar.asset, "dave", replaced(EXCLUSIVE, rights=("download",)))
    return "market.condition_changed"


def _add_a_version_that_nobody_holds(bazaar: Bazaar, _grant: Thing) -> str:
    bazaar.add_version("alice", bazaar.asset, "A2")
    return "transfers.not_available"


@pytest.mark.parametrize("change", [_retire, _sell_an_exclusive_license, _add_a_version_that_nobody_holds])
@pytest.mark.parametrize("by_sweep", [True, False])
def test_a_share_that_cannot_be_sold_any_more_returns_the_bid(change: Any, by_sweep: bool) -> None:
    """A sweep step cannot fail: where its precondition is gone, escrow returns to the payer with a code."""
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.share(4_000))
    bazaar.do("bob", market.Bid(auction, 1_000))
    code = change(bazaar, bazaar.whole)
    bazaar.refused(code, "carol", market.Bid(auction, 2_000))
    if by_sweep:
        events = bazaar.advance(DAY_MS)
    else:
        bazaar.advance(DAY_MS, limit=0)
        events = bazaar.do("carol", market.Settle(auction))
    mine = [event for event in events if event.__struct_config__.tag.startswith("market.")]
    assert tags(mine) == ["market.bid_returned", "market.auction_ended"]
    assert {event.code for event in mine} == {code}
    assert bazaar.balance("bob") == SUPPLY_EACH
    assert bazaar.owners() == {"alice": 10_000}
    bazaar.check_laws()


def test_a_grant_that_ended_before_the_auction_returns_the_bid() -> None:
    bazaar = Bazaar()
    grant = bazaar.grant("bob", replaced(TOKEN, term_ms=HOUR_MS))
    auction = bazaar.auction("bob", grant)
    bazaar.do("carol", market.Bid(auction, 1_000))
    bazaar.advance(HOUR_MS)
    assert not _shown(bazaar, auction).open
    bazaar.refused("transfers.grant_not_live", "dave", market.Bid(auction, 2_000))
    events = bazaar.advance(DAY_MS)
    assert {event.code for event in events} == {"transfers.grant_not_live"}
    assert bazaar.balance("carol") == SUPPLY_EACH
    bazaar.check_laws()


def test_a_bidder_who_may_not_hold_the_grant_at_the_end_gets_the_bid_back() -> None:
    bazaar = Bazaar()
    auction = bazaar.auction("bob", bazaar.grant("bob"))
    bazaar.refused("licenses.self_purchase", "alice", market.Bid(auction, 1_000))
    bazaar.do("carol", market.Bid(auction, 1_000))
    bazaar.transfer("alice", bazaar.whole, "carol")
    events = bazaar.advance(DAY_MS)
    assert {event.code for event in events} == {"licenses.self_purchase"}
    bazaar.check_laws()


def test_a_bid_that_royalties_exceed_returns_at_the_end() -> None:
    bazaar = Bazaar(transfer_terms=assets.TransferTerms(resale_royalty_bps=100, least_royalty=5_000))
    auction = bazaar.auction("alice", bazaar.whole)
    bazaar.do("bob", market.Bid(auction, 5_100))
    events = bazaar.advance(DAY_MS)
    assert {event.code for event in events} == {"royalties.uncovered"}
    assert bazaar.balance("bob") == SUPPLY_EACH
    assert not bazaar.locked()
    bazaar.check_laws()


def test_who_cannot_hold_it_cannot_bid() -> None:
    bazaar = Bazaar()
    auction = bazaar.auction("alice", bazaar.share(10))
    bazaar.refused("transfers.invalid_recipient", bazaar.validators[1], market.Bid(auction, 100))


# --- Dutch


@pytest.mark.parametrize("kind", ["asset", "share", "grant"])
def test_the_first_to_take_the_price_gets_it(kind: str) -> None:
    bazaar = Bazaar()
    thing, seller = _a_thing(bazaar, kind)
    before = bazaar.balance(seller)
    auction = bazaar.dutch(seller, thing)
    bazaar.check_laws()
    salt = bazaar.committed("carol", auction) if kind == "asset" else None
    bazaar.advance(DAY_MS // 3)
    assert _shown(bazaar, auction).dutch.price == 7_000
    bazaar.refused("market.price_above_max", "carol", market.Take(auction, 6_999, salt))
    events = bazaar.do("carol", market.Take(auction, 7_000, salt))
    assert tags(events)[-2:] == ["transfers.conveyed", "market.auction_settled"]
    assert (bazaar.balance(seller), bazaar.balance("carol")) == (before + 6_825, SUPPLY_EACH - 7_000)
    bazaar.refused("market.unknown_auction", "dave", market.Take(auction, 10_000))
    bazaar.check_laws()


def test_the_price_falls_in_equal_steps_at_equal_times() -> None:
    """Exact at each boundary, and a function of block time alone."""
    bazaar = Bazaar()
    auction = bazaar.dutch("alice", bazaar.share(10), lifetime_ms=9_000)  # 8 steps: 9 prices of 1,000 ms each
    record = AUCTIONS.get(bazaar.view, auction)
    assert record is not None
    for step in range(9):
        price = 10_000 - 1_000 * step
        for at_ms in (1_000 * step, 1_000 * step + 999):
            assert price_at(record, _dutch(record), record.opened_at_ms + at_ms) == price
    for outside_ms, price in ((-1, 10_000), (9_000, 2_000), (10**9, 2_000)):
        assert price_at(record, _dutch(record), record.opened_at_ms + outside_ms) == price
    for step in range(9):
        assert _shown(bazaar, auction).dutch.price == 10_000 - 1_000 * step
        bazaar.advance(1_000, limit=0)
    bazaar.refused("market.auction_over", "bob", market.Take(auction, 10_000))


def _dutch(record: Auction) -> Dutch:
    assert isinstance(record.pricing, Dutch)
    return record.pricing


@pytest.mark.parametrize(
    ("start", "floor", "steps", "length_ms"), [(10, 1, 7, 100), (2, 1, 10_000, 3), (2**63 - 1, 1, 10_000, DAY_MS)]
)
def test_prices_that_do_not_divide_fall_all_the_way_and_never_rise(
    start: int, floor: int, steps: int, length_ms: int
) -> None:
    bazaar = Bazaar()
    auction = bazaar.dutch(
        "alice", bazaar.share(10), start_price=start, floor_price=floor, steps=steps, lifetime_ms=length_ms
    )
    record = AUCTIONS.get(bazaar.view, auction)
    assert record is not None
    times = sorted({0, 1, length_ms // 3, length_ms // 2, length_ms - 1} | set(range(min(length_ms, 200))))
    prices = [price_at(record, _dutch(record), record.opened_at_ms + at_ms) for at_ms in times]
    assert prices == sorted(prices, reverse=True)
    assert prices[0] == start
    assert prices[-1] >= floor
    if steps < length_ms:
        assert prices[-1] == floor


@pytest.mark.parametrize(("start", "floor", "code"), [(1, 1, True), (1, 2, True), (2, 1, False)])
def test_the_floor_is_below_the_start(start: int, floor: int, code: bool) -> None:
    bazaar = Bazaar()
    operation = market.OpenDutchAuction(bazaar.whole, start, floor, 1, bazaar.now_ms + 1)
    if code:
        bazaar.refused("market.floor_price", "alice", operation)
    else:
        bazaar.do("alice", operation)


@pytest.mark.parametrize("steps", [0, -1, 10_001, True, 1.0])
def test_steps_are_bounded(steps: Any) -> None:
    operation = market.OpenDutchAuction(Thing("asset", bytes(32)), 2, 1, steps, 1)
    with pytest.raises(CodecError):
        decode(encode(operation), market.OpenDutchAuction)


@pytest.mark.parametrize("ahead_ms", [0, 30 * DAY_MS + 1])
def test_no_dutch_auction_is_without_an_end(ahead_ms: int) -> None:
    bazaar = Bazaar()
    operation = market.OpenDutchAuction(bazaar.whole, 2, 1, 1, bazaar.now_ms + ahead_ms)
    bazaar.refused("market.end_out_of_range", "alice", operation)


def test_a_dutch_auction_ends_unsold() -> None:
    bazaar = Bazaar()
    before = bazaar.used()
    auction = bazaar.dutch("alice", bazaar.whole)
    bazaar.advance(DAY_MS - 1)
    bazaar.refused("market.auction_running", "bob", market.Settle(auction))
    events = bazaar.advance(1)
    assert (tags(events), events[0].code) == (["market.auction_ended"], "market.no_bid")
    assert not bazaar.locked()
    assert bazaar.used() == before
    auction = bazaar.dutch("alice", bazaar.whole)
    bazaar.do("alice", market.CancelAuction(auction))
    assert bazaar.used() == before
    bazaar.dutch("alice", bazaar.whole)
    bazaar.advance(DAY_MS, limit=0)
    bazaar.do("bob", market.Settle(market.auction_id(bazaar.transaction_id, bazaar.whole)))
    assert bazaar.used() == before


def test_what_exists_once_is_taken_by_commitment_and_reveal() -> None:
    """E1. The attack: a validator sees that somebody takes the price, and takes it first."""
    bazaar = Bazaar()
    auction = bazaar.dutch("alice", bazaar.whole)
    assert _shown(bazaar, auction).commitment_required
    bazaar.refused("market.commitment_required", "bob", market.Take(auction, 10_000))
    salt = bazaar.committed("bob", auction)
    bazaar.refused("market.commitment_missing", "carol", market.Take(auction, 10_000, salt))
    bazaar.do("bob", market.Take(auction, 10_000, salt))
    assert bazaar.owners() == {"bob": 10_000}


def test_an_exclusive_grant_is_taken_by_commitment_and_reveal() -> None:
    bazaar = Bazaar()
    auction = bazaar.dutch("bob", bazaar.grant("bob", EXCLUSIVE))
    bazaar.refused("market.commitment_required", "carol", market.Take(auction, 10_000))
    bazaar.do("carol", market.Take(auction, 10_000, bazaar.committed("carol", auction)))
    bazaar.check_laws()


def test_the_sellers_organization_does_not_take() -> None:
    bazaar = Bazaar()
    auction = bazaar.dutch("alice", bazaar.share(10))
    for who in ("alice", "alan"):
        bazaar.refused("market.own_organization", who, market.Take(auction, 10_000))


def test_a_taker_without_the_price_gets_nothing() -> None:
    """E5."""
    bazaar = Bazaar()
    auction = bazaar.dutch("alice", bazaar.share(10))
    bazaar.do("bob", Transfer(bazaar.accounts["carol"], SUPPLY_EACH - 9_999))
    bazaar.refused("credits.insufficient", "bob", market.Take(auction, 10_000))
    bazaar.advance(DAY_MS // 9 + 1)
    bazaar.do("bob", market.Take(auction, 10_000))
    assert bazaar.balance("bob") == 999


def test_a_dutch_auction_is_of_the_thing_as_it_was_put_up() -> None:
    bazaar = Bazaar()
    auction = bazaar.dutch("alice", bazaar.share(10))
    _sell_an_exclusive_license(bazaar, bazaar.whole)
    bazaar.refused("market.condition_changed", "bob", market.Take(auction, 10_000))
    bazaar.do("alice", market.CancelAuction(auction))


def test_one_bids_in_english_auctions_and_takes_in_dutch_ones() -> None:
    bazaar = Bazaar()
    english, dutch = bazaar.auction("alice", bazaar.share(10)), bazaar.dutch("alice", bazaar.share(20))
    bazaar.refused("market.not_english", "bob", market.Bid(dutch, 10_000))
    bazaar.refused("market.not_dutch", "bob", market.Take(english, 10_000))


# --- questions


def test_auctions_are_found_by_asset_seller_and_best_bidder() -> None:
    bazaar = Bazaar()
    english, dutch = bazaar.auction("alice", bazaar.share(10)), bazaar.dutch("alice", bazaar.share(20))
    bobs = bazaar.auction("bob", bazaar.grant("bob", Terms(rights=("display-print",), price=1, transferable=True)))

    def ids(**arguments: Any) -> list[str]:
        return [row.auction for row in bazaar.query("market.auctions", **arguments)]

    def of(*keys: bytes) -> list[str]:
        return sorted(key.hex() for key in keys)

    assert ids() == ids(asset=bazaar.asset.hex()) == of(english, dutch, bobs)
    assert ids(account=bazaar.text("alice")) == of(english, dutch)
    assert ids(bidder=bazaar.text("carol")) == []
    bazaar.do("carol", market.Bid(english, 600), market.Bid(bobs, 600))
    assert ids(bidder=bazaar.text("carol")) == of(english, bobs)
    bazaar.do("dave", market.Bid(english, 700))
    assert ids(bidder=bazaar.text("carol")) == of(bobs)
    assert ids(bidder=bazaar.text("dave")) == of(english)
    shown = _shown(bazaar, english)
    assert (shown.format, shown.open, shown.dutch, shown.english.best_amount, shown.english.best_at_ms) == (
        "english",
        True,
        None,
        700,
        bazaar.now_ms,
    )
    with pytest.raises(LedgerError):
        ids(asset=bazaar.asset.hex(), bidder=bazaar.text("dave"))
    bazaar.advance(DAY_MS)
    assert ids() == ids(bidder=bazaar.text("dave")) == []
    bazaar.check_laws()

"""What a search says of prices in the market: each can be paid at the answer's block time, for what it names."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.records import ASSETS
from ledger.modules.licenses.operations import ReportUsage, Terms
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.market import operations as market
from ledger.modules.market.prices import open_prices
from ledger.modules.market.records import AUCTIONS, BestBid, English
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.unit.market_kit import EXCLUSIVE, HOUR_MS, TOKEN, Bazaar, replaced
from tests.unit.modules_kit import seed_key
from tests.unit.search_kit import Searched, rebuilt

METERED = Terms(
    rights=("inference-as-service",),
    price=100,
    commercial=True,
    transferable=True,
    term_ms=3 * DAY_MS,
    quota=10,
    quota_unit="calls",
)


@pytest.fixture
def bazaar() -> Bazaar:
    return Bazaar()


@pytest.fixture
def searched(bazaar: Bazaar, tmp_path: Path) -> Iterator[Searched]:
    made = Searched(bazaar, tmp_path / "search" / "assets.sqlite")
    yield made
    made.close()


def found(searched: Searched, **arguments: Any) -> tuple[Any, ...] | None:
    """(price, what for, how) of the one asset, and that the ledger's list of open sales has it; None: no price."""
    items = [item for item in searched.answer(retired="any", **arguments).items if item.price is not None]
    assert searched.content() == rebuilt(searched.world.view)
    if not items:
        return None
    (item,) = items
    if item.sells != "license":
        sales = {price.sale.hex(): price for price in _open(searched)}
        sale = sales[item.offer]
        assert (sale.price, sale.thing.kind, sale.format) == (item.price, item.sells, item.format)
    return item.price, item.sells, item.format


def _open(searched: Searched) -> list[Any]:
    world = searched.world
    assert isinstance(world, Bazaar)
    return list(open_prices(world.view, world.asset, world.now_ms))


def closed(searched: Searched) -> bool:
    """Whether neither the search nor the ledger knows of anything in the market that can be bought."""
    nothing = all(found(searched, sells=sells) is None for sells in ("asset", "share", "grant"))
    assert nothing is (_open(searched) == [])
    return nothing


def test_each_kind_of_sale_is_found_by_what_it_sells(bazaar: Bazaar, searched: Searched) -> None:
    bazaar.offer("alice", bazaar.asset, replaced(TOKEN, price=90))
    grant = bazaar.grant("bob", replaced(TOKEN, price=80, spdx_id="MIT", commercial=True))
    bazaar.put_up("bob", grant, 70)
    bazaar.put_up("alice", bazaar.share(100), 50)
    bazaar.put_up("alice", bazaar.share(200), 60)
    assert found(searched) == (50, "share", "fixed")
    assert found(searched, sells="license") == (80, "license", "fixed")
    assert found(searched, sells="grant") == (70, "grant", "fixed")
    assert found(searched, sells="asset") is None
    assert found(searched, sells="share", price_min=51) == (60, "share", "fixed")
    assert found(searched, price_max=49) is None
    assert found(searched, right="inference") == (70, "grant", "fixed"), "a share gives no right"
    assert found(searched, spdx="MIT", commercial="true", exclusivity="none", sells="grant") == (70, "grant", "fixed")
    assert found(searched, sells="share", commercial="false") is None
    assert found(searched, offered="false") is None
    assert searched.names(offered="false", sells="asset") == ["A"]


def test_of_several_at_one_price_the_first_is_named(bazaar: Bazaar, searched: Searched) -> None:
    listings = [bazaar.put_up("alice", bazaar.share(bps), 50) for bps in (1, 2, 3)]
    bazaar.auction("alice", bazaar.share(4), reserve=50, increment=1)
    (item,) = searched.answer().items
    assert (item.price, item.sells, item.format) == (50, "share", "english")
    assert [row.offer for row in searched.answer(price_max=50).items] == [item.offer]
    (auction,) = (key for key, _ in AUCTIONS.items(bazaar.view))
    bazaar.do("alice", market.CancelAuction(auction))
    assert searched.answer().items[0].offer == min(listings).hex()


def test_the_whole_is_not_licensed_while_it_is_for_sale(bazaar: Bazaar, searched: Searched) -> None:
    bazaar.offer("alice", bazaar.asset, TOKEN)
    listing = bazaar.put_up("alice", bazaar.whole, 900)
    assert found(searched) == (900, "asset", "fixed")
    bazaar.buy_listed("bob", listing)
    assert found(searched) is None


def test_a_sale_ends_with_its_time_and_with_that_of_the_license_it_sells(bazaar: Bazaar, searched: Searched) -> None:
    grant = bazaar.grant("bob", replaced(TOKEN, term_ms=10_000))
    bazaar.put_up("bob", grant, 70, lifetime_ms=HOUR_MS)
    bazaar.put_up("alice", bazaar.share(1), 60, lifetime_ms=5_000)
    bazaar.now_ms += 4_999
    assert found(searched, sells="share") == (60, "share", "fixed")
    bazaar.now_ms += 1
    assert found(searched, sells="share") is None
    assert found(searched, sells="grant") == (70, "grant", "fixed")
    bazaar.now_ms += 5_000
    assert closed(searched)


def test_an_english_auction_costs_the_least_bid_that_can_win(bazaar: Bazaar, searched: Searched) -> None:
    auction = bazaar.auction("alice", bazaar.whole, reserve=500, increment=100)
    assert found(searched) == (500, "asset", "english")
    bazaar.do("bob", market.Bid(auction, 100))
    assert found(searched) == (500, "asset", "english"), "200 would be a bid, and not win"
    bazaar.do("carol", market.Bid(auction, 700))
    assert found(searched) == (800, "asset", "english")
    assert found(searched, price_max=799) is None
    bazaar.advance(DAY_MS)
    assert closed(searched)


def test_an_auction_in_which_nobody_can_bid_more_is_not_found(bazaar: Bazaar, searched: Searched) -> None:
    auction = bazaar.auction("alice", bazaar.share(1), increment=2**63 - 1, reserve=0)
    assert found(searched) == (2**63 - 1, "share", "english")
    record = AUCTIONS.get(bazaar.view, auction)
    assert record is not None
    assert isinstance(record.pricing, English)
    topped = replaced(record, pricing=replaced(record.pricing, best=BestBid(bazaar.accounts["bob"], 1, 0)))
    AUCTIONS.put(bazaar.view, topped, auction)
    assert closed(searched)


@pytest.mark.parametrize(
    ("start", "floor", "steps"), [(10_000, 2_000, 8), (2**63 - 1, 1, 10_000), (2**63 - 1, 2**62 + 3, 7), (2, 1, 10_000)]
)
def test_a_dutch_price_falls_with_block_time_without_anything_being_written(
    start: int, floor: int, steps: int, bazaar: Bazaar, searched: Searched
) -> None:
    bazaar.dutch("alice", bazaar.whole, start_price=start, floor_price=floor, steps=steps, lifetime_ms=30 * DAY_MS)
    assert found(searched) == (start, "asset", "dutch")
    content = searched.content()
    for wait_ms in (1, 7_919, HOUR_MS, DAY_MS, 3 * DAY_MS, 9 * DAY_MS, 10 * DAY_MS):
        bazaar.now_ms += wait_ms
        (price,) = _open(searched)
        assert found(searched) == (price.price, "asset", "dutch")
        assert found(searched, price_min=price.price, price_max=price.price, sort="price") is not None
        assert found(searched, price_max=price.price - 1) is None
    ((_, auction),) = AUCTIONS.items(bazaar.view)
    bazaar.now_ms = auction.ends_at_ms - 1
    assert found(searched) == (floor, "asset", "dutch")
    assert searched.content() == content
    bazaar.now_ms += 1
    assert closed(searched)


def freeze(bazaar: Bazaar, **fields: Any) -> None:
    """What the decision of a dispute does to an asset's record."""
    asset = ASSETS.get(bazaar.view, bazaar.asset)
    assert asset is not None
    ASSETS.put(bazaar.view, msgspec.structs.replace(asset, **fields), bazaar.asset)


def test_what_a_dispute_has_frozen_or_takes_back_is_not_for_sale(bazaar: Bazaar, searched: Searched) -> None:
    bazaar.offer("alice", bazaar.asset, TOKEN)
    bazaar.put_up("bob", bazaar.grant(), 70)
    listing = bazaar.put_up("alice", bazaar.share(100), 50)
    for fields in ({"freezes": 1}, {"freezes": 2, "recall": bytes(32)}, {"freezes": 0}):
        freeze(bazaar, **fields)
        assert closed(searched)
        assert found(searched) is None
        bazaar.refused("assets.frozen", "carol", market.Buy(listing, 50))
        (row,) = bazaar.query("market.listings", asset=bazaar.asset.hex())[:1]
        assert not row.open
    freeze(bazaar, recall=None)
    assert found(searched) == (50, "share", "fixed")
    assert found(searched, sells="license") == (100, "license", "fixed")
    assert found(searched, sells="grant") == (70, "grant", "fixed")


def test_a_share_is_not_for_sale_while_nobody_holds_the_latest_version(bazaar: Bazaar, searched: Searched) -> None:
    listing = bazaar.put_up("alice", bazaar.share(100), 50)
    bazaar.add_version("alice", bazaar.asset, "A 2")
    assert closed(searched)
    bazaar.refused("transfers.not_available", "carol", market.Buy(listing, 50))
    bazaar.hold(bazaar.asset, 2)
    assert found(searched) == (50, "share", "fixed")


def test_a_license_that_was_used_is_not_what_was_put_up(bazaar: Bazaar, searched: Searched) -> None:
    grant = bazaar.grant("bob", METERED)
    bazaar.put_up("bob", grant, 70)
    assert found(searched) == (70, "grant", "fixed")
    key = seed_key("bob")
    signature = sign_voucher(Voucher(bazaar.network_id, grant.id, 1), key)
    bazaar.do("alice", ReportUsage(grant.id, 1, key.public_key, signature))
    assert closed(searched)


def test_a_new_duty_of_the_asset_ends_the_sales_of_its_shares(bazaar: Bazaar, searched: Searched) -> None:
    """Who buys a share now would get less of every income than when the price was named."""
    bazaar.put_up("alice", bazaar.share(100), 50)
    parent = bazaar.dear_parent()
    assert found(searched, sells="share") == (50, "share", "fixed")
    bazaar.add_version("alice", bazaar.asset, "A 2", derivations=[parent])
    bazaar.hold(bazaar.asset, 2)
    assert closed(searched)
    bazaar.put_up("alice", bazaar.share(100), 45)
    assert found(searched, sells="share") == (45, "share", "fixed")


def test_an_exclusive_license_ends_the_sales_that_did_not_know_of_it(bazaar: Bazaar, searched: Searched) -> None:
    bazaar.put_up("alice", bazaar.share(100), 50)
    assert found(searched) == (50, "share", "fixed")
    bazaar.grant("bob", EXCLUSIVE)
    assert closed(searched)


def test_a_retired_asset_sells_the_licenses_of_others_only(bazaar: Bazaar, searched: Searched) -> None:
    bazaar.put_up("bob", bazaar.grant(), 70)
    bazaar.put_up("alice", bazaar.share(100), 50)
    bazaar.do("alice", assets.Retire(bazaar.asset))
    assert found(searched) == (70, "grant", "fixed")
    assert found(searched, sells="share") is None


def test_standing_is_kept_of_what_is_put_up_only(bazaar: Bazaar, searched: Searched) -> None:
    """A payment for an asset of which nothing is for sale must cost the search next to nothing."""
    grant = bazaar.grant()
    searched.follow()
    assert searched.content()["standing"] == []
    listing = bazaar.put_up("alice", bazaar.share(100), 50)
    searched.follow()
    assert {(row[0], row[1]) for row in searched.content()["standing"]} == {
        ("asset", bazaar.asset),
        ("share", bazaar.asset),
    }
    bazaar.put_up("bob", Thing("grant", grant.id), 70)
    bazaar.do("alice", market.WithdrawListing(listing))
    searched.follow()
    assert ("grant", grant.id) in {(row[0], row[1]) for row in searched.content()["standing"]}

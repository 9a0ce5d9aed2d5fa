"""The bounds of auctions, at them and one beyond."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.modules.market import operations as market
from ledger.modules.transfers.operations import Thing
from tests.unit.boundaries_kit import Stage
from tests.unit.modules_kit import NAMES


def auctioned(stage: Stage, **fields: Any) -> tuple[bytes, int]:
    """Let alice auction a half of an asset for a minute; return the auction and its end."""
    (asset,) = stage.register("alice", "A")
    thing, ends = Thing("share", asset, 5_000), stage.now + 1 + 60_000
    chosen = {"reserve": 100, "increment": 10, "extension_ms": 10_000} | fields
    stage.send("alice", market.OpenAuction(thing, chosen["reserve"], chosen["increment"], ends, chosen["extension_ms"]))
    return market.auction_id(stage.id, thing), ends


@pytest.mark.parametrize(("amount", "sold"), [(99, False), (100, True)])
def test_an_auction_sells_from_its_reserve_on(amount: int, sold: bool) -> None:
    stage = Stage()
    auction, ends = auctioned(stage)
    stage.send("bob", market.Bid(auction, amount))
    stage.pause(ends - stage.now)
    (asset,) = stage.pair.state.assets.values()
    assert (stage.accounts["bob"] in asset["shares"]) == sold
    assert (stage.pair.state.balances[stage.accounts["bob"]] == 10**10) != sold


@pytest.mark.parametrize(("second", "code"), [(109, "market.bid_too_low"), (110, "")])
def test_a_bid_is_an_increment_above_the_best(second: int, code: str) -> None:
    stage = Stage()
    auction, _ = auctioned(stage)
    stage.send("bob", market.Bid(auction, 9), code="market.bid_too_low")
    stage.send("bob", market.Bid(auction, 100))
    stage.send("carol", market.Bid(auction, second), code=code)


@pytest.mark.parametrize(("before_end", "moved"), [(10_001, 0), (10_000, 0), (9_999, 1), (1, 9_999)])
def test_a_late_bid_moves_the_end(before_end: int, moved: int) -> None:
    stage = Stage()
    auction, ends = auctioned(stage)
    stage.send("bob", market.Bid(auction, 100), later=ends - before_end - stage.now)
    assert stage.pair.state.auctions[auction]["ends"] == ends + moved


def test_no_bid_moves_the_end_beyond_twice_the_length() -> None:
    stage = Stage()
    auction, ends = auctioned(stage, extension_ms=60_000)
    hard = ends + 60_000
    for index in range(1, 4):
        stage.send(NAMES[index], market.Bid(auction, 100 * index), later=30_000)
    assert stage.pair.state.auctions[auction]["ends"] == hard
    stage.send("bob", market.Bid(auction, 1_000), later=hard - 1 - stage.now)
    stage.send("carol", market.Bid(auction, 2_000), code="market.unknown_auction")
    (asset,) = stage.pair.state.assets.values()
    assert stage.accounts["bob"] in asset["shares"]


@pytest.mark.parametrize("short", [0, 1])
@pytest.mark.parametrize(
    ("passed", "price"), [(1, 1_000), (19_999, 1_000), (20_000, 550), (39_999, 550), (40_000, 100), (59_999, 100)]
)
def test_the_price_of_a_dutch_auction_falls_in_equal_steps(passed: int, price: int, short: int) -> None:
    """Two steps in a minute make three parts."""
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    thing, opened = Thing("share", asset, 5_000), stage.now + 1
    stage.send("alice", market.OpenDutchAuction(thing, 1_000, 100, 2, opened + 60_000))
    auction, bob = market.auction_id(stage.id, thing), stage.accounts["bob"]
    code = "market.price_above_max" if short else ""
    stage.send("bob", market.Take(auction, price - short), code=code, later=passed)
    assert stage.pair.state.balances[bob] == 10**10 - (0 if short else price)

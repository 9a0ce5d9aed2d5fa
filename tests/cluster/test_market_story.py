"""The market on real processes: commitment and reveal, bids through several nodes, and ends that need nobody."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from guildmark.errors import Refused
from guildmark.sync import Client
from guildmark.testing.clusters import AccountFactory, TestCluster
from guildmark.transfers import share, whole

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]
HOUR_MS = 3_600_000


def register(client: Client, path: Path) -> bytes:
    path.write_bytes(os.urandom(2_000))
    made = client.assets.register(path, kind="artwork", name=path.name)
    client.artifacts.wait_held(made.cid)
    return bytes.fromhex(made.asset)


def wait_gone(client: Client, asset: bytes) -> None:
    """Wait until nothing of an asset is in an auction: the sweep of an idle network has come."""
    deadline = time.monotonic() + 30
    while client.market.auctions(asset):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_auction_ends_by_itself_and_pays_everybody(
    guildmark_cluster: TestCluster, guildmark_client: Client, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    """The winner gets the share, who was outbid has everything back, and the seller the price without the fee."""
    seller = guildmark_account(organization="alder")
    bidders = [guildmark_account(organization=name) for name in ("birch", "cedar")]
    as_seller = guildmark_client.acting_as(seller)
    asset = register(as_seller, tmp_path / "picture")
    opening = as_seller.market.english_auction(share(asset, 4_000), reserve=500, increment=50, lifetime_ms=HOUR_MS)
    auction = as_seller.market.put_up(opening)
    before = as_seller.credits.balance()
    start = [guildmark_client.credits.balance(bidder) for bidder in bidders]
    opened = guildmark_client.status()["height"]
    for index, amount in enumerate((500, 600, 1_000, 2_000)):
        with guildmark_cluster.client(bidders[index % 2], index % 4) as elsewhere:
            elsewhere.wait_for_height(opened)  # where the accounts are known
            elsewhere.market.bid(auction, amount)
    with pytest.raises(Refused) as caught:
        guildmark_client.acting_as(bidders[0]).market.bid(auction, 2_049)
    assert caught.value.code == "market.bid_too_low"
    assert guildmark_client.credits.balance(bidders[0]) == start[0]
    guildmark_client.advance_clock(HOUR_MS)
    wait_gone(guildmark_client, asset)
    owners = {row["account"]: row["bps"] for row in guildmark_client.assets.get(asset)["owners"]}
    assert owners == {seller.text: 6_000, bidders[1].text: 4_000}
    assert guildmark_client.credits.balance(bidders[1]) == start[1] - 2_000
    fee = 2_000 * guildmark_client.genesis().parameters.fee_bps // 10_000
    assert as_seller.credits.balance() == before + 2_000 - fee


def test_a_whole_asset_is_bought_once_and_an_unanswered_offer_returns(
    guildmark_client: Client, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    """Whoever is too late with an offer loses nothing: its price comes back by itself, on an idle network too."""
    seller, first, second = (guildmark_account(organization=name) for name in ("alder", "birch", "cedar"))
    as_seller, as_first, as_second = (guildmark_client.acting_as(who) for who in (seller, first, second))
    asset = register(as_seller, tmp_path / "picture")
    funds = as_second.credits.balance()
    as_second.market.make_offer(whole(asset), 700, lifetime_ms=HOUR_MS)
    assert as_second.credits.balance() == funds - 700
    listing = as_seller.market.sell(whole(asset), 900)
    assert as_first.market.buy(listing).event("market.bought")["price"] == 900
    owners = [row["account"] for row in guildmark_client.assets.get(asset)["owners"]]
    assert owners == [first.text]
    (offer,) = guildmark_client.market.offers(asset)
    assert not offer["condition_kept"]
    guildmark_client.advance_clock(HOUR_MS)
    deadline = time.monotonic() + 30
    while guildmark_client.market.offers(asset):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert as_second.credits.balance() == funds

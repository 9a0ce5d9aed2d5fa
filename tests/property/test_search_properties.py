"""The search database after random operations against one made from the state alone, and its prices against what the
ledger says of every offer, listing and auction."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.modules.assets.records import ASSETS
from ledger.modules.market.prices import open_prices
from ledger.search.sources import SELLS
from tests.property.test_modules_market_properties import Trade
from tests.property.test_modules_state_machine import Market
from tests.thoroughness import tries
from tests.unit.modules_kit import World
from tests.unit.search_kit import Searched, rebuilt

PICK = st.integers(0, 1_000)
Cheapest = dict[str, tuple[int, str, str, str] | None]
"""Asset -> (price, what it is for, format, id) of what costs least."""


class Following(RuleBasedStateMachine):
    """The search follows what accounts do in steps of one or several operations."""

    world: World

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.searched: Searched | None = None
        self.pausing = 0

    @rule(operations=st.integers(0, 4))
    def pause(self, operations: int) -> None:
        """Let the next block have several operations."""
        self.pausing = operations

    @rule(missed=st.integers(0, 3))
    def stop_and_start(self, missed: int) -> None:
        """After a clean stop, or a kill that has cost the search some blocks."""
        if self.searched is not None:
            if missed:
                for _ in range(missed):
                    self.searched.miss()
            else:
                self.searched.follow()
            self.searched.restart()
            assert self.searched.content() == rebuilt(self.world.view)
            assert self.searched.reports == [], "what is at the head is not made anew"

    @rule(index=PICK)
    def judge(self, index: int) -> None:
        """Freeze the sales of an asset (seldom), or no longer."""
        rows = list(ASSETS.items(self.world.view))
        key, asset = rows[index % len(rows)]
        if asset.freezes or index > 700:
            ASSETS.put(self.world.view, msgspec.structs.replace(asset, freezes=1 - asset.freezes), key)

    @invariant()
    def laws(self) -> None:
        """Those of the ledger are another test's; here: the search says what the state says."""
        if not hasattr(self, "world") or not hasattr(self, "directory"):
            return
        if self.searched is None:
            self.searched = Searched(self.world, Path(self.directory.name) / "assets.sqlite")
        self.pausing -= 1
        if self.pausing >= 0:
            return
        found = self.searched.answer(retired="any", limit=200).items
        assert self.searched.content() == rebuilt(self.world.view)
        assert {item.asset for item in found if item.available} == self.available()
        prices = {asset: self.prices(asset) for asset in (item.asset for item in found)}
        expected: Cheapest = {asset: min(all_, default=None) for asset, all_ in prices.items()}
        assert _cheapest(found) == expected
        known = sorted({price[0] for all_ in prices.values() for price in all_})
        limit = known[len(known) // 2] if known else 0
        for sells in SELLS:
            fitting = {
                asset: [price for price in all_ if price[1] == sells and price[0] <= limit]
                for asset, all_ in prices.items()
            }
            expected = {asset: min(some) for asset, some in fitting.items() if some}
            answer = self.searched.answer(retired="any", limit=200, sells=sells, price_max=limit, sort="price")
            assert _cheapest(answer.items) == expected
            order = [item.price or 0 for item in answer.items]
            assert order == sorted(order)

    def prices(self, asset: str) -> list[tuple[int, str, str, str]]:
        """What an asset, its shares and licenses on it can be bought for, by the ledger's own word for everything."""
        offers = self.world.query("licenses.offers", asset=asset)
        licenses = [(one.price, "license", "fixed", one.offer) for one in offers if one.open and one.buyer is None]
        sales = open_prices(self.world.view, bytes.fromhex(asset), self.world.now_ms)
        return licenses + [(sale.price, sale.thing.kind, sale.format, sale.sale.hex()) for sale in sales]

    def available(self) -> set[str]:
        summaries = self.world.query("assets.list")
        return {one.asset for one in summaries if self.world.query("assets.get", asset=one.asset).latest.available}

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            if self.searched is not None:
                self.searched.close()
            self.directory.cleanup()


def _cheapest(items: Any) -> Cheapest:
    rows = {item.asset: (item.price, item.sells, item.format, item.offer) for item in items}
    return {asset: None if row[0] is None else row for asset, row in rows.items()}


class SearchedMarket(Following, Market):
    """Accounts that do anything they like with licenses."""


class SearchedTrade(Following, Trade):
    """Accounts that put up, bid, buy and take back."""


TestSearchedMarket = SearchedMarket.TestCase
TestSearchedMarket.settings = settings(max_examples=tries(20), stateful_step_count=80, deadline=None)
TestSearchedTrade = SearchedTrade.TestCase
TestSearchedTrade.settings = settings(max_examples=tries(20), stateful_step_count=80, deadline=None)

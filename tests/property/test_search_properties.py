"""The search database after random operations against one made from the state alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import initialize, invariant, rule

from tests.property.test_modules_state_machine import Market
from tests.unit.search_kit import Searched, rebuilt


class SearchedMarket(Market):
    """Accounts that do anything they like, while the search follows in steps of one or several operations."""

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

    @invariant()
    def laws(self) -> None:
        """Those of the ledger are another test's; here: the search says what the state says."""
        if not hasattr(self, "world") or not hasattr(self, "directory"):
            return
        if self.searched is None:
            self.searched = Searched(self.world, Path(self.directory.name) / "assets.sqlite")
        self.pausing -= 1
        if self.pausing < 0:
            found = self.searched.answer(retired="any", limit=200).items
            assert self.searched.content() == rebuilt(self.world.view)
            assert {item.asset: item.price for item in found} == self.prices()
            assert {item.asset for item in found if item.available} == self.available()

    def prices(self) -> dict[str, int | None]:
        """The least price of each asset by the ledger's own word for every offer."""
        found: dict[str, int | None] = {}
        for summary in self.world.query("assets.list"):
            offers = self.world.query("licenses.offers", asset=summary.asset)
            found[summary.asset] = min((offer.price for offer in offers if offer.open), default=None)
        return found

    def available(self) -> set[str]:
        summaries = self.world.query("assets.list")
        return {one.asset for one in summaries if self.world.query("assets.get", asset=one.asset).latest.available}

    def teardown(self) -> None:
        if hasattr(self, "directory"):
            if self.searched is not None:
                self.searched.close()
            self.directory.cleanup()


TestSearchedMarket = SearchedMarket.TestCase
TestSearchedMarket.settings = settings(max_examples=40, stateful_step_count=80, deadline=None)

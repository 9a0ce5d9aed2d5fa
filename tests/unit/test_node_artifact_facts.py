"""What a node reads about artifacts, of a real ledger."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest

from node import artifact_facts
from tests.unit.contributions_kit import Workshop
from tests.unit.modules_kit import cid


class Answer(NamedTuple):
    result: Any


class Reads:
    """The queries of a world, which are counted by name."""

    def __init__(self, world: Workshop) -> None:
        self._world = world
        self.asked: list[str] = []

    async def query(self, name: str, arguments: dict[str, str | int]) -> Answer:
        self.asked.append(name)
        return Answer(self._world.query(name, **arguments))


@pytest.mark.parametrize("page", [1, 2, 200])
def test_a_node_finds_what_is_open_to_any_asset_and_nothing_that_was_decided(
    page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A page holds what is open to one asset, which here is one contribution at most.
    monkeypatch.setattr(artifact_facts, "PAGE", page)
    shop = Workshop()
    other = shop.register("bob", "other")
    shop.register("carol", "nothing proposed")
    open_here, accepted = shop.propose("B"), shop.propose("C")
    open_there = shop.propose("D", asset=other, grant=None)
    shop.do("alice", shop.accept(accepted))
    reads = Reads(shop)

    async def found() -> set[tuple[str, str | None]]:
        return {(facts.cid, facts.contribution) async for facts in artifact_facts.all_proposed(reads)}

    assert asyncio.run(found()) == {(cid("B"), open_here.hex()), (cid("D"), open_there.hex())}
    assert reads.asked.count("contributions.list") == 3

"""What a search says of creators' reputation is what the ledger's query says at the answer's block time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import LedgerError
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Terms
from ledger.modules.reputation.decay import HALF_LIFE_MS
from ledger.modules.transfers.operations import Thing
from primitives.identifiers import account_to_text
from tests.unit.attestations_kit import Bench
from tests.unit.search_kit import Searched, rebuilt

PRICE = Terms(rights=("download",), price=4_000_000)


@pytest.fixture
def bench() -> Bench:
    return Bench(fee_bps=0)


@pytest.fixture
def searched(bench: Bench, tmp_path: Path) -> Iterator[Searched]:
    made = Searched(bench, tmp_path / "search" / "assets.sqlite")
    yield made
    made.close()


def score(bench: Bench, who: str) -> tuple[int, int]:
    found = bench.query("reputation.score", account=account_to_text(bench.accounts[who]))
    return found.score_ppm, found.confidence_ppm


def shown(searched: Searched, name: str, **arguments: object) -> tuple[int, int]:
    (item,) = [item for item in searched.answer(**arguments).items if item.name == name]
    assert searched.content() == rebuilt(searched.world.view)
    return item.reputation_ppm, item.confidence_ppm


def test_scores_are_those_of_the_answers_block_time(bench: Bench, searched: Searched) -> None:
    """Evidence, decay without any operation, a return, and praise in both directions."""
    assert shown(searched, "model") == (500_000, 0)
    grant = bench.license("alice", bench.model, "bob", PRICE)
    bench.review("bob", grant, 1_000_000)
    assert shown(searched, "model") == score(bench, "alice") == (666_666, 166_666)
    bench.now_ms += HALF_LIFE_MS
    assert shown(searched, "model") == score(bench, "alice") == (600_000, 90_909)
    bench.do("alice", Transfer(bench.accounts["bob"], 1_000_000))
    assert shown(searched, "model") == score(bench, "alice")
    assert score(bench, "alice")[0] < 600_000
    other = bench.register("bob", "other")
    bench.review("alice", bench.license("bob", other, "alice", PRICE), 1_000_000)
    assert shown(searched, "model") == score(bench, "alice")
    assert shown(searched, "other") == score(bench, "bob")


def test_assets_are_sorted_by_reputation_and_asked_for_it(bench: Bench, searched: Searched) -> None:
    creators = tuple(sorted(((bench.accounts["alice"], 5_000), (bench.accounts["carol"], 5_000))))
    together = bench.register("carol", "together", creators=creators)
    bench.register("bob", "borrowed", creators=((bench.accounts["alice"], 10_000),))
    bench.transfer("carol", Thing("share", together, 1), "alice")
    bench.register("bob", "poor")
    bench.review("bob", bench.license("alice", bench.model, "bob", PRICE), 1_000_000)
    poor = bench.register("bob", "worse")
    bench.review("dave", bench.license("bob", poor, "dave", PRICE), 0)
    best, mixed, worst = score(bench, "alice")[0], 583_333, score(bench, "bob")[0]
    assert shown(searched, "together")[0] == mixed
    names = searched.names(sort="reputation")
    assert names[:2] == ["model", "together"]
    assert set(names[2:4]) == {"pictures", "borrowed"}
    assert set(names[4:]) == {"poor", "worse"}
    assert searched.names(sort="reputation", limit=1) == names
    assert searched.names(reputation_min=best) == ["model"]
    assert searched.names(reputation_min=mixed, sort="name") == ["model", "together"]
    assert len(searched.names(reputation_min=worst)) == len(names)
    with pytest.raises(LedgerError):
        searched.answer(reputation_min="much")

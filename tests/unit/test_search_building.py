"""A search database of many works is made beside the chain's work, and is then as if it had been made at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import LedgerError
from ledger.modules.licenses.operations import Terms
from ledger.search import index as module
from ledger.search import request
from tests.unit.modules_kit import World
from tests.unit.search_kit import Searched, block_hash, header, rebuilt

WORKS = 12


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Searched]:
    """A chain of a dozen works whose database is lost, where a start makes rows of three and a step of two."""
    made = Searched(World(), tmp_path / "search" / "assets.sqlite")
    for number in range(WORKS):
        asset = made.world.register("alice", f"work {number}", tags=("one",))
        made.follow()
    made.world.offer("alice", asset, Terms(rights=("download",), price=5))
    made.follow()
    made.close()
    made.path.unlink()
    monkeypatch.setattr(module, "AT_ONCE_MAX", 3)
    monkeypatch.setattr(module, "STEP_MAX", 2)
    made.restart()
    yield made
    made.close()


def step(searched: Searched) -> bool:
    return searched.index.step(
        header(searched.world, searched.height), block_hash(searched.height), searched.world.view
    )


def search(searched: Searched) -> int:
    return len(searched.reader.search(request.read({"tag": "one"})).items)


def test_it_is_not_read_before_it_is_complete_and_then_as_if_made_at_once(searched: Searched) -> None:
    steps = 0
    while True:
        with pytest.raises(LedgerError) as refused:
            search(searched)
        assert refused.value.code == "search.unavailable"
        steps += 1
        if not step(searched):
            break
    assert steps > 3
    assert search(searched) == WORKS
    assert searched.content() == rebuilt(searched.world.view)
    assert not step(searched)


def test_blocks_go_on_meanwhile(searched: Searched) -> None:
    """What they change is right whether its turn was before or comes after."""
    number = 0
    while step(searched):
        searched.world.register("bob", f"meanwhile {number}", tags=("one",))
        searched.follow()
        number += 1
    assert number > 3
    assert searched.content() == rebuilt(searched.world.view)
    assert search(searched) == WORKS + number
    searched.world.register("bob", "afterwards", tags=("one",))
    searched.follow()
    assert search(searched) == WORKS + number + 1


def test_a_stop_in_the_middle_begins_anew(searched: Searched) -> None:
    """R3: a database that names no height is never taken for a complete one."""
    assert step(searched)
    searched.restart()
    assert any("it was not completed" in report for report in searched.reports)
    while step(searched):
        pass
    assert searched.content() == rebuilt(searched.world.view)
    searched.restart()
    assert not step(searched)  # complete, and found so

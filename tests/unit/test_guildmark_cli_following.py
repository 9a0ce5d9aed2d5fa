"""`guildmark status --follow`: what people and programs see of a node that catches up."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from guildmark.cli.following import follow, rate


def progress(height: int, target: int | None, **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "target": target,
        "height": height,
        "blocks_per_second": 12.4,
        "transactions_per_second": 12_345.6,
        "peers": 3,
        "buffered_bytes": 0,
        "blocks": height,
        "transactions": 1_000 * height,
        "signatures": "verify",
        "needs_snapshot": None,
    }
    return {"sync": {**values, **changes}}


def looks(*said: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    waiting = list(said)
    return lambda: waiting.pop(0)


def test_a_program_gets_a_line_for_every_look(capsys: pytest.CaptureFixture[str]) -> None:
    waits: list[float] = []
    follow(looks(progress(1, 9), progress(5, 9), progress(9, None)), json=True, wait=waits.append)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["height"], line["target"]) for line in lines] == [(1, 9), (5, 9), (9, None)]
    assert len(waits) == 2


def test_people_are_told_what_was_fetched(capsys: pytest.CaptureFixture[str]) -> None:
    follow(looks(progress(1, 9), progress(9, None)), json=False, wait=lambda _: None)
    assert "caught up at block 9: 9 blocks with 9,000 transactions" in capsys.readouterr().out


def test_of_a_node_that_is_there_nothing_is_awaited(capsys: pytest.CaptureFixture[str]) -> None:
    follow(looks(progress(7, None, blocks=0)), json=False)
    assert capsys.readouterr().out.strip() == "at block 7; nothing to catch up with"


def test_a_node_that_hears_of_nothing_is_not_called_well(capsys: pytest.CaptureFixture[str]) -> None:
    follow(looks({**progress(7, None, blocks=0), "why": ["no link"]}), json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "not ready: no link"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "12 blocks/s, 12,346 tx/s from 3 peers"),
        ({"peers": 1, "signatures": "certified"}, "12 blocks/s, 12,346 tx/s from 1 peer, signatures not verified"),
        ({"needs_snapshot": 4_000}, "needs a snapshot: the oldest block that any peer has is 4,000"),
    ],
)
def test_the_rate_says_from_whom_and_what_is_not_verified(changes: dict[str, Any], words: str) -> None:
    assert rate(progress(1, 9, **changes)["sync"]) == words

"""How a proposal of an asset's owners is printed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from guildmark.cli.charter_proposals import show_proposal

PROPOSAL: dict[str, Any] = {
    "proposal": "aa" * 32,
    "asset": "bb" * 32,
    "state": "open",
    "code": "",
    "title": "",
    "text": None,
    "proposer": "gm1one",
    "action": {"kind": "point_alias", "alias": "production", "version": 2, "offer": None, "amount": None},
    "quorum_bps": 5_000,
    "threshold_bps": 6_667,
    "of_all_bps": 0,
    "power_bps": 10_000,
    "approving_bps": 6_000,
    "refusing_bps": 0,
    "voters": [
        {"account": "gm1two", "bps": 4_000, "approve": None},
        {"account": "gm1one", "bps": 6_000, "approve": True},
    ],
    "proposed_at_ms": 1_795_330_812_126,
    "closes_at_ms": 1_795_334_412_126,
    "decided_at_ms": None,
}


def test_people_read_what_is_proposed_and_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    show_proposal(PROPOSAL, json=False)
    assert [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()] == [
        ["proposal", "aa" * 32],
        ["asset", "bb" * 32],
        ["state", "open"],
        ["proposer", "gm1one"],
        ["action:"],
        ["kind", "point_alias"],
        ["alias", "production"],
        ["version", "2"],
        ["proposed_at_ms", "1795330812126 (2026-11-22 07:00:12 UTC)"],
        ["closes_at_ms", "1795334412126 (2026-11-22 08:00:12 UTC)"],
        ["takes", "5000 bps of the power vote, 6667 bps of these approve"],
        ["tally", "6000 approve and 0 refuse, of a power of 10000"],
        ["voters:"],
        ["-", "gm1one 6000: approves"],
        ["-", "gm1two 4000: has not voted"],
    ]


def test_a_vote_that_failed_says_why_and_programs_get_everything(capsys: pytest.CaptureFixture[str]) -> None:
    failed = PROPOSAL | {"state": "failed", "code": "assets.retired", "of_all_bps": 5_001}
    show_proposal(failed, json=False)
    printed = capsys.readouterr().out
    assert "assets.retired" in printed
    assert "6667 bps of these approve, and 5001 bps of all" in printed
    show_proposal(failed, json=True)
    assert msgspec.json.decode(capsys.readouterr().out) == failed

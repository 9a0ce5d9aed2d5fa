"""Reputation by the command line and the SDK, against the real ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import FakeNode, run
from ledger_node_kit import account_of, held_asset, serving
from modules_kit import cid

from guildmark import Client
from guildmark.cli import main
from ledger.modules.disputes.operations import File, Subject, Vote, dispute_id
from ledger.modules.reputation.formula import LOST_DISPUTE
from ledger.parameters import HOUR_MS, MINUTE_MS
from ledger.transaction import transaction_id


@pytest.fixture
def world() -> Consortium:
    """org-1 has lost a dispute about an asset of org-0."""
    world = Consortium(
        make_genesis(
            4,
            5,
            development=True,
            created_at_ms=time.time_ns() // 1_000_000 - HOUR_MS,
            commitment_age_ms=0,
            dispute_answer_ms=MINUTE_MS,
            dispute_voting_ms=MINUTE_MS,
            dispute_appeal_ms=MINUTE_MS,
            dispute_bond_min=10,
        )
    )
    subject = Subject("asset", bytes.fromhex(held_asset(world)))
    filed = world.by("org-1", File(subject, "infringement", "freeze_sales", 100, 10, cid("evidence")))
    assert world.code(filed) == ""
    wait(world)
    for organization in ("org-2", "org-3"):
        vote = Vote(dispute_id(transaction_id(filed), subject), False)
        assert world.code(world.by(organization, vote)) == ""
    wait(world)
    return world


def wait(world: Consortium) -> None:
    world.now_ms += MINUTE_MS
    world.execute()


@pytest.fixture(autouse=True)
def node(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with serving(world, monkeypatch, tmp_path, {"ours": "org-1"}) as fake:
        yield fake


def test_a_score_is_shown_with_every_reason(world: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
    account = account_of(world, "org-1").text
    for who in (account, "ours", "org-1"):
        shown = run(capsys, "reputation", "show", who, "--why")
        assert (shown["score_ppm"], shown["weight_against"]) == (83_333, LOST_DISPUTE)
        (piece,) = shown["evidence"]
        assert (piece["about"], piece["kind"], piece["original"]) == (account, "dispute", LOST_DISPUTE)
        assert piece["accredited"] is None, "a dispute takes no accreditation"
    assert main.run(["reputation", "show", "org-1", "--why"]) == 0
    told = capsys.readouterr().out
    assert f"about {account}" in told
    assert f"weight {LOST_DISPUTE}; now 0 for, {LOST_DISPUTE} against" in told
    assert main.run(["reputation", "show", "org-0", "--why"]) == 0
    assert "no evidence" in capsys.readouterr().out
    assert "evidence" not in run(capsys, "reputation", "show", "org-1")


def test_an_unknown_name_is_answered_with_where_it_was_looked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    error = run(capsys, "reputation", "show", "nobody", expect=3)
    assert error["code"] == "query.not_found"
    for said in ("'nobody'", f"no key in {tmp_path / 'wallet'}", "no organization of the network", "gm1..."):
        assert said in error["message"]


def test_lists_are_in_order_of_score(world: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
    listed = run(capsys, "reputation", "list", "--organizations")
    assert [one["organization"] for one in listed] == ["org-0", "org-2", "org-3", "org-4", "org-1"]
    (one,) = run(capsys, "reputation", "list", "--organization", "org-1")
    assert one["account"] == account_of(world, "org-1").text
    assert main.run(["reputation", "list"]) == 0
    assert "83333" in capsys.readouterr().out


def test_the_sdk_asks_for_its_own_account(world: Consortium, node: FakeNode) -> None:
    with Client(node.url, account_of(world, "org-1"), network_id=world.network_id) as client:
        assert client.reputation.score()["weight_against"] == LOST_DISPUTE
        assert len(client.reputation.evidence()) == 1
        assert client.reputation.score(organization="org-0")["confidence_ppm"] == 0
        assert [one["organization"] for one in client.reputation.ranking()] == ["org-1"]

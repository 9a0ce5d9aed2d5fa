"""Reputation by the command line and the SDK, against the real ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, key, make_genesis
from guildmark_kit import FakeNode, fake_node
from ledger_node_kit import LedgerNode
from modules_kit import cid

from guildmark import Client
from guildmark.cli import main
from guildmark.identity import Account
from guildmark.wallet import Cost, Wallet
from ledger.modules.assets import operations as assets
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
    account, salt, artifact = world.accounts["org-0"], bytes(16), assets.Artifact(cid("A"), 10)
    commitment = assets.Commit(assets.commitment(artifact.cid, account, salt))
    register = assets.Register(artifact, salt, "dataset", "A", provenance=assets.Provenance())
    assert world.code(world.by("org-0", commitment, register)) == ""
    subject = Subject("asset", assets.asset_id(world.network_id, account, artifact.cid))
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
    wallet = Wallet(tmp_path / "wallet")
    account = account_of(world, "org-1")
    wallet.create("ours", "secret", key=key("org-1"), account=account.text, cost=Cost(1, 8192, 1))
    for name in ("GUILDMARK_NETWORK", "GUILDMARK_ACCOUNT", "GUILDMARK_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GUILDMARK_WALLET", str(tmp_path / "wallet"))
    monkeypatch.chdir(tmp_path)
    with fake_node(world.genesis) as fake:
        LedgerNode(fake, world)
        monkeypatch.setenv("GUILDMARK_NODE", fake.url)
        yield fake


def account_of(world: Consortium, organization: str) -> Account:
    return Account.first_of(world.network_id, organization, key(organization), bytes(16))


def run(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> Any:
    code = main.run([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code == expect, captured.err
    return json.loads(captured.out) if expect == 0 else json.loads(captured.err)["error"]


def test_a_score_is_shown_with_every_reason(world: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
    account = account_of(world, "org-1").text
    for who in (account, "ours", "org-1"):
        shown = run(capsys, "reputation", "show", who, "--why")
        assert (shown["score_ppm"], shown["weight_against"]) == (83_333, LOST_DISPUTE)
        (piece,) = shown["evidence"]
        assert (piece["about"], piece["kind"], piece["original"]) == (account, "dispute", LOST_DISPUTE)
    assert main.run(["reputation", "show", "org-1", "--why"]) == 0
    told = capsys.readouterr().out
    assert f"about {account}" in told
    assert f"weight {LOST_DISPUTE}; now 0 for, {LOST_DISPUTE} against" in told
    assert main.run(["reputation", "show", "org-0", "--why"]) == 0
    assert "no evidence" in capsys.readouterr().out
    assert "evidence" not in run(capsys, "reputation", "show", "org-1")
    assert run(capsys, "reputation", "show", "nobody", expect=3)["code"] == "query.not_found"


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

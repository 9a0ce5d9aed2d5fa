"""Disputes by the command line and the SDK, from the filing to the debt, against the real ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import FakeNode, run
from ledger_node_kit import account_of, held_asset, licensed, serving
from modules_kit import cid

from guildmark import Client, InvalidArgument
from guildmark.cli import main
from guildmark.disputes import grant as about_grant
from ledger.modules.licenses.operations import Terms
from ledger.parameters import HOUR_MS, MINUTE_MS

EVIDENCE = cid("evidence")


@pytest.fixture
def world() -> Consortium:
    return Consortium(
        make_genesis(
            4,
            5,
            development=True,
            # What is bought at first was paid out by now.
            created_at_ms=time.time_ns() // 1_000_000 - 25 * HOUR_MS,
            commitment_age_ms=0,
            dispute_answer_ms=MINUTE_MS,
            dispute_voting_ms=MINUTE_MS,
            dispute_appeal_ms=MINUTE_MS,
            dispute_bond_min=10,
        )
    )


@pytest.fixture
def asset(world: Consortium) -> str:
    return held_asset(world)


@pytest.fixture
def grant(world: Consortium, asset: str) -> str:
    """A license of org-1, its price in escrow."""
    return licensed(world, asset, Terms(rights=("download",), price=400, dispute_window_ms=24 * HOUR_MS))


@pytest.fixture(autouse=True)
def node(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with serving(world, monkeypatch, tmp_path) as fake:
        yield fake


def test_a_freeze_from_the_claim_to_its_release(
    world: Consortium, asset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    filed = run(
        capsys, "dispute", "file", "--asset", asset, "--relief", "freeze_sales", "--amount", "205",
        "--evidence", EVIDENCE, "--statement", "a copy of ours", "--account", "org-1",
    )  # fmt: skip
    assert (filed["state"], filed["claim"]["bond"], filed["ground"]) == ("answering", 21, "infringement")
    identifier = filed["dispute"]
    assert filed["arbiters"] == ["org-2", "org-3", "org-4"]
    answered = run(capsys, "dispute", "answer", identifier, "--bonded", "--account", "org-0")
    assert (answered["state"], answered["answer"]["bond"]) == ("voting", 21)
    for organization in ("org-2", "org-3"):
        voted = run(capsys, "dispute", "vote", identifier, "--refuse", "--account", organization)
    assert (voted["state"], voted["first_outcome"]) == ("decided", "rejected")
    again = run(capsys, "dispute", "vote", identifier, "--refuse", "--account", "org-4", expect=1)
    assert again["code"] == "disputes.voting_closed"
    appealed = run(capsys, "dispute", "appeal", identifier, "--evidence", EVIDENCE, "--account", "org-1")
    assert (appealed["state"], appealed["appeal"]["bond"]) == ("appealed", 42)
    assert main.run(["dispute", "list"]) == 0
    assert "appealed" in capsys.readouterr().out
    for organization in ("org-2", "org-3"):
        voted = run(capsys, "dispute", "vote", identifier, "--uphold", "--account", organization)
    assert (voted["state"], voted["outcome"], voted["freezing"]) == ("closed", "upheld", True)
    assert run(capsys, "asset", "show", asset)["frozen"]
    assert [item["dispute"] for item in run(capsys, "dispute", "list", "--lost-by", "org-0")] == [identifier]
    assert [item["dispute"] for item in run(capsys, "dispute", "list", "--party", "org-1")] == [identifier]
    assert [item["dispute"] for item in run(capsys, "dispute", "list", asset)] == [identifier]
    assert run(capsys, "dispute", "list") == []
    claim = ("dispute", "file", "--freeze", identifier, "--relief", "lift", "--evidence", EVIDENCE)
    assert run(capsys, *claim, "--account", "org-0")["kind"] == "freeze"
    assert not run(capsys, "dispute", "lift", identifier, "--account", "org-1")["freezing"]
    assert not run(capsys, "asset", "show", asset)["frozen"]


def test_a_refund_that_becomes_a_debt(
    world: Consortium, grant: str, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    """The SDK knows the price in dispute and the least bond."""
    with Client(node.url, account_of(world, "org-1"), network_id=world.network_id) as client:
        spend(client, world, "org-0", 950)
        identifier = client.disputes.file(about_grant(grant), "refund", evidence=EVIDENCE)
        shown = client.disputes.get(identifier)
        assert (shown["amount"], shown["claim"]["bond"]) == (400, 40)
        with pytest.raises(InvalidArgument):
            client.disputes.file(about_grant(grant), "revenge", evidence=EVIDENCE)  # type: ignore[arg-type]
        client.acting_as(account_of(world, "org-0")).disputes.answer(identifier, statement="it is what was sold")
        for organization in ("org-2", "org-3"):
            client.acting_as(account_of(world, organization)).disputes.vote(identifier, True)
        world.now_ms += MINUTE_MS
        world.execute()
        assert client.disputes.get(identifier)["outcome"] == "upheld"
        (debt,) = client.disputes.debts(account_of(world, "org-0"))
        assert (debt["amount"], debt["owed"]) == (400, 350)
        assert client.disputes.debts(creditor=client.signer()) == [debt]
        assert client.disputes.debts() == []
        client.acting_as(account_of(world, "org-4")).credits.transfer(account_of(world, "org-0"), 100)
    assert [item["owed"] for item in run(capsys, "dispute", "debts", "--account", "org-0")] == [350]
    run(capsys, "dispute", "collect", debt["debt"], "--account", "org-3")
    assert [item["owed"] for item in run(capsys, "dispute", "debts", "--to", "org-1", "--account", "org-1")] == [250]


def spend(client: Client, world: Consortium, organization: str, amount: int) -> None:
    client.acting_as(account_of(world, organization)).credits.transfer(world.accounts["org-2"], amount)


@pytest.mark.parametrize(
    "arguments",
    [
        ("file", "--relief", "refund", "--evidence", EVIDENCE),
        ("file", "--asset", "ab" * 32, "--grant", "ab" * 32, "--relief", "refund", "--evidence", EVIDENCE),
        ("file", "--version", "ab" * 32, "--relief", "freeze_sales", "--evidence", EVIDENCE),
        ("file", "--version", "ab" * 32 + ":0", "--relief", "freeze_sales", "--evidence", EVIDENCE),
        ("file", "--asset", "ab" * 32, "--relief", "freeze_sales"),
        ("vote", "ab" * 32),
        ("debts", "--of", "org-0", "--to", "org-1"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "dispute", *arguments, "--account", "org-1", expect=2)


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "dispute", "show", "ab" * 32, expect=3)["code"] == "query.not_found"
    assert run(capsys, "dispute", "show", "ab", expect=2)["code"] == "argument.id"
    refused = run(capsys, "dispute", "vote", "ab" * 32, "--uphold", "--account", "org-1", expect=1)
    assert refused["code"] == "disputes.unknown_dispute"

"""Governance by the command line, from a member's descriptor to the new set, against the real ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from epochs_kit import Consortium, make_genesis, node
from guildmark_kit import run
from ledger_node_kit import serving

from guildmark.cli import main
from ledger.epochs import pending_changes
from ledger.member_descriptor import FoundingAccount, describe, write
from ledger.modules.validators.operations import Ready
from p2p.identity import make_identity
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey


@pytest.fixture
def world() -> Consortium:
    return Consortium(make_genesis(4, created_at_ms=time.time_ns() // 1_000_000))


@pytest.fixture(autouse=True)
def surroundings(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with serving(world, monkeypatch, tmp_path):
        yield


def descriptor(directory: Path, organization: str, *founders: SigningKey) -> SigningKey:
    """Write `member.toml` as a new member does; return the signing key, which stays with it."""
    signing = SigningKey.generate()
    made = describe(
        organization=organization,
        organization_name=organization.title(),
        certificate_der=make_identity().certificate_der,
        address="node.example:7000",
        accounts=[FoundingAccount("first", key_to_text(founder.public_key), "00" * 16) for founder in founders],
        signing_key=signing,
    )
    (directory / "member.toml").write_bytes(write(made))
    return signing


def test_a_fifth_member_is_proposed_voted_in_and_listed(
    world: Consortium, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the descriptor alone: the organization comes with its validator."""
    signing = descriptor(tmp_path, "elm", SigningKey.generate())
    proposal = run(capsys, "governance", "propose", "add", "member.toml", "--account", "org-0")
    assert (proposal["state"], proposal["title"]) == ("open", "add a validator of elm")
    assert (proposal["change"]["kind"], proposal["change"]["founding"]) == ("add_validator", "Elm")
    for organization in ("org-0", "org-1", "org-2"):
        proposal = run(capsys, "governance", "vote", proposal["proposal"], "--approve", "--account", organization)
    assert (proposal["state"], proposal["approvals"]) == ("approved", ["org-0", "org-1", "org-2"])
    listed = run(capsys, "validators", "list")
    assert [member["index"] for member in listed["validators"]] == [0, 1, 2, 3]
    assert [(change["kind"], change["organization"]) for change in listed["pending"]] == [("add", "elm")]
    assert main.run(["validators", "list"]) == 0
    shown = capsys.readouterr()
    assert "incarnation" in shown.out
    assert "waits for the new node to say that it follows" in shown.err
    (change,) = pending_changes(world.chain.view()).values()
    assert change.record is not None
    head = world.chain.height
    data = world._build(change.record.account, signing, [Ready(head, world.chain.head_hash)])
    assert world.code(data) == ""
    assert main.run(["validators", "list"]) == 0
    assert f"ends with block {world.chain.epoch.end}" in capsys.readouterr().err
    world.run_to(world.chain.epoch.end + 1)
    listed = run(capsys, "validators", "list")
    assert [member["organization"] for member in listed["validators"]][-1] == "elm"
    assert len(run(capsys, "validators", "list", "--epoch", "0")["validators"]) == 4
    assert run(capsys, "validators", "list", "--epoch", "7", expect=3)["code"] == "query.not_found"


def test_removal_and_new_keys_are_proposed_by_node_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused = run(capsys, "governance", "propose", "remove", node("v0"), "--account", "org-0", expect=1)
    assert refused["code"] == "governance.too_few_validators"
    missing = run(capsys, "governance", "propose", "remove", node("n0"), "--account", "org-0", expect=3)
    assert missing["code"] == "governance.unknown_validator"
    descriptor(tmp_path, "org-1")
    wrong = run(capsys, "governance", "propose", "rekey", node("v0"), "member.toml", "--account", "org-0", expect=7)
    assert wrong["code"] == "descriptor.organization"
    made = run(capsys, "governance", "propose", "rekey", node("v1"), "member.toml", "--account", "org-0")
    assert made["change"]["kind"] == "rekey_validator"
    vote = run(capsys, "governance", "vote", made["proposal"], "--refuse", "--account", "org-3")
    assert vote["refusals"] == ["org-3"]
    again = run(capsys, "governance", "vote", made["proposal"], "--refuse", "--account", "org-3", expect=1)
    assert again["code"] == "governance.already_voted"
    assert main.run(["governance", "list", "--state", "open"]) == 0
    assert "0 of 4" in capsys.readouterr().out
    assert main.run(["governance", "show", made["proposal"]]) == 0
    assert "tls_certificate" not in capsys.readouterr().out
    assert run(capsys, "governance", "list", "--state", "approved") == []


def test_a_descriptor_that_was_changed_is_not_proposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    descriptor(tmp_path, "elm", SigningKey.generate())
    path = tmp_path / "member.toml"
    path.write_text(path.read_text().replace("node.example:7000", "evil.example:7000"))
    error = run(capsys, "governance", "propose", "add", "member.toml", "--account", "org-0", expect=7)
    assert error["code"] == "descriptor.signature"
    descriptor(tmp_path, "elm")
    error = run(capsys, "governance", "propose", "add", "member.toml", "--account", "org-0", expect=2)
    assert error["code"] == "descriptor.accounts"


def test_a_vote_says_yes_or_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "governance", "vote", "00" * 32, "--account", "org-0", expect=2)["code"] == "usage"
    error = run(capsys, "governance", "vote", "xyz", "--approve", "--account", "org-0", expect=2)
    assert error["code"] == "argument.id"

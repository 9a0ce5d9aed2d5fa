"""Members and recovery by the command line, against the real ledger."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import run
from ledger_node_kit import decide, serving

from guildmark.cli import main
from guildmark.sync import Accounts
from guildmark.wallet import DEVELOPMENT_COST, Wallet
from ledger.modules.credits.operations import Transfer
from ledger.transaction import decode_transaction
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey


@pytest.fixture
def world() -> Consortium:
    created = time.time_ns() // 1_000_000
    return Consortium(make_genesis(4, 6, development=True, created_at_ms=created, recovery_delay_ms=0))


@pytest.fixture(autouse=True)
def wallet(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wallet]:
    """The wallet of who uses the command line; keys that commands make in it cost little, too."""
    create = Wallet.create
    monkeypatch.setattr(
        Wallet, "create", lambda *where, cost=DEVELOPMENT_COST, **what: create(*where, cost=cost, **what)
    )
    with serving(world, monkeypatch, tmp_path):
        yield Wallet(tmp_path / "wallet")


def test_members_are_suspended_reinstated_and_expelled(capsys: pytest.CaptureFixture[str]) -> None:
    decide(capsys, "suspend", "org-5")
    assert run(capsys, "organization", "show", "org-5")["membership"] == "suspended"
    paid = run(capsys, "account", "pay", "org-0", "1", "--account", "org-5", expect=1)
    assert paid["code"] == "organizations.suspended"
    decide(capsys, "reinstate", "org-5")
    run(capsys, "account", "pay", "org-0", "1", "--account", "org-5")
    assert decide(capsys, "expel", "org-5")["title"] == "remove org-5"
    listed = {item["organization"]: item["membership"] for item in run(capsys, "organization", "list")}
    assert (listed["org-4"], listed["org-5"]) == ("active", "removed")
    assert main.run(["organization", "list"]) == 0
    assert "removed" in capsys.readouterr().out
    run(capsys, "account", "pay", "org-0", "1", "--account", "org-5")
    gone = run(capsys, "governance", "propose", "suspend", "org-0", "--account", "org-5", expect=1)
    assert gone["code"] == "organizations.removed"


def test_an_organization_is_admitted_by_the_keys_of_its_accounts(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.create("elm", "secret", cost=DEVELOPMENT_COST)
    other = key_to_text(SigningKey.generate().public_key)
    made = decide(capsys, "admit", "elm", "--name", "Elm", "--key", "elm", "--key", other)
    assert (made["change"]["organization"], made["change"]["founding"]) == ("elm", "Elm")
    accounts = run(capsys, "organization", "accounts", "elm")
    assert {item["account"] for item in accounts} == set(made["change"]["founding_accounts"])
    first = made["change"]["founding_accounts"][0]
    assert [item["key"] for item in run(capsys, "account", "show", first)["keys"]] == [wallet.read("elm").public_key]
    twice = ("--key", "elm", "--key", "elm")
    error = run(capsys, "governance", "propose", "admit", "fir", "--name", "Fir", *twice, expect=2)
    assert "twice" in error["message"]


def test_a_quota_is_set_and_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    decide(capsys, "quota", "org-5", "--records", "500")
    shown = run(capsys, "organization", "show", "org-5")
    assert (shown["quota_records"], shown["quota_deadlines"], shown["quota_voted"]) == (500, 100_000, True)
    decide(capsys, "quota", "org-5", "--default")
    assert run(capsys, "organization", "show", "org-5")["quota_voted"] is False
    for arguments in ((), ("--default", "--records", "500"), ("--records", "99")):
        assert run(capsys, "governance", "propose", "quota", "org-5", *arguments, expect=2)["code"] == "usage"


def test_a_lost_key_is_replaced_and_a_vetoed_recovery_is_voted_on(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = run(capsys, "account", "open", "lab", "--account", "org-0")
    wallet.create("fresh", "secret", cost=DEVELOPMENT_COST)
    asked = run(capsys, "account", "recover", "lab", "fresh", "--account", "org-0")
    assert (asked["account"], asked["recovery"]["state"]) == (opened["account"], "waiting")
    paid = run(capsys, "account", "pay", "org-0", "1", "--account", "lab", expect=1)
    assert paid["code"] == "organizations.frozen"
    vetoed = run(capsys, "account", "veto-recovery", "--account", "lab")
    assert (vetoed["recovery"]["state"], vetoed["frozen_until_ms"]) == ("vetoed", None)
    again = run(capsys, "account", "recover", "lab", "fresh", "--account", "org-0", expect=1)
    assert again["code"] == "organizations.recovery_needs_vote"
    made = decide(capsys, "recover", "lab", "fresh")
    assert made["change"]["account"] == opened["account"]
    public = wallet.read("fresh").public_key
    assert [entry["key"] for entry in run(capsys, "account", "show", "lab")["keys"]] == [public]


def keys_of(capsys: pytest.CaptureFixture[str], who: str) -> dict[str, str]:
    return {entry["key"]: entry["role"] for entry in run(capsys, "account", "show", who)["keys"]}


def test_keys_are_added_in_their_roles_and_revoked(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    other = key_to_text(SigningKey.generate().public_key)
    run(capsys, "account", "add-key", other, "--role", "release", "--account", "org-0")
    wallet.create("desk", "secret", cost=DEVELOPMENT_COST)
    run(capsys, "account", "add-key", "desk", "--account", "org-0")
    shown = run(capsys, "account", "add-key", "spare", "--role", "owner", "--account", "org-0")
    own, desk, spare = (wallet.read(name).public_key for name in ("org-0", "desk", "spare"))
    assert keys_of(capsys, "org-0") == {own: "owner", other: "release", desk: "operator", spare: "owner"}
    assert wallet.read("desk").account == wallet.read("spare").account == shown["account"]
    assert run(capsys, "account", "pay", "org-1", "1", "--account", "desk", expect=1)["code"].endswith("not_allowed")
    run(capsys, "account", "pay", "org-1", "1", "--account", "spare")
    run(capsys, "account", "revoke-key", "desk", "--account", "spare")
    run(capsys, "account", "revoke-key", other, "--account", "spare")
    run(capsys, "account", "revoke-key", "org-0", "--account", "spare")
    assert keys_of(capsys, "spare") == {spare: "owner"}
    last = run(capsys, "account", "revoke-key", "spare", "--account", "spare", expect=1)
    assert last["code"] == "organizations.last_owner_key"
    assert {"org-0", "desk", "spare"} <= set(wallet.names()), "no key file is ever deleted"


def test_the_acting_key_is_rotated(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    """G4: the account has the new key alone, and it signs. The old file stays."""
    rotated = run(capsys, "account", "rotate-key", "next", "--account", "org-0")
    assert [entry["key"] for entry in rotated["keys"]] == [wallet.read("next").public_key]
    run(capsys, "account", "pay", "org-1", "1", "--account", "next")
    assert {"org-0", "next"} <= set(wallet.names())


def test_a_new_key_is_on_disk_before_an_account_has_it(
    wallet: Wallet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends the command in between, the key is there, and trying again uses it."""

    def crash(*_: Any) -> None:
        raise KeyboardInterrupt

    for command, name in (("add-key", "second"), ("rotate-key", "next")):
        before = keys_of(capsys, "org-0")
        with monkeypatch.context() as patched:
            patched.setattr(Accounts, command.replace("-", "_"), crash)
            assert main.run(["account", command, name, "--account", "org-0"]) != 0
        kept = wallet.read(name)
        assert (kept.account, keys_of(capsys, "org-0")) == ("", before)
        run(capsys, "account", command, name, "--account", "org-0")
        assert wallet.read(name).public_key == kept.public_key
        assert kept.public_key in keys_of(capsys, "org-0")


def test_a_key_of_another_account_is_not_taken(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("add-key", "rotate-key"):
        refused = run(capsys, "account", command, "org-1", "--account", "org-0", expect=1)
        assert refused["code"] == "wallet.assigned"
        assert wallet.read("org-1").account in refused["message"]
    unknown = run(capsys, "account", "revoke-key", "nobody", "--account", "org-0", expect=3)
    assert unknown["code"] == "wallet.no_such_key"
    malformed = run(capsys, "account", "add-key", "did:key:zz", "--account", "org-0", expect=2)
    assert malformed["code"] == "argument.key"


def test_a_recovery_is_completed(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "account", "open", "lab", "--account", "org-0")
    wallet.create("fresh", "secret", cost=DEVELOPMENT_COST)
    missing = run(capsys, "account", "complete-recovery", "lab", "--account", "org-0", expect=1)
    assert missing["code"] == "organizations.no_recovery"
    run(capsys, "account", "recover", "lab", wallet.read("fresh").public_key, "--account", "org-0")
    done = run(capsys, "account", "complete-recovery", "lab", "--account", "org-0")
    assert (done["recovery"]["state"], len(done["keys"])) == ("completed", 1)
    assert wallet.read("fresh").account == done["account"], "the key can act at once"
    wrong = run(capsys, "account", "recover", "lab", "did:key:zzz", "--account", "org-0", expect=2)
    assert wrong["code"] == "argument.key"


def test_a_key_that_was_rotated_signs_nothing_and_the_new_one_acts(
    world: Consortium, wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.create("next", "secret", cost=DEVELOPMENT_COST)
    made = run(capsys, "account", "rotate-key", "next", "--account", "org-0")
    assert [(entry["key"], entry["role"]) for entry in made["keys"]] == [(wallet.read("next").public_key, "owner")]
    by_the_old_one = decode_transaction(world.by("org-0", Transfer(world.accounts["org-1"], 1)))
    refusal = world.chain.admission_error(by_the_old_one, world.now_ms)
    assert refusal is not None
    assert refusal.code == "transaction.unknown_signer"
    run(capsys, "account", "pay", "org-1", "1", "--account", "next")
    other = run(capsys, "account", "rotate-key", "org-1", "--account", "next", expect=1)
    assert other["code"] == "wallet.assigned"


def test_an_account_is_opened_with_a_key_that_a_refused_try_has_left(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "account", "open", "lab", "--account", "org-0")
    refused = run(capsys, "account", "open", "annex", "--account", "lab", expect=1)
    assert refused["code"] == "organizations.not_vouching"
    left = wallet.read("annex").public_key
    opened = run(capsys, "account", "open", "annex", "--account", "org-0")
    assert [entry["key"] for entry in opened["keys"]] == [left]
    again = run(capsys, "account", "open", "annex", "--account", "org-0", expect=1)
    assert again["code"] == "wallet.assigned"

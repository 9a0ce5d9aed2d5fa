"""Registering and managing by the command line, against the real ledger: who made it, who acts for it, who had it
first, and what several owners decide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import run
from ledger_node_kit import account_of, serving

Command = Callable[..., Any]
TENSORS = "ab" * 32


@pytest.fixture
def world() -> Consortium:
    created_at_ms = time.time_ns() // 1_000_000
    return Consortium(make_genesis(4, created_at_ms=created_at_ms, development=True, commitment_age_ms=0))


@pytest.fixture
def names(world: Consortium) -> dict[str, str]:
    """Organization -> `gm1...` of its account, whose key has the same name in the wallet."""
    return {name: account_of(world, name).text for name in world.organizations}


@pytest.fixture
def command(
    world: Consortium,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Command]:
    """Run `guildmark ... --json`, as `org-0` unless another account is named; return what it says."""
    with serving(world, monkeypatch, tmp_path) as fake:
        fake.routes[("PUT", "/v1/artifacts/")] = lambda _: (204, b"")
        monkeypatch.setenv("GUILDMARK_ACCOUNT", "org-0")
        (tmp_path / "song.txt").write_text("la la la")
        yield partial(run, capsys)


def song(command: Command, *arguments: str, **expected: int) -> Any:
    return command("asset", "register", "song.txt", "--kind", "artwork", "--name", "Song", *arguments, **expected)


def test_a_registration_says_who_made_it_who_acts_for_it_and_what_is_due(
    command: Command, names: dict[str, str]
) -> None:
    creators = ("--creator", "org-0=7000", "--creator", f"{names['org-1']}=3000", "--manager", "org-2")
    due = ("--resale-royalty-bps", "250", "--least-royalty", "40", "--no-gifts")
    made = command("asset", "show", song(command, *creators, *due)["asset"])
    assert {entry["account"]: entry["bps"] for entry in made["creators"]} == {
        names["org-0"]: 7_000,
        names["org-1"]: 3_000,
    }
    assert (made["manager"], made["owners"]) == (names["org-2"], [{"account": names["org-0"], "bps": 10_000}])
    assert (made["resale_royalty_bps"], made["least_royalty"], made["gifts"]) == (250, 40, False)


def test_what_is_not_said_is_the_senders(command: Command, names: dict[str, str]) -> None:
    made = command("asset", "show", song(command)["asset"])
    assert (made["manager"], made["creators"]) == (names["org-0"], [{"account": names["org-0"], "bps": 10_000}])
    assert (made["resale_royalty_bps"], made["least_royalty"], made["gifts"]) == (0, 0, True)


@pytest.mark.parametrize("creator", ["org-0", "org-0=", "org-0=0", "org-0=10001", "org-0=-1", "org-0=１", "org-0=1.0"])
def test_a_creators_part_is_a_number_of_ten_thousandths(command: Command, creator: str) -> None:
    assert song(command, "--creator", creator, expect=2)["code"] == "usage"


def test_parts_of_creators_are_the_whole(command: Command) -> None:
    assert song(command, "--creator", "org-0=9999", expect=1)["code"] == "assets.creator_shares"
    assert song(command, "--least-royalty", "1", expect=1)["code"] == "assets.transfer_terms"


def test_a_second_registration_is_refused_and_points_to_the_first(command: Command, names: dict[str, str]) -> None:
    """E1: by another owner, for ever, and its user reads whose it is and what there is to do."""
    first = song(command, "--manager", "org-2")["asset"]
    for prepare in (lambda: None, lambda: command("asset", "retire", first)):
        prepare()
        refused = song(command, "--account", "org-1", expect=1)
        assert refused["code"] == "assets.artifact_claimed"
        assert f"asset {first}, version 1, which {names['org-2']} of org-2 manages" in refused["message"]
        assert "ask there for a license, or register something else" in refused["message"]
        assert "needs no second registration" in song(command, "--account", "org-2", expect=1)["message"]
    found = command("query", "assets.by_artifact", f"cid={command('asset', 'show', first)['latest']['cid']}")
    assert (found["result"]["asset"], found["result"]["name"]) == (first, "Song")


def test_a_model_that_was_only_saved_again_points_to_the_first(command: Command, tmp_path: Path) -> None:
    """E1: other bytes of the same tensors."""
    for name in ("model.bin", "again.bin"):
        (tmp_path / name).write_text(name)
    registered = ("--name", "M", "--tensors-digest", TENSORS)
    first = command("model", "register", "model.bin", *registered)["asset"]
    refused = command("model", "register", "again.bin", *registered, "--account", "org-1", expect=1)
    assert refused["code"] == "assets.tensors_claimed"
    assert f"asset {first}, version 1" in refused["message"]
    found = command("query", "assets.by_tensors", f"digest={TENSORS}")["result"]
    assert (found["asset"], found["version"]) == (first, 1)


def test_owners_of_several_shares_replace_the_manager_and_retire_together(
    command: Command, names: dict[str, str]
) -> None:
    asset = song(command)["asset"]
    offered = command("transfer", "offer", "--share", f"{asset}:5000", "--to", "org-1")["transfer"]
    command("transfer", "accept", offered, "--account", "org-1")
    for arguments, code in (
        (("asset", "manager", asset, "org-2"), "assets.not_majority_owner"),
        (("asset", "retire", asset), "assets.consent_missing"),
    ):
        shown = command(*arguments, "--prepare")
        assert shown["operation"].replace("set_", "") == f"assets.{arguments[1]}"
        assert command(*arguments, expect=1)["code"] == code
        command("asset", "consent", asset, shown["prepared"], "--account", "org-1")
        command(*arguments)
    made = command("asset", "show", asset)
    assert (made["manager"], made["retired"]) == (names["org-2"], True)

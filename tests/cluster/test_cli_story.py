"""The command line on real processes, as a new user types it: every result is JSON, every end has its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Shell

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cli-story")]
VERIFIER = Path(__file__).resolve().parents[2] / "examples" / "verify_certificate.py"
NOBODYS = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"
"""A CID of nothing that is registered."""


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("cli"))
    made("cluster", "up", "--parameter", "commitment_age_ms=0")
    yield made
    made("cluster", "down")


def test_a_new_users_session(shell: Shell) -> None:
    nodes = shell("cluster", "status")
    assert [(row["answers"], row["ready"]) for row in nodes] == [(True, True)] * 4
    assert shell("status")["validators"] == 4

    (shell.directory / "model.bin").write_bytes(os.urandom(2_000))
    made = shell(
        *("model", "register", "model.bin", "--name", "digits", "--account", "alder"),
        *("--tensors-digest", os.urandom(32).hex(), "--metric", "accuracy=0.9731", "--hyperparameter", "epochs=10"),
        "--wait-held",
    )
    asset = made["asset"]
    shown = shell("model", "show", asset)
    assert shown["latest"]["metrics_ppm"] == {"accuracy": 973_100}
    assert [row["asset"] for row in shell("model", "list")] == [asset]
    assert shell("query", "assets.by_artifact", f"cid={made['cid']}")["result"]["asset"] == asset

    denied = shell("license", "check", asset, "--account", "birch", ends_with=4)
    assert (denied["allowed"], denied["reason"]) == (False, "no_grant")
    assert (
        shell("model", "download", asset, "copy.bin", "--account", "birch", ends_with=4)["error"]["code"] == "no_grant"
    )
    anonymous = shell("model", "download", asset, "copy.bin", "--anonymous", ends_with=4)
    assert anonymous["error"]["code"] == "artifact.unsigned"

    offer = shell("license", "offer", asset, "--right", "download", "--price", "500", "--account", "alder")["offer"]
    grant = shell("license", "buy", offer, "--account", "birch")
    assert (grant["price"], grant["state"]) == (500, "active")
    assert shell("transaction", "show", grant["transaction"])["state"] == "committed"
    assert shell("license", "check", asset, "--account", "birch")["reason"] == "granted"
    shell("model", "download", asset, "copy.bin", "--account", "birch")
    assert (shell.directory / "copy.bin").read_bytes() == (shell.directory / "model.bin").read_bytes()

    transfer = shell("transfer", "offer", "--asset", asset, "--to", "cedar", "--account", "alder")["transfer"]
    shell("transfer", "accept", transfer, "--account", "cedar")
    cedar = shell("key", "show", "cedar")["account"]
    network = shell("certificate", "export", asset, "--output", "proof")["network_id"]
    verified = shell("certificate", "verify", "proof", "--genesis-hash", network)
    assert [owner["account"] for owner in verified["owners"]] == [cedar]
    assert check_alone(shell.directory / "proof", network)["subject"][0] == "asset"
    for subject in (
        ("version", asset, "1"),
        ("license", offer),
        ("grant", grant["grant"]),
        ("account", "birch"),
        ("absence", "--artifact", NOBODYS),
    ):
        made = shell("certificate", "export", *subject, "--output", "other")
        told = shell("certificate", "verify", "other", "--genesis-hash", network)
        assert (told["proves"], told["height"]) == (subject[0], made["height"])
        assert check_alone(shell.directory / "other", network)["subject"][0] == subject[0]
        assert shell("certificate", "show", "other")["checked"] is False
    present = shell("certificate", "export", "absence", "--asset", asset, "--output", "other", ends_with=1)
    assert present["error"]["code"] == "certificate.present"
    height = made["height"] - 1
    shell("certificate", "export", asset, "--since", str(height), "--output", "since")
    start = shell("certificate", "show", "since")["start"]
    assert start.startswith(f"{height}:")
    shell("certificate", "verify", "since", "--genesis-hash", network, ends_with=7)
    pinned = shell("certificate", "verify", "since", "--genesis-hash", network, "--trust", start)
    assert (pinned["start_height"], pinned["pinned"]) == (height, True)
    past = shell("certificate", "export", asset, "--height", str(height), "--output", "past")
    assert past["height"] == shell("certificate", "verify", "past", "--genesis-hash", network)["height"] == height

    data = bytearray((shell.directory / "proof").read_bytes())
    data[len(data) // 2] ^= 1
    (shell.directory / "proof").write_bytes(data)
    shell("certificate", "verify", "proof", "--genesis-hash", network, ends_with=7)


def check_alone(file: Path, network: str) -> dict[str, Any]:
    """Check a certificate with the verifier of the examples, in a process without our packages."""
    run = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), str(file), network], capture_output=True, text=True, check=True
    )
    proven: dict[str, Any] = json.loads(run.stdout)
    return proven


def test_owners_hand_over_shares_and_together_the_whole(shell: Shell) -> None:
    (shell.directory / "work.bin").write_bytes(os.urandom(500))
    registered = ("asset", "register", "work.bin", "--kind", "artwork", "--name", "work", "--account", "alder")
    asset = shell(*registered, "--wait-held")["asset"]
    offered = shell("transfer", "offer", "--share", f"{asset}:2500", "--to", "birch", "--account", "alder")
    assert offered["thing"] == {"kind": "share", "id": asset, "bps": 2_500}
    assert [row["transfer"] for row in shell("transfer", "list", "--account", "birch")] == [offered["transfer"]]
    assert shell("transfer", "show", offered["transfer"])["price"] == 0
    shell("transfer", "accept", offered["transfer"], "--account", "birch")
    owners = {owner["account"]: owner["bps"] for owner in shell("asset", "show", asset)["owners"]}
    alder, birch, cedar = (shell("key", "show", name)["account"] for name in ("alder", "birch", "cedar"))
    assert owners == {alder: 7_500, birch: 2_500}

    sale = ("transfer", "offer", "--asset", asset, "--to", "cedar", "--price", "9000", "--account", "alder")
    assert shell(*sale, ends_with=1)["error"]["code"] == "assets.consent_missing"
    prepared = shell(*sale, "--prepare")["prepared"]
    shell("asset", "consent", asset, prepared, "--account", "birch")
    transfer = shell("transfer", "offer", "--prepared", prepared, "--account", "alder")["transfer"]
    shell("transfer", "accept", transfer, "--price-max", "9000", "--account", "cedar")
    assert [owner["account"] for owner in shell("asset", "show", asset)["owners"]] == [cedar]
    assert shell("license", "royalties", asset, "--account", "birch")["owed"] == 2_193

    shell("asset", "describe", asset, "--name", "work again", "--tag", "blue", "--account", "cedar")
    shell("asset", "alias", asset, "production", "--version", "1", "--account", "cedar")
    shown = shell("asset", "show", asset)
    assert (shown["name"], shown["tags"], shown["aliases"]) == ("work again", ["blue"], {"production": 1})


def test_an_artifact_is_taken_down_restored_and_uploaded_again(shell: Shell) -> None:
    (shell.directory / "song.bin").write_bytes(os.urandom(1_500_000))
    registered = ("asset", "register", "song.bin", "--kind", "artwork", "--name", "song", "--account", "alder")
    made = shell(*registered, "--public", "--wait-held")
    asset, cid = made["asset"], made["cid"]
    assert shell("asset", "upload", "song.bin", "--account", "alder") == {"asset": asset, "version": 1, "cid": cid}

    def decide(*change: str) -> None:
        proposal = shell("governance", "propose", *change, "--account", "alder")["proposal"]
        for name in ("alder", "birch", "cedar", "dogwood"):
            if shell("governance", "show", proposal)["state"] == "open":
                shell("governance", "vote", proposal, "--approve", "--account", name)
        assert shell("governance", "show", proposal)["state"] == "approved"

    decide("take-down", cid, "--reason", "infringing")
    assert [row["cid"] for row in shell("governance", "takedowns")] == [cid]
    assert shell("asset", "show", asset)["latest"]["taken_down"]["reason"] == "infringing"
    refused = shell("asset", "download", asset, "song-copy.bin", "--anonymous", ends_with=1)
    assert refused["error"]["code"] == "artifact.taken_down"
    decide("restore", cid)
    assert shell("governance", "takedowns") == []
    shell("asset", "upload", "song.bin", "--account", "alder", "--wait-held")
    shell("asset", "download", asset, "song-copy.bin", "--anonymous")
    assert (shell.directory / "song-copy.bin").read_bytes() == (shell.directory / "song.bin").read_bytes()


def test_accounts_are_opened_and_paid(shell: Shell) -> None:
    opened = shell("account", "open", "dora", "--account", "dogwood")
    assert opened["organization"] == "dogwood"
    shell("account", "pay", "dora", "70", "--account", "dogwood")
    assert shell("account", "show", "dora")["balance"] == 70
    (listed,) = [row for row in shell("account", "list") if row["key"] == "dora"]
    assert (listed["account"], listed["balance"], listed["role"]) == (opened["account"], 70, "owner")
    refused = shell("account", "pay", "alder", "71", "--account", "dora", ends_with=1)
    assert refused["error"]["code"].startswith("credits.")
    assert shell("transaction", "show", refused["error"]["transaction"])["state"] == "rejected"


def test_what_does_not_exist_ends_with_3(shell: Shell) -> None:
    for arguments in (("model", "show", "ab" * 32), ("transaction", "show", "ab" * 32), ("key", "show", "nobody")):
        assert shell(*arguments, ends_with=3)["error"]["code"]


def test_starting_twice_is_harmless(shell: Shell) -> None:
    before = [row["pid"] for row in shell("cluster", "status")]
    shell("cluster", "up")
    assert [row["pid"] for row in shell("cluster", "status")] == before

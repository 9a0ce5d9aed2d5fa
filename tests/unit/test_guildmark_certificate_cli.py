"""`guildmark certificate` without a node: showing, verifying, and what is wrong usage."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from certificates_kit import VECTORS

from guildmark.cli import main

INDEX = json.loads((VECTORS / "index.json").read_text())


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main.run(["certificate", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted(INDEX["good"]))
def test_every_vector_is_shown_and_verified(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    file, trust = str(VECTORS / f"{name}.gmcert"), INDEX["good"][name].get("trust")
    shown = told(capsys, "show", file)
    pin = ("--trust", trust) if trust else ()
    verified = told(capsys, "verify", file, "--genesis-hash", INDEX["genesis_hash"], *pin)
    assert shown["checked"] is False
    assert (shown["subject"], shown["height"]) == (verified["proves"], verified["height"])
    assert shown["block_hash"] == verified["block_hash"]


def test_the_network_id_may_be_written_in_groups() -> None:
    name, known = min(INDEX["good"]), INDEX["genesis_hash"]
    groups = " ".join(known[at : at + 8] for at in range(0, 64, 8))
    assert main.run(["certificate", "verify", str(VECTORS / f"{name}.gmcert"), "--genesis-hash", groups]) == 0


def test_people_are_told_dates(capsys: pytest.CaptureFixture[str]) -> None:
    file = str(VECTORS / f"{min(INDEX['good'])}.gmcert")
    said = told(capsys, "show", file)["block_time_ms"]
    assert main.run(["certificate", "show", file]) == 0
    assert re.search(rf"block_time_ms +{said} \(\d{{4}}-\d\d-\d\d .* UTC\)", capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted(INDEX["bad"]))
def test_bad_vectors_end_with_7(name: str) -> None:
    arguments = ["certificate", "verify", str(VECTORS / f"{name}.gmcert"), "--genesis-hash", INDEX["genesis_hash"]]
    assert main.run(arguments) == 7


def test_what_is_no_certificate_cannot_be_shown() -> None:
    assert main.run(["certificate", "show", str(VECTORS / "index.json")]) == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ("version", "ab" * 32),
        ("version", "ab" * 32, "x"),
        ("version", "ab" * 32, "0"),
        ("grant",),
        ("asset", "ab" * 32, "1"),
        ("assets", "ab" * 32),
        ("absence",),
        ("absence", "--asset", "ab" * 32, "--grant", "ab" * 32),
        ("asset", "ab" * 32, "--artifact", "b" * 59),
        ("grant", "xyz"),
        ("ab" * 32, "--height", "-1"),
    ],
)
def test_what_names_no_subject_is_wrong_usage(arguments: tuple[str, ...], tmp_path: Any) -> None:
    """And no node is asked."""
    where = ["--output", str(tmp_path / "out"), "--node", "http://127.0.0.1:1"]
    network = ["certificate", "export", *arguments, *where]
    assert main.run(network) == 2
    assert not (tmp_path / "out").exists()

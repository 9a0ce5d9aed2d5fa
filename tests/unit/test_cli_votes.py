"""Voting on the command line: whatever is voted on, who is against it refuses."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import rich_click as click
from epochs_kit import Consortium, make_genesis
from guildmark_kit import run
from ledger_node_kit import serving

from guildmark.cli import main
from guildmark.cli.charter import charter
from guildmark.cli.dispute import dispute
from guildmark.cli.governance import governance

CHARTER = """
voting_period_ms = 3600000
majority = { quorum_bps = 6667, threshold_bps = 6667 }
charter = { quorum_bps = 6667, threshold_bps = 7500 }
dissolution = { quorum_bps = 6667, threshold_bps = 7500 }
drag_along_bps = 7500
voted_aliases = ["production"]
"""


@pytest.mark.parametrize("group", [charter, dispute, governance])
def test_who_is_against_it_refuses(group: click.Group) -> None:
    against = [option for parameter in group.commands["vote"].params for option in parameter.secondary_opts]
    assert against == ["--refuse"]


@pytest.mark.parametrize("second", ["--refuse", None])
@pytest.mark.parametrize(("group", "agree"), [("charter", "approve"), ("dispute", "uphold"), ("governance", "approve")])
def test_a_vote_is_for_or_against(
    group: str, agree: str, second: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    said = [] if second is None else [f"--{agree}", second]
    for options in (said, said[::-1]):
        shown = run(capsys, group, "vote", "ab" * 32, *options, "--node", "http://127.0.0.1:1", expect=2)
        assert shown == {"code": "usage", "message": f"say --{agree} or --refuse" + (", not both" if said else "")}


def test_owners_vote_on_what_one_of_them_proposes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now_ms = time.time_ns() // 1_000_000
    world = Consortium(make_genesis(4, development=True, created_at_ms=now_ms, commitment_age_ms=0))
    with serving(world, monkeypatch, tmp_path) as node:
        node.routes[("PUT", "/v1/artifacts/")] = lambda _: (204, b"")
        Path("charter.toml").write_text(CHARTER, encoding="utf-8")
        Path("song.txt").write_text("la", encoding="utf-8")
        made = ("asset", "register", "song.txt", "--kind", "artwork", "--name", "Song", "--charter", "charter.toml")
        asset = run(capsys, *made, "--account", "org-0")["asset"]
        share = ("transfer", "offer", "--share", f"{asset}:4000", "--to", "org-1", "--account", "org-0")
        run(capsys, "transfer", "accept", run(capsys, *share)["transfer"], "--account", "org-1")
        words = ("charter", "propose", "alias", asset, "production", "1", "--account", "org-0")
        proposal = run(capsys, *words)["proposal"]
        assert run(capsys, "charter", "vote", proposal, "--account", "org-0", expect=2)["message"].endswith("--refuse")
        run(capsys, "charter", "vote", proposal, "--approve", "--account", "org-0")
        refused = run(capsys, "charter", "vote", proposal, "--refuse", "--account", "org-1")
        assert (refused["state"], refused["approving_bps"], refused["refusing_bps"]) == ("rejected", 6_000, 4_000)
        assert main.run(["charter", "proposals", asset]) == 0
        head, row = (line.split() for line in capsys.readouterr().out.splitlines())
        shown = dict(zip(head, row, strict=False))
        assert (shown["state"], shown["approve"], shown["refuse"], shown["of"]) == ("rejected", "6000", "4000", "10000")

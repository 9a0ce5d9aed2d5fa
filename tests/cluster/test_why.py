"""`guildmark status --why` on real processes: who is missing, what lacks whom, and that all is well again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from guildmark.errors import OutcomeUnknown
from ledger.modules.credits.operations import Transfer

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]


def ask(cluster: Any, index: int, *arguments: str) -> str:
    """What a person reads, or a program with `--json`."""
    run = subprocess.run(
        [sys.executable, "-m", "guildmark.cli.main", "status", "--why", "--node", cluster.url(index), *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith("GUILDMARK_")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def until(holds: Callable[[dict[str, Any]], bool], cluster: Any, index: int) -> dict[str, Any]:
    deadline = time.monotonic() + 40
    while True:
        said: dict[str, Any] = json.loads(ask(cluster, index, "--json"))
        if holds(said):
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def test_why_names_both_who_are_missing_and_what_lacks_them(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """One of four stands still (SIGSTOP) and one is dead: nothing commits, and a node that is left says why."""
    recipient = guildmark_cluster.account(guildmark_cluster.accounts[1])
    guildmark_client.credits.transfer(recipient, 1)
    names = [validator.organization for validator in guildmark_cluster.genesis.validators]
    primary = guildmark_cluster.primary()
    asked, paused, dead = primary, (primary + 1) % 4, (primary + 2) % 4
    guildmark_cluster.pause(paused)
    guildmark_cluster.kill(dead)
    before = json.loads(ask(guildmark_cluster, asked, "--json"))["progress"]["certified_height"]
    with guildmark_cluster.client(guildmark_client.account, node=asked) as client, pytest.raises(OutcomeUnknown):
        client.submit_and_wait(Transfer(recipient.id, 2), timeout_s=1)
    said = until(lambda said: said["answering"] == 2 and said["missing"], guildmark_cluster, asked)
    assert said["verdict"] == "not-committing"
    assert "2 of 4 validators answer, and 3 are needed" in said["summary"]
    for index in (paused, dead):
        assert f"replica {index} ({names[index]})" in said["summary"]
        assert said["members"][index]["state"] in ("silent", "unreachable")
    assert [member["replica"] for member in said["members"] if member["state"] == "connected"] == [
        index for index in range(4) if index not in (asked, paused, dead)
    ]
    lacking = " and ".join(map(str, sorted((paused, dead))))
    # A turn may have passed just before: then the new primary, one of the missing, has proposed nothing.
    told = (f"none from replicas {lacking}", "is asked for by replicas")
    assert any(words in sentence for sentence in said["missing"] for words in told), said["missing"]
    assert said["progress"]["certified_height"] == before
    text = ask(guildmark_cluster, asked)
    assert text.startswith("Not committing: 2 of 4 validators answer")
    assert all(sentence in text for sentence in said["missing"][:1])

    guildmark_cluster.heal()
    guildmark_client.credits.transfer(recipient, 3)
    said = until(lambda said: said["answering"] == 4 and said["verdict"] == "idle", guildmark_cluster, asked)
    assert said["progress"]["certified_height"] > before
    assert said["summary"].startswith("Nothing waits to be committed. Block ")
    assert ask(guildmark_cluster, asked).startswith("Nothing waits to be committed.")

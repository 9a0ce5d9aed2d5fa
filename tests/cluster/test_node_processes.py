"""Four real node processes, seen from outside: commit, crash, restart, refuse, stop."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from cluster_kit import Load

from guildmark.cluster import probe
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.errors import Denied, Refused

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]


def test_a_transfer_commits_and_every_node_agrees(guildmark_cluster: Any, guildmark_client: Any) -> None:
    other = guildmark_cluster.account(guildmark_cluster.accounts[1])
    before = guildmark_client.credits.balance(other)
    guildmark_client.credits.transfer(other, 1_234)
    head = guildmark_cluster.wait_same_head()
    assert head["ready"]
    for index in range(4):
        with guildmark_cluster.client(node=index) as one:
            assert one.credits.balance(other) == before + 1_234


def test_a_killed_primary_loses_nothing_that_was_acknowledged(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """L1: SIGKILL of the primary under load; the others carry on, it catches up, every transaction executed once."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[2]
    before = guildmark_client.credits.balance(guildmark_cluster.account(recipient))
    load = Load(guildmark_cluster, sender, recipient)
    try:
        load.wait_for(50)
        primary = guildmark_cluster.primary()
        guildmark_cluster.kill(primary)
        load.wait_for(100)
        guildmark_cluster.restart(primary)
        load.wait_for(50)
    finally:
        load.finish()
    load.check(guildmark_cluster, guildmark_client, before)


def test_a_second_process_on_a_data_directory_says_so_and_ends(guildmark_cluster: Any) -> None:
    """R8"""
    directory = guildmark_cluster.nodes[0].directory
    run = subprocess.run(
        node_command("start", "--data-dir", str(directory)),
        env=node_environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 4
    assert "is in use by process" in run.stderr
    assert "Traceback" not in run.stderr
    assert guildmark_cluster.status(0) is not None


def test_sigterm_ends_a_node_cleanly_and_it_comes_back(guildmark_cluster: Any, guildmark_client: Any) -> None:
    process = guildmark_cluster.nodes[3]
    running, child = process.running(), process._child
    assert running is not None
    process.signal(signal.SIGTERM)
    assert process.wait_ended(time.monotonic() + 30)
    assert child.wait(10) == 0, process.tail()
    guildmark_client.credits.transfer(guildmark_cluster.account(guildmark_cluster.accounts[1]), 1)
    guildmark_cluster.restart(3)
    guildmark_cluster.wait_same_head()
    assert not psutil.pid_exists(running.pid) or psutil.Process(running.pid).status() == psutil.STATUS_ZOMBIE


def test_an_artifact_is_held_by_all_and_read_by_who_may(
    guildmark_cluster: Any, guildmark_client: Any, tmp_path: Path
) -> None:
    source = tmp_path / "data.bin"
    source.write_bytes(bytes(range(256)) * 10_000)
    registered = guildmark_client.assets.register(source, kind="dataset", name="bytes")
    held = guildmark_client.artifacts.wait_held(registered.cid)
    guildmark_cluster.wait_same_head()
    assert held["complete"] or held["held_quorum"]
    stranger = guildmark_cluster.account(guildmark_cluster.accounts[1])
    for index in range(4):
        with guildmark_cluster.client(guildmark_client.account, node=index) as owner:
            copy = owner.assets.download(registered.asset, tmp_path / f"copy-{index}.bin")
            assert copy.read_bytes() == source.read_bytes()
        with guildmark_cluster.client(stranger, node=index) as other, pytest.raises(Denied) as denied:
            other.artifacts.fetch_block(registered.cid, registered.cid)
        assert denied.value.code == "no_grant"
        url = guildmark_cluster.url(index)
        answer = probe.get(url, f"/v1/artifacts/{registered.cid}/blocks/{registered.cid}")
        assert answer is not None
        assert (answer[0], msgspec.json.decode(answer[1])["code"]) == (401, "artifact.unsigned")


def test_wrong_transactions_get_stable_codes_and_change_nothing(guildmark_cluster: Any, guildmark_client: Any) -> None:
    with pytest.raises(Refused) as refused:
        guildmark_client.credits.transfer(guildmark_cluster.account(guildmark_cluster.accounts[1]), 2**62)
    assert refused.value.code.startswith("credits.")
    with pytest.raises(Refused) as refused:
        guildmark_client.submit(b"nonsense")
    assert refused.value.code == "transaction.malformed"

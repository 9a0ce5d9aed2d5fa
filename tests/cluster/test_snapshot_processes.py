"""Nodes that begin with a snapshot of their peers: an observer, and a validator that has nothing left but its key."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import GUILDMARK, wait

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("snapshots"), pytest.mark.timeout(300)]

EVERY_BLOCKS = 10


@pytest.fixture(scope="module")
def cluster(guildmark_cluster_factory: Any) -> Iterator[Any]:
    """Four validators, on a chain of some thirty blocks of which snapshots were taken."""
    made = guildmark_cluster_factory(
        node={
            "consensus": {"status_period_ms": 200},
            "snapshots": {"every_blocks": EVERY_BLOCKS, "restore_blocks_behind": 5},
        }
    )
    with made:
        for _ in range(3 * EVERY_BLOCKS):
            pay(made, 0)
        wait(lambda: all(taken(made, index) for index in range(4)), 30)
        yield made


def pay(cluster: Any, node: int) -> int:
    with cluster.client(cluster.accounts[0], node=node) as client:
        outcome = client.credits.transfer(cluster.account(cluster.accounts[1]), 1)
        assert outcome.state == "committed"
        assert outcome.height is not None
        return int(outcome.height)


def taken(cluster: Any, index: int) -> list[str]:
    folder = cluster.directory / f"node-{index}" / "snapshots"
    return sorted(path.name for path in folder.glob("[0-9]*"))


def reached(cluster: Any, index: int, height: int) -> bool:
    return bool((cluster.status(index) or {"certified_height": 0})["certified_height"] >= height)


def began_with_a_snapshot(cluster: Any, index: int) -> bool:
    return any("begins with a snapshot" in path.read_text() for path in cluster.logs.glob(f"node-{index}*"))


def test_an_observer_begins_with_a_snapshot_and_goes_on_with_blocks(cluster: Any) -> None:
    """R4, A7: over real links, with its ledger in a process of its own; what executed before is known as executed."""
    index = cluster.add_observer(node={"executor": {"mode": "process"}}, timeout_s=60)
    height = pay(cluster, 0)
    wait(lambda: reached(cluster, index, height), 60)
    assert began_with_a_snapshot(cluster, index)
    cluster.wait_same_head()
    balances = []
    for node in (0, index):
        with cluster.client(cluster.accounts[0], node=node) as client:
            balances.append(client.credits.balance(cluster.account(cluster.accounts[1])))
    assert balances[0] == balances[1]
    # It takes part as others do, and after a restart too.
    height = pay(cluster, index)
    cluster.kill(index)
    cluster.restart(index)
    height = max(height, pay(cluster, index))
    wait(lambda: reached(cluster, index, height), 30)


def test_a_validator_that_lost_its_directory_comes_back_by_a_snapshot_and_is_silent(cluster: Any) -> None:
    """R5: the chain appears at once; its lost votes do not, so it asks to rejoin as it would after blocks."""
    victim = 3
    cluster.kill(victim)
    for name in ("chain", "journal", "search", "snapshots"):
        shutil.rmtree(cluster.directory / f"node-{victim}" / name, ignore_errors=True)
    height = pay(cluster, 0)
    cluster.restart(victim, wait_ready=False)
    wait(lambda: reached(cluster, victim, height), 60)
    assert began_with_a_snapshot(cluster, victim)
    wait(lambda: (cluster.status(victim) or {"ready": False})["ready"], 120)  # in the epoch that names its return
    assert pay(cluster, victim) > height
    cluster.wait_same_head()


def test_the_command_line_takes_lists_and_restores(cluster: Any, tmp_path: Path) -> None:
    """Beside the running node, and into the directory of a stopped one, from whatever place the pieces come."""
    source = cluster.directory / "node-0"
    said = guildmark("node", "snapshot", "create", "--directory", source)
    assert said["height"] % EVERY_BLOCKS or said["height"]
    listed = guildmark("node", "snapshot", "list", "--directory", source)
    assert [entry["height"] for entry in listed][-1] == said["height"]
    assert listed[-1]["chunks"] >= 1

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    shutil.copy(source / "genesis.json", fresh)
    restored = guildmark("node", "snapshot", "restore", "--directory", fresh, "--from", said["directory"])
    assert restored == {"height": said["height"]}
    assert guildmark("node", "inspect", "--directory", fresh)["height"] == said["height"]

    running = run("node", "snapshot", "restore", "--directory", source, "--from", said["directory"])
    assert running.returncode != 0
    assert "is in use" in running.stderr
    decayed = tmp_path / "decayed" / str(said["height"])
    shutil.copytree(said["directory"], decayed)
    chunk = next(decayed.glob("chunk-*"))
    chunk.write_bytes(chunk.read_bytes()[:-40] + bytes(40))
    refused = run("node", "snapshot", "restore", "--directory", fresh, "--from", decayed)
    assert refused.returncode != 0
    assert chunk.name in refused.stderr
    assert chunk.exists(), "the operator's copy stays as it is"
    assert guildmark("node", "inspect", "--directory", fresh)["height"] == said["height"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [*GUILDMARK, *map(str, arguments), "--json"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def guildmark(*arguments: object) -> Any:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

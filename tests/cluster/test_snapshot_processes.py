"""Nodes that begin with a snapshot of their peers: an observer, and a validator that has nothing left but its key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_kit import wait

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

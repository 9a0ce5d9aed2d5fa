"""Crashes, restarts and lost data on real processes, under load, seen from outside."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Load, wait

from guildmark.cluster import probe
from guildmark.cluster.network import read_network_file
from guildmark.cluster.ports import choose_ports
from guildmark.cluster.process import NodeProcess

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network"), pytest.mark.timeout(300)]


def credits_of(cluster: Any, client: Any, name: str) -> int:
    return int(client.credits.balance(cluster.account(name)))


def test_all_four_killed_at_once_lose_nothing_and_commit_again(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """L12: a loss of power at one site. What was acknowledged is there, and commits go on within 20 s."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[1]
    before = credits_of(guildmark_cluster, guildmark_client, recipient)
    load = Load(guildmark_cluster, sender, recipient)
    try:
        load.wait_for(100)
        pids = [process.record().pid for process in guildmark_cluster.nodes]
        for pid in pids:  # nothing in between
            os.kill(pid, signal.SIGKILL)
        for index in range(4):
            guildmark_cluster.kill(index)  # returns once it is gone
        acknowledged = len(load.committed)
        guildmark_cluster.start()
        load.wait_for(max(0, acknowledged + 100 - len(load.committed)), seconds=20)
    finally:
        load.finish()
    load.check(guildmark_cluster, guildmark_client, before)


def test_a_rolling_restart_stops_nothing(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """L12: one after the other is stopped and started, as in an upgrade; the load never fails."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[3]
    before = credits_of(guildmark_cluster, guildmark_client, recipient)
    load = Load(guildmark_cluster, sender, recipient)
    try:
        load.wait_for(50)
        for index in range(4):
            guildmark_cluster.restart(index)
            load.wait_for(50)
    finally:
        load.finish()
    load.check(guildmark_cluster, guildmark_client, before)
    assert all(probe.is_ready(url) for url in guildmark_cluster.urls)


@pytest.fixture(scope="module")
def short_epochs(guildmark_cluster_factory: Any) -> Any:
    """A network whose epochs end soon, and whose validators may rejoin as often as they must."""
    return guildmark_cluster_factory(genesis={"window": 16, "rejoin_interval_ms": 0})


@pytest.fixture
def rejoining(short_epochs: Any) -> Any:
    """All four of it vote."""
    short_epochs.heal()
    for url in short_epochs.urls:
        wait(lambda at=url: (probe.get_json(at, "/v1/consensus") or {"voting": False})["voting"], 60)
    short_epochs.wait_same_head()
    return short_epochs


DATA = ("chain", "journal", "artifacts")
LOST = 2
"""The node that loses its data in these tests."""


def rejoins(cluster: Any, load: Load, lose: Callable[[Path], None]) -> list[str]:
    """Kill a node, let it lose data, start it; it must be silent for the epoch, and vote in a later one by itself.

    Return what it said of itself meanwhile.
    """
    with cluster.client(node=0) as client:
        epoch, height = client.status()["epoch"], client.status()["height"]

    def has_voted() -> bool:
        signed = signers_by_height(cluster, height)
        return any(found == epoch and LOST in signers for found, signers in signed.values())

    wait(has_voted, 30)  # who has promised nothing in the epoch has lost nothing
    cluster.kill(LOST)
    lose(cluster.nodes[LOST].directory)
    load.wait_for(20)
    with cluster.client(node=0) as client:
        epoch, height = client.status()["epoch"], client.status()["height"]
    cluster.restart(LOST, wait_ready=False)
    sentences: set[str] = set()

    def votes_again() -> bool:
        said = probe.get_json(cluster.url(LOST), "/v1/consensus")
        if said is None:
            return False
        sentences.update(said["why"])
        if said["epoch"] <= epoch:
            assert not said["voting"], said
        return bool(said["voting"])

    wait(votes_again, 60)
    load.wait_for(50)
    signed = signers_by_height(cluster, height + 1)
    assert {signer for found, signers in signed.values() if found == epoch for signer in signers} <= {0, 1, 3}
    wait(lambda: any(LOST in signers for _, signers in signers_by_height(cluster, height + 1).values()), 30)
    return sorted(sentences)


def signers_by_height(cluster: Any, first: int) -> dict[int, tuple[int, list[int]]]:
    """Epoch and signers of every certificate from a height on, as node 0 holds them."""
    with cluster.client(node=0) as client:
        last = client.status()["certified_height"]
    found = {}
    for height in range(first, last + 1):
        said = probe.get_json(cluster.url(0), f"/v1/blocks/{height}/certificate")
        if said is not None:
            found[height] = (said["epoch"], [index for index, _ in said["signatures"]])
    return found


def test_a_node_restored_from_an_old_copy_is_silent_until_it_has_rejoined(rejoining: Any, tmp_path: Path) -> None:
    """R6: the directory of last week is put back, as happens. It could contradict what it has signed since."""
    directory = rejoining.nodes[LOST].directory
    with rejoining.client(rejoining.accounts[0]) as client:
        before = credits_of(rejoining, client, rejoining.accounts[1])
        load = Load(rejoining, rejoining.accounts[0], rejoining.accounts[1])
        try:
            load.wait_for(30)
            rejoining.kill(LOST)
            for name in DATA:
                shutil.copytree(directory / name, tmp_path / name)
            rejoining.restart(LOST)
            with rejoining.client(rejoining.accounts[3], node=LOST) as through_it:  # so that it signs a batch, at least
                through_it.credits.transfer(rejoining.account(rejoining.accounts[2]), 1)
            load.wait_for(50)

            def restore(place: Path) -> None:
                for name in DATA:
                    shutil.rmtree(place / name)
                    shutil.copytree(tmp_path / name, place / name)

            said = rejoins(rejoining, load, restore)
            assert any("it has signed" in sentence for sentence in said), said
        finally:
            load.finish()
        load.check(rejoining, client, before)


@pytest.mark.parametrize("lost", [("journal",), DATA], ids=["vote-log", "everything"])
def test_a_node_without_its_vote_log_is_silent_until_it_has_rejoined(rejoining: Any, lost: tuple[str, ...]) -> None:
    """R5, R7: the vote log is gone, alone or with the database. The node says so, follows, and rejoins by itself."""
    with rejoining.client(rejoining.accounts[0]) as client:
        before = credits_of(rejoining, client, rejoining.accounts[1])
        load = Load(rejoining, rejoining.accounts[0], rejoining.accounts[1])
        try:
            load.wait_for(30)

            def lose(place: Path) -> None:
                for name in lost:
                    shutil.rmtree(place / name)

            said = rejoins(rejoining, load, lose)
            assert any("votes were lost" in sentence for sentence in said), said
        finally:
            load.finish()
        load.check(rejoining, client, before)


def test_of_two_processes_with_one_key_at_most_one_votes(rejoining: Any) -> None:
    """R8: a data directory was copied to a second machine and both were started. The others show each what it has not
    signed itself: one falls silent before it contradicts the other. Nothing forks, and commits go on."""
    process = rejoining.nodes[3]
    with rejoining.client(rejoining.accounts[0]) as client:
        client.credits.transfer(rejoining.account(rejoining.accounts[1]), 1)
        rejoining.wait_same_head()
        process.terminate()
        assert process.wait_ended(time.monotonic() + 30)
        twin, twin_url = copy_of(rejoining, 3)
        before = credits_of(rejoining, client, rejoining.accounts[1])
        load = Load(rejoining, rejoining.accounts[0], rejoining.accounts[1])
        try:
            for started in (process, twin):
                started.start(exit_with_parent=True)
            for started in (process, twin):
                started.wait_listening(time.monotonic() + 30)
            told: list[str] = []

            def one_is_silent() -> bool:
                for url in (rejoining.url(3), twin_url):
                    said = probe.get_json(url, "/v1/consensus")
                    if said is not None and not said["voting"]:
                        told.append(said["silent_because"])
                return any("it has signed" in reason or "another life" in reason for reason in told)

            wait(one_is_silent, 120)  # each takes the other's links away, so the word may reach neither for a while
            load.wait_for(100)
            twin.kill()
            rejoining.restart(3, wait_ready=False)  # it may have been the one that fell silent, and given way for good
            wait(lambda: (probe.get_json(rejoining.url(3), "/v1/consensus") or {"voting": False})["voting"], 60)
            load.wait_for(50)
        finally:
            twin.kill()
            load.finish()
        load.check(rejoining, client, before)


def copy_of(cluster: Any, index: int) -> tuple[NodeProcess, str]:
    """A second directory of a stopped node, to listen on other ports, and its URL."""
    original = cluster.nodes[index].directory
    place = original.with_name(f"{original.name}-twin")
    shutil.copytree(original, place)
    ports = read_network_file(cluster.directory).nodes[index]
    api, p2p = choose_ports(2)
    settings = (place / "node.toml").read_text().replace(f":{ports.api_port}", f":{api}")
    (place / "node.toml").write_text(settings.replace(f":{ports.p2p_port}", f":{p2p}"))
    return NodeProcess(place, cluster.logs), f"http://127.0.0.1:{api}"

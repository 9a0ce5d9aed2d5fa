"""Damage in a node's files: found, put back from the others, and nothing wrong said meanwhile. Real processes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Load, wait

from guildmark.cluster import probe
from guildmark.cluster.interpreter import node_command, node_environment
from ledger.state.store import LOCK_NAME
from node.failures import ExitCode
from tests.unit.flip_kit import flip, flip_record, tables

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("damage"), pytest.mark.timeout(300)]

HURT = 1
SCRUBBING = {"storage": {"scrub_period_s": 1}}


@pytest.fixture(scope="module")
def make(guildmark_cluster_factory: Any) -> Callable[..., Any]:
    """Return a healthy network whose nodes have these settings: an earlier test's, where there was one with the same,
    and no `fresh` one is asked for. One at a time runs."""
    made: dict[str, Any] = {}

    def make(*, fresh: bool = False, **settings: Any) -> Any:
        name = json.dumps([settings, len(made) if fresh else None], sort_keys=True)
        for other in set(made) - {name}:
            made[other].stop()
        if name not in made:
            parameters = {"window": 16, "rejoin_interval_ms": 0}
            made[name] = guildmark_cluster_factory(genesis=parameters, node=settings)
        made[name].heal()
        made[name].wait_same_head()
        shutil.rmtree(made[name].nodes[HURT].directory / "chain.damaged", ignore_errors=True)
        return made[name]

    return make


def kill(cluster: Any) -> Path:
    """Kill the node that is to be hurt; return its ledger's directory once nobody has it open.

    A ledger's process of its own notices a moment later that its node is gone.
    """
    cluster.kill(HURT)
    chain: Path = cluster.nodes[HURT].directory / "chain"
    with (chain / LOCK_NAME).open() as lock:

        def free() -> bool:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait(free, 30)
    return chain


def pay(cluster: Any, times: int) -> None:
    load = Load(cluster, cluster.accounts[0], cluster.accounts[1])
    try:
        load.wait_for(times)
    finally:
        load.finish()


def metric(cluster: Any, name: str) -> float:
    """Return a reading of the hurt node; 0 while it does not answer."""
    answer = probe.get(cluster.url(HURT), "/metrics")
    lines = [] if answer is None else answer[1].decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))


def verified(directory: Path) -> dict[str, Any]:
    ran = subprocess.run(
        node_command("verify", str(directory)), env=node_environment(), capture_output=True, text=True, check=False
    )
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, said
    return said


def test_a_wrong_record_is_written_over_without_more(make: Callable[..., Any]) -> None:
    """D1: decay that LevelDB wrote down itself. The record is put back in place, and the life goes on."""
    from ledger.state.store import LevelStore

    cluster = make(**SCRUBBING)
    pay(cluster, 60)
    chain = kill(cluster)
    store = LevelStore(chain)
    key = b"b" + (3).to_bytes(8, "big")
    stored = bytearray(store._db.get(key))
    stored[-1] ^= 1
    store._db.put(key, bytes(stored))
    store.close()
    cluster.restart(HURT)
    wait(lambda: metric(cluster, "guildmark_damage_mended_total") == 1, 60)
    passes = metric(cluster, "guildmark_scrub_passes_total")
    wait(lambda: metric(cluster, "guildmark_scrub_passes_total") > passes, 60)
    assert metric(cluster, "guildmark_damage_found_total") == 1
    assert not (cluster.nodes[HURT].directory / "chain.damaged").exists()
    verified(cluster.nodes[HURT].directory)


def test_a_rotten_block_of_an_artifact_is_found_and_fetched_again(make: Callable[..., Any], tmp_path: Path) -> None:
    """D1, D7: on the disk of one holder, where nobody reads it."""
    cluster = make(**SCRUBBING)
    (tmp_path / "work").write_bytes(os.urandom(700_000))
    with cluster.client(cluster.accounts[0], node=0) as client:
        made = client.assets.register(tmp_path / "work", kind="dataset", name="work")
    cluster.wait_same_head()
    with cluster.client(cluster.accounts[0], node=HURT) as client:
        wait(lambda: client.artifacts.whereabouts(made.cid)["complete"], 60)
    cluster.kill(HURT)
    blocks = cluster.nodes[HURT].directory / "artifacts" / "blocks"
    block = max((path for path in blocks.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    sound = block.read_bytes()
    flip(block, len(sound) // 2)
    cluster.restart(HURT)
    wait(lambda: metric(cluster, "guildmark_artifact_blocks_rotten_total") == 1, 60)
    wait(lambda: block.is_file() and block.read_bytes() == sound, 60)


@pytest.mark.parametrize("prefix", [b"b", b"r"])
@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_cold_flip_is_found_by_the_scrub_and_put_back(
    make: Callable[..., Any], tmp_path: Path, prefix: bytes, mode: str
) -> None:
    """D1, D7: a block nobody asks for. The table is written anew, in the same process, and all of it verifies."""
    cluster = make(fresh=True, **SCRUBBING, executor={"mode": mode})
    pay(cluster, 400)
    chain = kill(cluster)
    found = flip_record(chain, prefix, tmp_path / "scratch")
    assert found.physical
    cluster.restart(HURT)
    process = cluster.nodes[HURT].running()
    damaged = cluster.nodes[HURT].directory / "chain.damaged"
    wait(damaged.exists, 60)
    cluster.wait_ready(60, [HURT])
    wait(lambda: metric(cluster, "guildmark_scrub_passes_total") >= 1, 60)
    before = metric(cluster, "guildmark_damage_found_total")
    assert (before == 0) == (prefix == b"b"), "what a start needs is missed at once, and put back in the next life"
    wait(lambda: metric(cluster, "guildmark_scrub_passes_total") >= 2, 60)
    assert metric(cluster, "guildmark_damage_found_total") == before, "nothing is left to find"
    assert cluster.nodes[HURT].running() == process
    assert "records_put_back" in cluster.nodes[HURT].tail(400)
    pay(cluster, 20)
    cluster.wait_same_head()
    said = verified(cluster.nodes[HURT].directory)
    assert said["state_root"] == verified(cluster.nodes[0].directory)["state_root"]


@pytest.mark.parametrize("on_damage", ["stop", "resync"])
def test_what_cannot_be_mended_is_fetched_anew_or_said(
    make: Callable[..., Any], tmp_path: Path, on_damage: str
) -> None:
    """D1, D3: records of the state at a start, when nobody can be asked yet."""
    cluster = make(storage={"on_damage": on_damage})
    pay(cluster, 100)
    process = cluster.nodes[HURT]
    flip_record(kill(cluster), b"s", tmp_path / "scratch", alone=False)
    if on_damage == "stop":
        process.start(exit_with_parent=True)
        assert process._child.wait(60) == ExitCode.DAMAGED, process.tail()
        command = f"guildmark node resync --directory {process.directory}"
        assert process.tail(1_000).count("node resync") == process.tail().count(command) == 1
        ran = subprocess.run(
            node_command("resync", str(process.directory)), env=node_environment(), capture_output=True, check=False
        )
        assert ran.returncode == 0
    cluster.restart(HURT, wait_ready=False)
    wait(lambda: (probe.get_json(cluster.url(HURT), "/v1/status") or {"height": 0})["height"] > 0, 60)
    cluster.wait_same_head(60)
    cluster.wait_ready(60, [HURT])
    pay(cluster, 20)
    cluster.wait_same_head()
    verified(process.directory)


@pytest.mark.parametrize("name", ["CURRENT", "MANIFEST-*", "*.log"])
def test_a_ledger_that_does_not_open_is_fetched_anew(make: Callable[..., Any], name: str) -> None:
    """D3"""
    cluster = make(storage={"on_damage": "resync"})
    pay(cluster, 40)
    chain = kill(cluster)
    directory = chain.parent
    file = max(chain.glob(name), key=lambda path: path.stat().st_size)
    flip(file, file.stat().st_size // 2)
    cluster.restart(HURT)
    cluster.wait_same_head(60)
    assert (directory / "chain.damaged").exists()
    pay(cluster, 20)
    cluster.wait_same_head()
    assert tables(directory / "chain") is not None
    verified(directory)

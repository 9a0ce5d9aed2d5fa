"""Artifacts between real validators: from several at once, past liars and the dead, over crashes, and taken down."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cluster_kit import wait

from guildmark.cluster import probe, process
from guildmark.errors import GuildmarkError

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("artifact-swarm"), pytest.mark.timeout(240)]

MIB = 1 << 20
LEAVES = 40
BLOCKS = LEAVES + 1
LATE = 3
"""The node whose artifacts are lost."""
KEPT = 8
"""Blocks that a node has stored before it is killed."""
TRIES = 10
"""A fast machine may have fetched everything before it is killed."""
ASKED_TWICE = 4
"""Blocks that two holders may have been asked for: the last ones, and those of a holder that answers no more."""


def registered(cluster: Any, path: Path, node: int = 2) -> Any:
    """Register and upload an artifact of LEAVES chunks at one node, and wait until all have it."""
    path.write_bytes(os.urandom(LEAVES * MIB))
    with cluster.client(cluster.account(cluster.accounts[0]), node=node) as owner:
        made = owner.assets.register(path, kind="dataset", name="swarm")
    for url in cluster.urls:
        wait(lambda url=url: state(url, made.cid) == "complete", 60)  # type: ignore[misc]  # binds the loop's value
    return made


def state(url: str, root: str) -> str | None:
    said = probe.get_json(url, f"/v1/artifacts/{root}")
    return None if said is None else str(said.get("state"))


def metric(url: str, name: str) -> float:
    answer = probe.get(url, "/metrics")
    assert answer is not None
    found = re.search(rf"^guildmark_artifact_{name}(?:_total)? (\S+)$".encode(), answer[1], re.MULTILINE)
    assert found, name
    return float(found.group(1))


def stored(directory: Path) -> set[str]:
    """The blocks that a node's lists of claims name, of all artifacts of the network."""
    return {cid for path in (directory / "artifacts" / "claims").glob("*") for cid in path.read_text().split("\n")[:-1]}


def test_a_validator_that_lost_its_artifacts_fetches_from_all_others_at_once(
    guildmark_cluster: Any, tmp_path: Path
) -> None:
    """M2: each block once, and no holder serves all."""
    cluster = guildmark_cluster
    made = registered(cluster, tmp_path / "data")
    cluster.kill(LATE)
    shutil.rmtree(cluster.nodes[LATE].directory / "artifacts")
    before = [metric(url, "blocks_served") for url in cluster.urls[:LATE]]
    cluster.restart(LATE)
    wait(lambda: state(cluster.urls[LATE], made.cid) == "complete", 60)
    served = [metric(url, "blocks_served") - old for url, old in zip(cluster.urls[:LATE], before, strict=True)]
    everything = len(stored(cluster.nodes[0].directory))
    wait(lambda: metric(cluster.urls[LATE], "blocks_fetched") >= everything, 60)
    assert sum(served) <= everything + ASKED_TWICE
    assert sum(count > 0 for count in served) >= 2
    assert max(served) < BLOCKS
    with cluster.client(cluster.account(cluster.accounts[0]), node=LATE) as owner:
        copy = owner.assets.download(made.asset, tmp_path / "copy")
    assert copy.read_bytes() == (tmp_path / "data").read_bytes()


def test_a_validator_killed_in_the_middle_of_a_fetch_takes_no_block_twice(
    guildmark_cluster: Any, tmp_path: Path
) -> None:
    """M2: a kill -9 loses what was under way and nothing that was stored."""
    cluster = guildmark_cluster
    made = registered(cluster, tmp_path / "data")
    directory = cluster.nodes[LATE].directory
    everything = kept = stored(cluster.nodes[0].directory)
    for _ in range(TRIES):
        if len(kept) < len(everything):
            break
        cluster.kill(LATE)
        shutil.rmtree(directory / "artifacts")
        cluster.restart(LATE, wait_ready=False)
        wait(lambda: (directory / "artifacts" / "claims").is_dir() and len(stored(directory)) >= KEPT, 60)
        os.kill(cluster.nodes[LATE].record().pid, signal.SIGKILL)
        cluster.kill(LATE)  # returns once it is gone
        kept = stored(directory)
    assert KEPT <= len(kept) < len(everything)
    cluster.restart(LATE)
    wait(lambda: state(cluster.urls[LATE], made.cid) == "complete", 60)
    wait(lambda: stored(directory) == everything, 60)
    missing = len(everything - kept)
    # A block is on the disk before it is counted.
    wait(lambda: metric(cluster.urls[LATE], "blocks_fetched") >= missing, 60)
    assert metric(cluster.urls[LATE], "blocks_fetched") <= missing + ASKED_TWICE


def test_past_a_liar_and_a_holder_that_dies_a_fetch_ends_with_the_right_bytes(
    guildmark_cluster_factory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M1: the liar is named, and one honest holder is enough."""
    cluster = guildmark_cluster_factory(start=False)
    program = Path(__file__).with_name("lying_shelf_node.py")
    with monkeypatch.context() as patched:
        patched.setattr(process, "node_command", lambda *arguments: [sys.executable, "-P", str(program), *arguments])
        cluster.nodes[0].start(exit_with_parent=True)
    cluster.start()
    made = registered(cluster, tmp_path / "data")
    cluster.kill(LATE)
    directory = cluster.nodes[LATE].directory
    shutil.rmtree(directory / "artifacts")
    cluster.restart(LATE, wait_ready=False)
    wait(lambda: (directory / "artifacts" / "claims").is_dir() and len(stored(directory)) >= 1, 60)
    cluster.kill(1)
    wait(lambda: state(cluster.urls[LATE], made.cid) == "complete", 90)
    assert metric(cluster.urls[LATE], "blocks_wrong") >= 1
    wait(lambda: metric(cluster.urls[LATE], "blocks_fetched") >= BLOCKS, 60)
    assert metric(cluster.urls[LATE], "blocks_fetched") <= BLOCKS + ASKED_TWICE
    liar = probe.get_json(cluster.urls[0], "/v1/status")
    assert liar is not None
    log = cluster.merged_log()
    assert "wrong-block" in log
    assert liar["node_id"] in log
    with cluster.client(cluster.account(cluster.accounts[0]), node=LATE) as owner:
        copy = owner.assets.download(made.asset, tmp_path / "copy")
    assert copy.read_bytes() == (tmp_path / "data").read_bytes()


def test_a_takedown_reaches_every_node_and_every_disk(guildmark_cluster_factory: Any, tmp_path: Path) -> None:
    """The bytes go, the record of ownership stays; a vote brings it back, and its owner brings the bytes."""
    cluster = guildmark_cluster_factory(node={"artifacts": {"takedown_delay_s": 0}})
    made = registered(cluster, tmp_path / "data")
    names = cluster.accounts[:4]

    def decide(proposal: str) -> None:
        for name in names:
            with cluster.client(cluster.account(name)) as client:
                if client.governance.proposal(proposal)["state"] == "open":
                    client.governance.vote(proposal, True)

    with cluster.client(cluster.account(names[0])) as client:
        decide(client.governance.propose_takedown(made.cid, "infringing")["proposal"])
        assert [row["cid"] for row in client.governance.takedowns()] == [made.cid]
        owners = client.assets.get(made.asset)["owners"]
    for index, url in enumerate(cluster.urls):
        wait(lambda url=url: state(url, made.cid) == "taken_down", 30)  # type: ignore[misc]  # binds the loop's value
        answer = probe.get(url, f"/v1/artifacts/{made.cid}/blocks/{made.cid}")
        assert answer is not None
        assert (answer[0], msgspec.json.decode(answer[1])["code"]) == (451, "artifact.taken_down")
        blocks = cluster.nodes[index].directory / "artifacts" / "blocks"
        wait(lambda blocks=blocks: not [p for p in blocks.rglob("*") if p.is_file()], 30)  # type: ignore[misc]  # the same
    with cluster.client(cluster.account(names[0])) as client:
        with pytest.raises(GuildmarkError, match=r"artifact\.taken_down"):
            client.assets.download(made.asset, tmp_path / "copy")
        decide(client.governance.propose_restoration(made.cid)["proposal"])
        assert client.assets.get(made.asset)["owners"] == owners
        from guildmark.artifact_transfer import LocalArtifact

        with LocalArtifact(tmp_path / "data") as artifact:
            client.artifacts.upload(artifact)
    for url in cluster.urls:
        wait(lambda url=url: state(url, made.cid) == "complete", 60)  # type: ignore[misc]  # the same

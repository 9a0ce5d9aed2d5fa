"""The validator set of a running network changes under load, and nothing stops or is lost."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Load, wait

from guildmark.cluster import probe
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.cluster.ports import choose_ports
from guildmark.cluster.process import NodeProcess
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("membership"), pytest.mark.timeout(300)]


def newcomer(cluster: Any, organization: str, name: str = "") -> tuple[NodeProcess, str]:
    """A node of a new organization with keys, descriptor, genesis and settings, and its URL. It is not started."""
    place = cluster.directory / (name or organization)
    api, p2p = choose_ports(2)
    founder = {"name": organization, "key": key_to_text(SigningKey.generate().public_key), "salt": "00" * 16}
    described = ["--organization", organization, "--organization-name", organization.title()]
    described += ["--account", json.dumps(founder)]
    for arguments in (["create", str(place)], ["describe", str(place), *described, "--address", f"127.0.0.1:{p2p}"]):
        subprocess.run(node_command("keys", *arguments), env=node_environment(), check=True, capture_output=True)
    (place / "genesis.json").write_bytes((cluster.directory / "genesis.json").read_bytes())
    settings = f'[api]\nlisten = "127.0.0.1:{api}"\n[p2p]\nlisten = "127.0.0.1:{p2p}"\n'
    (place / "node.toml").write_text(settings)
    return NodeProcess(place, cluster.logs), f"http://127.0.0.1:{api}"


def decide(cluster: Any, proposal: str, voters: int) -> None:
    """Let the first organizations approve a proposal; the last vote must pass it."""
    for name in cluster.accounts[:voters]:
        with cluster.client(name) as client:
            decided = client.governance.vote(proposal, True)
    assert decided["state"] == "approved"


def consensus(url: str) -> dict[str, Any]:
    return probe.get_json(url, "/v1/consensus") or {"epoch": -1, "voting": False}


def test_a_fifth_validator_is_added_and_removed_under_load(guildmark_cluster_factory: Any) -> None:
    """G3: the set changes at one height on all nodes, by votes; the fifth counts while it is in, and then no more."""
    cluster = guildmark_cluster_factory(genesis={"window": 16})
    process, url = newcomer(cluster, "elm")
    with cluster, cluster.client(cluster.accounts[0]) as client:
        before = client.credits.balance(cluster.account(cluster.accounts[1]))
        load = Load(cluster, cluster.accounts[0], cluster.accounts[1])
        try:
            load.wait_for(30)
            process.start(exit_with_parent=True)
            process.wait_listening(time.monotonic() + 30)
            added = client.governance.propose_add(Path(process.directory / "member.toml"))
            decide(cluster, added["proposal"], 3)
            wait(lambda: consensus(url)["voting"], 60)
            assert (consensus(url)["epoch"], consensus(url)["needed"]) == (1, 4)
            load.wait_for(50)

            cluster.kill(3)  # four of five are a quorum, and the fifth is one of them
            load.wait_for(30)
            cluster.restart(3)

            node = next(entry for entry in client.governance.validators() if entry["organization"] == "elm")
            removed = client.governance.propose_remove(node["node_id"])
            decide(cluster, removed["proposal"], 4)
            wait(lambda: all(consensus(each)["epoch"] == 2 for each in cluster.urls), 60)
            assert all(consensus(each)["needed"] == 3 for each in cluster.urls)
            load.wait_for(50)
            wait(lambda: "this node is not in the validator set, it follows the others" in consensus(url)["why"], 30)
            process.kill()
            load.wait_for(50)
        finally:
            process.kill()
            load.finish()
        load.check(cluster, client, before)
        sets = [[entry["organization"] for entry in client.governance.validators(epoch)] for epoch in (0, 1, 2)]
        four = ["alder", "birch", "cedar", "dogwood"]
        assert sets == [four, [*four, "elm"], four]


def test_a_validator_goes_on_with_new_keys_under_load(guildmark_cluster_factory: Any) -> None:
    """G4: its machine, keys and all, is lost or may be in wrong hands. A new one takes its place in the set."""
    cluster = guildmark_cluster_factory(genesis={"window": 16})
    process, url = newcomer(cluster, "dogwood", "dogwood-again")
    with cluster, cluster.client(cluster.accounts[0]) as client:
        before = client.credits.balance(cluster.account(cluster.accounts[1]))
        load = Load(cluster, cluster.accounts[0], cluster.accounts[1])
        try:
            load.wait_for(30)
            old = client.governance.validators()[3]
            cluster.kill(3)
            proposed = client.governance.propose_rekey(old["node_id"], process.directory / "member.toml")
            decide(cluster, proposed["proposal"], 3)
            process.start(exit_with_parent=True)
            process.wait_listening(time.monotonic() + 30)
            wait(lambda: consensus(url)["voting"], 60)
            assert consensus(url)["epoch"] == 1
            load.wait_for(50)
            cluster.kill(2)  # three of four are a quorum, and the new keys are one of them
            load.wait_for(30)
            cluster.restart(2)

            cluster.nodes[3].start(exit_with_parent=True)  # the old keys turn up again: they open nothing
            cluster.nodes[3].wait_listening(time.monotonic() + 30)
            load.wait_for(50)
            assert not consensus(cluster.url(3))["voting"]
            cluster.kill(3)
        finally:
            load.finish()
        replaced = client.governance.validators()[3]
        assert (replaced["organization"], replaced["index"]) == ("dogwood", 3)
        assert replaced["node_id"] != old["node_id"]
        assert replaced["signing_key"] != old["signing_key"]
        assert client.credits.balance(cluster.account(cluster.accounts[1])) == before + len(load.committed)
        process.kill()

"""Observers beside four validators: they follow, answer, pass transactions on, and depend on no single one."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cluster_kit import wait

from guildmark.certificates import verify_certificate
from guildmark.cluster import probe
from guildmark.cluster.interpreter import run_node
from guildmark.errors import Refused, Unreachable
from guildmark.sync import Client

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("observers"), pytest.mark.timeout(300)]


def pay(cluster: Any, node: int, amount: int = 1) -> int:
    """Send a transfer through one node, wait there until it is committed; return the height."""
    with cluster.client(cluster.accounts[0], node=node) as client:
        outcome = client.credits.transfer(cluster.account(cluster.accounts[1]), amount)
        assert outcome.state == "committed"
        assert outcome.height is not None
        return int(outcome.height)


def test_two_observers_follow_and_serve_while_validators_come_and_go(guildmark_cluster_factory: Any) -> None:
    cluster = guildmark_cluster_factory(node={"consensus": {"status_period_ms": 200}})
    with cluster:
        first = cluster.add_observer()
        second = cluster.add_observer(cluster.accounts[1])
        assert [cluster.status(index)["role"] for index in range(6)] == ["validator"] * 4 + ["observer"] * 2
        with cluster.client(cluster.accounts[0], node=first) as client:
            before = client.credits.balance(cluster.account(cluster.accounts[1]))
        pay(cluster, first, 3)
        height = pay(cluster, second, 4)
        with cluster.client(cluster.accounts[0], node=first) as client:
            client.wait_for_height(height)
            assert client.credits.balance(cluster.account(cluster.accounts[1])) == before + 7

        victim = cluster.primary()
        cluster.kill(victim)
        pay(cluster, first)
        height = pay(cluster, second)
        cluster.kill(first)
        cluster.restart(victim)
        height = max(height, pay(cluster, second))
        cluster.restart(first)
        assert cluster.status(first)["role"] == "observer"
        wait(lambda: (cluster.status(first) or {"certified_height": 0})["certified_height"] >= height, 30)
        assert cluster.wait_same_head()["height"] >= height

        said: Any = None

        def contented() -> bool:
            """It has links again to those that were away."""
            nonlocal said
            said = probe.get_json(cluster.url(second), "/v1/consensus")
            return said is not None and said["why"] == []

        wait(contented, 30)
        assert said["verdict"] == "following"
        assert "observer" in said["summary"]
        states = [member["state"] for member in said["members"]]
        assert states.count("connected") + states.count("not linked") == 4
        metrics = probe.get(cluster.url(second), "/metrics")
        assert metrics is not None
        assert b'guildmark_role{role="observer"} 1.0' in metrics[1]


def test_an_observer_answers_for_the_ledger_as_a_validator_does(guildmark_cluster_factory: Any, tmp_path: Any) -> None:
    """What is proven holds whoever hands it out: by the genesis hash alone."""
    cluster = guildmark_cluster_factory(node={"consensus": {"status_period_ms": 200}})
    with cluster:
        index = cluster.add_observer()
        song = tmp_path / "song.txt"
        song.write_text("la la la\n")
        with cluster.client(cluster.accounts[0]) as client:
            made = client.assets.register(song, kind="artwork", name="A song")
            height = client.status()["certified_height"]
        with cluster.client(cluster.accounts[0], node=index) as client:
            client.wait_for_height(height)
            assert client.assets.get(made.asset)["name"] == "A song"
            shown = verify_certificate(client.certificates.export(made.asset), cluster.network_id)
            assert shown.asset == made.asset

            # The bytes are not here: clients that know a validator go there, others are told to.
            with pytest.raises(Unreachable, match="only validators keep artifacts"):
                client.assets.download(made.asset, tmp_path / "from the observer.txt")
        with cluster.client(cluster.accounts[0]) as client:
            client.artifacts.wait_held(made.cid)
        held = probe.get_json(cluster.url(index), f"/v1/artifacts/{made.cid}")
        assert held is not None
        assert not held["complete"]
        urls = [cluster.url(index), cluster.url(0)]
        with Client(urls, cluster.account(cluster.accounts[0]), network_id=cluster.network_id) as client:
            copy = client.assets.download(made.asset, tmp_path / "copy.txt")
            assert copy.read_text() == "la la la\n"
        for node in range(4):
            metrics = probe.get(cluster.url(node), "/metrics")
            assert metrics is not None
            assert b"guildmark_p2p_observer_payloads_dropped_total 0.0" in metrics[1], "a correct observer sends none"


def test_a_node_that_is_not_registered_is_not_let_in_until_it_is(guildmark_cluster_factory: Any) -> None:
    """It says what it waits for, and goes on by itself; withdrawn, it is cut off."""
    from guildmark.cluster import network
    from guildmark.cluster.process import NodeProcess

    cluster = guildmark_cluster_factory(node={"consensus": {"status_period_ms": 200}})
    with cluster, cluster.client(cluster.accounts[2]) as client:
        place, entry = network.prepare_observer(cluster.directory)
        network.enter_observer(cluster.directory, entry)
        process = NodeProcess(place, cluster.logs)
        url = f"http://127.0.0.1:{entry.api_port}"
        process.start(exit_with_parent=True)
        try:
            process.wait_listening(time.monotonic() + 30)
            assert not probe.is_ready(url)
            said = probe.get_json(url, "/v1/status")
            assert said is not None
            assert said["role"] == "unregistered"
            assert any("waits until the ledger names it" in reason for reason in said["why"])
            assert not any(peer["connected"] for peer in said["peers"])

            registered = client.observers.register(place, f"127.0.0.1:{entry.p2p_port}")
            assert registered["organization"] == "cedar"
            wait(lambda: probe.is_ready(url), 30)
            assert [one["node_id"] for one in client.observers.all("cedar")] == [entry.node_id]

            with cluster.client(cluster.accounts[0]) as other, pytest.raises(Refused) as caught:
                other.observers.withdraw(entry.node_id)
            assert caught.value.code == "observers.another_organization"
            client.observers.withdraw(entry.node_id)
            wait(lambda: not probe.is_ready(url), 30)
            said = probe.get_json(url, "/v1/status")
            assert said is not None
            assert any("withdrawn" in reason for reason in said["why"]), (
                "it is told, though it does not follow its own withdrawal"
            )
            assert (said["view"], said["primary_node_id"]) == (None, None), "it has no part in consensus"
            assert client.observers.all() == []
        finally:
            process.kill()


ORGANIZATIONS = [(name.lower(), name) for name in ("Alder", "Birch", "Cedar", "Dogwood", "Elm")]


def decide(cluster: Any, proposal: str) -> None:
    """Four of five organizations approve."""
    for name in cluster.accounts[:4]:
        with cluster.client(name) as client:
            decided = client.governance.vote(proposal, True)
    assert decided["state"] == "approved"


def test_an_observer_becomes_a_validator_without_a_restart(guildmark_cluster_factory: Any, tmp_path: Any) -> None:
    """G3: by the vote that any validator needs, on the directory and the keys that it has."""
    cluster = guildmark_cluster_factory(genesis={"window": 16}, organizations=ORGANIZATIONS)
    with cluster, cluster.client(cluster.accounts[0]) as client:
        index = cluster.add_observer("elm")
        place, url = cluster.nodes[index].directory, cluster.url(index)
        address = client.observers.all("elm")[0]["address"]
        described = ["--organization", "elm", "--organization-name", "Elm", "--address", address]
        run_node("keys", "describe", str(place), *described)
        process = cluster.nodes[index].record()
        (tmp_path / "song.txt").write_text("la la la\n")
        root = client.assets.register(tmp_path / "song.txt", kind="artwork", name="A song").cid

        def holds() -> bool:
            said = probe.get_json(url, f"/v1/artifacts/{root}")
            return said is not None and bool(said["complete"])

        client.artifacts.wait_held(root)
        assert not holds()
        decide(cluster, client.governance.propose_add(place / "member.toml")["proposal"])
        assert client.observers.all() == [], "it is one thing at a time"
        wait(lambda: (probe.get_json(url, "/v1/consensus") or {"voting": False})["voting"], 60)
        said = cluster.status(index)
        assert (said["role"], said["epoch"]) == ("validator", 1)
        wait(lambda: sum(peer["connected"] for peer in cluster.status(index)["peers"]) == 4, 30)
        wait(holds, 60)  # what validators keep, it keeps from now on
        cluster.kill(cluster.primary())  # four of five are a quorum, and it is one of them
        for _ in range(5):
            pay(cluster, index)
        assert cluster.nodes[index].record() == process, "the same process all the time"


def test_observers_of_a_suspended_organization_are_cut_off_at_once(guildmark_cluster_factory: Any) -> None:
    cluster = guildmark_cluster_factory(organizations=ORGANIZATIONS)
    with cluster, cluster.client(cluster.accounts[0]) as client:
        elms, alders = cluster.add_observer("elm"), cluster.add_observer("alder")
        decide(cluster, client.governance.propose_suspension("elm")["proposal"])
        wait(lambda: not any(peer["connected"] for peer in cluster.status(elms)["peers"]), 30)
        wait(lambda: not probe.is_ready(cluster.url(elms)), 30)
        assert probe.is_ready(cluster.url(alders))
        assert [one["admitted"] for one in client.observers.all("elm")] == [False]
        decide(cluster, client.governance.propose_reinstatement("elm")["proposal"])
        wait(lambda: probe.is_ready(cluster.url(elms)), 60)
        height = pay(cluster, elms)
        assert cluster.wait_same_head()["height"] >= height


def test_observers_without_room_at_any_validator_follow_through_others(guildmark_cluster_factory: Any) -> None:
    """Each validator takes one; what the third submits goes through an observer to a validator."""
    settings = {"p2p": {"observer_links_max": 1, "neighbors": 2}, "consensus": {"status_period_ms": 200}}
    cluster = guildmark_cluster_factory(node=settings)
    with cluster:
        full = {"p2p": {"observer_links_max": 16, "neighbors": 4}}
        first = cluster.add_observer(node=full)  # a link to each of the four validators
        wait(lambda: sum(peer["connected"] for peer in cluster.status(first)["peers"]) == 4, 30)
        second = cluster.add_observer(node={"p2p": {"observer_links_max": 16}})
        height = pay(cluster, second)
        assert cluster.wait_same_head()["height"] >= height
        linked = {peer["node_id"] for peer in cluster.status(second)["peers"] if peer["connected"]}
        assert linked == {cluster.status(first)["node_id"]}
        for node in range(4):
            connected = [peer for peer in cluster.status(node)["peers"] if peer["connected"]]
            assert len(connected) == 4, "three validators and one observer"

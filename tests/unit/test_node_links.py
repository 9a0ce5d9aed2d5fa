"""Who is heard on which channel, and to whom the bytes of artifacts go."""

from __future__ import annotations

from typing import Any

import pytest

from node.links import ChunkSending, PayloadHandler, PeerLinks
from node.ports import RegisteredPeer
from p2p.channels import Channel
from p2p.identity import make_identity
from primitives.identifiers import NodeId

VALIDATOR, OBSERVER = make_identity(), make_identity()
PEERS = [
    RegisteredPeer(str(VALIDATOR.node_id), VALIDATOR.certificate_der, "v.example:1", "validator"),
    RegisteredPeer(str(OBSERVER.node_id), OBSERVER.certificate_der, "o.example:1", "observer"),
]


class Network:
    """p2p.peers.PeerNetwork, as far as it is used here: everybody is connected."""

    def __init__(self) -> None:
        self.sent: list[tuple[NodeId, Channel, bytes]] = []
        self.registered: list[Any] = []

    def connected(self) -> list[RegisteredPeer]:
        return PEERS

    def send(self, node_id: NodeId, channel: Channel, payload: bytes) -> bool:
        self.sent.append((node_id, channel, payload))
        return True

    def update_registry(self, entries: list[Any]) -> None:
        self.registered = entries


class Recorder:
    """Notes every call of any method."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


def linked() -> tuple[PeerLinks, Network]:
    links, network = PeerLinks(), Network()
    links.network = network  # type: ignore[assignment]  # what is used of it
    links.register(PEERS)
    return links, network


def handler(links: PeerLinks) -> tuple[PayloadHandler, Recorder, Recorder]:
    core, replication = Recorder(), Recorder()

    def fail(error: BaseException) -> None:
        raise error

    made: Any = PayloadHandler(core, replication, Recorder(), links, fail)  # type: ignore[arg-type]  # recorders
    return made, core, replication


def test_observers_are_registered_as_such() -> None:
    links, network = linked()
    assert {entry.node_id: entry.limited for entry in network.registered} == {
        VALIDATOR.node_id: False,
        OBSERVER.node_id: True,
    }
    links.register(PEERS[:1])
    assert links.observers == frozenset()


def test_bytes_of_artifacts_and_news_of_them_go_to_no_observer() -> None:
    """Its organization has no vote and maybe no license: it downloads what it has licensed, as everybody does."""
    links, network = linked()
    sending = ChunkSending(links)
    assert sending.peers() == [VALIDATOR.node_id]
    assert not sending.send(str(OBSERVER.node_id), b"block")
    assert sending.send(str(VALIDATOR.node_id), b"block")
    sending.broadcast(b"news")
    assert network.sent == [
        (VALIDATOR.node_id, Channel.CHUNKS, b"block"),
        (VALIDATOR.node_id, Channel.CHUNKS, b"news"),
    ]


@pytest.mark.parametrize("channel", [Channel.CONSENSUS, Channel.BATCHES, Channel.CHUNKS])
def test_observers_are_not_heard_where_validators_talk(channel: Channel) -> None:
    """A vote of theirs would count for nothing, and each costs a signature to find out."""
    links, _ = linked()
    made, core, replication = handler(links)
    made.on_payload(OBSERVER.node_id, channel, b"x")
    assert core.calls == replication.calls == []
    assert made.observer_payloads_dropped == 1
    made.on_payload(VALIDATOR.node_id, channel, b"x")
    assert len(core.calls + replication.calls) == 1
    made.on_payload(OBSERVER.node_id, Channel.SYNC, b"x")
    assert core.calls[-1] == ("on_payload", OBSERVER.node_id, Channel.SYNC, b"x")


def test_an_observer_that_was_let_in_as_a_validator_is_heard_from_then_on() -> None:
    links, _ = linked()
    made, core, _ = handler(links)
    links.register([PEERS[0], RegisteredPeer(str(OBSERVER.node_id), OBSERVER.certificate_der, "o:1", "candidate")])
    made.on_payload(OBSERVER.node_id, Channel.CONSENSUS, b"x")
    assert len(core.calls) == 1

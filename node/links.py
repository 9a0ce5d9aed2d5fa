"""Between the links and the parts of the node: who gets which payload, and sending for both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from node.core import NodeCore
from node.event_loop import OnFatal
from node.gossip_host import GossipHost
from node.neighbors import Neighbors
from node.ports import RegisteredPeer
from node.replication import Replication
from node.seeds import with_seeds
from node.snapshot_exchange import SnapshotExchange
from p2p.channels import Channel
from p2p.errors import InvalidCertificate, MessageTooLarge
from p2p.peers import PeerNetwork
from p2p.registry import PeerEntry, entries_by_node
from primitives.identifiers import NodeId

OF_VALIDATORS: Final = frozenset({Channel.CONSENSUS, Channel.BATCHES, Channel.CHUNKS})
"""Channels on which observers are neither heard nor answered."""

log: Final = structlog.get_logger("node.links")


class PeerLinks:
    """Sending, as core and replication want it."""

    def __init__(self) -> None:
        self.network: PeerNetwork | None = None
        """Set once it exists; nobody is connected before."""
        self.overrides: Mapping[str, str] = {}
        """Addresses that the configuration gives other than the ledger, by node id."""
        self.neighbors: Neighbors | None = None
        """Chooses whom to dial; without it everybody is dialed."""
        self.observers: frozenset[str] = frozenset()
        """Who may connect and has no part in consensus, nor in what validators keep."""
        self.node_id = ""
        self.seeds: Sequence[RegisteredPeer] = ()
        """Whom to ask while the ledger does not name this node."""
        self.gossip: GossipHost | None = None
        self._wanted: frozenset[str] = frozenset()
        """By `neighbors`."""
        self._kept: set[str] = set()
        """By gossip; registered nodes, so there are as many at most."""

    def start(self) -> None:
        """Choose neighbors, and speak gossip with them."""
        if self.neighbors is not None:
            self.neighbors.start()
        if self.gossip is not None:
            self.gossip.start()

    def stop(self) -> None:
        if self.neighbors is not None:
            self.neighbors.stop()
        if self.gossip is not None:
            self.gossip.stop()

    def send(self, node_id: str, channel: Channel, payload: bytes) -> bool:
        try:
            return self.network is not None and self.network.send(NodeId(node_id), channel, payload)
        except MessageTooLarge as error:
            # A ViewChange of a large set over a full window, at most: lost here, and smaller when sent again.
            log.error("a message is too large for its channel", peer=node_id, reason=str(error))
            return False

    def register(self, peers: Sequence[RegisteredPeer]) -> None:
        if self.network is not None:
            self.network.update_registry(self.entries(peers))
        if self.neighbors is not None:
            self.neighbors.on_registered(self.addressed(peers))
        if self.gossip is not None:
            self.gossip.on_registered(peers)

    def addressed(self, peers: Sequence[RegisteredPeer]) -> list[RegisteredPeer]:
        """Return the peers, with the seeds that count, and with the addresses at which this node finds them."""
        addresses, known = self.overrides, with_seeds(peers, self.seeds, self.node_id)
        return [msgspec.structs.replace(peer, address=addresses.get(peer.node_id, peer.address)) for peer in known]

    def want(self, node_ids: Collection[str]) -> None:
        """Dial these, those that gossip keeps, and nobody else."""
        self._wanted = frozenset(node_ids)
        self._dial()

    def keep(self, node_id: str) -> None:
        """Gossip wants a link to this node."""
        self._kept.add(node_id)
        self._dial()

    def give_back(self, node_id: str) -> None:
        """Gossip wants it no more: it ends, if it was dialed from here and nobody else wants it."""
        self._kept.discard(node_id)
        self._dial()
        if self.network is None or node_id in self._wanted:
            return
        if any(peer.node_id == node_id and peer.dialed for peer in self.network.connected()):
            self.network.part(NodeId(node_id))

    def _dial(self) -> None:
        if self.network is not None:
            self.network.set_wanted([NodeId(node) for node in sorted(self._wanted | self._kept)])

    def entries(self, peers: Sequence[RegisteredPeer]) -> list[PeerEntry]:
        """Note who observes, and return what the links need of each; a certificate that does not name its node is left
        out and logged."""
        known = self.addressed(peers)
        self.observers = frozenset(peer.node_id for peer in known if peer.role == "observer")
        entries = []
        for peer in known:
            try:
                entry = PeerEntry(
                    NodeId(peer.node_id), peer.tls_certificate, peer.address, limited=peer.role == "observer"
                )
                entries_by_node([entry], NodeId(""))
            except InvalidCertificate as error:
                log.warning("a registered certificate cannot be used", peer=peer.node_id, reason=str(error))
            else:
                entries.append(entry)
        return entries

    def connected(self) -> Sequence[str]:
        return [] if self.network is None else [peer.node_id for peer in self.network.connected()]

    def misbehaved(self, node_id: str, reason: str) -> None:
        log.warning("a peer misbehaved", peer=node_id, reason=reason)
        if self.network is not None:
            self.network.disconnect(NodeId(node_id), reason)


class ChunkSending:
    """The same for the channel of artifact blocks, which validators and candidates share among themselves.

    A validator may read every artifact, an observer may not: its organization has no vote, and what an account of it
    has licensed it downloads as everybody does.
    """

    def __init__(self, links: PeerLinks) -> None:
        self._links = links

    def peers(self) -> Sequence[str]:
        return [node for node in self._links.connected() if node not in self._links.observers]

    def send(self, node_id: str, payload: bytes) -> bool:
        return node_id not in self._links.observers and self._links.send(node_id, Channel.CHUNKS, payload)

    def broadcast(self, payload: bytes) -> None:
        for node in self.peers():
            self._links.send(node, Channel.CHUNKS, payload)

    def misbehaved(self, node_id: str, reason: str) -> None:
        self._links.misbehaved(node_id, reason)


class PayloadHandler:
    """Gives each channel's payloads to the part that speaks on it. What a part raises is our defect, and fatal."""

    def __init__(
        self,
        core: NodeCore,
        replication: Replication,
        snapshots: SnapshotExchange,
        links: PeerLinks,
        on_fatal: OnFatal,
    ) -> None:
        self._core = core
        self._replication = replication
        self._snapshots = snapshots
        self._links = links
        self._on_fatal = on_fatal
        self.observer_payloads_dropped = 0
        """What observers sent on channels that are not theirs."""

    def head(self) -> bytes:
        """Heights travel in Status messages, signed; the hello need not repeat them."""
        return b""

    def on_peer_connected(self, node_id: NodeId) -> None:
        try:
            self._core.on_peer_connected(node_id)
            if node_id not in self._links.observers:
                self._replication.on_peer_connected(node_id)
            if self._links.gossip is not None:
                self._links.gossip.on_peer_connected(node_id)
        except Exception as error:  # the frame above belongs to the links, which would drop it
            self._on_fatal(error)

    def on_peer_disconnected(self, node_id: NodeId, reason: str) -> None:  # noqa: ARG002 - the links log it
        self._core.on_peer_disconnected(node_id)
        self._replication.on_peer_disconnected(node_id)
        self._snapshots.on_peer_disconnected(node_id)

    def on_payload(self, node_id: NodeId, channel: Channel, payload: bytes) -> None:
        if channel in OF_VALIDATORS and node_id in self._links.observers:
            # Not blamed: one that was let in as a validator may know it before this node does.
            self.observer_payloads_dropped += 1
            return
        try:
            if channel is Channel.CHUNKS:
                self._replication.on_payload(node_id, payload)
            elif channel is Channel.SNAPSHOTS:
                self._snapshots.on_payload(node_id, payload)
            elif channel is Channel.GOSSIP:
                if self._links.gossip is not None:
                    self._links.gossip.on_payload(node_id, payload)
            else:
                self._core.on_payload(node_id, channel, payload)
        except Exception as error:  # the frame above belongs to the links, which would drop it
            self._on_fatal(error)

"""The network as one node sees it: who is registered, who is connected, whom to dial.

Whoever is registered may connect. Whom this node dials is another question: everybody, until `set_wanted` names some.
Peers whose entry says `limited` share a bounded number of links; the others' places are theirs.

Between two nodes there is one link. Both sides dial; where two links meet, the one dialed by the smaller node id stays,
so that both sides choose alike. A link to an earlier life of the peer's process never stays.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Collection, Sequence
from typing import Protocol

import structlog

from p2p.anchors import Anchors
from p2p.channels import Channel
from p2p.dialer import Dialer
from p2p.dialing import Backoff
from p2p.errors import LinkRefused, Reason
from p2p.frames import HEADER_BYTES, encode_frames
from p2p.hello import HEAD_BYTES_MAX, INSTANCE_BYTES, PROTOCOL_VERSION, Hello
from p2p.identity import Identity
from p2p.link import Link
from p2p.listener import Listener, Spawn
from p2p.options import LinkOptions
from p2p.refusals import Refusals
from p2p.registry import Peer, PeerEntry, PeerInfo, entries_by_node
from p2p.statistics import Statistics
from primitives.identifiers import NodeId

__all__ = ["PeerEntry", "PeerHandler", "PeerInfo", "PeerNetwork"]


class PeerHandler(Protocol):
    """What the node does with its peers. Called on the loop; must not block. An exception is a defect of the node.

    Nothing here is called from within `send`, `broadcast` or `disconnect`; `update_registry` and `stop` report the
    links they cut before they return.
    """

    def on_peer_connected(self, node_id: NodeId) -> None: ...

    def on_peer_disconnected(self, node_id: NodeId, reason: str) -> None: ...

    def on_payload(self, node_id: NodeId, channel: Channel, payload: bytes) -> None: ...

    def head(self) -> bytes:
        """Return what the hello says of this node, at most `HEAD_BYTES_MAX`, opaque to the links."""
        ...


class PeerNetwork:
    """The links of one node. All methods belong to the loop's thread."""

    def __init__(
        self,
        identity: Identity,
        network_id: bytes,
        registry: Sequence[PeerEntry],
        listen: tuple[str, int],
        handler: PeerHandler,
        spawn: Spawn,
        options: LinkOptions | None = None,
        chance: random.Random | None = None,
    ) -> None:
        """Raises InvalidCertificate when a registered certificate does not name its node."""
        self.options = (options or LinkOptions()).checked()
        self.node_id = identity.node_id
        self.address = ""
        """`host:port` that the listener is bound to, once started."""
        self.counters = Statistics()
        self._network_id = network_id
        self._listen = listen
        self._handler = handler
        self._spawn = spawn
        self._chance = chance or random.Random(secrets.randbits(64))
        self._instance = secrets.token_bytes(INSTANCE_BYTES)
        self._peers: dict[NodeId, Peer] = {}
        self._open: set[Link] = set()
        """Links whose transport may still exist."""
        self._running = False
        self._wanted: frozenset[NodeId] | None = None
        """Whom to dial; None for everybody."""
        entries = entries_by_node(registry, self.node_id)
        self.anchors = Anchors(identity, {node_id: entry.certificate_der for node_id, entry in entries.items()})
        self._set_peers(entries)

    # --- life ---

    async def start(self) -> None:
        """Listen, then dial everybody.

        Raises:
            OSError: the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        self._refusals = Refusals(self.counters, structlog.get_logger("p2p"), self._loop.time)
        self._listener = Listener(self, self._loop, self._spawn)
        self._dialer = Dialer(self, self._loop, self._spawn)
        host, port = self._listener.start(*self._listen)
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._running = True
        for peer in self._peers.values():
            self._dialer.first(peer)

    async def stop(self) -> None:
        """Say goodbye to every peer and close the listener. Returns when no socket is left."""
        if not self._running:
            return
        self._running = False
        self.anchors.stop()
        await self._dialer.stop(list(self._peers.values()))
        await self._listener.stop()
        for link in list(self._open):
            link.close(Reason.STOPPING)
        if self._open:
            timeout_s = self.options.close_timeout_ms / 1_000 + 1
            await asyncio.wait([link.ended for link in self._open], timeout=timeout_s)

    # --- sending ---

    def send(self, node_id: NodeId, channel: Channel, payload: bytes) -> bool:
        """Queue `payload` for a peer; False when it is not connected or its queue is full.

        Raises:
            MessageTooLarge: `payload` is empty or above the channel's maximum.
        """
        peer = self._peers.get(node_id)
        if peer is None or peer.link is None:
            return False
        frames = encode_frames(channel, payload)
        return peer.link.send(channel, frames, len(payload) + HEADER_BYTES * len(frames))

    def broadcast(self, channel: Channel, payload: bytes) -> int:
        """Queue one payload, encoded once, for every connected peer. Return how many took it.

        Raises:
            MessageTooLarge: `payload` is empty or above the channel's maximum.
        """
        frames = encode_frames(channel, payload)
        frames_bytes = len(payload) + HEADER_BYTES * len(frames)
        links = [peer.link for peer in self._peers.values() if peer.link is not None]
        return sum(link.send(channel, frames, frames_bytes) for link in links)

    def disconnect(self, node_id: NodeId, why: str) -> None:
        """Cut the link to a peer that misbehaved above the link. It may come back after the backoff.

        No payload of it is delivered from now on; `on_peer_disconnected` follows in the loop's next turn.
        """
        peer = self._peers.get(node_id)
        if peer is not None and peer.link is not None:
            peer.link.close_soon(Reason.MISBEHAVED, why)

    def part(self, node_id: NodeId) -> None:
        """End the link to a peer that did nothing wrong, in the loop's next turn; it is told that it is not wanted."""
        peer = self._peers.get(node_id)
        if peer is not None and peer.link is not None:
            peer.link.close_soon(Reason.NOT_WANTED)

    # --- looking ---

    def connected(self) -> list[PeerInfo]:
        """Return the peers with a link, in order of node id."""
        return [info for info in self.peers() if info.connected]

    def is_connected(self, node_id: NodeId) -> bool:
        """Whether a link to the node is up."""
        peer = self._peers.get(node_id)
        return peer is not None and peer.link is not None

    def peers(self) -> list[PeerInfo]:
        """Return every registered node but this one, in order of node id."""
        return [peer.info() for _, peer in sorted(self._peers.items())]

    def statistics(self) -> Statistics:
        """Return the counters, with the values of the moment filled in. Not a copy."""
        links = [peer.link for peer in self._peers.values() if peer.link is not None]
        self.counters.peers_connected = len(links)
        self.counters.unauthenticated = self._listener.unauthenticated if self._running else 0
        for channel in Channel:
            self.counters.queue_bytes[channel] = sum(link.outbox.bytes_waiting(channel) for link in links)
        return self.counters

    # --- membership ---

    def update_registry(self, registry: Sequence[PeerEntry]) -> None:
        """Take a new membership: members removed or with another certificate are cut, new ones dialed.

        Raises:
            InvalidCertificate: an entry's certificate does not name its node; nothing changes.
        """
        entries = entries_by_node(registry, self.node_id)
        for node_id, peer in list(self._peers.items()):
            entry = entries.get(node_id)
            if entry == peer.entry:
                continue
            peer.stop_dialing()
            if entry is None or entry.certificate_der != peer.entry.certificate_der:
                del self._peers[node_id]
                self._cut_removed(peer)
        self._set_peers(entries)
        for link in [link for link in self._open if link.node_id not in self._peers]:
            link.close(Reason.REMOVED_FROM_REGISTRY)
        if self._running:
            for peer in self._peers.values():
                self._dialer.first(peer)

    def set_wanted(self, node_ids: Collection[NodeId] | None) -> None:
        """Dial these peers from now on, as far as they are registered and have an address, and no others; None dials
        everybody.

        Links that are up stay, whoever dialed them: `part` ends one.
        """
        self._wanted = None if node_ids is None else frozenset(node_ids)
        for peer in self._peers.values():
            peer.wanted = self._wanted is None or peer.node_id in self._wanted
            if not peer.wanted:
                peer.stop_dialing()
            elif self._running:
                self._dialer.first(peer)

    def _set_peers(self, entries: dict[NodeId, PeerEntry]) -> None:
        for node_id, entry in entries.items():
            known = self._peers.get(node_id)
            if known is None or known.entry != entry:
                peer = Peer(entry, Backoff(self.options, self._chance))
                if known is not None:
                    peer.link, peer.last_host = known.link, known.last_host
                peer.wanted = self._wanted is None or node_id in self._wanted
                self._peers[node_id] = peer
        self.anchors.replace({node_id: entry.certificate_der for node_id, entry in entries.items()})

    def _cut_removed(self, peer: Peer) -> None:
        link = peer.link
        if link is not None:
            peer.link = None
            self._handler.on_peer_disconnected(peer.entry.node_id, Reason.REMOVED_FROM_REGISTRY.value)
            self.counters.closures[Reason.REMOVED_FROM_REGISTRY] += 1
            link.close(Reason.REMOVED_FROM_REGISTRY)

    # --- ListenerOwner, DialerOwner ---

    def new_link(self, dialed: NodeId | None) -> Link:
        return Link(self, self._loop, dialed=dialed)

    def wants_link(self, peer: Peer) -> bool:
        return self._running and peer.wanted and peer.link is None and self._peers.get(peer.node_id) is peer

    def is_registered_address(self, host: str) -> bool:
        """Whether connections from `host` have room that strangers cannot fill. Limited peers share the strangers'."""
        unlimited = (peer for peer in self._peers.values() if not peer.entry.limited)
        return any(host in (peer.registered_host, peer.last_host) for peer in unlimited)

    def connection_refused(self, host: str, reason: Reason, detail: str) -> None:
        self._refusals.note(host, reason, detail)

    # --- LinkOwner ---

    def link_admitted(self, link: Link, node_id: NodeId, certificate_der: bytes) -> Hello:
        self._open.add(link)
        link.ended.add_done_callback(lambda _: self._open.discard(link))
        peer = self._peers.get(node_id)
        if not self._running:
            raise LinkRefused(Reason.STOPPING)
        if peer is None:
            raise LinkRefused(Reason.UNKNOWN_NODE)
        if peer.entry.certificate_der != certificate_der:
            raise LinkRefused(Reason.CERTIFICATE_REFUSED, "not the registered certificate of this key")
        head = self._handler.head()
        assert len(head) <= HEAD_BYTES_MAX
        version = self.options.software_version
        return Hello(PROTOCOL_VERSION, self._network_id, self.node_id, node_id, self._instance, version, head)

    def link_hello(self, link: Link, hello: Hello) -> None:
        assert link.node_id is not None
        peer = self._peers.get(link.node_id)
        if peer is None:
            raise LinkRefused(Reason.REMOVED_FROM_REGISTRY)
        if peer.link is not None and not self._replaces(link, hello, peer.link):
            raise LinkRefused(Reason.DUPLICATE_LINK)
        if peer.link is None and not self._has_room(peer):
            raise LinkRefused(Reason.NO_ROOM)

    def _has_room(self, peer: Peer) -> bool:
        if not peer.entry.limited:
            return True
        links = sum(1 for other in self._peers.values() if other.entry.limited and other.link is not None)
        return links < self.options.limited_links_max

    def link_up(self, link: Link) -> None:
        assert link.node_id is not None
        assert link.peer_hello is not None
        peer = self._peers[link.node_id]
        existing = peer.link
        if existing is not None:
            if not self._replaces(link, link.peer_hello, existing):
                link.close(Reason.DUPLICATE_LINK)
                return
            existing.close(Reason.DUPLICATE_LINK)
        elif not self._has_room(peer):  # others came up since its hello
            link.close(Reason.NO_ROOM)
            return
        peer.link = link
        peer.last_host = link.remote_address
        peer.last_reason = peer.goodbye = ""
        self.counters.links_opened += 1
        self._handler.on_peer_connected(link.node_id)

    def _replaces(self, link: Link, hello: Hello, existing: Link) -> bool:
        """Whether `link` stays rather than `existing`; the peer comes to the same answer."""
        assert link.node_id is not None
        assert existing.peer_hello is not None
        if hello.instance != existing.peer_hello.instance:
            return True  # the peer was started again and does not know the older link
        if (link.dialed is None) == (existing.dialed is None):
            return True  # who dials twice has lost the first
        return (link.dialed is not None) == (self.node_id < link.node_id)

    def link_payload(self, link: Link, channel: Channel, payload: bytes) -> None:
        assert link.node_id is not None
        self._handler.on_payload(link.node_id, channel, payload)

    def link_closed(self, link: Link, reason: Reason, detail: str) -> None:
        node_id = link.node_id or link.dialed
        self._refusals.note(node_id or link.remote_address, reason, detail, dialed=link.dialed is not None)
        peer = self._peers.get(node_id) if node_id is not None else None
        if peer is None or node_id is None:
            return
        if peer.link is None or peer.link is link:
            peer.last_reason = f"{reason.value}: {detail}" if detail else reason.value
        if peer.link is not link:
            return
        peer.link = None
        peer.goodbye = detail if reason is Reason.CLOSED_BY_PEER else ""
        self.counters.closures[reason] += 1
        if self._loop.time() - link.up_since_s >= self.options.stable_ms / 1_000:
            peer.backoff.reset()
        self._handler.on_peer_disconnected(node_id, peer.last_reason)
        self._dialer.again(peer)

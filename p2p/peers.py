"""The network as one node sees it: who is registered, who is connected, whom to dial.

Between two nodes there is one link. Both sides dial; where two links meet, the one dialed by the smaller node id stays,
so that both sides choose alike. A link to an earlier life of the peer's process never stays.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
from collections.abc import Sequence
from typing import Protocol

import msgspec
import structlog

from p2p.channels import Channel
from p2p.dialer import Backoff, InvalidAddress, dial, split_address
from p2p.errors import InvalidCertificate, LinkRefused, Reason
from p2p.frames import HEADER_BYTES, encode_frames
from p2p.hello import HEAD_BYTES_MAX, INSTANCE_BYTES, PROTOCOL_VERSION, Hello
from p2p.identity import Identity, client_context, node_id_of_certificate, server_context
from p2p.link import Link
from p2p.listener import Listener, Spawn, reason_of
from p2p.options import LinkOptions
from p2p.refusals import Refusals
from p2p.statistics import Statistics
from primitives.identifiers import NodeId


class PeerEntry(msgspec.Struct, frozen=True):
    """A registered node."""

    node_id: NodeId
    certificate_der: bytes
    address: str
    """`host:port`; empty for a node that dials and is never dialed."""


class PeerInfo(msgspec.Struct, frozen=True):
    """A registered node as this one sees it, for status pages."""

    node_id: NodeId
    address: str
    connected: bool
    dialed: bool
    """Whether the link was dialed from here."""
    software_version: str
    head: bytes
    """From the peer's hello."""
    round_trip_ms: float | None
    queue_bytes: int
    last_reason: str
    """Why the last link ended or could not be made; empty while connected."""


class PeerHandler(Protocol):
    """What the node does with its peers. Called on the loop; must not block. An exception is a defect of the node."""

    def on_peer_connected(self, node_id: NodeId) -> None: ...

    def on_peer_disconnected(self, node_id: NodeId, reason: str) -> None: ...

    def on_payload(self, node_id: NodeId, channel: Channel, payload: bytes) -> None: ...

    def head(self) -> bytes:
        """Return what the hello says of this node, at most `HEAD_BYTES_MAX`, opaque to the links."""
        ...


class _Peer:
    """What is known of one registered node."""

    def __init__(self, entry: PeerEntry, backoff: Backoff) -> None:
        self.entry = entry
        self.backoff = backoff
        self.link: Link | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.dialing: asyncio.Task[None] | None = None
        self.last_reason = ""
        self.registered_host = ""
        try:
            self.registered_host = split_address(entry.address)[0]
        except InvalidAddress as error:
            self.last_reason = str(error) if entry.address else ""
        self.last_host = ""
        """Where its last link came from."""

    def cancel(self) -> None:
        """Stop dialing."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.dialing is not None:
            self.dialing.cancel()


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
        self._identity = identity
        self._network_id = network_id
        self._listen = listen
        self._handler = handler
        self._spawn = spawn
        self._chance = chance or random.Random(secrets.randbits(64))
        self._instance = secrets.token_bytes(INSTANCE_BYTES)
        self._peers: dict[NodeId, _Peer] = {}
        self._open: set[Link] = set()
        """Links whose transport may still exist."""
        self._running = False
        self._set_contexts(self._checked(registry))

    # --- life ---

    async def start(self) -> None:
        """Listen, then dial everybody.

        Raises:
            OSError: the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        self._refusals = Refusals(self.counters, structlog.get_logger("p2p"), self._loop.time)
        self._listener = Listener(self, self._loop, self._spawn)
        host, port = self._listener.start(*self._listen)
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._running = True
        for peer in self._peers.values():
            self._dial_first(peer)

    async def stop(self) -> None:
        """Say goodbye to every peer and close the listener. Returns when no socket is left."""
        if not self._running:
            return
        self._running = False
        dials = [peer.dialing for peer in self._peers.values() if peer.dialing is not None]
        for peer in self._peers.values():
            peer.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
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
        """Cut the link to a peer that misbehaved above the link. It may come back after the backoff."""
        peer = self._peers.get(node_id)
        if peer is not None and peer.link is not None:
            peer.link.close(Reason.MISBEHAVED, why)

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
        return [_info(peer) for _, peer in sorted(self._peers.items())]

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
        entries = self._checked(registry)
        for node_id, peer in list(self._peers.items()):
            entry = entries.get(node_id)
            if entry == peer.entry:
                continue
            peer.cancel()
            if entry is None or entry.certificate_der != peer.entry.certificate_der:
                del self._peers[node_id]
                self._cut_removed(peer)
        self._set_contexts(entries)
        for link in [link for link in self._open if link.node_id not in self._peers]:
            link.close(Reason.REMOVED_FROM_REGISTRY)
        if self._running:
            for peer in self._peers.values():
                self._dial_first(peer)

    def _checked(self, registry: Sequence[PeerEntry]) -> dict[NodeId, PeerEntry]:
        for entry in registry:
            if node_id_of_certificate(entry.certificate_der) != entry.node_id:
                raise InvalidCertificate(f"the certificate registered for {entry.node_id} names another node")
        return {entry.node_id: entry for entry in registry if entry.node_id != self.node_id}

    def _set_contexts(self, entries: dict[NodeId, PeerEntry]) -> None:
        """Build the ssl contexts anew, for nothing takes an anchor out of one."""
        for node_id, entry in entries.items():
            known = self._peers.get(node_id)
            if known is None or known.entry != entry:
                peer = _Peer(entry, Backoff(self.options, self._chance))
                if known is not None:
                    peer.link, peer.last_host = known.link, known.last_host
                self._peers[node_id] = peer
        anchors = [entry.certificate_der for entry in entries.values()]
        self._client_context = client_context(self._identity, anchors)
        self._server_context = server_context(self._identity, anchors)

    def _cut_removed(self, peer: _Peer) -> None:
        link = peer.link
        if link is not None:
            peer.link = None
            self._handler.on_peer_disconnected(peer.entry.node_id, Reason.REMOVED_FROM_REGISTRY.value)
            self.counters.closures[Reason.REMOVED_FROM_REGISTRY] += 1
            link.close(Reason.REMOVED_FROM_REGISTRY)

    # --- dialing ---

    def _dial_first(self, peer: _Peer) -> None:
        later = self.node_id > peer.entry.node_id
        self._schedule_dial(peer, self.options.later_dialer_delay_ms / 1_000 if later else 0.0)

    def _schedule_dial(self, peer: _Peer, delay_s: float) -> None:
        current = self._peers.get(peer.entry.node_id) is peer
        busy = peer.link is not None or peer.dialing is not None or peer.timer is not None
        if self._running and current and not busy and peer.registered_host:
            peer.timer = self._loop.call_later(delay_s, self._dial_now, peer)

    def _dial_now(self, peer: _Peer) -> None:
        peer.timer = None
        if peer.link is None and peer.dialing is None:
            self.counters.dials += 1
            peer.dialing = self._spawn(self._dial(peer))

    async def _dial(self, peer: _Peer) -> None:
        """Try one connection: afterwards it is up, or another attempt is scheduled."""
        link = Link(self, self._loop, dialed=peer.entry.node_id)
        try:
            await dial(self._loop, peer.entry.address, self._client_context, self.options, lambda: link)
            await link.settled
        except OSError as error:
            tls_failed = isinstance(error, ssl.SSLError | ConnectionAbortedError)
            link.close(reason_of(error) if tls_failed else Reason.UNREACHABLE, f"{type(error).__name__}: {error}")
        except asyncio.CancelledError:
            link.close(Reason.STOPPING)
            raise
        finally:
            peer.dialing = None
        self._schedule_dial(peer, peer.backoff.next_delay_s())

    # --- ListenerOwner ---

    def server_context(self) -> ssl.SSLContext:
        return self._server_context

    def accepted_link(self) -> Link:
        return Link(self, self._loop, dialed=None)

    def is_registered_address(self, host: str) -> bool:
        return any(host in (peer.registered_host, peer.last_host) for peer in self._peers.values())

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
        peer.link = link
        peer.last_host = link.remote_address
        peer.last_reason = ""
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
        self.counters.closures[reason] += 1
        if self._loop.time() - link.up_since_s >= self.options.stable_ms / 1_000:
            peer.backoff.reset()
        self._handler.on_peer_disconnected(node_id, peer.last_reason)
        self._schedule_dial(peer, peer.backoff.next_delay_s())


def _info(peer: _Peer) -> PeerInfo:
    link, entry = peer.link, peer.entry
    if link is None or link.peer_hello is None:
        return PeerInfo(entry.node_id, entry.address, False, False, "", b"", None, 0, peer.last_reason)
    return PeerInfo(
        entry.node_id,
        entry.address,
        True,
        link.dialed is not None,
        link.peer_hello.software_version,
        link.peer_hello.head,
        link.round_trip_ms,
        sum(link.outbox.bytes_waiting(channel) for channel in Channel),
        "",
    )

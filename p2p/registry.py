"""Who may connect, and what one node keeps about each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from p2p.channels import Channel
from p2p.dialing import Backoff, InvalidAddress, split_address
from p2p.errors import InvalidCertificate
from p2p.identity import node_id_of_certificate
from p2p.link import Link
from primitives.identifiers import NodeId


class PeerEntry(msgspec.Struct, frozen=True):
    """A registered node."""

    node_id: NodeId
    certificate_der: bytes
    address: str
    """`host:port`; empty for a node that dials and is never dialed."""
    limited: bool = False
    """Whether its links count against `LinkOptions.limited_links_max`. All others have their place whatever the number
    of these."""


class PeerInfo(msgspec.Struct, frozen=True):
    """A registered node as this one sees it, for status pages."""

    node_id: NodeId
    address: str
    connected: bool
    wanted: bool = True
    """Whether this node tries to have a link to it."""
    dialed: bool = False
    """Whether the link was dialed from here."""
    software_version: str = ""
    head: bytes = b""
    """From the peer's hello."""
    round_trip_ms: float | None = None
    silent_ms: int = 0
    """Since anything was heard of a connected peer; pings make it small while its process runs."""
    queue_bytes: int = 0
    last_reason: str = ""
    """Why the last link ended or could not be made; empty while connected."""
    goodbye: str = ""
    """The reason with which the peer itself ended the last link that was up; empty while connected."""


class Peer:
    """What is known of one registered node: its link, or the next attempt to have one."""

    def __init__(self, entry: PeerEntry, backoff: Backoff) -> None:
        self.entry = entry
        self.backoff = backoff
        self.link: Link | None = None
        self.timer: asyncio.TimerHandle | None = None
        """Runs until the next dial."""
        self.dialing: asyncio.Task[None] | None = None
        self.last_reason = ""
        self.goodbye = ""
        self.wanted = True
        """Whether a link is dialed where there is none."""
        self.registered_host = ""
        """Empty when the registered address cannot be dialed."""
        self.last_host = ""
        """Where its last link came from."""
        try:
            self.registered_host = split_address(entry.address)[0]
        except InvalidAddress as error:
            self.last_reason = str(error) if entry.address else ""

    @property
    def node_id(self) -> NodeId:
        """The name of the node."""
        return self.entry.node_id

    def stop_dialing(self) -> None:
        """Cancel the attempt under way and the next one."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.dialing is not None:
            self.dialing.cancel()
            self.dialing = None

    def info(self) -> PeerInfo:
        """Return the state of the moment."""
        link, entry = self.link, self.entry
        if link is None or link.peer_hello is None:
            return PeerInfo(
                entry.node_id,
                entry.address,
                connected=False,
                wanted=self.wanted,
                last_reason=self.last_reason,
                goodbye=self.goodbye,
            )
        return PeerInfo(
            entry.node_id,
            entry.address,
            connected=True,
            wanted=self.wanted,
            dialed=link.dialed is not None,
            software_version=link.peer_hello.software_version,
            head=link.peer_hello.head,
            round_trip_ms=link.round_trip_ms,
            silent_ms=link.silent_ms,
            queue_bytes=sum(link.outbox.bytes_waiting(channel) for channel in Channel),
        )


def entries_by_node(registry: Sequence[PeerEntry], own: NodeId) -> dict[NodeId, PeerEntry]:
    """Return the entries of the other nodes.

    Raises:
        InvalidCertificate: a certificate does not name the node it is registered for.
    """
    for entry in registry:
        if node_id_of_certificate(entry.certificate_der) != entry.node_id:
            raise InvalidCertificate(f"the certificate registered for {entry.node_id} names another node")
    return {entry.node_id: entry for entry in registry if entry.node_id != own}

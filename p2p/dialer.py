"""Keeps trying to have a link to every registered node that has none."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from typing import Protocol

from p2p.anchors import Anchors
from p2p.dialing import dial
from p2p.errors import Reason
from p2p.link import Link
from p2p.listener import Spawn, reason_of
from p2p.options import LinkOptions
from p2p.registry import Peer
from p2p.statistics import Statistics
from primitives.identifiers import NodeId


class DialerOwner(Protocol):
    """What the dialer needs of the network."""

    node_id: NodeId
    options: LinkOptions
    counters: Statistics
    anchors: Anchors

    def new_link(self, dialed: NodeId | None) -> Link: ...

    def wants_link(self, peer: Peer) -> bool:
        """Whether `peer` is still registered and wanted and has no link, and the network runs."""
        ...


class Dialer:
    """Timers and attempts, at most one of either for a peer."""

    def __init__(self, owner: DialerOwner, loop: asyncio.AbstractEventLoop, spawn: Spawn) -> None:
        self._owner = owner
        self._loop = loop
        self._spawn = spawn

    def first(self, peer: Peer) -> None:
        """Dial soon; the larger node id a little later, for the other side is dialing too."""
        later = self._owner.node_id > peer.node_id
        self._schedule(peer, self._owner.options.later_dialer_delay_ms / 1_000 if later else 0.0)

    def again(self, peer: Peer) -> None:
        """Dial after the next delay of the peer's backoff."""
        self._schedule(peer, peer.backoff.next_delay_s())

    async def stop(self, peers: Iterable[Peer]) -> None:
        """Give up all attempts."""
        attempts = [peer.dialing for peer in peers if peer.dialing is not None]
        for peer in peers:
            peer.stop_dialing()
        await asyncio.gather(*attempts, return_exceptions=True)

    def _schedule(self, peer: Peer, delay_s: float) -> None:
        busy = peer.dialing is not None or peer.timer is not None
        if not busy and peer.registered_host and self._owner.wants_link(peer):
            peer.timer = self._loop.call_later(delay_s, self._start, peer)

    def _start(self, peer: Peer) -> None:
        peer.timer = None
        if peer.dialing is None and self._owner.wants_link(peer):
            self._owner.counters.dials += 1
            peer.dialing = self._spawn(self._attempt(peer))

    async def _attempt(self, peer: Peer) -> None:
        """Try one connection: afterwards it is up, or another attempt is scheduled."""
        owner = self._owner
        link = owner.new_link(peer.node_id)
        try:
            await dial(self._loop, peer.entry.address, owner.anchors.client, owner.options, lambda: link)
            await link.settled
        except OSError as error:
            tls_failed = isinstance(error, ssl.SSLError | ConnectionAbortedError)
            link.close(reason_of(error) if tls_failed else Reason.UNREACHABLE, f"{type(error).__name__}: {error}")
        except asyncio.CancelledError:
            link.close(Reason.STOPPING)
            raise
        finally:
            if peer.dialing is asyncio.current_task():  # else it was given up, and another may be under way
                peer.dialing = None
        if owner.wants_link(peer):
            self.again(peer)

"""Asking nodes to be neighbors: which links there are, who was asked what, and giving up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from p2p.gossip.engine import Connect, Release
from p2p.gossip.messages import Disconnect, Join, Neighbor
from p2p.gossip.outlet import Outlet

Purpose: TypeAlias = Literal["join", "choice", "refill", "invitation"]
"""Why a node is asked: to be a contact, for a place of our own choice, for any place, or because a walk ended here."""


class Request(msgspec.Struct):
    """One that waits for its answer."""

    purpose: Purpose
    deadline_ms: int
    asked: bool = False
    """Whether it was sent: the link may have to be made first."""


class Requests:
    def __init__(self, pending_max: int, timeout_ms: int, outlet: Outlet, neighbors: Callable[[], list[str]]) -> None:
        self.pending: dict[str, Request] = {}
        self._pending_max = pending_max
        self._timeout_ms = timeout_ms
        self._outlet = outlet
        self._neighbors = neighbors
        self._links: dict[str, bool] = {}
        """Node with a link -> whether this node wanted it, and is to give it back."""

    def link_up(self, peer: str) -> None:
        request = self.pending.get(peer)
        self._links[peer] = self._links.get(peer, False) or request is not None
        if request is not None and not request.asked:
            self._send(peer, request)

    def link_down(self, peer: str) -> bool:
        """Return whether the node had been asked."""
        self._links.pop(peer, None)
        return self.pending.pop(peer, None) is not None

    def ask(self, peer: str, purpose: Purpose) -> None:
        """Ask `peer`, unless it is a neighbor, was asked already, or too many were."""
        if peer in self._neighbors() or peer in self.pending or len(self.pending) >= self._pending_max:
            return
        request = self.pending[peer] = Request(purpose, self._outlet.now_ms + self._timeout_ms)
        if peer in self._links:
            self._send(peer, request)
        else:
            self._outlet.effects.append(Connect(peer))

    def answered(self, peer: str) -> Request | None:
        return self.pending.pop(peer, None)

    def overdue(self) -> list[str]:
        return [peer for peer, request in self.pending.items() if request.deadline_ms <= self._outlet.now_ms]

    def give_up(self, peer: str) -> None:
        if self.pending.pop(peer).asked:
            self._outlet.send(Disconnect(), peer)  # it may have accepted
        self.release(peer)

    def release(self, peer: str) -> None:
        """Give back a link that this node wanted and that nothing here needs any more."""
        if self._links.get(peer) and peer not in self.pending and peer not in self._neighbors():
            self._links[peer] = False
            self._outlet.effects.append(Release(peer))

    def _send(self, peer: str, request: Request) -> None:
        request.asked = True
        if request.purpose == "join":
            self._outlet.send(Join(), peer)
        else:
            self._outlet.send(Neighbor(request.purpose == "invitation" or not self._neighbors()), peer)

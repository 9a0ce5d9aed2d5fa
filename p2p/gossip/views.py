"""Who is whose neighbor: the active view of HyParView.

Leitão, Pereira & Rodrigues, "HyParView: a membership protocol for reliable gossip-based broadcast", DSN 2007. A small
symmetric active view, in which links are kept, and a larger passive view of replacements. What differs, because the
ledger names every node that may take part, and some of them may lie:

- Some places of the active view are filled only by this node's own uniform draws from the registry, and nobody who asks
  can take them. A minority cannot surround a node by asking.
- A contact that is full starts the walks of a Join and makes no room itself, so that joins do not shake its neighbors.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from p2p.gossip.acquaintances import Acquaintances
from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.errors import GossipError, GossipReason
from p2p.gossip.messages import Disconnect, ForwardJoin, Neighbor, NeighborAnswer
from p2p.gossip.outlet import Outlet
from p2p.gossip.requests import Purpose, Requests

CORRECTED_MAX: Final = 256
"""Nodes told in one period that they are no neighbors; others wait for the next."""


class Neighborhood(msgspec.Struct):
    """What is known of one neighbor."""

    chosen: bool
    """Drawn by this node: it has one of the places that nobody can ask for."""
    heard_ms: int


class Views:
    """The active view of one node, and what fills it."""

    def __init__(
        self,
        own: str,
        configuration: GossipConfiguration,
        chance: random.Random,
        outlet: Outlet,
        on_up: Callable[[str], None],
        on_down: Callable[[str], None],
    ) -> None:
        """`on_up` and `on_down` hear of neighbors that came and went."""
        self.active: dict[str, Neighborhood] = {}
        self.known = Acquaintances(own, configuration.passive_max, chance, self._is_busy)
        self.requests = Requests(
            configuration.active_max + 1, configuration.request_timeout_ms, outlet, lambda: list(self.active)
        )
        self._configuration = configuration
        self._chance = chance
        self._outlet = outlet
        self._on_up = on_up
        self._on_down = on_down
        self._corrected: set[str] = set()
        self._next_join_ms = 0

    # --- what the ledger and the links say ---

    def set_members(self, allowed: Iterable[str], contacts: Iterable[str]) -> None:
        """Take the nodes that may be neighbors; others are none from now on."""
        self.known.set_members(allowed, contacts, self._outlet.now_ms)
        for peer in [peer for peer in self.active if peer not in self.known.allowed]:
            self.drop(peer)
        for peer in [peer for peer in self.requests.pending if peer not in self.known.allowed]:
            self.requests.give_up(peer)

    def link_down(self, peer: str) -> None:
        if self.requests.link_down(peer) or peer in self.active:
            self._postpone(peer)
            self.known.forget(peer)
        if self.active.pop(peer, None) is not None:
            self._on_down(peer)

    # --- messages ---

    def on_join(self, peer: str) -> None:
        accepted = peer in self.active or self._take(peer)
        self._outlet.send(NeighborAnswer(accepted), peer)
        others = [neighbor for neighbor in self.active if neighbor != peer]
        self._outlet.send(ForwardJoin(peer, self._configuration.join_steps), *others)

    def on_forward_join(self, peer: str, message: ForwardJoin) -> None:
        """Raises GossipError: the sender is no neighbor."""
        self.require_neighbor(peer)
        node = message.node
        if node not in self.known.allowed or not self.known.is_ready(node, self._outlet.now_ms):
            return
        onward = [neighbor for neighbor in self.active if neighbor not in (peer, node)]
        if message.steps == 0 or not onward:
            self.requests.ask(node, "invitation")
            return
        if message.steps == self._configuration.passive_steps:
            self.known.remember(node)
        self._outlet.send(ForwardJoin(node, message.steps - 1), self._chance.choice(onward))

    def on_neighbor(self, peer: str, message: Neighbor) -> None:
        accepted = peer in self.active or self._take(peer)
        if not accepted and message.urgent:
            accepted = self._make_room() and self._take(peer)
        self._outlet.send(NeighborAnswer(accepted), peer)

    def on_neighbor_answer(self, peer: str, message: NeighborAnswer) -> None:
        """Raises GossipError: `unasked-answer`."""
        request = self.requests.answered(peer)
        if request is None:
            if message.accepted and peer not in self.active:
                self._correct(peer)
            raise GossipError(GossipReason.UNASKED_ANSWER)
        if not message.accepted:
            self._postpone(peer)
            self.requests.release(peer)
        elif peer not in self.active and not self._seat(peer, request.purpose):
            self._outlet.send(Disconnect(), peer)
            self.requests.release(peer)

    def on_disconnect(self, peer: str) -> None:
        self.requests.answered(peer)
        self.drop(peer, farewell=False)
        self._postpone(peer)

    # --- time ---

    def heard(self, peer: str) -> None:
        neighbor = self.active.get(peer)
        if neighbor is not None:
            neighbor.heard_ms = self._outlet.now_ms

    def expire(self) -> None:
        """Give up on requests without an answer and on silent neighbors."""
        for peer in self.requests.overdue():
            self._postpone(peer)
            self.requests.give_up(peer)
        for peer, neighbor in list(self.active.items()):
            if neighbor.heard_ms + self._configuration.silence_ms <= self._outlet.now_ms:
                self._postpone(peer)
                self.drop(peer)

    def new_period(self) -> None:
        """Forget what holds for a period only."""
        self._corrected.clear()
        self.known.expire(self._outlet.now_ms)

    def rotate(self) -> None:
        """Give up one neighbor of a full view."""
        if len(self.active) >= self._configuration.active_max:
            self.drop(self._chance.choice(list(self.active)))

    def fill(self) -> None:
        """Ask for neighbors where places are free."""
        configuration, now_ms = self._configuration, self._outlet.now_ms
        pending = self.requests.pending
        if not self.active and self.known.contacts and now_ms >= self._next_join_ms:
            self._next_join_ms = now_ms + configuration.retry_ms
            self.requests.ask(self._chance.choice(self.known.contacts), "join")
        chosen = len(self.active) - self._others
        choices = sum(request.purpose == "choice" for request in pending.values())
        for _ in range(configuration.own_choices - chosen - choices):
            drawn = self.known.draw(now_ms)
            if drawn is not None:
                self.requests.ask(drawn, "choice")
        for _ in range(configuration.active_max - configuration.places_left - len(self.active) - len(pending)):
            replacement = self.known.replacement(now_ms) if self._has_room() else None
            if replacement is None:
                break
            self.requests.ask(replacement, "refill")

    # --- for the other parts ---

    def require_neighbor(self, peer: str) -> None:
        """Raise GossipError where `peer` is no neighbor, and tell it so: it may believe that it is one."""
        if peer not in self.active:
            self._correct(peer)
            raise GossipError(GossipReason.NOT_A_NEIGHBOR)

    def drop(self, peer: str, *, farewell: bool = True) -> None:
        """Be no neighbor of `peer` any more."""
        if self.active.pop(peer, None) is not None:
            if farewell:
                self._outlet.send(Disconnect(), peer)
            self._on_down(peer)
            self.known.remember(peer)
        self.requests.release(peer)

    def banish(self, peer: str) -> None:
        """Have nothing to do with `peer` for a while."""
        self.requests.answered(peer)
        self.drop(peer, farewell=False)
        self.known.forget(peer)
        self._postpone(peer, self._configuration.ban_ms)

    # --- inside ---

    @property
    def _others(self) -> int:
        """Neighbors in places for which anyone can ask."""
        return sum(not neighbor.chosen for neighbor in self.active.values())

    def _is_busy(self, peer: str) -> bool:
        return peer in self.active or peer in self.requests.pending

    def _has_room(self) -> bool:
        """Whether there is a place for which anyone can ask."""
        configuration = self._configuration
        open_to_all = configuration.active_max - configuration.own_choices
        return self._others < open_to_all and len(self.active) < configuration.active_max

    def _take(self, peer: str, *, chosen: bool = False) -> bool:
        request = self.requests.pending.get(peer)
        chosen = chosen or (request is not None and request.purpose == "choice")
        if len(self.active) >= self._configuration.active_max or not (chosen or self._has_room()):
            return False
        self.requests.answered(peer)
        self.known.forget(peer)
        self.active[peer] = Neighborhood(chosen, self._outlet.now_ms)
        self._on_up(peer)
        return True

    def _seat(self, peer: str, purpose: Purpose) -> bool:
        """Find a place for one that accepted what was asked of it."""
        if purpose == "choice":
            full = len(self.active) >= self._configuration.active_max
            return (not full or self._make_room()) and self._take(peer, chosen=True)
        return self._take(peer) or (purpose == "invitation" and self._make_room() and self._take(peer))

    def _make_room(self) -> bool:
        """Drop a neighbor for which nobody drew."""
        others = [peer for peer, neighbor in self.active.items() if not neighbor.chosen]
        if not others:
            return False
        self.drop(self._chance.choice(others))
        return True

    def _correct(self, peer: str) -> None:
        if peer not in self._corrected and len(self._corrected) < CORRECTED_MAX and peer not in self.requests.pending:
            self._corrected.add(peer)
            self._outlet.send(Disconnect(), peer)

    def _postpone(self, peer: str, duration_ms: int | None = None) -> None:
        delay_ms = self._configuration.retry_ms if duration_ms is None else duration_ms
        self.known.postpone(peer, self._outlet.now_ms + delay_ms)

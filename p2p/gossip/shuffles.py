"""Exchanging names with nodes a few steps away: HyParView's shuffle, whose answer returns along the walk."""

from __future__ import annotations

import random

from p2p.gossip.acquaintances import Acquaintances
from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.errors import GossipError, GossipReason
from p2p.gossip.messages import WALK_NODES_MAX, Shuffle, ShuffleAnswer
from p2p.gossip.outlet import Outlet
from p2p.gossip.views import Views


class Shuffles:
    def __init__(
        self, own: str, configuration: GossipConfiguration, chance: random.Random, outlet: Outlet, views: Views
    ) -> None:
        self._own = own
        self._configuration = configuration
        self._chance = chance
        self._outlet = outlet
        self._views = views
        self._known: Acquaintances = views.known

    def begin(self) -> None:
        """Start a walk, and draw a name from the registry."""
        self._known.refresh(self._outlet.now_ms, renew=True)
        neighbors = list(self._views.active)
        if neighbors:
            nodes = self._known.sample(self._configuration.shuffle_nodes, neighbors, ())
            walk = Shuffle((self._own,), self._configuration.shuffle_steps, nodes)
            self._outlet.send(walk, self._chance.choice(neighbors))

    def on_shuffle(self, peer: str, message: Shuffle) -> None:
        """Raises GossipError: the sender is no neighbor, or not the last of the path."""
        self._views.require_neighbor(peer)
        if message.path[-1] != peer:
            raise GossipError(GossipReason.MALFORMED, "a walk whose path does not end with its sender")
        onward = [neighbor for neighbor in self._views.active if neighbor not in message.path]
        if message.steps > 0 and onward and len(message.path) < WALK_NODES_MAX:
            walk = Shuffle((*message.path, self._own), message.steps - 1, message.nodes)
            self._outlet.send(walk, self._chance.choice(onward))
            return
        answer = self._known.sample(self._configuration.shuffle_nodes, self._views.active, message.nodes)
        self._outlet.send(ShuffleAnswer(message.path, answer), peer)
        for node in (message.path[0], *message.nodes):
            self._known.remember(node)

    def on_answer(self, peer: str, message: ShuffleAnswer) -> None:
        """Raises GossipError: the sender is no neighbor, or the way back does not lead here."""
        self._views.require_neighbor(peer)
        *way, last = message.path
        if last != self._own:
            raise GossipError(GossipReason.MALFORMED, "an answer on another's way back")
        if not way:
            for node in message.nodes:
                self._known.remember(node)
        elif way[-1] in self._views.active:
            self._outlet.send(ShuffleAnswer(tuple(way), message.nodes), way[-1])

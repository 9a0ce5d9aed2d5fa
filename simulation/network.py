"""A network that loses, repeats, delays and reorders, and can be cut in any direction."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from p2p.channels import Channel
from simulation.world import World

Deliver = Callable[[int, Channel, bytes], None]
"""(sender, channel, payload)"""
Send = Callable[[int, int, Channel, bytes], None]
"""(sender, receiver, channel, payload)"""


class NetworkFaults(msgspec.Struct):
    """May change during a run."""

    loss: float = 0.0
    """Probability that a message is lost."""
    duplication: float = 0.0
    """Probability that a message arrives twice."""
    latency_ms_min: int = 1
    latency_ms_max: int = 5
    """Delays are uniform between the two, so messages overtake each other."""


class Network:
    """Links between the nodes of a run, by index."""

    def __init__(self, world: World, n: int, faults: NetworkFaults | None = None) -> None:
        self.faults = faults or NetworkFaults()
        self.messages = 0
        self._world = world
        self._n = n
        self._deliver: dict[int, Deliver] = {}
        self._cut: set[tuple[int, int]] = set()
        self.on_send: Send = self.transmit
        """Gets what the nodes send, and passes it on to `transmit`: the checker's and the adversaries' place."""

    def attach(self, node: int, deliver: Deliver) -> None:
        """A node came up."""
        self._deliver[node] = deliver

    def detach(self, node: int) -> None:
        """A node went down: what is under way to it is lost."""
        self._deliver.pop(node, None)

    def up(self, node: int) -> bool:
        return node in self._deliver

    def cut(self, sender: int, receiver: int) -> None:
        """Lose everything in one direction."""
        self._cut.add((sender, receiver))

    def isolate(self, node: int) -> None:
        for other in range(self._n):
            self._cut |= {(node, other), (other, node)}

    def heal(self) -> None:
        self._cut.clear()

    def connected(self, node: int, other: int) -> bool:
        """Tell whether a link seems to be up. One direction alone that loses everything is not noticed."""
        return self.up(other) and not {(node, other), (other, node)} <= self._cut

    def send(self, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        """A node sends."""
        self.on_send(sender, receiver, channel, payload)

    def transmit(self, sender: int, receiver: int, channel: Channel, payload: bytes, extra_ms: int = 0) -> None:
        """Lose a payload, or let it arrive once or twice, after the link's delay and `extra_ms`."""
        self.messages += 1
        chance, faults = self._world.random, self.faults
        if (sender, receiver) in self._cut or chance.random() < faults.loss:
            return
        for _ in range(2 if chance.random() < faults.duplication else 1):
            delay_ms = extra_ms + chance.randint(faults.latency_ms_min, faults.latency_ms_max)
            target = self._deliver.get(receiver)
            if target is not None:
                self._world.at(delay_ms, lambda target=target: self._arrive(target, sender, receiver, channel, payload))  # type: ignore[misc]

    def _arrive(self, target: Deliver, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        # A node that crashed and came back is another target: what was under way to the old one is gone.
        if self._deliver.get(receiver) is target:
            self._world.trace.note(f"{self._world.now_ms} {sender}>{receiver} {channel.name} {len(payload)}")
            target(sender, channel, payload)

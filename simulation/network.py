"""A network that loses, repeats, delays and reorders, and can be cut in any direction."""

from __future__ import annotations

from collections.abc import Callable, Collection

import msgspec

from p2p.channels import Channel
from simulation.latency import LatencyMatrix
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
    straggling: float = 0.0
    """Probability that a message comes late, by up to `straggle_ms_max`: after many that were sent later."""
    straggle_ms_max: int = 300
    latency_ms_min: int = 1
    latency_ms_max: int = 5
    """Delays are uniform between the two, so messages overtake each other. A latency matrix replaces these."""


class Network:
    """Links between the nodes of a run, by index."""

    def __init__(
        self, world: World, n: int, faults: NetworkFaults | None = None, latencies: LatencyMatrix | None = None
    ) -> None:
        self.faults = faults or NetworkFaults()
        self.latencies = latencies
        self.messages = 0
        self.lost = 0
        """Messages that chance or a cut took."""
        self._world = world
        self._n = n
        self._deliver: dict[int, Deliver] = {}
        self._cut: set[tuple[int, int]] = set()
        self._slow: dict[tuple[int, int], int] = {}
        self.on_send: Send = self.transmit
        """Gets what the nodes send, and passes it on to `transmit`: the checker's and the adversaries' place."""
        self.on_arrival: Callable[[int, bytes], None] = lambda *_: None
        """Hears of each payload that reaches a node, before it does: receiver, payload. The checker's."""

    def attach(self, node: int, deliver: Deliver) -> None:
        """A node came up."""
        self._deliver[node] = deliver

    def detach(self, node: int) -> None:
        """A node went down: what is under way to it is lost."""
        self._deliver.pop(node, None)

    def up(self, node: int) -> bool:
        return node in self._deliver

    # --- what befalls links

    def cut(self, sender: int, receiver: int) -> None:
        """Lose everything in one direction."""
        self._cut.add((sender, receiver))

    def isolate(self, node: int) -> None:
        for other in range(self._n):
            self._cut |= {(node, other), (other, node)}

    def split(self, group: Collection[int], *, one_way: bool = False) -> None:
        """Cut all links between a group and the others; with `one_way` only what the group sends is lost."""
        for inside in sorted(group):
            for outside in range(self._n):
                if outside not in group:
                    self._cut.add((inside, outside))
                    if not one_way:
                        self._cut.add((outside, inside))

    def slow(self, sender: int, receiver: int, extra_ms: int) -> None:
        """Delay everything in one direction."""
        self._slow[sender, receiver] = extra_ms

    def heal(self) -> None:
        self._cut.clear()
        self._slow.clear()

    def connected(self, node: int, other: int) -> bool:
        """Tell whether a link seems to be up. One direction alone that loses everything is not noticed."""
        if not self._cut:
            return other in self._deliver
        return other in self._deliver and not ((node, other) in self._cut and (other, node) in self._cut)

    # --- messages

    def send(self, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        """A node sends."""
        self.on_send(sender, receiver, channel, payload)

    def transmit(self, sender: int, receiver: int, channel: Channel, payload: bytes, extra_ms: int = 0) -> None:
        """Lose a payload, or let it arrive once or twice, after the link's delay and `extra_ms`."""
        self.messages += 1
        chance, faults = self._world.random, self.faults
        if (sender, receiver) in self._cut or (faults.loss and chance.random() < faults.loss):
            self.lost += 1
            return
        target = self._deliver.get(receiver)
        if target is None:
            return
        for _ in range(2 if faults.duplication and chance.random() < faults.duplication else 1):
            delay_ms = extra_ms + self._delay_ms(sender, receiver)
            self._world.at(delay_ms, lambda: self._arrive(target, sender, receiver, channel, payload))

    def _delay_ms(self, sender: int, receiver: int) -> int:
        chance, faults = self._world.random, self.faults
        if self.latencies is None:
            least_ms, most_ms = faults.latency_ms_min, faults.latency_ms_max
        else:
            link = self.latencies.delay(sender, receiver)
            least_ms, most_ms = link.least_ms, link.most_ms
        # Cheaper than `randint`, and as good for spans that are this small beside 2^53.
        delay_ms = least_ms + int(chance.random() * (most_ms - least_ms + 1)) + self._slow.get((sender, receiver), 0)
        if faults.straggling and chance.random() < faults.straggling:
            delay_ms += int(chance.random() * faults.straggle_ms_max)
        return delay_ms

    def _arrive(self, target: Deliver, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        # A node that crashed and came back is another target: what was under way to the old one is gone.
        if self._deliver.get(receiver) is target:
            self._world.trace.note(f"{self._world.now_ms} {sender}>{receiver} {channel.name} {len(payload)}")
            self.on_arrival(receiver, payload)
            target(sender, channel, payload)

"""Links between the nodes: in order, never lost while both ends live, as TCP has it."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.simulated.clock import US_PER_MS, US_PER_S, Time
from benchmarks.simulated.costs import LINK_BYTES_PER_S, LOOPBACK_US
from p2p.channels import Channel
from simulation.latency import LatencyMatrix

Deliver = Callable[[int, Channel, bytes], None]
"""(sender, channel, payload)"""


class Wires:
    """All links, by index of the nodes."""

    def __init__(self, time: Time, latencies: LatencyMatrix | None) -> None:
        """Without latencies all nodes are on one machine."""
        self._time = time
        self._latencies = latencies
        self._deliver: dict[int, Deliver] = {}
        self._sent_until_us: dict[int, float] = {}
        self._last_us: dict[tuple[int, int], float] = {}

    def attach(self, node: int, deliver: Deliver) -> None:
        self._deliver[node] = deliver

    def detach(self, node: int) -> None:
        """A node went down: what is under way to it is lost."""
        self._deliver.pop(node, None)

    def up(self, node: int) -> bool:
        return node in self._deliver

    def send(self, sender: int, receiver: int, channel: Channel, payload: bytes) -> None:
        target = self._deliver.get(receiver)
        if target is None:
            return
        arrival_us = max(self._arrival_us(sender, receiver, len(payload)), self._last_us.get((sender, receiver), 0.0))
        self._last_us[sender, receiver] = arrival_us

        def arrive() -> None:
            if self._deliver.get(receiver) is target:  # else it crashed, and came back as another
                target(sender, channel, payload)

        self._time.after(arrival_us - self._time.now_us, arrive)

    def _arrival_us(self, sender: int, receiver: int, size_bytes: int) -> float:
        now_us = self._time.now_us
        if self._latencies is None:
            return now_us + LOOPBACK_US
        sent_us = max(now_us, self._sent_until_us.get(sender, 0.0)) + size_bytes * US_PER_S / LINK_BYTES_PER_S
        self._sent_until_us[sender] = sent_us
        link = self._latencies.delay(sender, receiver)
        return sent_us + US_PER_MS * (link.least_ms + self._time.random.random() * (link.most_ms - link.least_ms))

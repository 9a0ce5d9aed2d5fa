"""Blocks from a few validators to many observers by gossip, with churn and losses: who receives what, over how many
hops, and at what cost.

`python -m benchmarks.gossip_figures` runs many seeds, prints a table and draws. The laws of a run:

- every observer that is up at the end has every block published since it came up;
- the median is within `HOPS_MEDIAN_MAX` hops, and a node receives at most `COPIES_MAX` payloads a block on average.
"""

from __future__ import annotations

import statistics
from functools import partial
from typing import Final

import msgspec

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import MembersChanged
from p2p.gossip.messages import Kind, payload_id
from primitives.digest import Digest
from simulation.gossip_network import GossipFaults, GossipNetwork, observer_name, validator_name

HOPS_MEDIAN_MAX: Final = 4
COPIES_MAX: Final = 1.5
REQUESTS_SETTLE_MS: Final = 12_000
"""Longer than a silent neighbor is kept."""


class GossipPlan(msgspec.Struct, frozen=True):
    """What happens in a run, but for chance."""

    observers: int = 200
    validators: int = 4
    churn: float = 0.2
    """Share of the observers that go during the run, every second one without a word, and as many that come."""
    loss: float = 0.1
    withholding: float = 0.0
    """Share of the observers that announce blocks and never send one. They are judged like the others."""
    blocks: int = 60
    block_period_ms: int = 500
    block_bytes: int = 200
    spread_ms: int = 100
    """Each validator publishes a block up to so much later than the first could."""
    warm_up_ms: int = 15_000
    settle_ms: int = 15_000


class GossipRun(msgspec.Struct, frozen=True):
    """What came of one seed."""

    seed: int
    plan: GossipPlan
    missed: int
    """Blocks that an observer lacks in the end although it was up since before they were published, summed."""
    incomplete: tuple[str, ...]
    """Observers that lack any."""
    delivered: int
    hops: dict[int, int]
    """Links between publisher and observer -> deliveries."""
    hops_median: float
    copies: float
    """Payloads that reached observers, for each delivered."""
    validator_pushes: float
    """Payloads that a validator sent for each block, on average."""
    validator_pushes_most: float
    """The same of the validator that sent most."""
    latency_median_ms: float
    """From the moment at which the first validator could publish."""
    messages: int
    view_most: int
    """The largest active view at the end."""
    asymmetric: int
    """Neighbors at the end that do not think so themselves, and still do not when all requests have been answered."""
    named: int
    """Nodes that were called misbehaving; all are honest here."""

    @property
    def holds(self) -> bool:
        within = self.hops_median <= HOPS_MEDIAN_MAX and self.copies <= COPIES_MAX
        return within and not self.missed and not self.named and not self.asymmetric


def run(seed: int, plan: GossipPlan | None = None, configuration: GossipConfiguration | None = None) -> GossipRun:
    """Simulate one seed."""
    return _Run(seed, plan or GossipPlan(), configuration or GossipConfiguration()).run()


class _Run:
    def __init__(self, seed: int, plan: GossipPlan, configuration: GossipConfiguration) -> None:
        self.seed = seed
        self.plan = plan
        self.configuration = configuration
        self.network = GossipNetwork(seed, configuration, GossipFaults(loss=plan.loss))
        self.validators = [validator_name(index) for index in range(plan.validators)]
        self.moving = int(plan.observers * plan.churn)
        self.observers = [observer_name(index) for index in range(plan.observers + self.moving)]
        withholding = self.network.world.random.sample(self.observers, int(len(self.observers) * plan.withholding))
        self.network.withholding = frozenset(withholding)
        self.published: dict[Digest, int] = {}

    def run(self) -> GossipRun:
        plan, network, world = self.plan, self.network, self.network.world
        network.registered = (*self.validators, *self.observers)
        network.contacts = tuple(self.validators)
        # Validators have each block from consensus: gossip between them would carry nothing.
        source = msgspec.structs.replace(self.configuration, places_left=0)
        for name in self.validators:
            network.start(name, MembersChanged(tuple(self.observers)), source)
        for name in self.observers[: plan.observers]:
            world.at(int(world.random.random() * plan.warm_up_ms / 3), partial(self._join, name))
        world.run(plan.warm_up_ms)
        self._schedule_churn()
        for number in range(plan.blocks):
            world.at(number * plan.block_period_ms, partial(self._publish, number))
        world.run(plan.blocks * plan.block_period_ms + plan.settle_ms)
        return self._judge()

    def _join(self, name: str) -> None:
        self.network.start(name)

    def _schedule_churn(self) -> None:
        chance, plan, world = self.network.world.random, self.plan, self.network.world
        duration_ms = plan.blocks * plan.block_period_ms
        leaving = chance.sample(self.observers[: plan.observers], self.moving)
        for number, name in enumerate(leaving):
            crash = number % 2 == 0
            world.at(
                int(chance.random() * duration_ms),
                partial(self.network.stop, name, crash=crash),
            )
        for name in self.observers[plan.observers :]:
            world.at(int(chance.random() * duration_ms), partial(self._join, name))

    def _publish(self, number: int) -> None:
        world, plan = self.network.world, self.plan
        body = number.to_bytes(8, "big") + bytes(plan.block_bytes)
        self.published[payload_id(Kind.BLOCK, body)] = world.now_ms
        for index, name in enumerate(self.validators):
            # Each has another quorum's signatures.
            seal = bytes([index])
            world.at(
                int(world.random.random() * plan.spread_ms),
                partial(self.network.publish, name, Kind.BLOCK, body, seal),
            )

    def _judge(self) -> GossipRun:
        network, plan = self.network, self.plan
        observers = [network.hosts[name] for name in self.observers if name in network.hosts]
        lacks = {
            host.name: sum(
                at_ms >= host.joined_ms and block not in host.delivered for block, at_ms in self.published.items()
            )
            for host in observers
            if host.up
        }
        hops: dict[int, int] = {}
        latencies_ms = [0]
        for host in observers:
            for delivered, at_ms in host.delivered.values():
                hops[delivered.hops] = hops.get(delivered.hops, 0) + 1
                if self.published[delivered.id] >= host.joined_ms:
                    latencies_ms.append(at_ms - self.published[delivered.id])
        total = sum(hops.values())
        arrived = sum(network.payloads_arrived.get(host.name, 0) for host in observers)
        pushes = [network.payloads_sent.get(name, 0) / plan.blocks for name in self.validators]
        one_sided = self._one_sided()
        network.world.run(REQUESTS_SETTLE_MS)
        return GossipRun(
            seed=self.seed,
            plan=plan,
            missed=sum(lacks.values()),
            incomplete=tuple(sorted(name for name, count in lacks.items() if count)),
            delivered=total,
            hops=dict(sorted(hops.items())),
            hops_median=statistics.median_low([hop for hop, count in hops.items() for _ in range(count)] or [0]),
            copies=round(arrived / max(1, total), 3),
            validator_pushes=round(statistics.mean(pushes), 2),
            validator_pushes_most=round(max(pushes), 2),
            latency_median_ms=statistics.median(latencies_ms),
            messages=network.messages,
            view_most=max(len(host.core.status().active) for host in network.hosts.values()),
            asymmetric=len(one_sided & self._one_sided()),
            named=sum(len(host.named) for host in network.hosts.values()),
        )

    def _one_sided(self) -> set[tuple[str, str]]:
        views = {name: set(host.core.status().active) for name, host in self.network.hosts.items() if host.up}
        return {(name, peer) for name, view in views.items() for peer in view if name not in views.get(peer, ())}

"""A run under faults: load, losses, cuts, crashes, wrong clocks; then peace, in which everything must come to rest."""

from __future__ import annotations

from typing import Final

import msgspec

from simulation.cluster import SimulatedCluster
from simulation.invariants import InvariantViolated
from simulation.network import NetworkFaults
from simulation.world import START_MS

ROUNDS: Final = 30
PEACE_LIMIT_MS: Final = 60_000


class RunResult(msgspec.Struct, frozen=True):
    """What a run came to."""

    seed: int
    height: int
    views: int
    committed: int
    crashes: int
    messages: int
    simulated_ms: int
    trace: str
    """The hash of everything that happened."""


def run_hostile(seed: int, n: int = 4, rounds: int = ROUNDS) -> RunResult:
    """Run one seed: safety is checked after every event, then faults stop and progress is demanded.

    Raises:
        InvariantViolated: naming the invariant; the seed replays it.
    """
    cluster = SimulatedCluster(seed, n, NetworkFaults(loss=0.05, duplication=0.05, latency_ms_max=20))
    world, chance, crashes = cluster.world, cluster.world.random, 0
    cluster.start()
    for _ in range(rounds):
        for index in range(n):
            if cluster.nodes[index].up:
                cluster.submit_transfer(index)
        _disturb_links_and_clocks(cluster)
        world.run(chance.randint(10, 400))
        down = [index for index in range(n) if not cluster.nodes[index].up]
        if not down and chance.random() < 0.3:
            victim = cluster.primary() if chance.random() < 0.6 else chance.randrange(n)
            cluster.nodes[victim].crash(power_loss=chance.random() < 0.5)
            crashes += 1
        elif down and chance.random() < 0.5:
            cluster.restart(down[0])
    make_peace(cluster)
    return RunResult(
        seed=seed,
        height=max(cluster.heights()),
        views=max(node.core.engine_status().view for node in cluster.nodes if node.core is not None),
        committed=len(set[bytes]().union(*(node.certified for node in cluster.nodes))),
        crashes=crashes,
        messages=cluster.network.messages,
        simulated_ms=world.now_ms - START_MS,
        trace=world.trace.digest(),
    )


def _disturb_links_and_clocks(cluster: SimulatedCluster) -> None:
    """Now and then: cut one direction or isolate a node, mend everything, set a clock wrong."""
    chance, n = cluster.world.random, len(cluster.nodes)
    what = chance.random()
    if what < 0.1:
        cluster.network.cut(chance.randrange(n), chance.randrange(n))
    elif what < 0.15:
        cluster.network.isolate(chance.randrange(n))
    elif what < 0.4:
        cluster.network.heal()
    elif what < 0.45:
        cluster.nodes[chance.randrange(n)].clock_skew_ms = chance.randint(-5_000, 5_000)


def make_peace(cluster: SimulatedCluster) -> None:
    """Stop all faults, bring everyone back, and demand a common certified head that includes new work.

    Raises:
        InvariantViolated: I14, when it does not come about.
    """
    cluster.network.faults = NetworkFaults()
    cluster.network.heal()
    for node in cluster.nodes:
        node.disarm()
        node.clock_skew_ms = 0
        if not node.up:
            cluster.restart(node.index)
    honest = cluster.honest
    identifier = cluster.submit_transfer(honest[0].index)

    def rested() -> bool:
        return cluster.agreed() and all(identifier in node.executed_ids for node in honest)

    if not cluster.world.run_until(rested, PEACE_LIMIT_MS):
        states = [node.core.status().why for node in cluster.nodes if node.core is not None]
        raise InvariantViolated(f"I14: no common head in time: heights {cluster.heights()}, {states}")
    cluster.invariants.check_durable()

"""Figures of liveness, each measured in one simulated network: how long until work goes on, and what is lost meanwhile.

The tests hold them to their limits; `benchmarks/consensus_figures.py` measures many seeds and draws them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from consensus.pbft.configuration import Configuration as EngineConfiguration
from simulation.cluster import ENGINE, SimulatedCluster
from simulation.latency import LatencyMatrix, local_area
from simulation.network import NetworkFaults

STEP_MS: Final = 5
"""The grain of measured times."""
NODE_DEFAULTS: Final = EngineConfiguration()
"""The timeouts that a node has when nobody says otherwise."""
FORCED_TURN_MS: Final = 100


class Figure(msgspec.Struct, frozen=True):
    """One measurement."""

    name: str
    seed: int
    n: int
    value: float
    unit: str
    limit: float
    """What it must not be above; for shares, below."""
    holds: bool


def running(seed: int, n: int, engine: EngineConfiguration, latencies: LatencyMatrix | None = None) -> SimulatedCluster:
    """Return a network that has committed something."""
    cluster = SimulatedCluster(seed, n, NetworkFaults(), engine, latencies=latencies)
    cluster.start()
    identifier = cluster.submit_transfer(n - 1)
    assert commit_ms(cluster, identifier, range(n), 60_000) is not None, "no first commit"
    return cluster


def commit_ms(cluster: SimulatedCluster, identifier: bytes, nodes: Sequence[int], limit_ms: int) -> int | None:
    """Return how long it takes until all `nodes` report a transaction as committed; None when longer than allowed."""
    start_ms = cluster.world.now_ms
    watched = [cluster.nodes[index] for index in nodes]
    if not cluster.world.run_until(
        lambda: all(identifier in node.certified for node in watched), limit_ms, step_ms=STEP_MS
    ):
        return None
    return cluster.world.now_ms - start_ms


def figure(name: str, seed: int, n: int, value_ms: int | None, limit_ms: int) -> Figure:
    value = float("inf") if value_ms is None else float(value_ms)
    return Figure(name, seed, n, value, "ms", limit_ms, value <= limit_ms)


def after_no_quorum(seed: int, away_ms: int = 600_000, n: int = 4) -> Figure:
    """L8: half the network cannot see the other half for ten minutes, with work waiting; then it can."""
    cluster = running(seed, n, NODE_DEFAULTS)
    height = max(cluster.heights())
    cluster.network.split(range(n // 2))
    for index in range(n):
        cluster.submit_transfer(index)
    cluster.world.run(away_ms - 60_000)
    cluster.submit_transfer(0)  # the first ones expire before the network is whole again
    cluster.world.run(60_000)
    assert max(cluster.heights()) == height, "no side has a quorum"
    cluster.network.heal()
    fresh = cluster.submit_transfer(n - 1)
    elapsed_ms = commit_ms(cluster, fresh, range(n), 120_000)
    return figure("commit after ten minutes without a quorum", seed, n, elapsed_ms, 20_000)


def after_a_primary_dies(seed: int, n: int = 4, engine: EngineConfiguration = NODE_DEFAULTS) -> Figure:
    """L1: the primary is killed with work under way; that work commits without being submitted again."""
    cluster = running(seed, n, engine)
    dead = cluster.primary()
    others = [index for index in range(n) if index != dead]
    identifier = cluster.submit_transfer(others[seed % len(others)])
    cluster.world.run(seed % 12)
    cluster.nodes[dead].crash()
    elapsed_ms = commit_ms(cluster, identifier, others, 60_000)
    return figure("commit after the primary was killed", seed, n, elapsed_ms, 3 * engine.suspicion_timeout_ms)


def views_over_dead_primaries(seed: int, n: int = 7) -> Figure:
    """L2: f primaries in a row are dead, the present one first; work commits in the (f + 1)th view."""
    cluster = running(seed, n, NODE_DEFAULTS)
    f = (n - 1) // 3
    view = _view(cluster)
    dead = {(view + offset) % n for offset in range(f)}
    for index in dead:
        cluster.nodes[index].crash()
    alive = [index for index in range(n) if index not in dead]
    identifier = cluster.submit_transfer(alive[seed % len(alive)])
    elapsed_ms = commit_ms(cluster, identifier, alive, 120_000)
    views = _view(cluster) - view + 1 if elapsed_ms is not None else float("inf")
    return Figure("views over f dead primaries", seed, n, views, "views", f + 1, views <= f + 1)


def forced_view_changes(seed: int, views: int = 1_000, n: int = 4) -> tuple[Figure, Figure]:
    """Let a view last a tenth of a second under load: how many begin, and the longest time without a commit."""
    engine = msgspec.structs.replace(ENGINE, turn_ms=FORCED_TURN_MS)
    cluster = running(seed, n, engine, local_area(n))
    world = cluster.world
    longest_ms, since_ms, height = 0, world.now_ms, max(cluster.heights())
    end_ms = world.now_ms + 4 * views * FORCED_TURN_MS
    while _view(cluster) <= views and world.now_ms < end_ms:
        cluster.submit_transfer(int(world.random.random() * n))
        world.run(20)
        if max(cluster.heights()) > height:
            height, since_ms = max(cluster.heights()), world.now_ms
        longest_ms = max(longest_ms, world.now_ms - since_ms)
    reached = _view(cluster)
    return (
        Figure("view changes under load", seed, n, reached, "views", views, reached > views),
        figure("longest time without a commit meanwhile", seed, n, longest_ms, 3 * engine.suspicion_timeout_ms),
    )


def share_with_dead_primaries(seed: int, n: int = 10, seconds: int = 60, every_ms: int = 100) -> Figure:
    """Decided sequences with the first three primaries dead from the start, as a share of the healthy network's."""
    dead = range(3)
    decided = [_decided(seed, n, gone, seconds, every_ms) for gone in (range(0), dead)]
    share = decided[1] / decided[0]
    name = "decided sequences with the first three primaries dead, as a share"
    return Figure(name, seed, n, round(share, 3), "share", 0.7, share >= 0.7)


def _decided(seed: int, n: int, dead: Sequence[int], seconds: int, every_ms: int) -> int:
    cluster = SimulatedCluster(seed, n, NetworkFaults(), NODE_DEFAULTS, latencies=local_area(n))
    cluster.start()
    for index in dead:
        cluster.nodes[index].crash()
    for step in range(seconds * 1_000 // every_ms):
        cluster.submit_transfer(3 + step % (n - 3))  # the same load in both runs
        cluster.world.run(every_ms)
    return cluster.invariants.agreed_height


def _view(cluster: SimulatedCluster) -> int:
    return max(node.core.engine_status().view for node in cluster.nodes if node.core is not None)

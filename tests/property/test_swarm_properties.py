"""Laws of fetching from many: everybody who can finish does, nobody is asked for more than its share."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from node.swarm_sources import ANSWER_TIMEOUT_MS, WINDOW_MAX
from simulation.swarm import IN_FLIGHT_MAX, Graph, SwarmMember, SwarmNetwork

SLOW = settings(deadline=None, max_examples=25)
HOUR_MS = 3_600_000


class Counted(SwarmMember):
    """Checks the bounds of what it asks for, as it asks."""

    def _step(self) -> None:
        super()._step()
        asked = [peer for block in self.swarm._blocks.values() for peer in block.asked]
        assert len(asked) == self.swarm._sources.in_flight <= IN_FLIGHT_MAX
        assert all(asked.count(peer) <= WINDOW_MAX for peer in set(asked))
        assert all(len(block.asked) <= 2 for block in self.swarm._blocks.values())


def network_of(graph: Graph, held: list[set[str]], seed: int = 0) -> tuple[SwarmNetwork, list[Counted]]:
    network = SwarmNetwork(graph, seed=seed)
    members = [Counted(f"n{n}", network, blocks) for n, blocks in enumerate(held)]
    for member in members:
        network.add(member.name, member, upload_mb_s=50)
    return network, members


graphs = st.builds(Graph, st.integers(1, 60), st.sampled_from([7, 1_024]), st.sampled_from([1_000, 1 << 20]))


def linked_part(graph: Graph, blocks: set[str]) -> set[str]:
    """What of `blocks` a node can hold: parents come before children."""
    return {name for name in blocks if all(above in blocks for above in above_of(graph, name))}


def above_of(graph: Graph, name: str) -> list[str]:
    above = []
    while name in graph.parents:
        name = graph.parents[name]
        above.append(name)
    return above


@SLOW
@given(graphs, st.integers(2, 6), st.integers(0, 2**32))
def test_peers_that_together_hold_all_all_finish(graph: Graph, peers: int, seed: int) -> None:
    """M2: each holds a random half, and no single one has everything."""
    draw = random.Random(seed)
    inner = set(graph.links)
    leaves = [name for name in graph.blocks if name not in inner]
    held = [inner | {leaf for leaf in leaves if draw.random() < 0.5} for _ in range(peers)]
    for leaf in leaves:
        if not any(leaf in blocks for blocks in held):
            held[draw.randrange(peers)].add(leaf)
    network, members = network_of(graph, [*held, set()], seed)
    assert network.run(HOUR_MS, done=lambda: all(member.complete for member in members))
    assert all(count == 1 for member in members for count in member.received.values())


@SLOW
@given(graphs, st.integers(1, 5), st.integers(0, 2**32))
def test_a_liar_is_named_by_whoever_it_served_and_all_finish(graph: Graph, takers: int, seed: int) -> None:
    """M1: a wrong block counts for nothing, and its sender is asked for nothing more."""
    network, members = network_of(graph, [set(graph.blocks), set(graph.blocks), *(set() for _ in range(takers))], seed)
    wanted_after: list[tuple[str, str]] = []

    def tamper(sender: str, receiver: str, message: tuple[str, ...]) -> list[tuple[str, ...]]:
        if sender == "n1" and message[0] == "found":
            return [("found", message[1], "other bytes")]
        taker = next(member for member in members if member.name == sender)
        if receiver in taker.liars and message[0] == "want":
            wanted_after.append((sender, receiver))
        return [message]

    network.tamper = tamper
    assert network.run(HOUR_MS, done=lambda: all(member.complete for member in members))
    assert wanted_after == []
    assert all(member.liars <= {"n1"} for member in members)


@SLOW
@given(graphs, st.integers(2, 5), st.integers(0, 2**32), st.integers(1, 5_000))
def test_when_a_holder_dies_the_others_finish_from_who_is_left(
    graph: Graph, takers: int, seed: int, dies_at_ms: int
) -> None:
    """M2: what it was asked for is asked elsewhere."""
    network, members = network_of(graph, [set(graph.blocks), set(graph.blocks), *(set() for _ in range(takers))], seed)
    network.at(dies_at_ms, lambda: network.remove("n0"))
    assert network.run(HOUR_MS, done=lambda: all(member.complete for member in members[1:]))


@SLOW
@given(graphs, st.integers(1, 4), st.integers(0, 2**32))
def test_silence_costs_a_timeout_and_never_the_fetch(graph: Graph, takers: int, seed: int) -> None:
    """M2: a tenth of all requests and answers is lost, and one holder promises and never answers."""
    network, members = network_of(graph, [set(graph.blocks), set(graph.blocks), *(set() for _ in range(takers))], seed)
    draw = random.Random(seed)

    def tamper(sender: str, _receiver: str, message: tuple[str, ...]) -> list[tuple[str, ...]]:
        if message[0] not in ("want", "found"):
            return [message]
        return [] if sender == "n1" or draw.random() < 0.1 else [message]

    network.tamper = tamper
    assert network.run(HOUR_MS, done=lambda: all(member.complete for member in members))
    assert all(time_ms < 60 * ANSWER_TIMEOUT_MS for time_ms in network.finished_ms.values())


@SLOW
@given(st.integers(64, 128), st.integers(2, 7), st.integers(0, 2**32))
def test_an_artifact_leaves_its_origin_about_once(leaves: int, takers: int, seed: int) -> None:
    """The rest of the copies travels between those that fetch."""
    graph = Graph(leaves)
    network, members = network_of(graph, [set(graph.blocks), *(set() for _ in range(takers))], seed)
    assert network.run(HOUR_MS, done=lambda: all(member.complete for member in members))
    assert sum(members[0].served.values()) <= 2 * len(graph.blocks)
    if takers >= 4:
        assert sum(members[0].served.values()) < takers * len(graph.blocks) / 2


@SLOW
@given(graphs, st.integers(0, 2**32))
def test_one_seed_gives_one_course(graph: Graph, seed: int) -> None:
    """X1: the decisions depend on nothing but what was said."""
    runs = []
    for _ in range(2):
        network, members = network_of(graph, [set(graph.blocks), set(), set()], seed)
        assert network.run(HOUR_MS, done=lambda m=members: all(member.complete for member in m))  # type: ignore[misc]  # binds the loop's value
        runs.append((network.finished_ms, [member.served for member in members]))
    assert runs[0] == runs[1]

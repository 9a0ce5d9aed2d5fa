"""Random schedules: loss, duplicates, reordering, partitions and crashes, then a healed network that must decide.

The harness checks agreement, single votes and persistence before sending after every effect. A seed that fails
becomes a test of its own, with its fix.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from consensus_harness import FAST, VERIFIER, Violation, World

from consensus.messages import Message
from consensus.pbft import ordering, recovery, standing
from tests.thoroughness import tries

SEEDS_PER_CASE = 20
CASES = tries(8)


def troubled_world(
    seed: int, faulty: int | None = None, corrupt: Callable[[World], Callable[[int, Message], Message]] | None = None
) -> World:
    """Run the troubles of `seed`, with one member that may lie."""
    chance = random.Random(seed)
    n = chance.choice([4, 4, 4, 5, 7])
    configuration = msgspec.structs.replace(
        FAST, turn_ms=chance.choice([0, 0, 300]), pipeline_depth=chance.choice([1, 2, 4])
    )
    world = World(n, seed, configuration)
    world.loss = chance.choice([0, 0.05, 0.3])
    world.duplication = chance.choice([0, 0.5])
    world.delay_ms = chance.choice([(1, 3), (1, 40), (1, 150)])
    world.crash_chance = chance.choice([0, 0.002, 0.01])
    world.crashed_max = n if chance.random() < 0.3 else world.validators.fault_bound
    if faulty is not None and corrupt is not None:
        world.referee.faulty = {faulty}
        world.corrupt = corrupt(world)
        world.crash_chance = 0  # f are faulty already
    for number in range(chance.randint(3, 15)):
        world.run(chance.randint(1, 200))
        if chance.random() < 0.15:
            replicas = chance.sample(range(n), n)
            cut = chance.randint(1, n - 1)
            world.partition(set(replicas[:cut]), set(replicas[cut:]))
        elif chance.random() < 0.3:
            world.links_down = set()
        world.submit(chance.randrange(n), b"%d" % number)
    world.run(chance.randint(0, 1_000))
    return world


def heal(world: World) -> None:
    world.loss = world.duplication = world.crash_chance = 0
    world.corrupt = lambda sender, message: message
    world.delay_ms, world.links_down = (1, 3), set()
    for host in world.hosts:
        if not host.alive:
            host.start()


def run_schedule(seed: int) -> World:
    world = troubled_world(seed)
    heal(world)
    world.submit(seed % world.n, b"final")
    decided = world.run(20_000, lambda: world.all_have(b"final")() and world.all_certified())
    assert decided, f"seed {seed}: views {world.views()}, heights {[host.ledger.height for host in world.hosts]}"
    assert len({tuple(host.ledger.items) for host in world.hosts}) == 1
    return world


@pytest.mark.parametrize("case", range(CASES))
def test_random_schedules_agree_and_go_on_when_healed(case: int) -> None:
    """I1-I5 of the harness's referee, then L8, L12, R1, R2: a few hundred seeds."""
    for seed in range(case * SEEDS_PER_CASE, (case + 1) * SEEDS_PER_CASE):
        try:
            run_schedule(seed)
        except Violation as violation:
            raise AssertionError(f"seed {seed}: {violation}") from violation
    VERIFIER.verdicts.clear()


def test_a_seed_repeats_byte_for_byte() -> None:
    """One seed is one run: no set order, no clock, no chance of its own."""
    logs = []
    for _ in range(2):
        world = World(4, seed=11)
        world.log = []
        world.loss, world.delay_ms = 0.2, (1, 50)
        for number in range(10):
            world.submit(number % 4, b"%d" % number)
            world.run(30)
        world.run(2_000)
        logs.append(world.log)
    assert logs[0] == logs[1]


def violations(seeds: int) -> str:
    """Return the first safety violation of `seeds` schedules; whether they also stop is not asked."""
    for seed in range(seeds):
        try:
            heal(troubled_world(seed))
        except Violation as violation:
            return str(violation)
    return ""


def test_the_referee_catches_a_replica_that_counts_too_few_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge is judged: with a quorum of two, schedules must go wrong."""
    monkeypatch.setattr("consensus.validators.quorum", lambda n: 2)
    assert "has another block" in violations(60)


def test_the_referee_catches_a_replica_that_forgets_what_it_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the others do not tell it what it forgot: the gate before the first vote is open."""
    monkeypatch.setattr(recovery, "redo_accepted", lambda state, record: None)
    monkeypatch.setattr(recovery, "redo_prepared", lambda state, record: None)
    monkeypatch.setattr(standing, "fall_behind", lambda state, promised: None)
    assert "contradicts itself" in violations(60)


def test_a_replica_that_forgot_its_votes_is_told_before_it_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    """R5, R6: the same replica with the gate shut: it takes its log for an old one, and no schedule goes wrong else."""
    monkeypatch.setattr(recovery, "redo_accepted", lambda state, record: None)
    monkeypatch.setattr(recovery, "redo_prepared", lambda state, record: None)
    assert "takes its own log for an old one" in violations(60)


def test_the_referee_catches_a_vote_that_leaves_before_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    original = ordering.accept

    def hasty(state: object, pre_prepare: object) -> None:
        before = len(state.effects)  # type: ignore[attr-defined]  # State
        original(state, pre_prepare)  # type: ignore[arg-type]
        state.effects[before:] = sorted(  # type: ignore[attr-defined]
            state.effects[before:],  # type: ignore[attr-defined]
            key=lambda effect: type(effect).__name__ == "Persist",
        )

    monkeypatch.setattr(ordering, "accept", hasty)
    with pytest.raises(Violation, match="did not persist"):
        run_schedule(1)

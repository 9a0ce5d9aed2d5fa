"""Seeded runs of the arena: troubles, then peace in which progress is demanded."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from simulation.byzantine.mixtures import draw_any, keep_to_few
from simulation.mutants.arena import FAST, Arena
from simulation.mutants.host import Host
from simulation.mutants.judge import Violation

PEACE_LIMIT_MS: Final = 30_000


class Result(msgspec.Struct, frozen=True):
    """What a run came to."""

    n: int
    liars: int
    height: int
    views: int
    messages: int
    simulated_ms: int


def run_hostile(seed: int) -> Result:
    """Play the hostile schedule of `seed`. Raises Violation."""
    chance = random.Random(f"hostile {seed}")
    arena = troubled(chance, seed)
    # Against a primary that orders only what it likes there is nothing but its turn.
    make_peace(arena, lies_on=arena.configuration.turn_ms > 0 and chance.random() < 0.7)
    return Result(
        arena.n,
        len(arena.liars),
        max(arena.heights().values()),
        max(host.replica.status().view for host in arena.hosts),
        arena.messages,
        arena.now_ms,
    )


def troubled(chance: random.Random, seed: int) -> Arena:
    """Play the troubles: splits, losses, crashes, old logs, wrong clocks, liars; at most f fail for good."""
    n = chance.choice([4, 4, 4, 5, 6, 7])
    configuration = msgspec.structs.replace(
        FAST,
        window=chance.choice([8, 16]),
        turn_ms=chance.choice([0, 0, 150, 300]),
        pipeline_depth=chance.choice([1, 2, 4, 16]),
        batches_per_proposal_max=chance.choice([2, 64]),
        proposal_bytes_max=64 * 1024,
    )
    bound = (n - 1) // 3
    liars = chance.sample(range(n), bound if chance.random() < 0.7 else 0)
    draw = draw_any if chance.random() < 0.4 else keep_to_few(seed)
    arena = Arena(n, seed, configuration, liars, draw)
    arena.loss = chance.choice([0, 0, 0.05, 0.25])
    arena.duplication = chance.choice([0, 0.2])
    arena.delay_ms = chance.choice([(1, 3), (1, 3), (1, 40), (1, 150)])
    arena.sync_ms_max = chance.choice([0, 2, 30])
    arena.truncation = chance.choice([0, 0.1, 0.5])
    crashes = chance.choice([0, 0, 0.1, 0.4])
    arena.start()
    for number in range(chance.randint(4, 14)):
        _cut_or_mend(arena, chance)
        _fail_or_return(arena, chance, crashes)
        for _ in range(chance.choice([1, 1, 2, 5])):
            host = arena.hosts[chance.randrange(n)]
            if host.alive:
                size = chance.choice([0, 0, 0, 30_000])
                host.offer(b"%d of %d" % (number, seed) + bytes(size))
        arena.run(chance.choice([5, 30, 150, 600]))
    return arena


def _cut_or_mend(arena: Arena, chance: random.Random) -> None:
    what = chance.random()
    if what < 0.15:
        order = chance.sample(range(arena.n), arena.n)
        at = chance.randint(1, arena.n - 1)
        arena.split(order[:at], order[at:])
    elif what < 0.25:
        arena.cut = {(chance.randrange(arena.n), chance.randrange(arena.n)) for _ in range(arena.n)}
    elif what < 0.5:
        arena.cut = set()
    elif what < 0.55:
        arena.skew_ms[chance.randrange(arena.n)] = chance.randint(-4_000, 4_000)


def _fail_or_return(arena: Arena, chance: random.Random, crashes: float) -> None:
    for host in arena.hosts:
        if not host.alive and chance.random() < 0.5:
            arena.start(host.index)
    if chance.random() >= crashes:
        return
    alive = [host for host in arena.hosts if host.alive and host.index not in arena.liars]
    for host in chance.sample(alive, min(len(alive), chance.choice([1, 1, 1, arena.n]))):
        host.crash()
    down = [host for host in alive if not host.alive]
    if down and arena.faults_left > 0 and chance.random() < 0.3:
        forget(down[0], chance)
    elif arena.faults_left > 0 and chance.random() < 0.2:
        chance.choice(alive).spoiled = True


def forget(host: Host, chance: random.Random) -> None:
    """Replace the log of a host that is down by an older copy, or by nothing."""
    kept = chance.choice([0, len(host.records) // 2])
    if kept < len(host.records):
        host.records = host.records[:kept]
        host.lost = True


def make_peace(arena: Arena, *, lies_on: bool = False, limit_ms: int = PEACE_LIMIT_MS) -> None:
    """End all faults; liars may go on. Raises Violation when the correct do not come to rest with all that they had."""
    arena.loss = arena.duplication = 0.0
    arena.cut, arena.skew_ms = set(), {}
    arena.delay_ms, arena.sync_ms_max, arena.truncation = (1, 3), 2, 0.0
    if not lies_on:
        for liar in arena.liars.values():
            liar.retire()
    down = [host.index for host in arena.hosts if not host.alive]
    if down:
        arena.start(*down)
    owed = {item for host in arena.correct for item in host.offered}
    for host in arena.correct:
        final = b"final of %d" % host.index
        owed.add(final)
        host.offer(final)
    if not arena.run(limit_ms, lambda: arena.settled(*owed)):
        states = [host.replica.status() for host in arena.correct]
        views = [(s.view, s.changing_view, s.last_executed, s.stable_checkpoint) for s in states]
        missing = [len(owed - host.items()) for host in arena.correct]
        raise Violation(f"I14: no rest within {limit_ms} ms: {views}, lacking {missing}, {states[0].missing}")

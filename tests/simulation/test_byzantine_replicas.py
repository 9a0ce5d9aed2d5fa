"""Bare replicas under liars and all other faults, before a judge that believes no count of theirs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from simulation.byzantine.mixtures import BEHAVIORS, always
from simulation.mutants.arena import FAST, Arena
from simulation.mutants.schedules import make_peace, run_hostile
from simulation.mutants.stories import STORIES
from tests.thoroughness import tries

SEEDS_PER_CASE = 12
TAKING_TURNS = msgspec.structs.replace(FAST, turn_ms=600)
"""A primary that orders only what it likes is stopped by the end of its turn."""


@pytest.mark.parametrize("case", range(tries(4)))
def test_hostile_seeds_break_no_law(case: int) -> None:
    """S1-S12, S17, L10, R1, R2, R5, I1-I9, I13-I15: liars, crashes, splits and lost logs, mixed by seed."""
    for seed in range(case * SEEDS_PER_CASE, (case + 1) * SEEDS_PER_CASE):
        run_hostile(seed)


@pytest.mark.parametrize("name", sorted(BEHAVIORS))
def test_each_lie_alone_breaks_nothing_and_stops_nobody(name: str) -> None:
    """S1-S12, L3, L4, L10, L13, I14: one way to lie, all the time, from each place; the others go on regardless."""
    for seed in range(4):
        arena = Arena(4, seed, TAKING_TURNS, liars=[seed], draw=always(name))
        arena.start()
        for number in range(8):
            arena.hosts[(seed + 1 + number % 3) % 4].offer(b"%d" % number)
            arena.run(60)
        make_peace(arena, lies_on=True)


def test_two_conspirators_of_seven_break_nothing() -> None:
    """S1, S2: f = 2 who lie in everything that pays, together."""
    for seed in range(6):
        draw = always("equivocation", "eager votes", "wrong blocks", "false view changes")
        arena = Arena(7, seed, FAST, liars=[seed % 7, (seed + 1) % 7], draw=draw)
        arena.start()
        for number in range(8):
            arena.hosts[(seed + 2 + number % 5) % 7].offer(b"%d" % number)
            arena.run(80)
        make_peace(arena, lies_on=True)


@pytest.mark.parametrize("name", sorted(STORIES))
def test_the_network_goes_on_in_every_story(name: str) -> None:
    """S4, L2, L3, L5-L9, R6: each trouble ends as it must, in the time that it may take."""
    play: Callable[[int], None] = STORIES[name]
    for seed in range(2):
        play(seed)

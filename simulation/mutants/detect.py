"""Counts the seeds until a mutant is caught, over disjoint ranges of seeds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from simulation.hostile import run_hostile as run_nodes
from simulation.mutants.mutant import Mutant, Runs
from simulation.mutants.patching import patched
from simulation.mutants.schedules import run_hostile as run_replicas
from simulation.mutants.stories import STORIES

RANGES: Final = 5
RANGE_SEEDS: Final = 100_000
"""Where the next range begins; far more than any mutant may need."""
SEEDS_MAX: Final[dict[Runs, int]] = {"replicas": 3_000, "stories": 20, "nodes": 200}
"""Seeds of one range after which a mutant counts as not caught."""


class Catch(msgspec.Struct, frozen=True):
    """A range's first seed that caught the mutant."""

    seeds: int
    """How many it took, itself included."""
    seed: int
    by: str
    """The law that it broke, or the error that it ended with."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of one mutant."""

    name: str
    breaks: str
    runs: str
    catches: tuple[Catch | None, ...]
    """One a range; None where no seed caught it."""
    median_seeds: float | None
    seconds: float

    @property
    def caught(self) -> bool:
        return bool(self.catches) and all(catch is not None for catch in self.catches)


def runner(mutant: Mutant) -> Callable[[int], object]:
    """Return what plays one seed for this mutant, and raises where it ends badly."""
    if mutant.runs == "stories":
        return STORIES[mutant.story]
    return run_nodes if mutant.runs == "nodes" else run_replicas


def catch_in_range(mutant: Mutant, number: int, seeds_max: int | None = None) -> Catch | None:
    """Play the seeds of a range until one catches the mutant, and does not end badly without it.

    Any exception counts: a replica that cannot go on is as dead as one that lies.
    """
    first = number * RANGE_SEEDS
    for seed in range(first, first + (seeds_max or SEEDS_MAX[mutant.runs])):
        with patched(mutant.edits):
            catch = _ends_badly(mutant, seed)
        if catch is not None:
            without = _ends_badly(mutant, seed)
            if without is not None:
                raise RuntimeError(f"seed {seed} ends badly without {mutant.name} too: {without}")
            return Catch(seed - first + 1, seed, catch[:160])
    return None


def _ends_badly(mutant: Mutant, seed: int) -> str | None:
    """Return what a seed ends with: a broken law, or another error."""
    try:
        runner(mutant)(seed)
    except Exception as error:
        law = str(error).split(" (at ")[0]
        return law if isinstance(error, AssertionError) and law else f"{type(error).__name__}: {law}"
    return None


def judge_mutant(mutant: Mutant, ranges: Sequence[int] = range(RANGES), seeds_max: int | None = None) -> Verdict:
    """Look for one mutant in every range."""
    began = time.monotonic()
    catches = tuple(catch_in_range(mutant, number, seeds_max) for number in ranges)
    seeds = [catch.seeds for catch in catches if catch is not None]
    return Verdict(
        mutant.name,
        mutant.breaks,
        mutant.story or mutant.runs,
        catches,
        statistics.median(seeds) if len(seeds) == len(catches) else None,
        round(time.monotonic() - began, 1),
    )

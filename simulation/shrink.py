"""Making a failing run shorter: the same law must still be broken, by fewer faults in fewer rounds.

Delta debugging (Zeller & Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002) over the plan: chunks
of rounds are left out, then chunks of faults, each half as large as the last, while what remains still fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec

from simulation.faults import Plan, Round

T = TypeVar("T")

REPLAYS_MAX: Final = 80
"""Replays spent on one failure."""


class Budget:
    """Counts replays; when it is spent nothing more is tried."""

    def __init__(self, fails: Callable[[Plan], bool], replays_max: int) -> None:
        self._fails = fails
        self._left = replays_max

    def fails(self, plan: Plan) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        return self._fails(plan)


def shrink(plan: Plan, fails: Callable[[Plan], bool], replays_max: int = REPLAYS_MAX) -> Plan:
    """Return a plan that still `fails` and from which no tried part can be left out."""
    budget = Budget(fails, replays_max)
    for member in plan.byzantine:
        without = msgspec.structs.replace(plan, byzantine=tuple(other for other in plan.byzantine if other != member))
        if budget.fails(without):
            plan = without

    def with_rounds(rounds: Sequence[Round]) -> Plan:
        return msgspec.structs.replace(plan, rounds=tuple(rounds))

    plan = with_rounds(leave_out(plan.rounds, lambda rounds: budget.fails(with_rounds(rounds))))
    faults = [(at, fault) for at, round_ in enumerate(plan.rounds) for fault in round_.faults]

    def with_faults(kept: Sequence[tuple[int, object]]) -> Plan:
        return with_rounds(
            [
                msgspec.structs.replace(round_, faults=tuple(fault for where, fault in kept if where == at))
                for at, round_ in enumerate(plan.rounds)
            ]
        )

    kept = leave_out(faults, lambda some: budget.fails(with_faults(some)))
    return with_faults(kept)


def leave_out(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> Sequence[T]:
    """Leave out chunks of `items`, from halves down to single ones, while the rest still `fails`."""
    size = len(items) // 2
    while size >= 1:
        at = 0
        while at < len(items):
            rest = [*items[:at], *items[at + size :]]
            if fails(rest):
                items = rest
            else:
                at += size
        size //= 2
    return items

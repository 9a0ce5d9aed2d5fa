"""Which of an author's batch numbers are executed: a floor and the few above it, as they mostly finish in order."""

from __future__ import annotations

from typing import Final

import msgspec

NUMBERS_ABOVE_MAX: Final = 4_096
"""Executed numbers above a gap that are remembered for each author. At the bound the gap counts as executed: a batch
that was left behind by so many later ones of its author is given up."""


class FinishedNumbers(msgspec.Struct):
    """Every number up to `floor` is finished, and so are those in `above`."""

    floor: int = 0
    above: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number <= self.floor or number in self.above

    def add(self, number: int) -> None:
        if number <= self.floor:
            return
        self.above.add(number)
        if len(self.above) > NUMBERS_ABOVE_MAX:
            self.floor = min(self.above)
            self.above.discard(self.floor)
        while self.floor + 1 in self.above:
            self.floor += 1
            self.above.discard(self.floor)

"""Run a stored result's configuration and seed again and hold the figures against each other.

What is judged are ratios that do not depend on how fast a machine is: utilization, processor time in signature checks,
bytes and messages a transaction. Times are shown and not judged. A simulation has no machine: all must be equal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.comparison.figures import (
    BYTES,
    CPU,
    CPU_CHECKS,
    MESSAGES,
    P50,
    P50_CHECKS,
    P99,
    P99_CHECKS,
    THROUGHPUT,
    UTILIZATION,
    Figure,
)
from benchmarks.results.reading import Stored
from benchmarks.results.schema import Configuration, Machine, Result

TOLERANCES: Final[tuple[tuple[Figure, float | None], ...]] = (
    (UTILIZATION, 0.15),
    (CPU_CHECKS, 0.15),
    (BYTES, 0.15),
    (MESSAGES, 0.30),
    (P50_CHECKS, None),
    (P99_CHECKS, None),
    (THROUGHPUT, None),
    (P50, None),
    (P99, None),
)
"""How far a figure may be from what it was, as a share; None where it is shown and not judged.

Messages depend on how many blocks the load fell into, and latency on what else the machine did.
"""
SIMULATED: Final[tuple[Figure, ...]] = (THROUGHPUT, P50, P99, CPU, BYTES, MESSAGES)
"""All judged, with no tolerance at all."""


class Line(msgspec.Struct, frozen=True):
    figure: str
    unit: str
    then: float
    now: float
    tolerance: float | None

    @property
    def ratio(self) -> float:
        return self.now / self.then

    @property
    def agrees(self) -> bool | None:
        """Whether it is within its tolerance, up or down; None where it is not judged."""
        if self.tolerance is None:
            return None
        return max(self.ratio, 1 / self.ratio) <= 1 + self.tolerance


class Reproduction(msgspec.Struct, frozen=True):
    source: Path
    lines: tuple[Line, ...]
    machine: tuple[tuple[str, str, str], ...]
    """Facts that differ: name, then, now."""
    errors: tuple[str, ...]
    """Why the new run does not count."""
    result: Result

    @property
    def agrees(self) -> bool:
        return not self.errors and all(line.agrees is not False for line in self.lines)


def reproduce(
    stored: Stored,
    directory: Path,
    progress: Callable[[str], None],
    run: Callable[[Configuration, Path, Callable[[str], None]], Result],
) -> Reproduction:
    """Run again and compare. Raises as `benchmarks.running.run`."""
    result = run(stored.result.configuration, directory, progress)
    return Reproduction(
        stored.path, lines(stored.result, result), machine_facts(stored.result, result), result.errors, result
    )


def lines(then: Result, now: Result) -> tuple[Line, ...]:
    """The figures that both have."""
    simulated = then.configuration.kind == "simulated"
    chosen = [(figure, 0.0) for figure in SIMULATED] if simulated else TOLERANCES
    found = []
    for figure, tolerance in chosen:
        old, new = figure.of(then), figure.of(now)
        if old is not None and new is not None:
            found.append(Line(figure.label, figure.unit, old, new, tolerance))
    return tuple(found)


def machine_facts(then: Result, now: Result) -> tuple[tuple[str, str, str], ...]:
    """What differs between the machines, the programs on them, and the unit."""
    old, new = _facts(then.machine), _facts(now.machine)
    names = dict.fromkeys([*old, *new])
    differs = [(name, old.get(name, "-"), new.get(name, "-")) for name in names if old.get(name) != new.get(name)]
    if then.unit and now.unit:
        differs.append(("signature check", f"{then.unit.us:.1f} us", f"{now.unit.us:.1f} us"))
    return tuple(differs)


def _facts(machine: Machine) -> dict[str, str]:
    facts = {name: str(value) for name, value in msgspec.structs.asdict(machine).items() if name != "packages"}
    return facts | {f"package {name}": version for name, version in machine.packages.items()}

"""What the gate holds against the baseline, and how far off is too far.

Only ratios that another machine can be held against; bounds are wide, because a short run on a busy machine scatters,
and because the gate is for the change that doubles a cost, not for the one that adds a hundredth (`bench compare` is).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec

from benchmarks.comparison.figures import BYTES, CPU_CHECKS, MESSAGES, UTILIZATION, Figure
from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration, Machine, Result

BASELINE: Final = Path(__file__).with_name("baseline.json")
BOUNDS: Final[tuple[tuple[Figure, float], ...]] = (
    (UTILIZATION, 0.70),
    (CPU_CHECKS, 1.40),
    (BYTES, 1.30),
    (MESSAGES, 1.60),
)
"""Figure -> its ratio to the baseline that is the worst allowed."""
CONFIGURATION: Final = Configuration(
    validators=4, workload="transfers", rate="saturate", duration_s=10.0, warmup_s=3.0, accounts=2_000
)
"""Of a new baseline; the gate runs what its baseline ran."""


class Baseline(msgspec.Struct, frozen=True):
    configuration: Configuration
    machine: Machine
    verify_us: float
    runs: int
    figures: dict[str, float]
    """Key of a figure -> median over the runs."""


class Line(msgspec.Struct, frozen=True):
    figure: str
    unit: str
    baseline: float
    now: float
    bound: float
    judged: bool

    @property
    def ratio(self) -> float:
        return self.now / self.baseline

    @property
    def passes(self) -> bool:
        return not self.judged or (self.ratio >= self.bound if self.bound < 1 else self.ratio <= self.bound)


def read_baseline(path: Path = BASELINE) -> Baseline:
    """Raises BenchError (`gate.baseline`)."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except FileNotFoundError as error:
        raise BenchError(
            "gate.baseline", f"there is no {path.name}: record one with python -m benchmarks.gate --record"
        ) from error
    except msgspec.MsgspecError as error:
        raise BenchError("gate.baseline", f"{path}: {error}") from error


def make_baseline(results: Sequence[Result]) -> Baseline:
    """Make a baseline of runs that all count. Raises BenchError (`gate.runs`)."""
    bad = [reason for result in results for reason in result.errors]
    if bad or not results:
        raise BenchError("gate.runs", "a run does not count: " + "; ".join(bad))
    figures = {}
    for figure, _ in BOUNDS:
        found = [value for result in results if (value := figure.of(result)) is not None]
        if len(found) < len(results):
            raise BenchError("gate.runs", f"a run has no {figure.label}")
        figures[figure.key] = median(found)
    units = [result.unit.us for result in results if result.unit]
    first = results[0]
    return Baseline(first.configuration, first.machine, median(units), len(results), figures)


def judge(baseline: Baseline, result: Result) -> tuple[Line, ...]:
    """Hold a run against the baseline. Raises BenchError when it does not count (`gate.runs`).

    Utilization is judged on machines with the baseline's number of cores only: a share of processors that four
    validators cannot even occupy says nothing.
    """
    if result.errors:
        raise BenchError("gate.runs", "the run does not count: " + "; ".join(result.errors))
    lines = []
    for figure, bound in BOUNDS:
        now, before = figure.of(result), baseline.figures.get(figure.key)
        if now is None or not before:
            raise BenchError("gate.runs", f"there is no {figure.label}")
        judged = figure is not UTILIZATION or result.machine.cores == baseline.machine.cores
        lines.append(Line(figure.label, figure.unit, before, now, bound, judged))
    return tuple(lines)

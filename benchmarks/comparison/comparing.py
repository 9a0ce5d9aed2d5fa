"""Two sides of a comparison: where their runs come from, and the verdict on each figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.comparison.figures import ANY_MACHINE, SAME_MACHINE, Figure, telling, values
from benchmarks.comparison.statistics import Verdict, judge
from benchmarks.errors import BenchError
from benchmarks.results.reading import read_all
from benchmarks.results.schema import Configuration, Machine, Result
from benchmarks.sweeps.fanout import LocalFanout, Program
from benchmarks.sweeps.job import RUNNER, Job
from benchmarks.sweeps.specification import Cell, read_configuration
from benchmarks.sweeps.store import Row, Store
from benchmarks.sweeps.sweep import keep

SIDES: Final = ("A", "B")


class Side(msgspec.Struct, frozen=True):
    """What one side is, and its runs that count."""

    name: str
    results: tuple[Result, ...]
    left_out: tuple[str, ...] = ()
    """Runs that do not count, with their reasons."""


class Line(msgspec.Struct, frozen=True):
    """One figure of both sides."""

    figure: str
    unit: str
    better: str
    a: float
    """Median over the runs."""
    b: float
    verdict: Verdict


class Comparison(msgspec.Struct, frozen=True):
    a: Side
    b: Side
    lines: tuple[Line, ...]
    warnings: tuple[str, ...]

    @property
    def different(self) -> bool:
        return any(line.verdict.different for line in self.lines)


class Variant(msgspec.Struct, frozen=True):
    """A side that is yet to run."""

    name: str
    configuration: Configuration
    program: dict[str, Any]


def read_variant(path: Path) -> Variant:
    """Read a side from TOML: fields of a configuration, and optionally `[program]` with `checkout` and `python`.

    Raises BenchError, OSError.
    """
    configuration, program = read_configuration(path)
    if unknown := set(program) - {"checkout", "python"}:
        raise BenchError("configuration.invalid", f"{path}: [program] has no {', '.join(sorted(unknown))}")
    if program.get("checkout"):
        program["checkout"] = str(path.parent / Path(program["checkout"]).expanduser())
    return Variant(path.stem, configuration, program)


def run_sides(
    variants: Sequence[Variant], runs: int, directory: Path, progress: Callable[[str], None], *, runner: str = RUNNER
) -> list[Side]:
    """Run A, B, A, B, ... so that whatever changes with time meets both alike; return both sides.

    Run i of both has the same seed, `seed + i`, thus the same load. What the directory has already, and counts, is not
    run again. Raises BenchError.
    """
    programs = [Program(**variant.program) for variant in variants]
    stores = [Store(directory / side) for side in SIDES]
    found: list[list[Result]] = [[], []]
    left_out: list[list[str]] = [[], []]
    for run in range(1, runs + 1):
        for index, (side, variant) in enumerate(zip(SIDES, variants, strict=True)):
            configuration = msgspec.structs.replace(variant.configuration, seed=variant.configuration.seed + run - 1)
            cell = Cell(f"run-{run:03d}", {}, configuration, run)
            row = stores[index].row(cell)
            if row.state != "done":
                stores[index].forget(cell)
                row = _run(cell, stores[index], programs[index], runner)
            if row.state == "done" and row.result is not None:
                found[index].append(row.result)
            else:
                left_out[index].append(f"{cell.name}: {row.reason}")
            progress(f"{side} run {run} of {runs}: {row.state}{': ' if row.reason else ''}{row.reason}")
    return [
        Side(variant.name, tuple(results), tuple(reasons))
        for variant, results, reasons in zip(variants, found, left_out, strict=True)
    ]


def _run(cell: Cell, store: Store, program: Program, runner: str) -> Row:
    directory = store.working_directory(cell).resolve()
    with LocalFanout(program=program) as fanout:
        fanout.submit(Job(cell.name, cell.configuration, str(directory), runner))
        (outcome,) = fanout.outcomes()
    return keep(store, cell, outcome)


def read_side(directory: Path) -> Side:
    """Read the runs of one side that were made before. Raises BenchError."""
    stored = read_all([directory])
    good = [item.result for item in stored if item.result.valid]
    if len({_asked(result.configuration) for result in good}) > 1:
        raise BenchError("compare.mixed", f"{directory} has runs of more than one configuration (seeds aside)")
    bad = tuple(f"{item.path.name}: {'; '.join(item.result.errors)}" for item in stored if not item.result.valid)
    return Side(directory.name, tuple(good), bad)


def compare(a: Side, b: Side, *, seed: int = 1) -> Comparison:
    """Judge every figure that both sides have. Raises BenchError when they cannot be compared."""
    for side in (a, b):
        if not side.results:
            reasons = "; ".join(side.left_out) or "none was made"
            raise BenchError("compare.no_runs", f"no run of {side.name} counts: {reasons}")
    kinds = {result.configuration.kind for side in (a, b) for result in side.results}
    if len(kinds) > 1:
        raise BenchError("compare.kinds", "a simulated run cannot be compared with a real one")
    here = len({_hardware(result.machine) for side in (a, b) for result in side.results}) == 1
    figures = telling((*a.results, *b.results), SAME_MACHINE if here else ANY_MACHINE)
    lines = [_line(figure, a, b, seed) for figure in figures]
    return Comparison(a, b, tuple(line for line in lines if line), tuple(_warnings(a, b, here)))


def _line(figure: Figure, a: Side, b: Side, seed: int) -> Line | None:
    one, other = values(figure, a.results), values(figure, b.results)
    if not one or not other:
        return None
    import numpy as np

    medians = float(np.median(one)), float(np.median(other))
    return Line(figure.label, figure.unit, figure.better, *medians, judge(one, other, seed=seed))


def _warnings(a: Side, b: Side, here: bool) -> list[str]:
    said = [f"{side.name}, left out: {reason}" for side in (a, b) for reason in side.left_out]
    if not here:
        said.append("the machines differ: figures are in signature checks of the machine they come from")
    units = [result.unit.us for side in (a, b) for result in side.results if result.unit]
    if units and max(units) / min(units) > 1.15:
        said.append(
            f"a signature check took between {min(units):.1f} and {max(units):.1f} us: the machine was not quiet"
        )
    return said


def _hardware(machine: Machine) -> tuple[object, ...]:
    return machine.processor, machine.cores, machine.memory_bytes, machine.kernel


def _asked(configuration: Configuration) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(configuration, seed=0), order="sorted")

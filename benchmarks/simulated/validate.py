"""`python -m benchmarks.simulated.validate REAL4.json REAL7.json`: how far the simulator is off.

Each real run is simulated with its own configuration, all with one calibration: by default from the first of them, so
that the others tell how well costs carry over to other sizes. What is written: validation.json with every figure and
its error, and the simulated results; from these and the real ones `guildmark bench plot --validate` draws the one chart
that may show both.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.errors import BenchError
from benchmarks.results.schema import Result, write
from benchmarks.simulated.calibration import calibrate, describe, load_costs, load_result
from benchmarks.simulated.costs import Costs
from benchmarks.simulated.running import simulate

FORMAT: Final = 1
FIGURES: Final[dict[str, Callable[[Result], float]]] = {
    "transactions/s": lambda result: result.throughput.transactions_per_s,
    "payloads/s": lambda result: result.throughput.payloads_per_s,
    "blocks/s": lambda result: result.throughput.blocks_per_s,
    "latency p50, ms": lambda result: result.end_to_end.p50 / 1_000,
    "latency p90, ms": lambda result: result.end_to_end.p90 / 1_000,
    "latency p99, ms": lambda result: result.end_to_end.p99 / 1_000,
    "CPU us/transaction": lambda result: (
        sum(node.cpu_us_per_transaction for node in result.nodes if node.alive)
        / max(1, sum(node.alive for node in result.nodes))
    ),
    "messages/transaction": lambda result: (
        sum(node.sent_messages_per_transaction for node in result.nodes) / len(result.nodes)
    ),
}


class Figure(msgspec.Struct, frozen=True):
    """One figure, real and simulated."""

    name: str
    real: float
    simulated: float
    error: float | None
    """simulated / real - 1; None where the real one is 0."""


class Case(msgspec.Struct, frozen=True):
    """One real run and its simulation."""

    real: str
    validators: int
    rate: float | str
    workload: str
    calibrated_from_it: bool
    """Its CPU cost is then no prediction."""
    figures: tuple[Figure, ...]
    errors: tuple[str, ...]
    """Why the simulated run does not count."""


class Validation(msgspec.Struct, frozen=True):
    format: int
    costs: Costs
    cases: tuple[Case, ...]


class Pair(NamedTuple):
    real: Result
    simulated: Result


def validate(
    reals: Sequence[Result], costs: Costs | None, seconds: float | None, progress: Callable[[str], None]
) -> tuple[Validation, list[Pair]]:
    """Simulate each real run, or at most `seconds` of it.

    Raises:
        BenchError: a result cannot calibrate, or cannot be simulated.
    """
    own = costs is None
    used = calibrate(reals[0]) if costs is None else costs
    cases, pairs = [], []
    for at, real in enumerate(reals):
        if real.configuration.latency:
            raise BenchError("validation.latency", "with latencies, simulated validators have machines of their own")
        whole_s = real.configuration.duration_s
        duration_s = whole_s if seconds is None else min(seconds, whole_s)
        asked = msgspec.structs.replace(real.configuration, kind="simulated", duration_s=duration_s)
        progress(f"simulating {describe(real)}")
        pair = Pair(real, simulate(asked, used, progress))
        pairs.append(pair)
        cases.append(_case(*pair, calibrated=own and at == 0))
    return Validation(FORMAT, used, tuple(cases)), pairs


def _case(real: Result, simulated: Result, *, calibrated: bool) -> Case:
    figures = []
    for name, figure in FIGURES.items():
        measured, found = figure(real), figure(simulated)
        figures.append(Figure(name, measured, found, found / measured - 1 if measured else None))
    asked = real.configuration
    return Case(
        describe(real), asked.validators, asked.rate, asked.workload, calibrated, tuple(figures), simulated.errors
    )


def lines(validation: Validation) -> list[str]:
    """Return a table for people."""
    found = [f"costs from {validation.costs.source}"]
    for case in validation.cases:
        found += ["", f"{case.real}{' (calibrated from it)' if case.calibrated_from_it else ''}"]
        found += [f"  does not count: {error}" for error in case.errors]
        found.append(f"  {'':24} {'real':>12} {'simulated':>12} {'error':>8}")
        for figure in case.figures:
            error = "" if figure.error is None else f"{figure.error:+.1%}"
            found.append(f"  {figure.name:24} {figure.real:12.2f} {figure.simulated:12.2f} {error:>8}")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulated.validate", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="real results")
    parser.add_argument("--calibration", type=Path, help="a file of costs, or a result; by default the first")
    parser.add_argument("--seconds", type=float, help="simulate no more of each run than this")
    parser.add_argument("--output", type=Path, help="a directory for validation.json and the simulated results")
    asked = parser.parse_args(arguments)
    try:
        reals = [load_result(path) for path in asked.results]
        costs = None if asked.calibration is None else load_costs(asked.calibration)
        validation, pairs = validate(reals, costs, asked.seconds, lambda text: print(text, file=sys.stderr))
    except BenchError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    print("\n".join(lines(validation)))
    if asked.output is not None:
        asked.output.mkdir(parents=True, exist_ok=True)
        data = msgspec.json.format(msgspec.json.encode(validation), indent=1) + b"\n"
        (asked.output / "validation.json").write_bytes(data)
        for path, pair in zip(asked.results, pairs, strict=True):
            (asked.output / f"simulated-{path.stem}.json").write_bytes(write(pair.simulated))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The one chart with real and simulated results in it: how far the simulation is from what it was made after."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.plots.charts import Chart, Line, Panel, grouped
from benchmarks.plots.words import caption, unit
from benchmarks.results.schema import Result

SIZES: Final = (4, 7)
"""Validators at which both must be there."""
APART: Final = ("kind", "validators", "calibration", "duration_s")


class Deviation(msgspec.Struct, frozen=True):
    """Simulated by measured, less 1, of the medians over runs."""

    group: str
    validators: int
    throughput: float
    p50: float
    p99: float


def _throughput(result: Result) -> float:
    return result.throughput.payloads_per_s


def _p50(result: Result) -> float:
    return result.end_to_end.p50 / 1_000


def _p99(result: Result) -> float:
    return result.end_to_end.p99 / 1_000


def deviations(results: Sequence[Result]) -> tuple[Deviation, ...]:
    """Pair real and simulated runs of the same configuration. Raises BenchError (`validation.incomplete`)."""
    found = []
    for group, members in grouped(results, APART):
        sizes = sorted({result.configuration.validators for result in members})
        for n in sizes:
            real, simulated = (_of(members, kind, n) for kind in ("real", "simulated"))
            if real and simulated:
                found.append(
                    Deviation(group, n, *(_deviation(real, simulated, of) for of in (_throughput, _p50, _p99)))
                )
    lacking = set(SIZES) - {deviation.validators for deviation in found}
    if lacking:
        raise BenchError(
            "validation.incomplete",
            "a validation needs a real and a simulated result of the same configuration at n = "
            + " and ".join(map(str, SIZES))
            + f"; there is no such pair at n = {', '.join(map(str, sorted(lacking)))}",
        )
    return tuple(found)


def _of(results: Sequence[Result], kind: str, n: int) -> list[Result]:
    return [r for r in results if r.configuration.kind == kind and r.configuration.validators == n]


def _deviation(real: list[Result], simulated: list[Result], of: Callable[[Result], float]) -> float:
    return median(map(of, simulated)) / median(map(of, real)) - 1


def validation(results: Sequence[Result]) -> Chart:
    """Throughput and latency at each size, measured and simulated, and the error in words. Raises BenchError."""
    errors = deviations(results)
    sizes = {
        deviation.group: sorted({d.validators for d in errors if d.group == deviation.group}) for deviation in errors
    }
    groups = [(name, members) for name, members in grouped(results, APART) if name in sizes]
    panels = []
    counted = unit(groups[0][1][0].configuration)
    for y_label, of in (
        (f"committed {counted} per s", _throughput),
        ("median latency (ms)", _p50),
        ("latency p99 (ms)", _p99),
    ):
        lines = [
            _line(name, members, kind, of, sizes[name]) for name, members in groups for kind in ("real", "simulated")
        ]
        ticks = tuple(sorted({float(n) for all_sizes in sizes.values() for n in all_sizes}))
        panels.append(Panel("validators", y_label, tuple(lines), log_y=True, x_ticks=ticks))
    used = [result for name, members in groups for result in members if result.configuration.validators in sizes[name]]
    real = [result for result in used if result.configuration.kind == "real"]
    said = " ".join(map(_words, errors))
    return Chart(
        "validation",
        "Simulation against real processes",
        tuple(panels),
        f"Error of the simulation (simulated by measured, less 1): {said} Measured: {caption(real)}",
    )


def _line(name: str, members: list[Result], kind: str, of: Callable[[Result], float], sizes: list[int]) -> Line:
    style = "measured" if kind == "real" else "simulated"
    values = [[of(result) for result in _of(members, kind, n)] for n in sizes]
    return Line(
        name,
        style,
        tuple(map(float, sizes)),
        tuple(median(at) for at in values),
        tuple(min(at) for at in values),
        tuple(max(at) for at in values),
    )


def _words(deviation: Deviation) -> str:
    where = ", ".join(part for part in (f"n = {deviation.validators}", deviation.group) if part)
    found = (("throughput", deviation.throughput), ("p50", deviation.p50), ("p99", deviation.p99))
    return f"{where}: {', '.join(f'{name} {_percent(share)}' for name, share in found)}."


def _percent(share: float) -> str:
    return f"{100 * share:+.0f}\u00a0%"

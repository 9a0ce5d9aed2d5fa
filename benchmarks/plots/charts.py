"""What is drawn, as numbers: charts of lines, made from results. Nothing here knows matplotlib."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.plots.words import TITLES, caption, fills_requests_as_the_rate_allows, label, unit, varying
from benchmarks.results.reading import Stored
from benchmarks.results.schema import Mark, Result

LINES_MAX: Final = 6
"""Groups in one chart; more go into further charts, because more colors cannot be told apart."""
OVER_TIME_MAX: Final = 6
"""Results that all get a chart over time; of more, only those in which something was done to the network."""


class Line(msgspec.Struct, frozen=True):
    group: str
    """Has one color; empty when there is only one."""
    style: str
    """What of the group it is: `p50`, `p99`; empty when there is only one."""
    x: tuple[float, ...]
    y: tuple[float, ...]
    y_low: tuple[float, ...] = ()
    """Least and most over repeated runs; empty where there are none."""
    y_high: tuple[float, ...] = ()


class Panel(msgspec.Struct, frozen=True):
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    log_x: bool = False
    log_y: bool = False
    steps: bool = False
    x_ticks: tuple[float, ...] = ()
    x_end: float = 0.0
    """x goes from 0 to here; to where the data does when 0."""


class Chart(msgspec.Struct, frozen=True):
    name: str
    """Of its files."""
    title: str
    panels: tuple[Panel, ...]
    caption: str
    stacked: bool = False
    """Panels lie above each other and share x; else side by side."""
    marks: tuple[Mark, ...] = ()
    top: float = 0.0
    """What x of the first panel is multiplied with to give utilization; 0 for no such axis."""


SPLIT_BY: Final = ("workload", "validators", "latency", "faults")
"""What results are distributed over charts by when they are too many for one."""

Group = tuple[str, list[Result]]
Part = tuple[str, list[Group]]
"""What is added to the chart's name, and what is in it."""


def charts(stored: Sequence[Stored]) -> tuple[Chart, ...]:
    """Make every chart that the results have the data for. Real and simulated results are never in one chart."""
    made: list[Chart] = []
    for kind in ("real", "simulated"):
        for counted in ("transactions", "payloads"):
            chosen = [
                item
                for item in stored
                if item.result.configuration.kind == kind and unit(item.result.configuration) == counted
            ]
            if chosen:
                results = [item.result for item in chosen]
                end = ("-payloads" if counted == "payloads" else "") + f"-{kind}"
                made += throughput_latency(results, end)
                made += latency_cdf(results, end)
                made += latency_against_n(results, end)
                made += over_time(chosen, end)
    return tuple(made)


def grouped(results: Iterable[Result], apart: Sequence[str]) -> list[Group]:
    """Put results together that differ in the fields `apart` only, each group with its name in words."""
    every = sorted(results, key=_order)
    names = varying((result.configuration for result in every), besides=(*apart, "seed"))
    groups: dict[str, list[Result]] = {}
    for result in every:
        groups.setdefault(label(result.configuration, names), []).append(result)
    return list(groups.items())


def _order(result: Result) -> tuple[Any, ...]:
    configuration = result.configuration
    rate = float("inf") if configuration.rate == "saturate" else configuration.rate
    return configuration.workload, configuration.validators, rate, configuration.seed, result.started_at


def _parts(results: list[Result], apart: Sequence[str], minimum: Callable[[Result], Any] | None) -> Iterator[Part]:
    """Put results into groups, over as many charts as they take: one a workload or number of validators if that helps.

    With `minimum`, only groups in which it has more than one value.
    """
    groups = grouped(results, apart)
    if minimum is not None:
        groups = [group for group in groups if len({minimum(result) for result in group[1]}) > 1]
    if not groups:
        return
    if len(groups) <= LINES_MAX:
        yield "", groups
        return
    for field in SPLIT_BY:
        values = dict.fromkeys(getattr(result.configuration, field) for result in sorted(results, key=_order))
        if field not in apart and len(values) > 1:
            for value in values:
                inside = [result for result in results if getattr(result.configuration, field) == value]
                name = re.sub(r"[^A-Za-z0-9]+", "-", label(inside[0].configuration, (field,))).strip("-")
                for end, part in _parts(inside, apart, minimum):
                    yield f"-{name}{end}", part
            return
    for first in range(0, len(groups), LINES_MAX):
        yield f"-{first // LINES_MAX + 1}", groups[first : first + LINES_MAX]


def _results(groups: list[Group]) -> list[Result]:
    return [result for _, results in groups for result in results]


def _curve(
    group: Group, style: str, point: Callable[[Result], Any], x: Callable[[Result], float], y: Callable[[Result], float]
) -> Line:
    """One line: a point for all runs that agree in `point`, at the medians of x and y."""
    points: dict[Any, list[Result]] = {}
    for result in group[1]:
        points.setdefault(point(result), []).append(result)
    runs = list(points.values())
    ys = [[y(result) for result in at] for at in runs]
    repeated = any(len(values) > 1 for values in ys)
    return Line(
        group[0],
        style,
        tuple(median(x(result) for result in at) for at in runs),
        tuple(median(values) for values in ys),
        tuple(min(values) for values in ys) if repeated else (),
        tuple(max(values) for values in ys) if repeated else (),
    )


def throughput_latency(results: list[Result], end: str) -> Iterator[Chart]:
    """Latency over what was committed, one point an offered rate."""
    apart = ["rate", "duration_s", "arrivals"]
    if all(fills_requests_as_the_rate_allows(result.configuration) for result in results):
        apart.append("batch_submit")
    for part, chosen in _parts(results, apart, _rate):
        lines = [
            _curve(group, style, _rate, lambda r: r.throughput.payloads_per_s, of)
            for group in chosen
            for style, of in (("p50", _p50_ms), ("p99", _p99_ms))
        ]
        used = _results(chosen)
        counted = unit(used[0].configuration)
        panel = Panel(f"committed {counted} per second", "end-to-end latency (ms)", tuple(lines), log_y=True)
        title = f"Latency over throughput ({TITLES[used[0].configuration.kind]})"
        yield Chart(f"throughput-latency{end}{part}", title, (panel,), caption(used), top=_utilization_factor(used))


def _utilization_factor(results: list[Result]) -> float:
    """Utilization by transactions/s, where all results agree in what it depends on."""
    if any(result.unit is None or result.throughput.utilization <= 0 for result in results):
        return 0.0
    factors = [result.throughput.utilization / result.throughput.transactions_per_s for result in results]
    return median(factors) if max(factors) / min(factors) < 1.1 else 0.0


def _rate(result: Result) -> float | str:
    return result.configuration.rate


def _p50_ms(result: Result) -> float:
    return result.end_to_end.p50 / 1_000


def _p99_ms(result: Result) -> float:
    return result.end_to_end.p99 / 1_000


def latency_against_n(results: list[Result], end: str) -> Iterator[Chart]:
    """Latency over the number of validators."""
    for part, chosen in _parts(results, ("validators",), _validators):
        lines = [
            _curve(group, style, _validators, _validators, of)
            for group in chosen
            for style, of in (("p50", _p50_ms), ("p99", _p99_ms))
        ]
        used = _results(chosen)
        ticks = tuple(sorted({float(_validators(result)) for result in used}))
        panel = Panel("validators", "end-to-end latency (ms)", tuple(lines), log_y=True, x_ticks=ticks)
        title = f"Latency over the number of validators ({TITLES[used[0].configuration.kind]})"
        yield Chart(f"latency-against-n{end}{part}", title, (panel,), caption(used))


def _validators(result: Result) -> int:
    return result.configuration.validators


def latency_cdf(results: list[Result], end: str) -> Iterator[Chart]:
    """The distribution of latency, its body and its tail, with the runs of one configuration put together."""
    for part, chosen in _parts([result for result in results if result.end_to_end.histogram], (), None):
        body, tail = [], []
        for name, group in chosen:
            values, shares = merged(group)
            body.append(Line(name, "", values, shares))
            slower = [(value, 1 - share) for value, share in zip(values, shares, strict=True) if share < 1]
            tail.append(Line(name, "", tuple(v for v, _ in slower), tuple(s for _, s in slower)))
        used = _results(chosen)
        counted, x_label = unit(used[0].configuration), "end-to-end latency (ms)"
        panels = (
            Panel(x_label, f"share of {counted} within", tuple(body), log_x=True, steps=True),
            Panel(x_label, f"share of {counted} slower", tuple(tail), log_x=True, log_y=True, steps=True),
        )
        title = f"Distribution of latency ({TITLES[used[0].configuration.kind]})"
        yield Chart(f"latency-cdf{end}{part}", title, panels, caption(used))


def merged(results: Iterable[Result]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Add histograms up: latencies in ms, and the share that took no longer."""
    from hdrh.histogram import HdrHistogram

    decoded: Any = HdrHistogram
    total = decoded(1, 3_600_000_000, 3)
    for result in results:
        total.add(decoded.decode(result.end_to_end.histogram))
    values, shares = [], []
    for item in total.get_recorded_iterator():
        values.append(item.value_iterated_to / 1_000)
        shares.append(item.total_count_to_this_value / total.total_count)
    return tuple(values), tuple(shares)


def over_time(stored: Sequence[Stored], end: str) -> Iterator[Chart]:
    """Throughput and latency in each second, with what was done to the network."""
    few = len(stored) <= OVER_TIME_MAX
    for item, name in zip(stored, _names([item.path for item in stored]), strict=True):
        result, series = item.result, item.result.series
        if not series or not (few or result.marks):
            continue
        seconds = tuple(float(second.second) for second in series)
        last = seconds[-1] + 1
        committed = tuple(float(second.committed) for second in (*series, series[-1]))
        middles = tuple(second + 0.5 for second in seconds)
        p50, p99 = (
            tuple(at / 1_000 if second.committed else math.nan for at, second in zip(found, series, strict=True))
            for found in ([second.p50 for second in series], [second.p99 for second in series])
        )
        lines = Line("", "p50", middles, p50), Line("", "p99", middles, p99)
        x_label, counted = "seconds of the measured part", unit(result.configuration)
        panels = (
            Panel(x_label, f"{counted} per s", (Line("", "", (*seconds, last), committed),), steps=True, x_end=last),
            Panel(x_label, "latency (ms)", lines, log_y=True, x_end=last),
        )
        title = f"Throughput and latency over time ({TITLES[result.configuration.kind]})"
        yield Chart(f"over-time-{name}{end}", title, panels, caption([result]), stacked=True, marks=result.marks)


def _names(paths: list[Path]) -> list[str]:
    """Name results by their files, with the directory where that is not enough."""
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [f"{path.parent.name}-{path.stem}" for path in paths]
    if len(set(names)) < len(names):
        names = [f"{number}-{name}" for number, name in enumerate(names, 1)]
    return names

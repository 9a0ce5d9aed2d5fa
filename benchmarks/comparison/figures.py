"""The figures that runs are compared by, in units of one machine or in units that hold on others too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import fmean
from typing import Final

import msgspec

from benchmarks.results.schema import Node, Result


class Figure(msgspec.Struct, frozen=True):
    """One figure of a result. `of` gives None where a run has no such figure."""

    key: str
    label: str
    unit: str
    better: str
    """`higher` or `lower`."""
    of: Callable[[Result], float | None]


def _positive(value: float) -> float | None:
    return value if value > 0 else None


def _of_nodes(result: Result, of: Callable[[Node], float]) -> float | None:
    """The mean over validators that ran from beginning to end, of one payload where a transaction is a bundle."""
    values = [of(node) for node in result.nodes if node.alive]
    payloads = result.throughput.payloads
    return _positive(fmean(values) * result.throughput.transactions / payloads) if values and payloads else None


def _verify_us(result: Result) -> float | None:
    """What a signature check costs in a result: measured, so real runs only."""
    return _positive(result.unit.us) if result.unit else None


def in_checks(value: float | None, result: Result) -> float | None:
    """Express microseconds in signature checks of the machine that took them."""
    unit = _verify_us(result)
    return value / unit if value is not None and unit is not None else None


def cpu_us(result: Result) -> float | None:
    """Processor time of a live validator for one committed transaction."""
    return _of_nodes(result, lambda node: node.cpu_us_per_transaction)


def _p50(result: Result) -> float | None:
    return _positive(result.end_to_end.p50)


def _p99(result: Result) -> float | None:
    return _positive(result.end_to_end.p99)


def _ms(value: float | None) -> float | None:
    return value / 1_000 if value is not None else None


THROUGHPUT: Final = Figure(
    "throughput", "throughput", "1/s", "higher", lambda r: _positive(r.throughput.payloads_per_s)
)
P50: Final = Figure("p50", "median latency", "ms", "lower", lambda r: _ms(_p50(r)))
P99: Final = Figure("p99", "latency p99", "ms", "lower", lambda r: _ms(_p99(r)))
CPU: Final = Figure("cpu", "CPU per transaction and node", "us", "lower", cpu_us)
BYTES: Final = Figure(
    "bytes",
    "bytes sent per transaction and node",
    "B",
    "lower",
    lambda r: _of_nodes(r, lambda node: node.sent_bytes_per_transaction),
)
MESSAGES: Final = Figure(
    "messages",
    "messages sent per transaction and node",
    "",
    "lower",
    lambda r: _of_nodes(r, lambda node: node.sent_messages_per_transaction),
)
UTILIZATION: Final = Figure("utilization", "utilization", "", "higher", lambda r: _positive(r.throughput.utilization))
CPU_CHECKS: Final = Figure(
    "cpu_checks", "CPU per transaction and node", "checks", "lower", lambda r: in_checks(cpu_us(r), r)
)
P50_CHECKS: Final = Figure("p50_checks", "median latency", "checks", "lower", lambda r: in_checks(_p50(r), r))
P99_CHECKS: Final = Figure("p99_checks", "latency p99", "checks", "lower", lambda r: in_checks(_p99(r), r))

SAME_MACHINE: Final = (THROUGHPUT, P50, P99, CPU, BYTES, MESSAGES)
"""For runs of one machine."""
ANY_MACHINE: Final = (UTILIZATION, P50_CHECKS, P99_CHECKS, CPU_CHECKS, BYTES, MESSAGES)
"""For runs of different machines: a `check` is one signature check there."""
LATENCIES: Final = (P50, P99, P50_CHECKS, P99_CHECKS)


def telling(results: Iterable[Result], figures: tuple[Figure, ...]) -> tuple[Figure, ...]:
    """The figures that say something of these runs: latency is none where a run was saturated.

    There it is the number of transactions on their way by the throughput, which is judged already.
    """
    if any(result.configuration.rate == "saturate" for result in results):
        return tuple(figure for figure in figures if figure not in LATENCIES)
    return figures


def values(figure: Figure, results: Iterable[Result]) -> list[float] | None:
    """A figure of each result; None when one of them has no such figure."""
    found = [figure.of(result) for result in results]
    return None if None in found else [value for value in found if value is not None]

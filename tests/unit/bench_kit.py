"""Results and runs that no network made, for tests of what reads them."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
from hdrh.histogram import HdrHistogram

from benchmarks.errors import BenchError
from benchmarks.results.schema import (
    FORMAT,
    Checks,
    Configuration,
    Generator,
    Latency,
    Machine,
    Mark,
    Node,
    Result,
    Second,
    Throughput,
    VerifyUnit,
)

MACHINE = Machine("AMD EPYC 9R14", 2, 24 << 30, "6.18.0", "3.11.7", {"pynacl": "1.6.2"}, "0123456789ab")


@cache
def latency(median_us: float, *, spread: float = 0.35, count: int = 2_000, seed: int = 1) -> Latency:
    """A lognormal distribution with its histogram."""
    rng = random.Random(seed)
    histogram = HdrHistogram(1, 60_000_000, 3)
    values = [max(1, round(median_us * rng.lognormvariate(0, spread))) for _ in range(count)]
    for value in values:
        histogram.record_value(value)
    at = histogram.get_value_at_percentile
    return Latency(
        count,
        sum(values) / count,
        int(at(50)),
        int(at(90)),
        int(at(99)),
        int(at(99.9)),
        max(values),
        histogram.encode().decode(),
    )


def result(
    configuration: Configuration | None = None,
    *,
    rate: float = 1_000.0,
    p50_us: float = 20_000.0,
    cpu_us: float = 150.0,
    verify_us: float = 40.0,
    machine: Machine = MACHINE,
    marks: tuple[Mark, ...] = (),
    errors: tuple[str, ...] = (),
    seed: int = 1,
) -> Result:
    """A result with these figures; all else follows from them."""
    configuration = configuration or Configuration(rate=rate)
    real = configuration.kind == "real"
    seconds = configuration.duration_s
    transactions = round(rate * seconds)
    found = latency(p50_us, seed=seed)
    rng = random.Random(seed)
    series = tuple(
        Second(
            second,
            round(rate * rng.uniform(0.95, 1.05)),
            round(found.p50 * rng.uniform(0.9, 1.1)),
            round(found.p99 * rng.uniform(0.9, 1.1)),
            400 << 20,
        )
        for second in range(int(seconds))
    )
    node = Node(0, True, cpu_us, 90 << 20, 91 << 20, 95 << 20, 900.0, 0.4, found, None, 10, 900, 5_000, 0)
    return Result(
        format=FORMAT,
        started_at="2026-11-21T12:00:00Z",
        configuration=configuration,
        machine=machine,
        unit=VerifyUnit(verify_us, verify_us, (verify_us,) * 5, (verify_us,) * 5) if real else None,
        throughput=Throughput(
            seconds,
            transactions,
            transactions,
            transactions,
            rate,
            rate,
            rate,
            20.0,
            rate * configuration.validators * verify_us / (machine.cores * 1e6),
            rate / 20,
            rate / 20,
        ),
        end_to_end=found,
        submission=found,
        nodes=tuple(msgspec.structs.replace(node, index=index) for index in range(configuration.validators)),
        generator=Generator(transactions, transactions, 0.04, None, False),
        refused={},
        checks=Checks(100, "00" * 32, transactions, transactions, 0, 0),
        series=series,
        marks=marks,
        errors=errors,
        calibration="" if real else "calibration.json",
    )


def run(configuration: Configuration, directory: Path, progress: Callable[[str], None]) -> Result:
    """A runner for `Job.runner`: what it does follows from the seed's remainder; each run leaves a mark."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"ran-{len(list(directory.glob('ran-*')))}").touch()
    progress("running")
    match configuration.seed:
        case 900:
            raise BenchError("run.refused", "there are no accounts")
        case 901:
            os.kill(os.getpid(), signal.SIGKILL)
        case 902:
            raise ValueError("a bug")
        case 903:
            return result(configuration, errors=("the generator missed its rate",))
        case 904:
            (directory / "pid.partial").write_text(str(os.getpid()))
            (directory / "pid.partial").rename(directory / "pid")
            signal.pause()
    rate = 2_000.0 if configuration.rate == "saturate" else configuration.rate
    return result(configuration, rate=rate, seed=configuration.seed)

"""Distributions of durations as HDR histograms: three significant digits from a microsecond to an hour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from benchmarks.results.schema import Latency

HIGHEST_US: Final = 3_600_000_000
DIGITS: Final = 3


def distribution(durations_us: Iterable[int]) -> Latency | None:
    """Return the distribution of durations; None when there are none. What lies below 1 us counts as 1 us."""
    import numpy
    from hdrh.histogram import HdrHistogram

    found = numpy.fromiter(durations_us, dtype=numpy.int64)
    if not found.size:
        return None
    found = numpy.clip(found, 1, HIGHEST_US)
    histogram = HdrHistogram(1, HIGHEST_US, DIGITS)
    for value, count in zip(*numpy.unique(found, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    # A bucket is told by its upper end, which may lie above everything in it.
    highest = int(found.max())
    p50, p90, p99, p999 = (min(highest, int(histogram.get_value_at_percentile(p))) for p in (50, 90, 99, 99.9))
    return Latency(
        count=int(found.size),
        mean=float(found.mean()),
        p50=p50,
        p90=p90,
        p99=p99,
        p999=p999,
        max=highest,
        histogram=histogram.encode().decode("ascii"),
    )


NOTHING: Final = Latency(count=0, mean=0.0, p50=0, p90=0, p99=0, p999=0, max=0)

"""From result files to pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from benchmarks.errors import BenchError
from benchmarks.plots.charts import charts
from benchmarks.plots.drawing import draw
from benchmarks.plots.validation import validation
from benchmarks.results.reading import Stored, read_all


class Drawn(msgspec.Struct, frozen=True):
    files: tuple[Path, ...]
    notes: tuple[str, ...]
    """What was left out, and why."""


def plot(paths: Iterable[Path], directory: Path, *, validate: bool = False) -> Drawn:
    """Draw every chart that the results have the data for; with `validate`, real against simulated.

    Results that do not count are left out and named. Raises BenchError (`plot.nothing`, `validation.incomplete` and
    those of reading), OSError.
    """
    stored = read_all(paths)
    good = tuple(item for item in stored if item.result.valid)
    notes = [f"left out, does not count: {_why(item)}" for item in stored if not item.result.valid]
    if not good:
        raise BenchError("plot.nothing", "no result counts: " + "; ".join(map(_why, stored)))
    made = (validation([item.result for item in good]),) if validate else charts(good)
    if not made:
        raise BenchError("plot.nothing", "the results have neither a histogram nor seconds nor anything that varies")
    if len({item.result.machine.processor for item in good}) > 1 and not validate:
        notes.append("the results are from different machines: compare utilization, not times")
    return Drawn(tuple(path for chart in made for path in draw(chart, directory)), tuple(notes))


def _why(item: Stored) -> str:
    return f"{item.path}: {'; '.join(item.result.errors)}"

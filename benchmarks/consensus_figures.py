"""Measure how soon consensus goes on after faults, in simulated networks over many seeds; write JSON, draw a plot.

    python -m benchmarks.consensus_figures --seeds 20 --json figures.json --plot figures.png

Times are virtual: the same on every machine, and the same again for the same seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from simulation import figures
from simulation.figures import Figure

SLOW_SEEDS: Final = 3
"""Seeds for the two figures that take long."""


def measure(seeds: int, views: int) -> Iterator[Figure]:
    """Yield every figure of every seed."""
    for seed in range(seeds):
        for n in (4, 7, 10):
            yield figures.after_a_primary_dies(seed, n)
            yield figures.views_over_dead_primaries(seed, n)
        yield figures.after_no_quorum(seed)
    for seed in range(min(seeds, SLOW_SEEDS)):
        yield from figures.forced_view_changes(seed, views)
        yield figures.share_with_dead_primaries(seed)


def summarize(measured: list[Figure]) -> list[dict[str, object]]:
    """Give least, median, worst and the limit of each figure at each size."""
    groups: dict[tuple[str, int], list[Figure]] = defaultdict(list)
    for figure in measured:
        groups[figure.name, figure.n].append(figure)
    rows = []
    for (name, n), group in sorted(groups.items()):
        values = sorted(figure.value for figure in group)
        rows.append(
            {
                "figure": name,
                "n": n,
                "seeds": len(group),
                "unit": group[0].unit,
                "least": values[0],
                "median": values[len(values) // 2],
                "most": values[-1],
                "limit": group[0].limit,
                "holds": all(figure.holds for figure in group),
            }
        )
    return rows


def draw(measured: list[Figure], path: Path) -> None:
    """Draw, for each time, the share of seeds in which work had gone on by then."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for figure in measured:
        if figure.unit == "ms" and math.isfinite(figure.value):
            times[figure.name, figure.n].append(figure.value / 1_000)
    plot, axes = pyplot.subplots(figsize=(8, 4.5))
    for (name, n), values in sorted(times.items()):
        values.sort()
        axes.step(values, [(rank + 1) / len(values) for rank in range(len(values))], label=f"{name}, n = {n}")
    axes.set_xlabel("seconds of virtual time")
    axes.set_ylabel("share of seeds")
    axes.set_ylim(0, 1.05)
    axes.set_xlim(left=0)
    axes.legend(fontsize="small", loc="center")
    axes.grid(alpha=0.3)
    plot.tight_layout()
    plot.savefig(path, dpi=150)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--views", type=int, default=1_000, help="view changes to force under load")
    parser.add_argument("--json", type=Path, help="write all measurements here")
    parser.add_argument("--plot", type=Path, help="draw the times here (needs matplotlib)")
    arguments = parser.parse_args()
    begun = time.monotonic()
    measured = list(measure(arguments.seeds, arguments.views))
    rows = summarize(measured)
    for row in rows:
        print("{figure}, n={n}: {median} {unit} ({least} to {most}, limit {limit}, {seeds} seeds)".format(**row))
    if arguments.json:
        document = {
            "command": f"python -m benchmarks.consensus_figures --seeds {arguments.seeds} --views {arguments.views}",
            "wall_seconds": round(time.monotonic() - begun, 1),
            "figures": rows,
            "measurements": msgspec.to_builtins(measured),
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        draw(measured, arguments.plot)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

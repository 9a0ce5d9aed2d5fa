"""Measure gossip in simulated networks of observers with churn and losses: who receives what, hops, copies, and what a
validator sends; write JSON, draw a plot.

    python -m benchmarks.gossip_figures --seeds 5 --json gossip-figures.json --plot gossip-figures

Times are virtual: the same on every machine, and the same again for the same seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.plots.charts import Chart, Line, Panel
from benchmarks.plots.drawing import draw
from simulation.gossip import COPIES_MAX, HOPS_MEDIAN_MAX, GossipPlan, GossipRun, run

OBSERVERS: Final = (50, 100, 200)


def measure(seeds: int, blocks: int) -> list[GossipRun]:
    """Run every size with every seed."""
    plan = GossipPlan(blocks=blocks)
    sizes = [msgspec.structs.replace(plan, observers=observers) for observers in OBSERVERS]
    return [run(seed, size) for size in sizes for seed in range(seeds)]


def summarize(runs: list[GossipRun]) -> list[dict[str, object]]:
    """Give a row for each number of observers."""
    groups: dict[int, list[GossipRun]] = defaultdict(list)
    for one in runs:
        groups[one.plan.observers].append(one)
    return [
        {
            "observers": observers,
            "seeds": len(group),
            "missed": sum(one.missed for one in group),
            "hops_median_most": max(one.hops_median for one in group),
            "copies_mean": round(statistics.mean(one.copies for one in group), 3),
            "copies_most": max(one.copies for one in group),
            "latency_median_ms": statistics.median(one.latency_median_ms for one in group),
            "validator_pushes": round(statistics.mean(one.validator_pushes for one in group), 2),
            "validator_pushes_most": max(one.validator_pushes_most for one in group),
            "holds": all(one.holds for one in group),
        }
        for observers, group in sorted(groups.items())
    ]


def table(rows: list[dict[str, object]]) -> str:
    """Write rows as a table of Markdown, its last line the limits."""
    lines = [
        "| observers | seeds | blocks missed | median hops, worst seed | copies a node, mean (worst seed) "
        "| payloads a validator sends a block, mean (most of any) | median time to arrive |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row['observers']} | {row['seeds']} | {row['missed']} | {row['hops_median_most']} "
        f"| {row['copies_mean']:.2f} ({row['copies_most']:.2f}) "
        f"| {row['validator_pushes']:.1f} ({row['validator_pushes_most']:.1f}) | {row['latency_median_ms']:.0f} ms |"
        for row in rows
    ]
    lines.append(f"| limit | | 0 | {HOPS_MEDIAN_MAX} | {COPIES_MAX} | | |")
    return "\n".join(lines)


def chart(runs: list[GossipRun]) -> Chart:
    """Hops as shares of deliveries; copies a node and payloads a validator sends against the number of observers."""
    rows = summarize(runs)
    sizes = tuple(float(str(row["observers"])) for row in rows)
    hops: dict[int, Counter[int]] = defaultdict(Counter)
    for one in runs:
        hops[one.plan.observers].update(one.hops)
    lines = []
    for observers, counts in sorted(hops.items()):
        most, total = max(counts), counts.total()
        shares = [sum(counts[hop] for hop in range(limit + 1)) / total for limit in range(1, most + 1)]
        lines.append(Line(f"{observers} observers", "", tuple(map(float, range(1, most + 1))), tuple(shares)))
    costs = [
        Line(name, "", sizes, tuple(float(str(row[key])) for row in rows))
        for name, key in (("copies a node", "copies_mean"), ("payloads a validator sends", "validator_pushes"))
    ]
    plan = runs[0].plan
    return Chart(
        "gossip-figures",
        "A block's way to the observers",
        (
            Panel("links from a validator", "share of deliveries within", tuple(lines), steps=True, x_end=16.0),
            Panel("observers", "payloads a block", tuple(costs), x_end=1.05 * max(OBSERVERS)),
        ),
        f"Simulated: {plan.validators} validators, {plan.churn:.0%} of the observers replaced during the run, half of "
        f"them crashed; {plan.loss:.0%} of all messages lost; {plan.blocks} blocks a run.",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=5, help="runs of each size (5)")
    parser.add_argument("--blocks", type=int, default=60, help="blocks in a run")
    parser.add_argument("--json", type=Path, help="write all runs here")
    parser.add_argument("--plot", type=Path, help="draw into this directory (needs matplotlib)")
    arguments = parser.parse_args()
    begun = time.monotonic()
    runs = measure(arguments.seeds, arguments.blocks)
    rows = summarize(runs)
    print(table(rows))
    if arguments.json:
        document = {
            "command": f"python -m benchmarks.gossip_figures --seeds {arguments.seeds} --blocks {arguments.blocks}",
            "wall_seconds": round(time.monotonic() - begun, 1),
            "figures": rows,
            "runs": msgspec.to_builtins(runs, str_keys=True),
        }
        arguments.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    if arguments.plot:
        draw(chart(runs), arguments.plot)
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())

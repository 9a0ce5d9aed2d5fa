"""Runs every mutant until it is caught: `python -m simulation.mutants [NAME...] [--json OUT] [--table OUT.md]`.

Exit code 1 when one is not caught in every range of seeds.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import msgspec

from simulation.mutants.detect import RANGE_SEEDS, RANGES, SEEDS_MAX, Verdict, judge_mutant
from simulation.mutants.registry import MUTANTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen mutants, all by default, on all cores; write what was found."""
    parser = argparse.ArgumentParser(prog="python -m simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to run; all by default")
    parser.add_argument(
        "--json", type=Path, metavar="OUT", help="write the verdicts; what is there is kept and renewed"
    )
    parser.add_argument("--table", type=Path, metavar="OUT", help="write a Markdown table")
    parser.add_argument("--ranges", type=int, default=RANGES, help="disjoint ranges of seeds (%(default)s)")
    parser.add_argument("--seeds", type=int, help="seeds of a range after which a mutant counts as not caught")
    parser.add_argument("--missing", action="store_true", help="only those that the JSON file does not have as caught")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in MUTANTS]
    if unknown:
        parser.error(f"no such mutant: {', '.join(unknown)}")
    verdicts = read(chosen.json)
    names = chosen.names or list(MUTANTS)
    if chosen.missing:
        names = [name for name in names if name not in verdicts or not verdicts[name].caught]
    with ProcessPoolExecutor(chosen.workers, max_tasks_per_child=1) as pool:
        waiting = [pool.submit(judge_mutant, MUTANTS[name], range(chosen.ranges), chosen.seeds) for name in names]
        for done in as_completed(waiting):
            verdict = done.result()
            verdicts[verdict.name] = verdict
            sys.stdout.write(line(verdict) + "\n")
            sys.stdout.flush()
            write(chosen.json, verdicts)
    ordered = [verdicts[name] for name in MUTANTS if name in verdicts]
    if chosen.table:
        chosen.table.write_text(table(ordered))
    return 0 if all(verdict.caught for verdict in ordered if verdict.name in names) else 1


def line(verdict: Verdict) -> str:
    found = next((catch.by for catch in verdict.catches if catch is not None), "")
    seeds = "NOT CAUGHT" if verdict.median_seeds is None else f"{verdict.median_seeds:g}"
    return f"{verdict.name:38} {seeds:>10}  {verdict.seconds:7.1f} s  {found[:80]}"


def read(path: Path | None) -> dict[str, Verdict]:
    if path is None or not path.exists():
        return {}
    kept = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw])
    verdicts = msgspec.json.decode(kept["mutants"], type=list[Verdict])
    return {verdict.name: verdict for verdict in verdicts if verdict.name in MUTANTS}


def write(path: Path | None, verdicts: dict[str, Verdict]) -> None:
    if path is None:
        return
    ordered = [verdicts[name] for name in MUTANTS if name in verdicts]
    content = {
        "mutants_total": len(MUTANTS),
        "caught": sum(verdict.caught for verdict in ordered),
        "ranges": RANGES,
        "first_seed_of_range": [number * RANGE_SEEDS for number in range(RANGES)],
        "seeds_max": SEEDS_MAX,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "mutants": ordered,
    }
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")


def table(verdicts: Iterable[Verdict]) -> str:
    """Return the verdicts as a Markdown table."""
    rows = ["| mutant | what is broken | judged by | median seeds |", "|---|---|---|---:|"]
    for verdict in verdicts:
        seeds = "not caught" if verdict.median_seeds is None else f"{verdict.median_seeds:g}"
        rows.append(f"| `{verdict.name}` | {verdict.breaks} | {verdict.runs} | {seeds} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())

"""`make bench-smoke`: a short run against the baseline, by ratios. `--record` makes a new baseline of several runs.

    python -m benchmarks.gate [--json OUT]
    python -m benchmarks.gate --record [--runs 5]

Exit code 1 means that a ratio is beyond its bound, in two runs of two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.gate.judging import BASELINE, CONFIGURATION, Baseline, Line, judge, make_baseline, read_baseline
from benchmarks.results.schema import Configuration, Result
from guildmark.errors import GuildmarkError

Run = Callable[[Configuration, Path, Callable[[str], None]], Result]
ATTEMPTS = 2
"""A busy moment makes one run slow; a regression makes both."""


def main(arguments: list[str] | None = None, run: Run | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description="Hold a short run to the baseline.")
    parser.add_argument("--record", action="store_true", help="make a new baseline instead")
    parser.add_argument("--runs", type=int, default=3, help="of a new baseline")
    parser.add_argument("--baseline", type=Path, default=BASELINE)
    parser.add_argument("--json", type=Path, help="write what was found here")
    options = parser.parse_args(arguments)
    if run is None:
        from benchmarks.running import run as running

        run = running
    try:
        if options.record:
            return _record(run, options.runs, options.baseline)
        return _check(run, read_baseline(options.baseline), options.json)
    except GuildmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _one(run: Run, configuration: Configuration) -> Result:
    with tempfile.TemporaryDirectory(prefix="guildmark-gate-") as place:
        return run(configuration, Path(place), lambda text: print(text, file=sys.stderr))


def _record(run: Run, runs: int, path: Path) -> int:
    baseline = make_baseline([_one(run, CONFIGURATION) for _ in range(runs)])
    path.write_bytes(msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n")
    print(f"{path}: " + ", ".join(f"{key} {value:.4g}" for key, value in baseline.figures.items()))
    return 0


def _check(run: Run, baseline: Baseline, out: Path | None) -> int:
    for attempt in range(1, ATTEMPTS + 1):
        result = _one(run, baseline.configuration)
        if result.errors and attempt < ATTEMPTS:
            print(f"does not count, one more run: {'; '.join(result.errors)}", file=sys.stderr)
            continue
        lines = judge(baseline, result)
        if out is not None:
            found = [{**msgspec.to_builtins(line), "ratio": line.ratio, "passes": line.passes} for line in lines]
            out.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
        _show(lines)
        if all(line.passes for line in lines):
            return 0
        if attempt < ATTEMPTS:
            print("beyond a bound; one more run to see whether it stays so", file=sys.stderr)
    print("a change made it worse than the bounds allow; if it is worth it, record a new baseline and say why")
    return 1


def _show(lines: tuple[Line, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("figure", "baseline", "now", "ratio", "allowed", ""):
        table.add_column(name, justify="left" if name in ("figure", "") else "right", no_wrap=True)
    for line in lines:
        allowed = f"{'>=' if line.bound < 1 else '<='} {line.bound:.2f}"
        verdict = "not judged: other number of cores" if not line.judged else "ok" if line.passes else "TOO FAR"
        label = f"{line.figure} ({line.unit})" if line.unit else line.figure
        table.add_row(label, f"{line.baseline:.4g}", f"{line.now:.4g}", f"{line.ratio:.2f}", allowed, verdict)
    Console(highlight=False, markup=False, width=120).print(table)


if __name__ == "__main__":
    raise SystemExit(main())

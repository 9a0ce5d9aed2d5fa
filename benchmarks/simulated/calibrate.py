"""`python -m benchmarks.simulated.calibrate RESULT.json... --output COSTS.json`: make a calibration."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from benchmarks.simulated.calibration import calibrate, describe, load_result
from benchmarks.simulated.costs import write_costs

SYNCS: Final = 50
_BLOCK: Final = bytes(4_096)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulated.calibrate", description=__doc__)
    parser.add_argument("results", nargs="+", type=Path, help="real results of one machine and workload")
    parser.add_argument("--output", type=Path, required=True, help="the file of costs")
    parser.add_argument(
        "--sync-us", type=float, help="what a synced write takes; measured in the output's directory when not given"
    )
    asked = parser.parse_args(arguments)
    try:
        results = [load_result(path) for path in asked.results]
        sync_us = measure_sync_us(asked.output.resolve().parent) if asked.sync_us is None else asked.sync_us
        source = f"{asked.results[0].name}: {describe(results[0], len(results) - 1)}"
        costs = calibrate(*results, source=source, sync_us=sync_us)
    except BenchError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    write_costs(costs, asked.output)
    print(msgspec.json.format(msgspec.json.encode(costs), indent=1).decode())
    return 0


def measure_sync_us(directory: Path) -> float:
    """Return what a small synced append takes in `directory`: the median of some."""
    took: list[float] = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(_BLOCK)
            file.flush()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - began) * 1e6)
    return statistics.median(took)


if __name__ == "__main__":
    sys.exit(main())

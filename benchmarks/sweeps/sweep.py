"""Run what a sweep still lacks, and tell what became of every cell."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.sweeps.fanout import Fanout
from benchmarks.sweeps.job import RUNNER, Job, Outcome
from benchmarks.sweeps.specification import Cell
from benchmarks.sweeps.store import Row, Store

TABLE: Final = "sweep.csv"
FIGURES: Final = (
    "transactions_per_s",
    "operations_per_s",
    "payloads_per_s",
    "utilization",
    "p50_us",
    "p99_us",
)


def may_run_side_by_side(cells: Iterable[Cell]) -> bool:
    """Whether runs of one machine leave each other's figures alone: only those in virtual time do."""
    return all(cell.configuration.kind == "simulated" for cell in cells)


def run_sweep(
    cells: tuple[Cell, ...],
    store: Store,
    fanout: Fanout,
    *,
    retry_failed: bool = False,
    runner: str = RUNNER,
    progress: Callable[[Row, int, int], None] = lambda *_: None,
) -> tuple[Row, ...]:
    """Run the cells that have no outcome yet and return all of them in order; also write `sweep.csv`.

    `progress` gets each row as it is known, and how many of how many are. With `retry_failed`, cells that failed or
    do not count run again. Raises BenchError (`sweep.foreign`).
    """
    rows: dict[str, Row] = {}
    waiting: dict[str, Cell] = {}
    for cell in cells:
        row = store.row(cell)
        if row.state == "open" or (retry_failed and row.state != "done"):
            store.forget(cell)
            waiting[cell.name] = cell
        else:
            rows[cell.name] = row
            progress(row, len(rows), len(cells))
    for cell in waiting.values():
        fanout.submit(Job(cell.name, cell.configuration, str(store.working_directory(cell).resolve()), runner))
    for outcome in fanout.outcomes():
        row = keep(store, waiting[outcome.name], outcome)
        rows[outcome.name] = row
        progress(row, len(rows), len(cells))
    every = tuple(rows.get(cell.name, Row(cell)) for cell in cells)
    write_table(every, store.directory / TABLE)
    return every


def keep(store: Store, cell: Cell, outcome: Outcome) -> Row:
    """Store what became of a cell; a result that is not this cell's is a failure."""
    try:
        return store.keep(cell, outcome)
    except BenchError as error:  # the runner gave something that is not this cell's result
        store.forget(cell)
        return store.keep(cell, Outcome(cell.name, None, error.code, error.message))


def figures(row: Row) -> dict[str, float]:
    """The figures of a row in `FIGURES`; empty without a result."""
    if row.result is None:
        return {}
    throughput, latency = row.result.throughput, row.result.end_to_end
    return dict(
        zip(
            FIGURES,
            (
                throughput.transactions_per_s,
                throughput.operations_per_s,
                throughput.payloads_per_s,
                throughput.utilization,
                latency.p50,
                latency.p99,
            ),
            strict=True,
        )
    )


def write_table(rows: tuple[Row, ...], path: Path) -> None:
    """Write one line a cell, those that failed with their reason and without figures."""
    names = list(dict.fromkeys(name for row in rows for name in row.cell.parameters))
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["cell", "kind", *names, "seed", "repetition", "state", *FIGURES, "reason"])
        for row in rows:
            cell, found = row.cell, figures(row)
            table.writerow(
                [
                    cell.name,
                    cell.configuration.kind,
                    *(cell.parameters.get(name, "") for name in names),
                    cell.configuration.seed,
                    cell.repetition,
                    row.state,
                    *(found.get(name, "") for name in FIGURES),
                    row.reason,
                ]
            )

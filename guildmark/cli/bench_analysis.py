"""`guildmark bench sweep`, `plot`, `compare`, `reproduce`: many runs and what they say. Guide: docs/benchmarking.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from guildmark.cli.output import encode, note

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.sweeps.fanout import Fanout
    from benchmarks.sweeps.specification import Cell
    from benchmarks.sweeps.store import Row

FAILED: Final = 1
"""Exit code when a run failed or does not count, a figure does not agree, or nothing can be shown."""
DIRECTORY: Final = click.Path(path_type=Path, file_okay=False)
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
ANY: Final = click.Path(path_type=Path, exists=True)


@click.command()
@click.argument("specification", type=FILE)
@click.option("--out", type=DIRECTORY, help="Where results go and come from; the file's name without .toml by default.")
@click.option("--workers", type=click.IntRange(1), help="Runs at one time; 1 by default.")
@click.option("--ray", metavar="ADDRESS", help="Run on the machines of a Ray cluster; 'local' makes one here.")
@click.option("--retry-failed", is_flag=True, help="Run what failed or does not count again.")
@click.option("--side-by-side", is_flag=True, help="Let real runs share a machine although they disturb each other.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def sweep(**options: Any) -> int:
    """Run every combination of the listed parameters; what is done already is not done again.

    Exit code 1 means that a run failed or does not count; the table says why.
    """
    from benchmarks.errors import BenchError
    from benchmarks.sweeps import specification as file
    from benchmarks.sweeps.store import Store
    from benchmarks.sweeps.sweep import may_run_side_by_side, run_sweep

    cells = file.cells(file.read_specification(options["specification"]))
    share = may_run_side_by_side(cells) or options["side_by_side"]
    if (options["workers"] or 1) > 1 and not share and not options["ray"]:
        raise BenchError(
            "sweep.side_by_side",
            "real runs on one machine disturb each other: leave --workers out, or accept it with --side-by-side",
        )
    store = Store(options["out"] or options["specification"].with_suffix(""))
    with _fanout(options, share=share) as fanout:
        rows = run_sweep(cells, store, fanout, retry_failed=options["retry_failed"], progress=_tell_row)
    if options["json"]:
        click.echo(encode([_row_document(row) for row in rows]))
    else:
        _print(_sweep_table(rows))
        note(f"results: {store.directory}")
    return 0 if all(row.state == "done" for row in rows) else FAILED


def _fanout(options: dict[str, Any], *, share: bool) -> Any:
    """A fan-out as a context, so that it stops what runs when it is left."""
    from contextlib import closing

    made: Fanout
    if options["ray"]:
        from benchmarks.sweeps.ray_fanout import RayFanout

        made = RayFanout(options["ray"], share=share, workers=options["workers"])
    else:
        from benchmarks.sweeps.fanout import LocalFanout

        made = LocalFanout(options["workers"] or 1)
    return closing(made)


def _tell_row(row: Row, done: int, total: int) -> None:
    note(f"{done} of {total}  {row.cell.name}  {row.state}{': ' if row.reason else ''}{row.reason}")


def _row_document(row: Row) -> dict[str, Any]:
    from benchmarks.sweeps.sweep import figures

    cell: Cell = row.cell
    return {
        "cell": cell.name,
        "parameters": cell.parameters,
        "seed": cell.configuration.seed,
        "repetition": cell.repetition,
        "state": row.state,
        "reason": row.reason,
        **figures(row),
    }


def _sweep_table(rows: tuple[Row, ...]) -> Table:
    from rich.table import Table

    names = list(dict.fromkeys(name for row in rows for name in row.cell.parameters))
    shown = Table(box=None, pad_edge=False)
    for name in [*names, "seed", "run"]:
        shown.add_column(name.rsplit(".", 1)[-1])
    for name in ("tx/s", "utilization", "p50 ms", "p99 ms"):
        shown.add_column(name, justify="right")
    shown.add_column("state", overflow="fold")
    for row in rows:
        found = ["", "", "", ""]
        if row.result is not None:
            throughput, latency = row.result.throughput, row.result.end_to_end
            found = [
                f"{throughput.transactions_per_s:,.0f}",
                f"{throughput.utilization:.3f}",
                f"{latency.p50 / 1_000:.1f}",
                f"{latency.p99 / 1_000:.1f}",
            ]
        what = [str(row.cell.parameters.get(name, "")) for name in names]
        state = f"{row.state}: {row.reason}" if row.reason else row.state
        shown.add_row(*what, str(row.cell.configuration.seed), str(row.cell.repetition), *found, state)
    return shown


def _print(table: Table) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=160)
    console.print(table)


ANALYSIS_COMMANDS: Final[tuple[click.Command, ...]] = (sweep,)
"""What the group `bench` adds to its own."""

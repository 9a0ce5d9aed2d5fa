"""`guildmark bench sweep`, `plot`, `compare`, `reproduce`: many runs and what they say. Guide: docs/benchmarking.md."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from guildmark.cli.numbers import Whole
from guildmark.cli.output import encode, note, plain
from guildmark.errors import InvalidArgument

if TYPE_CHECKING:
    from rich.table import Table

    from benchmarks.comparison.comparing import Comparison
    from benchmarks.reproduction.reproducing import Reproduction
    from benchmarks.sweeps.fanout import Fanout
    from benchmarks.sweeps.specification import Cell
    from benchmarks.sweeps.store import Row

FAILED: Final = 1
"""Exit code when a run failed or does not count, a figure does not agree, or nothing can be shown."""
DIRECTORY: Final = click.Path(path_type=Path, file_okay=False)
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
ANY: Final = click.Path(path_type=Path, exists=True)


RUNNING: Final = ("hdrh", "numpy", "polars")
"""What a run needs that plain installations do not have."""


def _need(*packages: str) -> None:
    """Raises InvalidArgument (`bench.extra`)."""
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise InvalidArgument("bench.extra", f"{', '.join(missing)} not installed: pip install 'guildmark[bench]'")


@click.command()
@click.argument("specification", type=FILE)
@click.option("--out", type=DIRECTORY, help="Where results go and come from; the file's name without .toml by default.")
@click.option("--workers", type=Whole(1), help="Runs at one time; 1 by default.")
@click.option("--ray", metavar="ADDRESS", help="Run on the machines of a Ray cluster; 'local' makes one here.")
@click.option("--retry-failed", is_flag=True, help="Run what failed or does not count again.")
@click.option("--side-by-side", is_flag=True, help="Let real runs share a machine although they disturb each other.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def sweep(**options: Any) -> int:
    """Run every combination of the listed parameters; what is done already is not done again.

    Exit code 1 means that a run failed or does not count; the table says why.
    """
    _need(*RUNNING)
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


@click.command()
@click.argument("results", type=ANY, nargs=-1, required=True)
@click.option("--out", type=DIRECTORY, required=True, help="Where the pictures go.")
@click.option("--validate", is_flag=True, help="Simulated against real results, at n = 4 and 7, with the error.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def plot(**options: Any) -> int:
    """Draw results, from files or directories, as PNG, PDF and SVG, each with its numbers as CSV.

    Latency over throughput, its distribution, both over time, and over the number of validators: whatever the results
    have the data for. Real and simulated results are drawn apart.
    """
    _need("hdrh", "matplotlib")
    from benchmarks.plots.plotting import plot

    drawn = plot(options["results"], options["out"], validate=options["validate"])
    for text in drawn.notes:
        note(text)
    if options["json"]:
        click.echo(encode({"files": [str(path) for path in drawn.files], "notes": drawn.notes}))
    else:
        for path in drawn.files:
            if path.suffix == ".png":
                click.echo(f"{path.with_suffix('')}.{{png,pdf,svg,csv}}")
    return 0


@click.command()
@click.argument("a", type=ANY)
@click.argument("b", type=ANY)
@click.option("--runs", type=Whole(1), default=10, show_default=True, help="Of each side; 5 at least.")
@click.option("--out", type=DIRECTORY, help="Where runs go and come from; ./A-against-B by default.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the resampling.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def compare(**options: Any) -> int:
    """Tell whether B differs from A: two TOML files, or two directories of results.

    A file has the fields of a configuration, and may name another checkout or interpreter in [program]. Runs take
    turns, A, B, A, B; what was run before in --out is not run again. "No difference" is the answer unless the runs show
    one beyond what A differs from itself by. Exit code 0 either way.
    """
    _need(*RUNNING)
    from benchmarks.comparison import comparing
    from benchmarks.errors import BenchError

    a, b = options["a"], options["b"]
    if a.is_dir() and b.is_dir():
        sides = [comparing.read_side(a), comparing.read_side(b)]
    elif a.is_file() and b.is_file():
        directory = options["out"] or Path(f"{a.stem}-against-{b.stem}")
        variants = [comparing.read_variant(a), comparing.read_variant(b)]
        sides = comparing.run_sides(variants, options["runs"], directory, note)
    else:
        raise BenchError("compare.sides", "compare two TOML files, or two directories of results")
    compared = comparing.compare(*sides, seed=options["seed"])
    for text in compared.warnings:
        note(text)
    if options["json"]:
        click.echo(encode(_comparison_document(compared)))
        return 0
    click.echo(f"A: {sides[0].name}, {len(sides[0].results)} runs    B: {sides[1].name}, {len(sides[1].results)} runs")
    _print(_comparison_table(compared))
    return 0


def _comparison_document(compared: Comparison) -> dict[str, Any]:
    lines = [
        {**{name: getattr(line, name) for name in ("figure", "unit", "better", "a", "b")}, **plain(line.verdict)}
        for line in compared.lines
    ]
    runs = {side: len(getattr(compared, side).results) for side in ("a", "b")}
    return {"runs": runs, "different": compared.different, "figures": lines, "warnings": compared.warnings}


def _comparison_table(compared: Comparison) -> Table:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for name in ("figure (median over runs)", "A", "B", "B/A", "95 % interval", "A/A noise", "verdict"):
        shown.add_column(name, justify="left" if name in ("figure (median over runs)", "verdict") else "right")
    for line in compared.lines:
        verdict = line.verdict
        shown.add_row(
            _with_unit(line.figure, line.unit),
            f"{line.a:,.5g}",
            f"{line.b:,.5g}",
            f"{verdict.ratio:.3f}",
            f"{verdict.low:.3f} to {verdict.high:.3f}",
            f"{verdict.floor:.3f}",
            verdict.text,
        )
    return shown


def _with_unit(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label


@click.command()
@click.argument("results", type=ANY)
@click.option("--out", type=DIRECTORY, help="Where raw events of the new runs go; nowhere by default.")
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def reproduce(**options: Any) -> int:
    """Run the results in a directory (or one file) again, with configuration and seed, and say what agrees.

    Judged are ratios that hold on any machine, within stated tolerances; times are shown beside. Exit code 1 means that
    a figure does not agree or that the new run does not count.
    """
    _need(*RUNNING)
    import tempfile

    from benchmarks.reproduction.reproducing import reproduce
    from benchmarks.results.reading import read_all
    from benchmarks.results.schema import write
    from benchmarks.running import run

    found = []
    for stored in read_all([options["results"]]):
        with tempfile.TemporaryDirectory(prefix="guildmark-bench-") as place:
            directory = options["out"] / stored.path.stem if options["out"] else Path(place)
            made = reproduce(stored, directory, note, run)
        if options["out"]:
            options["out"].mkdir(parents=True, exist_ok=True)
            (options["out"] / f"{stored.path.stem}.json").write_bytes(write(made.result))
        found.append(made)
        if not options["json"]:
            _show_reproduction(made)
    if options["json"]:
        click.echo(encode([_reproduction_document(made) for made in found]))
    return 0 if all(made.agrees for made in found) else FAILED


def _reproduction_document(made: Reproduction) -> dict[str, Any]:
    return {
        "source": str(made.source),
        "agrees": made.agrees,
        "figures": [{**plain(line), "ratio": line.ratio, "agrees": line.agrees} for line in made.lines],
        "machine": [{"fact": name, "then": then, "now": now} for name, then, now in made.machine],
        "errors": made.errors,
    }


def _show_reproduction(made: Reproduction) -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False)
    for name in ("figure", "then", "now", "ratio", "tolerance", ""):
        shown.add_column(name, justify="left" if name in ("figure", "") else "right")
    for line in made.lines:
        tolerance = "" if line.tolerance is None else f"{line.tolerance:.0%}".replace("%", " %")
        verdict = {True: "agrees", False: "DOES NOT AGREE", None: "shown only"}[line.agrees]
        values = f"{line.then:,.5g}", f"{line.now:,.5g}", f"{line.ratio:.3f}"
        shown.add_row(_with_unit(line.figure, line.unit), *values, tolerance, verdict)
    click.echo(str(made.source))
    _print(shown)
    for name, then, now in made.machine:
        click.echo(f"differs: {name}: {then} then, {now} now")
    for error in made.errors:
        click.echo(f"the new run does not count: {error}")


ANALYSIS_COMMANDS: Final[tuple[click.Command, ...]] = (sweep, plot, compare, reproduce)
"""What the group `bench` adds to its own."""

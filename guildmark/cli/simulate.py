"""`guildmark simulate`: whole networks in virtual time under faults and liars, and Twins. Guide: docs/simulation.md."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from guildmark.cli.numbers import Whole
from guildmark.cli.output import encode, note
from guildmark.errors import InvalidArgument

if TYPE_CHECKING:
    from simulation.campaign import Summary, Violation
    from simulation.hostile import Options

REPLICAS_MAX: Final = 128
SEED_DIGITS_MAX: Final = 100
VIOLATED: Final = 1
"""Exit code when a law was broken."""


class SeedRange(click.ParamType):  # type: ignore[type-arg]  # generic in newer stubs only
    """`A:B`, seeds from A up to and without B, or one seed."""

    name = "A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        if isinstance(value, range):
            return value
        first, colon, end = str(value).partition(":")
        try:
            seeds = range(int(first), int(end) if colon else int(first) + 1)
        except ValueError:
            self.fail(f"{value!r} is not A:B", param, ctx)
        if not seeds or seeds.start < 0:
            self.fail("A:B are seeds from A up to and without B, A at least 0", param, ctx)
        return seeds


@click.command()
@click.option(
    "--replicas",
    type=Whole(1, REPLICAS_MAX),
    multiple=True,
    default=(4,),
    show_default=True,
    help="Validators; may be repeated, then every seed runs at every size.",
)
@click.option("--seeds", type=SeedRange(), default="0:100", show_default=True, help="From A up to and without B.")
@click.option(
    "--profile",
    type=click.Choice(["hostile", "lan", "wan"]),
    default="hostile",
    show_default=True,
    help="hostile: every fault and liars; lan, wan: measured links, crashes and splits.",
)
@click.option("--twins", metavar="PLAN", help="exhaustive:3, sampled:5:50000 or a file: validators that run twice.")
@click.option("--replay", metavar="SEED|FILE", help="Run one seed, or the plan of a failure, and print its trace.")
@click.option("--real-signatures", is_flag=True, help="Ed25519 instead of a stand-in; slower.")
@click.option("--no-liars", is_flag=True, help="No Byzantine members.")
@click.option("--workers", type=Whole(1), help="Processes; all cores by default.")
@click.option("--state", type=click.Path(path_type=Path, dir_okay=False), help="Note what is done here, and go on.")
@click.option(
    "--failures",
    type=click.Path(path_type=Path, file_okay=False),
    default="simulation-failures",
    show_default=True,
    help="Where the shortest plan of a seed that broke a law is kept.",
)
@click.option("--json", "json", is_flag=True, help="Print one JSON object.")
def simulate(**options: Any) -> int:
    """Search for a run in which validators break a law of consensus.

    Each seed is one whole network of production nodes in virtual time. Safety is checked after every event; then the
    faults stop, and progress is demanded. Exit code 1 means that a law was broken: the seed repeats it, byte for byte.
    """
    twins, replayed = options["twins"] is not None, options["replay"] is not None
    if twins and replayed:
        raise click.UsageError("--twins and --replay exclude each other")
    if options["state"] is not None and not replayed:
        _refuse_unwritable(options["state"])
    try:
        if twins:
            return _twins(options)
        return _replay(options) if replayed else _campaign(options)
    except KeyboardInterrupt:
        if options["state"] is not None and not replayed:
            note(f"What was done is in {options['state']}; the same command goes on from there.")
        raise


def _refuse_unwritable(path: Path) -> None:
    """An hour's work shall not fail at its first line."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise click.UsageError(f"--state: {path}: {error.strerror}") from error


def _given(*names: str) -> list[str]:
    """Return those options that are on the command line."""
    source = get_current_context().get_parameter_source
    return [f"--{name.replace('_', '-')}" for name in names if source(name) is ParameterSource.COMMANDLINE]


def _say_ignored(what: str, *names: str) -> None:
    ignored = _given(*names)
    if ignored:
        note(f"{', '.join(ignored)}: without effect with {what}")


def _run_options(options: dict[str, Any]) -> Options:
    from simulation.hostile import Options

    return Options(
        profile=options["profile"],
        signatures="real" if options["real_signatures"] else "stub",
        byzantine=not options["no_liars"],
    )


def _campaign(options: dict[str, Any]) -> int:
    from simulation.campaign import CampaignMismatch, run_campaign

    try:
        with seed_bar("seeds", quiet=options["json"]) as progress:
            summary = run_campaign(
                options["replicas"],
                options["seeds"],
                _run_options(options),
                workers=options["workers"],
                state=options["state"],
                progress=progress,
            )
    except CampaignMismatch as error:
        raise InvalidArgument("simulate.state", str(error)) from error
    _show(summary, options["json"])
    for failure in summary.failures:
        _report(failure, options)
    return VIOLATED if summary.violations else 0


def _show(summary: Summary, json: bool) -> None:
    if json:
        click.echo(encode(summary))
        return
    click.echo(
        f"{summary.seeds} seeds at n = {', '.join(map(str, summary.replicas))}: {summary.violations} violations\n"
        f"  {summary.decided} sequences, {summary.committed} transactions in {summary.simulated_seconds:.0f} s of "
        f"virtual time; {summary.messages} messages\n"
        f"  {summary.faults} faults, {summary.byzantine_members} liars, {summary.view_changes} view changes\n"
        f"  {summary.seeds_per_second} seeds/s"
    )


def _report(failure: Violation, options: dict[str, Any]) -> None:
    """Keep the plan and say where; what cannot be kept is printed."""
    path = options["failures"] / f"n{failure.n}-seed{failure.seed}.json"
    note(f"seed {failure.seed} at n = {failure.n} broke a law: {failure.law}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(encode(failure.plan) + "\n", encoding="utf-8")
    except OSError as error:
        note(f"  its shortest plan cannot be kept in {path} ({error.strerror}): {encode(failure.plan)}")
    else:
        signatures = " --real-signatures" if options["real_signatures"] else ""
        note(f"  its shortest plan has {failure.faults} faults in {len(failure.plan.rounds)} rounds: {path}")
        note(f"  repeat it with: guildmark simulate --replay {path}{signatures}")
    if not options["json"]:
        for line in failure.trace:
            note(f"    {line}")


def _replay(options: dict[str, Any]) -> int:
    import msgspec

    from simulation.campaign import describe
    from simulation.faults import PlanError, read_plan
    from simulation.hostile import Run

    run_options, what = _run_options(options), str(options["replay"])
    _say_ignored("--replay", "seeds", "workers", "state", "failures")
    if what.isdecimal() and what.isascii() and len(what) <= SEED_DIGITS_MAX:
        if len(set(options["replicas"])) > 1:
            raise click.UsageError("--replay of a seed runs at one size: name one --replicas")
        run = Run(int(what), options["replicas"][0], run_options)
    else:
        try:
            plan = read_plan(Path(what).read_bytes())
        except PlanError as error:
            raise InvalidArgument("simulate.plan", f"{what} is no plan of a run: {error}") from error
        except OSError as error:
            raise InvalidArgument(
                "simulate.plan", f"{what!r} is neither a seed nor a readable plan of a run ({error.strerror})"
            ) from error
        _say_ignored("the plan of a run, which says its own", "replicas", "profile", "no_liars")
        run = Run(plan.seed, plan.n, msgspec.structs.replace(run_options, profile=plan.profile), plan=plan)
    try:
        result = run.finish()
    except Exception as error:  # whatever the run found is what was asked for
        law, result = describe(error), None
    trace = run.cluster.world.trace
    if options["json"]:
        click.echo(
            encode(
                {"result": result, "violation": None if result else law, "trace": trace.digest(), "plan": run.plan()}
            )
        )
    else:
        click.echo("\n".join(trace.lines))
        click.echo(f"trace {trace.digest()}")
        click.echo(f"broke a law: {law}" if result is None else f"{result.height} sequences, no violation")
    return 0 if result is not None else VIOLATED


def _twins(options: dict[str, Any]) -> int:
    from simulation import twins

    _say_ignored("--twins", "seeds", "profile", "real_signatures", "no_liars", "failures")
    sizes = set(options["replicas"])
    if len(sizes) > 1:
        raise click.UsageError("--twins plays at one size: name one --replicas")
    try:
        plan = twins.read_plan(options["twins"], *sizes)
        if _given("replicas") and getattr(plan, "replicas", None) not in sizes:
            raise click.UsageError(f"--replicas: {options['twins']} says how many validators its schedules have")
        with seed_bar("schedules", quiet=options["json"]) as progress:
            result = twins.run(
                plan, workers=options["workers"] or os.cpu_count() or 1, progress=progress, state=options["state"]
            )
    except twins.ScenarioError as error:
        raise InvalidArgument("simulate.twins", str(error)) from error
    document = result.document()
    if options["json"]:
        click.echo(encode(document))
    else:
        violations = document.pop("violations")
        click.echo("\n".join(f"{name}: {value}" for name, value in document.items()))
        for violation in result.violations:
            click.echo(f"schedule {violation.number}: {violation.violation}")
            click.echo(encode(violation.document()["minimal"]))
            for line in violation.trace:
                click.echo(f"    {line}")
        click.echo(f"{len(result.violations)} violations" if violations else "no violations")
    return VIOLATED if result.violations else 0


@contextmanager
def seed_bar(unit: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on standard error; none where that is no terminal or `quiet`."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(unit, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)

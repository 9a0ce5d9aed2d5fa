"""`guildmark model evaluate`: measure a registered model on a registered data set, and compare with its claim."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from guildmark.cli.numbers import PPM, Whole
from guildmark.cli.output import emit, note, progress
from guildmark.cli.session import Session, with_session
from guildmark.cli.things import split_version

if TYPE_CHECKING:
    from guildmark.models.reevaluation import Reevaluation

PROGRESS_S: Final = 2.0
"""Between two lines of progress where standard error is no terminal."""
MEASURES: Final = ("network", "processes", "files", "memory", "disk")
"""What can be kept from the child beyond its limits; the system may not permit each."""


def writable(_context: click.Context, _parameter: click.Parameter, path: Path | None) -> Path | None:
    """See that a file can be made where the option says, so that a measurement of hours does not end without it."""
    if path is not None and not path.exists():
        folder = path.absolute().parent
        if not folder.is_dir():
            raise click.BadParameter(f"there is no directory {folder}")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise click.BadParameter(f"no file can be made in {folder}")
    return path


@click.command("evaluate")
@click.argument("asset", required=False, metavar="ASSET[:VERSION]")
@click.option("--dataset", metavar="ASSET[:VERSION]", help="A registered data set; its latest version by default.")
@click.option("--metric", default="accuracy", show_default=True, help="--explain lists them.")
@click.option("--model-copy", type=click.Path(path_type=Path, exists=True), help="A local copy of the model's file.")
@click.option("--dataset-copy", type=click.Path(path_type=Path, exists=True), help="A local copy of the data set.")
@click.option("--spread", type=PPM, default=0, help="Without a claim: ppm that others may differ.")
@click.option("--time-limit", type=Whole(1, 604_800, "seconds"), default=600, show_default=True, help="Seconds.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False, writable=True),
    callback=writable,
    help="Write the report to this file.",
)
@click.option(
    "--anonymous", is_flag=True, help="Do not sign requests for the bytes: for public assets and local copies."
)
@click.option("--submit", is_flag=True, help="State the value on the network, as an accredited evaluator.")
@click.option("--explain", is_flag=True, help="Say by what program and in what environment, and evaluate nothing.")
@with_session(nodes=True, account=True)
def evaluate(session: Session, asset: str | None, dataset: str | None, **options: Any) -> int:
    """Measure the model ASSET on a data set, in a confined child process, and compare with its owner's claim.

    VERSION is a number or an alias. Ends with 0 when the claim is reproduced or there is none, and with 1 when it is
    contradicted, or when the run cannot state a value: then nothing is submitted.
    """
    if options["explain"]:
        emit(explanation(), json=session.json)
        return 0
    if asset is None or dataset is None:
        raise click.UsageError("name the model, and its data set with --dataset")
    from guildmark.models.reevaluation import state

    found = _evaluate(session, asset, dataset, options)
    shown = summary(found)
    if options["report"] is not None:
        shown["report"] = keep_report(found, options["report"])
    if options["submit"] and found.verdict != "undecided":
        with session.client(acting=True) as client:
            shown["statement"] = state(client, found, shown.get("report"))
    emit(shown, json=session.json)
    found.check_stated()
    return int(found.verdict == "contradicted")


def _evaluate(session: Session, asset: str, dataset: str, options: dict[str, Any]) -> Reevaluation:
    import msgspec

    from guildmark.models.evaluate import EVALUATION_LIMITS
    from guildmark.models.reevaluation import reevaluate, require_accredited

    (model, version), (data, dataset_version) = split_version(asset), split_version(dataset)
    seconds = options["time_limit"]
    limits = msgspec.structs.replace(EVALUATION_LIMITS, wall_ms=seconds * 1_000, cpu_seconds=2 * seconds)
    with (
        tempfile.TemporaryDirectory(prefix="guildmark-evaluation-") as directory,
        session.client(acting=options["submit"] or not options["anonymous"]) as client,
        progress("downloading", quiet=session.json) as bytes_bar,
        samples_progress(quiet=session.json) as on_samples,
    ):
        if options["submit"]:
            require_accredited(client)
        return reevaluate(
            client,
            model,
            data,
            options["metric"],
            directory=Path(directory),
            version=version,
            dataset_version=dataset_version,
            model_copy=options["model_copy"],
            dataset_copy=options["dataset_copy"],
            spread_max_ppm=options["spread"],
            limits=limits,
            on_bytes=bytes_bar,
            on_samples=on_samples,
        )


def warn_unmeasurable(path: Path, claimed: Iterable[str]) -> None:
    """Say of a `.keras` file that is about to be registered that no evaluator will measure it; it is registered all
    the same."""
    if path.suffix == ".keras" and path.is_file():
        from guildmark.models.foresight import why_not_measured

        why = why_not_measured(path, claimed)
        if why is not None:
            note(f"warning: `guildmark model evaluate` refuses this model, so nobody can reproduce a claim: {why}")


def keep_report(found: Reevaluation, path: Path) -> str:
    """Write the report, and return its CID, which a statement names."""
    from guildmark.models.reevaluation import report_cid

    report = found.report()
    path.write_bytes(report)
    return report_cid(report)


def summary(found: Reevaluation) -> dict[str, Any]:
    """What the command prints."""
    ran, claim = found.evaluation, found.claim
    missing = [name for name in MEASURES if name not in ran.isolation]
    return {
        "verdict": found.verdict,
        "metric": found.metric,
        "value_ppm": found.measured.value_ppm,
        "least_ppm": found.measured.least_ppm,
        "greatest_ppm": found.measured.greatest_ppm,
        "claimed_ppm": None if claim is None else claim.value_ppm,
        "tolerance_ppm": None if claim is None else claim.tolerance_ppm,
        "samples": ran.samples,
        "left_out": ran.left_out,
        "undecided": ran.undecided,
        "asset": found.model.asset,
        "version": found.model.version,
        "dataset": found.dataset.asset,
        "dataset_version": found.dataset.version,
        "code": found.code,
        "environment": found.environment_digest,
        "isolation": list(ran.isolation),
        "not_isolated": missing,
    }


def explanation() -> dict[str, Any]:
    """What the two digests stand for, here and now."""
    from guildmark.models.evaluate import Settings
    from guildmark.models.metrics import METRICS
    from guildmark.models.program import code_digest, environment, environment_digest, sources

    facts = environment(Settings())
    return {
        "metrics": list(METRICS),
        "code": code_digest(),
        "sources": {name: digest.hex() for name, digest in sources()},
        "environment": environment_digest(facts),
        "environment_facts": facts,
    }


@contextmanager
def samples_progress(*, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Lines on standard error while samples are measured: how many are done, and how many a second."""
    if quiet:
        yield None
        return
    first: tuple[float, int] | None = None
    told = time.monotonic()

    def on_samples(done: int, total: int) -> None:
        nonlocal first, told
        now = time.monotonic()
        if first is None:  # before it, TensorFlow was imported and the model built
            first, told = (now, done), now
        elif now - told >= PROGRESS_S:
            told = now
            note(f"{done} of {total} samples, {(done - first[1]) / (now - first[0]):.1f} a second")

    note("fetching model and data set, then measuring in a confined child process ...")
    yield on_samples

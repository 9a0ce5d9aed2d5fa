"""The options that say how a version came about, and what it claims."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.numbers import millionths
from guildmark.cli.session import pairs
from guildmark.cli.things import read_version

if TYPE_CHECKING:
    from ledger.modules.assets.operations import Metric, Provenance

RIGHTS = ("train-on", "fine-tune", "distill-merge")
TENSORS_DIGEST = click.option("--tensors-digest", help="64 hex digits; for models that are no .keras files.")


def provenance_options(function: Any) -> Any:
    """The options that say how a version came about."""
    for option in reversed(
        [
            click.option(
                "--derived-from",
                "parents",
                multiple=True,
                metavar="ASSET:RIGHT[:GRANT]",
                help=f"A parent and by what right ({', '.join(RIGHTS)}); the grant unless the parent is your own.",
            ),
            click.option("--hyperparameter", "hyperparameters", multiple=True, metavar="NAME=VALUE"),
            click.option("--preprocessing", multiple=True, metavar="STEP", help="In order; may be repeated."),
            click.option("--metric", "metrics", multiple=True, metavar="NAME=NUMBER", help="Kept in millionths."),
            click.option(
                "--measured-on",
                metavar="ASSET:VERSION",
                help="The registered data set on which the metrics were measured: others can measure them again.",
            ),
            click.option(
                "--tolerance",
                metavar="NUMBER",
                help="By how much another's value may differ and still reproduce a metric: 0 to 0.1, in millionths.",
            ),
            click.option("--code-version", default="", help="Of the code that made it."),
        ]
    ):
        function = option(function)
    return function


def read_provenance(
    parents: tuple[str, ...],
    hyperparameters: tuple[str, ...],
    preprocessing: tuple[str, ...],
    metrics: tuple[str, ...],
    measured_on: str | None,
    tolerance: str | None,
    code_version: str,
) -> Provenance:
    """Turn the options into provenance. Raises a usage error."""
    from guildmark.assets import asset_bytes
    from ledger.modules.assets.operations import Derivation, Provenance

    derivations = []
    for text in parents:
        parts = text.split(":")
        if len(parts) not in (2, 3) or parts[1] not in RIGHTS:
            raise click.UsageError(f"--derived-from: write ASSET:RIGHT[:GRANT], not {text!r}")
        grant = asset_bytes(parts[2]) if len(parts) == 3 else None
        derivations.append(Derivation(asset_bytes(parts[0]), parts[1], grant))  # type: ignore[arg-type]  # checked above
    return Provenance(
        derivations=tuple(derivations),
        hyperparameters=tuple(sorted(pairs(hyperparameters, "--hyperparameter").items())),
        preprocessing=preprocessing,
        metrics=_claims(metrics, measured_on, tolerance),
        code_version=code_version,
    )


def _claims(metrics: tuple[str, ...], measured_on: str | None, tolerance: str | None) -> tuple[Metric, ...]:
    from guildmark.assets import asset_bytes
    from ledger.modules.assets.operations import TOLERANCE_PPM_MAX, Metric

    dataset: bytes | None = None
    version: int | None = None
    if measured_on is not None:
        asset, version = read_version("--measured-on", measured_on)
        dataset = asset_bytes(asset)
    around = 0 if tolerance is None else millionths("--tolerance", tolerance)
    if not 0 <= around <= TOLERANCE_PPM_MAX:
        raise click.UsageError(f"--tolerance is from 0 to {TOLERANCE_PPM_MAX / 1_000_000}")
    return tuple(
        Metric(name, millionths(f"--metric {name}", text), around, dataset, version)
        for name, text in pairs(metrics, "--metric").items()
    )


def read_digest(text: str | None) -> bytes | None:
    """Read a digest. Raises InvalidArgument."""
    from guildmark.assets import asset_bytes

    return None if text is None else asset_bytes(text)

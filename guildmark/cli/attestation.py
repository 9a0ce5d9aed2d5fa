"""`guildmark attestation`: what accredited accounts state of versions, what licensees think, what owners answer."""

from __future__ import annotations

from typing import Any

import rich_click as click

from guildmark.cli.evidence import read_evidence
from guildmark.cli.numbers import PPM, VERSION, Whole
from guildmark.cli.output import emit, emit_table
from guildmark.cli.pages import every
from guildmark.cli.session import Session, with_session
from guildmark.cli.things import read_version

METRICS = (
    "accuracy",
    "top5-accuracy",
    "precision-macro",
    "recall-macro",
    "f1-macro",
    "balanced-accuracy",
    "accuracy-gap",
    "mean-absolute-error",
)
_SUPERSEDES = click.option(
    "--supersedes", metavar="STATEMENT", help="The account's latest about the same, which is found by itself."
)
_UNTIL = click.option("--until-ms", type=Whole(1), help="Unix ms from which it counts no more.")
_REPORT: dict[str, Any] = {"metavar": "CID|FILE", "callback": read_evidence}


@click.group("attestation")
def attestation() -> None:
    """State what versions reach, audit and review them, and answer what others have stated."""


@attestation.command("evaluate")
@click.argument("asset")
@click.argument("version", type=VERSION)
@click.option("--metric", type=click.Choice(METRICS), required=True)
@click.option("--value-ppm", type=PPM, required=True, help="Parts per million.")
@click.option("--samples", type=Whole(1, 2**31), required=True, help="On which it was measured.")
@click.option("--dataset", metavar="ASSET:VERSION", required=True, help="The registered data set, and its version.")
@click.option("--code", metavar="DIGEST", required=True, help="Of the evaluating program: 64 hex digits.")
@click.option("--environment", metavar="DIGEST", required=True, help="Of interpreter, packages and settings.")
@click.option("--report", **_REPORT, help="A longer explanation: its CID, or the file.")
@_SUPERSEDES
@_UNTIL
@with_session(nodes=True, account=True)
def evaluate(session: Session, asset: str, version: int, **stated: Any) -> None:
    """State what VERSION of ASSET reaches; `guildmark model evaluate` measures it."""
    dataset, dataset_version = read_version("--dataset", stated.pop("dataset"))
    with session.client(acting=True) as client:
        metric, value_ppm = stated.pop("metric"), stated.pop("value_ppm")
        identifier = client.attestations.evaluate(
            asset, version, metric, value_ppm, dataset=dataset, dataset_version=dataset_version, **stated
        )
        _show(client.attestations.get(identifier), json=session.json)


@attestation.command("audit")
@click.argument("asset")
@click.argument("version", type=VERSION)
@click.option("--verdict", type=click.Choice(("passed", "failed", "conditional")), required=True)
@click.option("--report", required=True, **_REPORT, help="What was found: its CID, or the file.")
@_SUPERSEDES
@_UNTIL
@with_session(nodes=True, account=True)
def audit(session: Session, asset: str, version: int, verdict: Any, report: str, **stated: Any) -> None:
    """State what an audit of VERSION of ASSET came to."""
    with session.client(acting=True) as client:
        identifier = client.attestations.audit(asset, version, verdict, report, **stated)
        _show(client.attestations.get(identifier), json=session.json)


@attestation.command("review")
@click.argument("grant")
@click.option("--version", type=VERSION, required=True, help="That was used.")
@click.option("--rating-ppm", type=PPM, required=True, help="0 to 1000000.")
@click.option("--text", **_REPORT, help="The review: its CID, or the file.")
@_SUPERSEDES
@with_session(nodes=True, account=True)
def review(session: Session, grant: str, version: int, rating_ppm: int, **stated: Any) -> None:
    """Rate what the license GRANT was paid for. A later review replaces the earlier; the license stays."""
    with session.client(acting=True) as client:
        identifier = client.attestations.review(grant, version, rating_ppm, **stated)
        _show(client.attestations.get(identifier), json=session.json)


@attestation.command("answer")
@click.argument("statement")
@click.option("--text", required=True, **_REPORT, help="The answer: its CID, or the file.")
@with_session(nodes=True, account=True)
def answer(session: Session, statement: str, text: str) -> None:
    """Answer STATEMENT, which is about an asset of the acting account. Once; nothing is deleted."""
    with session.client(acting=True) as client:
        _show(client.attestations.answer(statement, text), json=session.json)


@attestation.command("show")
@click.argument("statement")
@with_session(nodes=True)
def show(session: Session, statement: str) -> None:
    """Show STATEMENT, whether it counts, and what was answered."""
    with session.client() as client:
        _show(client.attestations.get(statement), json=session.json)


@attestation.command("list")
@click.argument("asset", required=False)
@click.option("--version", type=VERSION, help="Of ASSET; the latest by default.")
@click.option("--by", "author", help="Of an account: gm1... or a key's name.")
@with_session(nodes=True, wallet=True)
def list_statements(session: Session, asset: str | None, version: int | None, author: str | None) -> None:
    """List what was stated about a version of ASSET, or by an account."""
    if (asset is None) == (author is None):
        raise click.UsageError("name an asset, or an account with --by")
    if asset is None and version is not None:
        raise click.UsageError("--version is one of an asset's: name the asset")
    with session.client() as client:
        who = None if author is None else session.resolve(author)
        found = every(
            lambda after: client.attestations.find(asset=asset, version=version, account=who, after=after), "statement"
        )
    columns = ("statement", "kind", "organization", "of", "version", "value", "counts")
    emit_table(
        found, columns, json=session.json, shown=lambda row: row | {"value": _value(row), "of": row["asset"][:16]}
    )


def _show(statement: dict[str, Any], *, json: bool) -> None:
    """Print a statement. People get what its kind has, and times as dates."""
    said = {name: value for name, value in statement.items() if value is not None}
    emit(statement if json else said, json=json, dates=True)


def _value(row: dict[str, Any]) -> str:
    if row["kind"] == "evaluation":
        return f"{row['metric']} {row['value_ppm']}"
    return str(row["verdict"] if row["kind"] == "audit" else row["rating_ppm"])

"""`guildmark status` and `guildmark query`: what nodes say."""

from __future__ import annotations

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, pairs, with_session


@click.command()
@click.option("--consensus", "engine", is_flag=True, help="Show the consensus engine instead.")
@with_session(nodes=True)
def status(session: Session, engine: bool) -> None:
    """Show the status of a node: height, view, peers, readiness."""
    with session.client() as client:
        emit(client.consensus() if engine else client.status(), json=session.json)


@click.command()
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--at-least", type=click.IntRange(min=0), help="Wait for this height.")
@with_session(nodes=True)
def query(session: Session, name: str, arguments: tuple[str, ...], at_least: int | None) -> None:
    """Ask the ledger a named query, such as `assets.get asset=...`. The answer names its height."""
    values = pairs(arguments, "query")
    if "at_least" in values:
        raise click.UsageError("write --at-least HEIGHT")
    with session.client() as client:
        emit(client.query_at(name, at_least=at_least, **values), json=session.json)

"""`guildmark transaction`: what became of a transaction."""

from __future__ import annotations

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session


@click.group()
def transaction() -> None:
    """See transactions."""


@transaction.command("show")
@click.argument("identifier")
@click.option("--wait", "wait_s", type=click.FloatRange(0, 600), default=0.0, help="Seconds to wait for its end.")
@with_session(nodes=True)
def show(session: Session, identifier: str, wait_s: float) -> None:
    """Show the state of a transaction. With --wait: ends with 6 when nobody has said in time what became of it."""
    with session.client() as client:
        outcome = client.wait(identifier, wait_s) if wait_s else client.transaction(identifier)
    emit(outcome, json=session.json)

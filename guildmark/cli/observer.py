"""`guildmark observer`: the nodes with which an organization follows the chain without voting."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from guildmark.cli.output import emit, emit_table
from guildmark.cli.session import Session, with_session


@click.group()
def observer() -> None:
    """Register, list and withdraw observers: nodes that follow the chain and do not vote."""


@observer.command("register")
@click.option(
    "--directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The node's data directory, whose keys exist.",
)
@click.option("--address", default="", metavar="HOST:PORT", help="How other nodes reach it; none when it only dials.")
@with_session(nodes=True, account=True)
def register(session: Session, directory: Path, address: str) -> None:
    """Let a node of the account's organization connect to the network; again, to change its address.

    The account speaks for the organization: one of the genesis, or of the organization's founding.
    """
    with session.client(acting=True) as client:
        emit(client.observers.register(directory, address), json=session.json)


@observer.command("withdraw")
@click.argument("node_id")
@with_session(nodes=True, account=True)
def withdraw(session: Session, node_id: str) -> None:
    """Let an observer of the account's organization connect no more."""
    with session.client(acting=True) as client:
        emit(client.observers.withdraw(node_id), json=session.json)


@observer.command("list")
@click.option("--organization", default="", metavar="ID", help="Those of one organization only.")
@with_session(nodes=True)
def list_observers(session: Session, organization: str) -> None:
    """List the network's observers, those of suspended organizations included."""
    with session.client() as client:
        found = client.observers.all(organization)
    emit_table(found, ("node_id", "organization", "address", "admitted"), json=session.json)

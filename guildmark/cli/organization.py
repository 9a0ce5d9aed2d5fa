"""`guildmark organization`: who is in the consortium, and how each member stands."""

from __future__ import annotations

import rich_click as click

from guildmark.cli.output import emit, emit_table
from guildmark.cli.session import Session, with_session


@click.group()
def organization() -> None:
    """Show the consortium's organizations. `guildmark governance propose` changes them."""


@organization.command("list")
@with_session(nodes=True)
def list_organizations(session: Session) -> None:
    """List all organizations, those included that were removed."""
    with session.client() as client:
        found = client.organizations.all()
    columns = ("organization", "name", "membership", "records", "bytes", "deadlines")
    emit_table(found, columns, json=session.json)


@organization.command("show")
@click.argument("name")
@with_session(nodes=True)
def show(session: Session, name: str) -> None:
    """Show the organization with the id NAME: how it stands, its quota, and what of that it uses."""
    with session.client() as client:
        emit(client.organizations.get(name), json=session.json)


@organization.command("accounts")
@click.argument("name")
@with_session(nodes=True)
def accounts(session: Session, name: str) -> None:
    """List the accounts of the organization with the id NAME."""
    with session.client() as client:
        found = client.organizations.accounts(name)
    emit_table(found, ("account", "name", "vouches", "balance", "frozen_until_ms"), json=session.json)

"""`guildmark key`: the wallet."""

from __future__ import annotations

import rich_click as click

from guildmark.cli.output import emit, emit_table
from guildmark.cli.session import Session, with_session


@click.group()
def key() -> None:
    """Make and see keys. They are encrypted with the wallet's passphrase."""


@key.command("create")
@click.argument("name")
@with_session(wallet=True)
def create(session: Session, name: str) -> None:
    """Make a key. An account can then be opened for it, or the key be added to one."""
    session.wallet.create(name, session.passphrase(confirm=True))
    _show(session, name)


@key.command("assign")
@click.argument("name")
@click.argument("account_id")
@click.option("--network-id", default="", help="The network of the account, 64 hex digits.")
@with_session(wallet=True)
def assign(session: Session, name: str, account_id: str, network_id: str) -> None:
    """Note that the key NAME belongs to the account ACCOUNT_ID (gm1...)."""
    try:
        network = bytes.fromhex(network_id)
    except ValueError as error:
        raise click.BadParameter("not hex digits", param_hint="--network-id") from error
    session.wallet.assign(name, session.passphrase(), account=account_id, network_id=network)
    _show(session, name)


@key.command("show")
@click.argument("name")
@with_session(wallet=True)
def show(session: Session, name: str) -> None:
    """Show a key's public part."""
    _show(session, name)


@key.command("list")
@with_session(wallet=True)
def list_keys(session: Session) -> None:
    """List all keys."""
    rows = [_public(session, name) for name in session.wallet.names()]
    emit_table(rows, ("name", "account", "public_key"), json=session.json)


def _show(session: Session, name: str) -> None:
    emit(_public(session, name), json=session.json)


def _public(session: Session, name: str) -> dict[str, str]:
    file = session.wallet.read(name)
    return {
        "name": file.name,
        "public_key": file.public_key,
        "account": file.account,
        "network_id": file.network_id,
        "file": str(session.wallet_directory / f"{name}.key.json"),
    }

"""`guildmark key`: the wallet."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from guildmark.cli.output import emit, emit_table
from guildmark.cli.session import Session, with_session
from guildmark.errors import ClusterError, NotFound


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
@click.argument("account_id", required=False)
@click.option("--network-id", default="", help="The network of the account, 64 hex digits.")
@click.option(
    "--genesis",
    "genesis_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take the account that this genesis file opens for the key, and its network.",
)
@with_session(wallet=True)
def assign(session: Session, name: str, account_id: str | None, network_id: str, genesis_file: Path | None) -> None:
    """Note that the key NAME belongs to the account ACCOUNT_ID (gm1...), or to one of a genesis file."""
    if (account_id is None) == (genesis_file is None) or (genesis_file and network_id):
        raise click.UsageError("name the account, or a genesis file by --genesis")
    try:
        network = bytes.fromhex(network_id)
    except ValueError as error:
        raise click.BadParameter("not hex digits", param_hint="--network-id") from error
    if genesis_file is not None:
        account_id, network = _founded(genesis_file, session.wallet.read(name).public_key)
    assert account_id is not None
    session.wallet.read(name)  # before anybody is asked for the passphrase of a key that is not there
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


def _founded(genesis_file: Path, public_key: str) -> tuple[str, bytes]:
    from ledger import genesis as genesis_files
    from ledger.errors import InvalidGenesis
    from primitives.identifiers import account_to_text

    try:
        genesis = genesis_files.load(genesis_file)
    except InvalidGenesis as error:
        raise ClusterError(error.code, error.message) from error
    network = genesis_files.network_id(genesis)
    for entry in genesis.accounts:
        if entry.key == public_key:
            return account_to_text(genesis_files.organization_account(network, entry)), network
    raise NotFound("wallet.no_account", f"{genesis_file} opens no account for the key {public_key}")


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

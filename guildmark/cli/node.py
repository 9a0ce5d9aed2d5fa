"""`guildmark node`: the keys of one node, and the node itself in the foreground."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from pathlib import Path
from typing import Any, Final

import rich_click as click

from guildmark.cli.node_examine import inspect, resync, verify
from guildmark.cli.node_join import join
from guildmark.cli.node_snapshot import snapshot
from guildmark.cli.node_stop import stop
from guildmark.cli.output import emit, note
from guildmark.cli.session import Session, with_session
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.errors import ClusterError

_DIRECTORY: Final = click.Path(path_type=Path, file_okay=False)


@click.group()
def node() -> None:
    """Make one node, let it join a network, run it, and look at what it has kept."""


@node.command("start")
@click.option(
    "--data-dir",
    "--directory",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The node's directory with keys, genesis.json and node.toml.",
)
@with_session(network=False)
def start(session: Session, directory: Path) -> None:  # noqa: ARG001 - its line on standard output is JSON anyway
    """Run the node in the foreground until it is told to end. It says on standard output where it listens.

    It ends as a node does, for who supervises it: 0 told to end; 1 failed, the log says why; 2 wrong usage; 3 a
    configuration, genesis or key file is wrong; 4 another process uses the directory; 5 the disk refused or is full; 6
    an address cannot be listened on; 7 the ledger is damaged.
    """
    command = node_command("start", "--data-dir", str(directory.resolve()))
    os.chdir(directory)
    os.execve(command[0], command, node_environment())


@node.group("keys")
def keys() -> None:
    """Make a node's keys, and describe them to the other members."""


def _description(function: Any) -> Any:
    """What a descriptor says beside the keys."""
    for option in reversed(
        [
            click.option("--directory", required=True, type=_DIRECTORY, help="The node's data directory."),
            click.option("--organization", required=True, metavar="ID", help="Who runs it: a-z, 0-9 and hyphens."),
            click.option("--organization-name", metavar="NAME", help="For people; the id when it is not given."),
            click.option("--address", required=True, metavar="HOST:PORT", help="How the other nodes reach it."),
            click.option(
                "--account",
                "accounts",
                multiple=True,
                metavar="NAME",
                help="A key of the wallet for which the genesis shall open an account; may be repeated.",
            ),
        ]
    ):
        function = option(function)
    return function


@keys.command("create")
@_description
@with_session(network=False, wallet=True)
def create(session: Session, directory: Path, **options: Any) -> None:
    """Make the keys of a new node, and its signed public descriptor `member.toml` for the other members.

    The keys never leave the directory. They lie unencrypted (mode 0600) unless GUILDMARK_NODE_PASSPHRASE_FILE names a
    file with a passphrase, now and at every start.
    """
    arguments = _describing(session, directory, **options)
    _run_node("keys", "create", str(directory.resolve()))
    _describe(session, arguments)


@keys.command("describe")
@_description
@with_session(network=False, wallet=True)
def describe(session: Session, directory: Path, **options: Any) -> None:
    """Write `member.toml` anew for keys that exist: another address, name or account. The keys stay."""
    _describe(session, _describing(session, directory, **options))


def _describing(
    session: Session,
    directory: Path,
    *,
    organization: str,
    organization_name: str | None,
    address: str,
    accounts: tuple[str, ...],
) -> list[str]:
    """Check what was typed, and return the node's arguments for it."""
    from ledger.member_descriptor import InvalidDescriptor, check_terms

    name = organization_name or organization
    try:
        check_terms(organization, name, address)
    except InvalidDescriptor as error:
        raise click.UsageError(error.message) from error
    arguments = ["keys", "describe", str(directory.resolve())]
    arguments += [f"--organization={organization}", f"--organization-name={name}", f"--address={address}"]
    for account in accounts:
        key = session.wallet.read(account).public_key
        founding = {"name": account, "key": key, "salt": secrets.token_hex(16)}
        arguments.append(f"--account={json.dumps(founding)}")
    return arguments


def _describe(session: Session, arguments: list[str]) -> None:
    said = json.loads(_run_node(*arguments))
    names = ("member", "organization", "node_id", "signing_key", "address")
    emit({name: said[name] for name in names}, json=session.json)
    note("Give member.toml to every other member; it holds nothing secret.")


def _run_node(*arguments: str) -> str:
    run = subprocess.run(
        node_command(*arguments),
        env=node_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise ClusterError("node.keys", run.stderr.strip()[-2000:].removeprefix("error: "))
    click.echo(run.stderr, err=True, nl=False)
    return run.stdout


for _command in (join, stop, verify, inspect, resync, snapshot):
    node.add_command(_command)

"""`guildmark node`: one node in the foreground."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.errors import ClusterError


@click.group()
def node() -> None:
    """Run one node."""


@node.command("start")
@click.option(
    "--data-dir",
    "directory",
    required=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The node's directory with keys, genesis.json and node.toml.",
)
@with_session(network=False)
def start(session: Session, directory: Path) -> None:  # noqa: ARG001 - its line on standard output is JSON anyway
    """Run the node in the foreground until it is told to end. It says on standard output where it listens.

    It ends as a node does, for who supervises it: 0 told to end; 1 failed, the log says why; 2 wrong usage; 3 a
    configuration, genesis or key file is wrong; 4 another process uses the directory; 5 the disk refused or is damaged;
    6 an address cannot be listened on.
    """
    command = node_command("start", "--data-dir", str(directory.resolve()))
    os.chdir(directory)
    os.execve(command[0], command, node_environment())


@node.command("keys")
@click.argument("directories", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@with_session(network=False)
def keys(session: Session, directories: tuple[Path, ...]) -> None:
    """Make the keys of new nodes in DIRECTORIES, and the public `member.toml` for the consortium's genesis."""
    found = [path.resolve() for path in directories]
    run = subprocess.run(
        node_command("keys", "create", *map(str, found)),
        env=node_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise ClusterError("node.keys", run.stderr.strip()[-2000:].removeprefix("error: "))
    click.echo(run.stderr, err=True, nl=False)
    emit({"members": [str(path / "member.toml") for path in found]}, json=session.json)

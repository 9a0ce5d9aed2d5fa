"""`guildmark node snapshot create|list|restore`: the state in pieces that a new node can begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import rich_click as click

from guildmark.cli.node_programs import progress_bar, run_node_program
from guildmark.cli.output import emit, emit_table, note
from guildmark.cli.session import Session, with_session

_DIRECTORY: Final = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group("snapshot")
def snapshot() -> None:
    """Take snapshots of a node's state, list them, and begin a node with one."""


@snapshot.command("create")
@click.option("--directory", required=True, type=_DIRECTORY, help="The node's data directory.")
@click.option("--scratch", type=_DIRECTORY, help="Where the copy is made that is read; beside the original by default.")
@with_session(network=False)
def create(session: Session, directory: Path, scratch: Path | None) -> None:
    """Take a snapshot of a node's newest state; the node may run meanwhile.

    It lies in the directory's `snapshots/HEIGHT`, and the node offers it to others that join. The oldest beyond
    `snapshots.keep` goes. A node takes snapshots by itself where `snapshots.every_blocks` is set.
    """
    arguments = ["snapshot", "create", str(directory.resolve())]
    arguments += [] if scratch is None else [f"--scratch={scratch.resolve()}"]
    with progress_bar("records", quiet=session.json) as show:
        said = run_node_program(arguments, show)
    emit({"height": said["height"], "directory": said["directory"]}, json=session.json)


@snapshot.command("list")
@click.option("--directory", required=True, type=_DIRECTORY, help="The node's data directory.")
@with_session(network=False)
def show(session: Session, directory: Path) -> None:
    """List the snapshots that lie in a node's directory."""
    said = run_node_program(["snapshot", "list", str(directory.resolve())], None)
    emit_table(said["snapshots"], ("height", "block_hash", "chunks", "bytes", "directory"), json=session.json)
    if not said["snapshots"]:
        note("There is none: `guildmark node snapshot create`, or `snapshots.every_blocks` in node.toml.")


@snapshot.command("restore")
@click.option("--directory", required=True, type=_DIRECTORY, help="The data directory of a stopped node.")
@click.option("--from", "source", required=True, type=_DIRECTORY, help="A snapshot: a directory named by its height.")
@with_session(network=False)
def restore(session: Session, directory: Path, source: Path) -> None:
    """Put a chain that is made of a snapshot in the place of a stopped node's.

    Every piece of it is proven from the genesis file on, so it does not matter where the snapshot comes from. Keys and
    vote log stay: whether the validator may vote before it has rejoined is decided from these. A node whose chain is
    empty or far behind fetches a snapshot from its peers by itself.
    """
    arguments = ["snapshot", "restore", str(directory.resolve()), f"--from={source.resolve()}"]
    with progress_bar("chunks", quiet=session.json) as report:
        said = run_node_program(arguments, report)
    emit({"height": said["height"]}, json=session.json)
    note("Start the node: it goes on from there with the blocks of its peers.")

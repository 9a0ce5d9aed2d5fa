"""`guildmark node join`: from an empty directory to a node of the network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import rich_click as click

from guildmark.cli.output import blocks_progress, emit, note
from guildmark.cli.session import Session, with_session

LISTEN_TIMEOUT_S: Final = 60.0
JOIN_TIMEOUT_S: Final = 3_600.0
"""How long a node may take to the head; it goes on when nobody waits any more."""


@click.command("join")
@click.option("--from", "source", required=True, metavar="URL", help="The API of any node of the network.")
@click.option("--genesis-hash", required=True, metavar="HEX", help="The network id, from somebody whom you trust.")
@click.option("--directory", required=True, type=click.Path(path_type=Path, file_okay=False), help="The new node's.")
@click.option("--listen", default="", metavar="HOST:PORT", help="Where other nodes connect; loopback by default.")
@click.option("--address", default="", metavar="HOST:PORT", help="How others reach it; by default --listen, or not.")
@click.option("--api-listen", default="", metavar="HOST:PORT", help="The HTTP interface; loopback by default.")
@click.option("--start", "starts", is_flag=True, help="Start it in the background, and wait until it is at the head.")
@with_session(network=False, account=True)
def join(session: Session, genesis_hash: str, directory: Path, source: str, starts: bool, **where: str) -> None:
    """Make a node that follows the network and serves what it holds, registered by an account of your organization.

    It fetches the genesis from any node and checks it against the hash, makes keys, writes node.toml and registers the
    node. Run again, it takes up where it ended. Ends with 7 where the genesis is another.
    """
    from guildmark.cluster.joining import join as join_network

    joined: dict[str, Any] = join_network(
        directory, source=source, network_id=_hash(genesis_hash), account=session.account(), **where
    )
    if joined["transaction"] is None:
        note(f"It is registered already, as an observer of {joined['organization']}.")
    if starts:
        joined |= _start(session, directory, source)
    emit(joined, json=session.json)
    if not starts:
        note(f"Run it: guildmark node start --data-dir {directory.resolve()}")


def _start(session: Session, directory: Path, source: str) -> dict[str, Any]:
    from guildmark.cluster.joining import follow
    from guildmark.cluster.process import NodeProcess

    process = NodeProcess(directory.resolve(), directory.resolve() / "logs")
    if process.running() is None:
        process.start(exit_with_parent=False)
        process.wait_listening(time.monotonic() + LISTEN_TIMEOUT_S)
    with blocks_progress("joining", quiet=session.json) as bar:
        height = follow(process, [source], JOIN_TIMEOUT_S, bar)
    record = process.record()
    note(f"It runs in the background; its log is {process.log_path}, and `guildmark node stop {directory}` stops it.")
    return {"url": process.api, "pid": None if record is None else record.pid, "height": height}


def _hash(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.replace(" ", ""))
    except ValueError:
        found = b""
    if len(found) != 32:
        raise click.UsageError("--genesis-hash: the network id, 64 hexadecimal digits")
    return found

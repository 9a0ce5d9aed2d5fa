"""`guildmark cluster`: a local network's processes in the background."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import rich_click as click
from click import get_current_context
from click.core import ParameterSource

from guildmark.cli.network import create, creation_options, node_settings
from guildmark.cli.numbers import Whole
from guildmark.cli.output import blocks_progress, emit, emit_table, note
from guildmark.cli.session import DEFAULT_NETWORK, Session, with_session
from guildmark.errors import ClusterError, Unreachable

JOIN_TIMEOUT_S: Final = 600.0
_DIRECTORY = click.argument(
    "directory", type=click.Path(path_type=Path, file_okay=False), default=DEFAULT_NETWORK, envvar="GUILDMARK_NETWORK"
)


@click.group()
def cluster() -> None:
    """Start, see and stop the nodes of a local network."""


@cluster.command("up")
@_DIRECTORY
@creation_options
@with_session(network=False, wallet=True)
def up(session: Session, directory: Path, **options: Any) -> None:
    """Start every node of the network in DIRECTORY; make a development network where there is none."""
    from guildmark.cluster.local import LocalCluster

    if (directory / "network.json").is_file():
        _refuse_creation_options(directory, options)
    else:
        create(session, directory, **options)
    local = LocalCluster(directory)
    try:
        local.start(exit_with_parent=False)
    except ClusterError:
        note(f"The network stays in {directory}. Its settings are in network.json; or remove the directory.")
        raise
    note(f"Logs are in {local.logs}. `guildmark cluster down {directory}` stops the nodes.")
    _show(_rows(local), session)


def _refuse_creation_options(directory: Path, options: Iterable[str]) -> None:
    """An existing network stays as it was made; options that would be ignored are refused."""
    context = get_current_context()
    given = [name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        flags = [parameter.opts[0] for parameter in context.command.params if parameter.name in given]
        raise click.UsageError(f"{directory} has a network already; only a new one takes {', '.join(flags)}")


@cluster.command("join")
@_DIRECTORY
@click.option("--account", "who", metavar="NAME", help="An account of the genesis whose organization runs the node.")
@click.option("--setting", "settings", multiple=True, metavar="TABLE.KEY=VALUE", help="A setting of its node.toml.")
@with_session(network=False)
def join(session: Session, directory: Path, who: str | None, settings: tuple[str, ...]) -> None:
    """Let one more node join the running network in DIRECTORY: an observer, which follows and does not vote.

    Its keys are made, an account of its organization registers it, and it is started; this returns when it is at the
    head. From then on `cluster down` and `cluster up` mean it too.
    """
    from guildmark.cluster.joining import follow
    from guildmark.cluster.local import LocalCluster

    local = LocalCluster(directory)
    if not local.running():
        raise ClusterError("cluster.not_running", f"the network does not run: `guildmark cluster up {directory}`")
    index = local.add_observer(who, node=node_settings(settings), exit_with_parent=False, wait_ready=False)
    with blocks_progress("joining", quiet=session.json) as bar:
        follow(local.nodes[index], local.urls, JOIN_TIMEOUT_S, bar)
    _show([_rows(local)[index]], session)


@cluster.command("status")
@_DIRECTORY
@with_session(network=False)
def status(session: Session, directory: Path) -> None:
    """Show every node of the network in DIRECTORY. Ends with 5 when none answers."""
    from guildmark.cluster.local import LocalCluster

    rows = _rows(LocalCluster(directory))
    _show(rows, session)
    if not any(row["answers"] for row in rows):
        raise Unreachable(f"no node of {directory} answers")


@cluster.command("down")
@_DIRECTORY
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=10.0, show_default=True)
@with_session(network=False)
def down(session: Session, directory: Path, timeout_s: float) -> None:
    """Stop every node of the network in DIRECTORY that was started here; nothing else is touched."""
    from guildmark.cluster.local import LocalCluster

    local = LocalCluster(directory)
    stopped = local.running()
    local.stop(timeout_s)
    emit({"stopped": stopped}, json=session.json, text=f"stopped {len(stopped)} nodes")


@cluster.command("advance-clock")
@click.option("--days", type=Whole(0, 3_650, "days"), default=0)
@click.option("--hours", type=Whole(0, 1_000, "hours"), default=0)
@click.option("--seconds", type=Whole(0, 1_000_000, "seconds"), default=0)
@with_session(nodes=True, account=True)
def advance_clock(session: Session, days: int, hours: int, seconds: int) -> None:
    """Move the block time of a development network ahead: what ends by then has ended when this returns."""
    ms = ((days * 24 + hours) * 3_600 + seconds) * 1_000
    if not ms:
        raise click.UsageError("say by how much: --days, --hours, --seconds")
    with session.client(acting=True) as client:
        client.advance_clock(ms)
        height = client.advance_clock(1)  # in the first block of the new time, which does what is due
        emit({"height": height, "block_time_ms": client.network_time_ms()}, json=session.json)


_COLUMNS = ("node", "pid", "url", "answers", "ready", "height", "view", "primary")


def _show(rows: list[dict[str, Any]], session: Session) -> None:
    """Roles are a column where they differ."""
    mixed = any(row["role"] not in ("validator", None) for row in rows)
    emit_table(rows, (*_COLUMNS, "role") if mixed else _COLUMNS, json=session.json)


def _rows(local: Any) -> list[dict[str, Any]]:
    rows = []
    for index, process in enumerate(local.nodes):
        running, record = process.running(), process.record()
        said = local.status(index) if running is not None else None
        rows.append(
            {
                "node": index,
                "pid": record.pid if running is not None and record is not None else None,
                "url": local.url(index),
                "answers": said is not None,
                "ready": bool(said and said["ready"]),
                "height": said["certified_height"] if said else None,
                "view": said["view"] if said else None,
                "primary": bool(said and said["primary_node_id"] == said["node_id"]),
                "role": said["role"] if said else None,
                "log": str(process.log_path),
            }
        )
    return rows

"""`guildmark node stop`: end a node that runs in the background."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session
from guildmark.errors import ClusterError


@click.command("stop")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--timeout", "timeout_s", type=click.FloatRange(0.1, 600), default=30.0, show_default=True)
@with_session(network=False)
def stop(session: Session, directory: Path, timeout_s: float) -> None:
    """Ask the node in DIRECTORY to end, and wait until it has.

    For a node that `node join --start` or `cluster up` started in the background. The process is known by its id and
    the time of its start, and no other is ever signaled. Where it does not run, nothing happens.
    """
    from guildmark.cluster.process import NodeProcess

    place = directory.resolve()
    process = NodeProcess(place, place / "logs")
    running = process.running()
    if running is None or not _is_node_of(running, place):
        _refuse_others(place)
        emit({"stopped": False, "pid": None}, json=session.json, text="it does not run")
        return
    process.terminate()
    if not process.wait_ended(time.monotonic() + timeout_s):
        raise ClusterError("cluster.timeout", f"process {running.pid} has not ended within {timeout_s:g} s")
    emit({"stopped": True, "pid": running.pid}, json=session.json, text=f"stopped process {running.pid}")


def _is_node_of(process: Any, place: Path) -> bool:
    """Whether a process was started as the node of a directory."""
    import psutil  # type: ignore[import-untyped]  # ships no types

    try:
        words = process.cmdline()
    except psutil.Error:
        return False
    return "--data-dir" in words[:-1] and Path(words[words.index("--data-dir") + 1]).resolve() == place


def _refuse_others(place: Path) -> None:
    """Say that the directory is in use by a process which nothing here has started, where it is.

    Raises:
        ClusterError: `node.not_ours`.
    """
    import psutil

    try:
        holder = psutil.Process(int((place / "LOCK").read_text(encoding="ascii")))
    except (OSError, ValueError, psutil.NoSuchProcess):
        return
    if _is_node_of(holder, place):
        raise ClusterError(
            "node.not_ours", f"process {holder.pid} runs it in the foreground: end it where it was started"
        )

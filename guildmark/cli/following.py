"""`guildmark status --follow`: how a node catches up, as a bar or, with --json, a line for every look."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Final

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from guildmark.cli.output import emit

LOOK_S: Final = 0.25
"""Between two looks at the node."""


def follow(look: Callable[[], dict[str, Any]], *, json: bool, wait: Callable[[float], None] = time.sleep) -> None:
    """Show what `look`, the node's status, says of synchronization until it has nothing to reach any more."""
    if json:
        while (said := look()["sync"])["target"] is not None:
            emit(said, json=True)
            wait(LOOK_S)
        emit(said, json=True)
        return
    console = Console(file=sys.stdout, highlight=False)
    status = look()
    said = status["sync"]
    if said["target"] is None:
        click.echo(_ended(said))
        for reason in status.get("why", ()):  # a node without links knows nothing to catch up with
            click.echo(f"not ready: {reason}")
        return
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("", start=True, rate="", completed=said["height"], total=said["target"])
        while said["target"] is not None:
            progress.update(
                task,
                description=f"block {said['height']:,} of {said['target']:,}",
                completed=said["height"],
                total=said["target"],
                rate=rate(said),
            )
            wait(LOOK_S)
            said = look()["sync"]
    click.echo(_ended(said))


def rate(said: dict[str, Any]) -> str:
    """Say how fast it goes, from whom, and what stands in the way."""
    if said["needs_snapshot"] is not None:
        return f"needs a snapshot: the oldest block that any peer has is {said['needs_snapshot']:,}"
    peers = f"{said['peers']} peer{'' if said['peers'] == 1 else 's'}"
    trusting = "" if said["signatures"] == "verify" else ", signatures not verified"
    return (
        f"{said['blocks_per_second']:,.0f} blocks/s, {said['transactions_per_second']:,.0f} tx/s from {peers}{trusting}"
    )


def _ended(said: dict[str, Any]) -> str:
    if not said["blocks"]:
        return f"at block {said['height']:,}; nothing to catch up with"
    blocks = f"{said['blocks']:,} block{'' if said['blocks'] == 1 else 's'}"
    transactions = f"{said['transactions']:,} transaction{'' if said['transactions'] == 1 else 's'}"
    fetched = f"{blocks} with {transactions} fetched since the node started"
    return f"caught up at block {said['height']:,}: {fetched}"

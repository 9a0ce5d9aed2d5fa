"""`guildmark status` and `guildmark query`: what nodes say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import rich_click as click

from guildmark.cli.numbers import Whole
from guildmark.cli.output import emit, table
from guildmark.cli.session import Session, pairs, with_session


@click.command()
@click.option(
    "--why", is_flag=True, help="Say whether blocks are committed, and if not: who is missing, and what waits."
)
@click.option("--consensus", "engine", is_flag=True, help="Show the consensus engine's values.")
@click.option("--follow", "followed", is_flag=True, help="Show how the node catches up, until it has.")
@with_session(nodes=True)
def status(session: Session, why: bool, engine: bool, followed: bool) -> None:
    """Show the status of a node: height, view, peers, readiness."""
    if why + engine + followed > 1:
        raise click.UsageError("--why, --consensus and --follow show the same node: choose one")
    if followed:
        from guildmark.cli.following import follow  # rich's bars take long to load

        with session.client() as client:
            follow(client.status, json=session.json)
        return
    with session.client() as client:
        said = client.consensus() if engine or why else client.status()
        emit(said, json=session.json, text="\n".join(_explanation(said)) if why else None)


def _explanation(said: dict[str, Any]) -> Iterator[str]:
    """The node's answer to "why?", for people: verdict, members, where it stands, what waits for whom."""
    progress = said["progress"]
    yield said["summary"]
    yield ""
    yield from table(
        [
            {
                **member,
                "state": f"{member['state']}: {member['detail']}" if member["detail"] else member["state"],
                "role": "primary" if member["primary"] else "",
            }
            for member in said["members"]
        ],
        ("replica", "organization", "role", "address", "state"),
    )
    yield ""
    height = f"height {progress['certified_height']}"
    if progress["height"] > progress["certified_height"]:
        height += f" ({progress['height']} executed)"
    place = f"{height}, epoch {said['epoch']}"
    if said["replica_id"] is not None:  # others follow no views
        place += f", view {said['view']}"
    if said["epoch_end"]:
        place += f"; the epoch ends with block {said['epoch_end']}"
    yield f"{place}; {said['answering']} of {len(said['members'])} answer, {said['needed']} needed"
    for sentence in said["why"]:
        yield f"  - {sentence}"


@click.command()
@click.argument("name")
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@click.option("--at-least", type=Whole(0), help="Wait for this height.")
@with_session(nodes=True)
def query(session: Session, name: str, arguments: tuple[str, ...], at_least: int | None) -> None:
    """Ask the ledger a named query, such as `assets.get asset=...`. The answer names its height."""
    values = pairs(arguments, "query")
    if "at_least" in values:
        raise click.UsageError("write --at-least HEIGHT")
    with session.client() as client:
        emit(client.query_at(name, at_least=at_least, **values), json=session.json)

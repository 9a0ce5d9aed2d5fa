"""`guildmark governance propose parameters|mint|burn|pay`, `governance object` and `network parameters`: decisions that
wait before they take effect."""

from __future__ import annotations

from typing import Any

import rich_click as click

from guildmark.cli.numbers import UNITS, Whole
from guildmark.cli.output import emit_table, note
from guildmark.cli.proposals import TITLE, show_proposal
from guildmark.cli.session import Session, pairs, with_session

_AMOUNT = click.argument("amount", type=UNITS)


@click.command("parameters")
@click.argument("values", nargs=-1, required=True, metavar="NAME=VALUE...")
@TITLE
@with_session(nodes=True, account=True)
def propose_parameters(session: Session, values: tuple[str, ...], title: str) -> None:
    """Set chain parameters, all of VALUES or none. `guildmark network parameters` lists them with their ranges."""
    chosen = {name: Whole(0).read(name, value) for name, value in pairs(values, "NAME=VALUE").items()}
    with session.client(acting=True) as client:
        show_proposal(client.decisions.propose_parameters(chosen, title), json=session.json)


@click.command("mint")
@_AMOUNT
@click.option(
    "--to", "target", default=None, help="An account of a member (gm1... or a key's name); else the treasury."
)
@TITLE
@with_session(nodes=True, account=True)
def mint(session: Session, amount: int, target: str | None, title: str) -> None:
    """Make AMOUNT credits, in minor units."""
    with session.client(acting=True) as client:
        account = None if target is None else session.resolve(target)
        show_proposal(client.decisions.propose_minting(amount, account, title), json=session.json)


@click.command("burn")
@_AMOUNT
@click.option("--own", is_flag=True, help="Of the acting account, not of the treasury.")
@TITLE
@with_session(nodes=True, account=True)
def burn(session: Session, amount: int, own: bool, title: str) -> None:
    """End AMOUNT credits of the treasury, in minor units. Nobody proposes to burn another's."""
    with session.client(acting=True) as client:
        show_proposal(client.decisions.propose_burning(amount, own=own, title=title), json=session.json)


@click.command("pay")
@click.argument("recipient")
@_AMOUNT
@TITLE
@with_session(nodes=True, account=True)
def pay(session: Session, recipient: str, amount: int, title: str) -> None:
    """Pay AMOUNT credits from the treasury to RECIPIENT (gm1... or a key's name)."""
    with session.client(acting=True) as client:
        show_proposal(client.decisions.propose_payment(session.resolve(recipient), amount, title), json=session.json)


@click.command("object")
@click.argument("proposal")
@with_session(nodes=True, account=True)
def object_(session: Session, proposal: str) -> None:
    """Object to PROPOSAL, which was approved and waits. A third of all organizations stops it; approving is no bar."""
    with session.client(acting=True) as client:
        show_proposal(client.decisions.object(proposal), json=session.json)


@click.command("parameters")
@with_session(nodes=True)
def parameters(session: Session) -> None:
    """List the chain's parameters, what they may be, and what they will be after this epoch where that is decided."""
    with session.client() as client:
        found = client.decisions.parameters()
    columns = ("name", "value", "coming", "low", "high", "default")
    emit_table(found, columns, json=session.json, shown=_changes)
    fixed = [row["name"] for row in found if not row["changeable"]]
    if fixed and not session.json:
        note(f"No vote changes {', '.join(fixed)}: it is what the genesis says.")


def _changes(row: dict[str, Any]) -> dict[str, Any]:
    """Say what is coming only where it differs."""
    return row | {"coming": None if row["coming"] == row["value"] else row["coming"]}

"""How commands make and print a proposal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session

if TYPE_CHECKING:
    from guildmark.sync import Client

    Propose: TypeAlias = Callable[[Session, Client, str, str], dict[str, Any]]
    """Of whom or what, and the title; returns the proposal."""

TITLE = click.option("--title", default="", help="What the others read; made up when missing.")

_QUORUMS: Final = {
    "all": "more than two thirds of all organizations",
    "voters": "more than half of all organizations, and more than two thirds of those that voted",
}


def proposal_about(name: str, subject: str, text: str, propose: Propose) -> click.Command:
    """The command `name` for a change that takes a `subject` and says nothing more of it; `text` is its help."""

    @click.command(name, help=text)
    @click.argument("subject", metavar=subject)
    @TITLE
    @with_session(nodes=True, account=True)
    def command(session: Session, subject: str, title: str) -> None:
        with session.client(acting=True) as client:
            show_proposal(propose(session, client, subject, title), json=session.json)

    made: click.Command = command
    return made


def show_proposal(proposal: dict[str, Any], *, json: bool) -> None:
    """Print a proposal. People get the tallies in words, times as dates, and no certificates."""
    if json:
        emit(proposal, json=True)
        return
    change = {name: value for name, value in proposal["change"].items() if value not in (None, [], (), {})}
    change.pop("tls_certificate", None)
    shown = {name: value for name, value in proposal.items() if name not in _IN_WORDS}
    shown |= {"change": change, "quorum": _QUORUMS[proposal["threshold"]], "tally": _tally(proposal)}
    if proposal["executes_at_ms"]:
        shown |= {"executes_at_ms": proposal["executes_at_ms"], "stopping": _stopping(proposal)}
    if proposal["failure"]:
        shown |= {name: proposal[name] for name in ("failure", "failure_reason") if proposal[name]}
    emit(shown, json=False, dates=True)


_IN_WORDS: Final = (
    "threshold",
    "approvals_needed",
    "objections_needed",
    "organizations",
    "executes_at_ms",
    "failure",
    "failure_reason",
)


def _tally(proposal: dict[str, Any]) -> str:
    approve, refuse = len(proposal["approvals"]), len(proposal["refusals"])
    return (
        f"{approve} approve and {refuse} refuse, of {proposal['organizations']}; "
        f"{proposal['approvals_needed']} must approve"
    )


def _stopping(proposal: dict[str, Any]) -> str:
    return f"{len(proposal['objections'])} object, {proposal['objections_needed']} stop it"

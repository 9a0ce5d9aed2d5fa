"""`guildmark accreditation`, and `guildmark governance propose accredit` with what halts or ends an accreditation."""

from __future__ import annotations

from typing import Any

import rich_click as click

from guildmark.cli.numbers import UNITS, Whole
from guildmark.cli.output import emit, emit_table
from guildmark.cli.proposals import TITLE, proposal_about, show_proposal
from guildmark.cli.session import Session, with_session

_DAY_MS = 24 * 3_600_000


@click.group("accreditation")
def accreditation() -> None:
    """Show who may state something about versions, put a bond up for it, and resign."""


@accreditation.command("list")
@with_session(nodes=True)
def list_accreditations(session: Session) -> None:
    """List all accreditations, ended ones too."""
    with session.client() as client:
        found = client.accreditations.all()
    columns = ("account", "organization", "roles", "tier", "state", "bond", "posted")
    emit_table(found, columns, json=session.json, shown=lambda row: row | {"roles": "+".join(row["roles"])})


@accreditation.command("show")
@click.argument("who", required=False)
@with_session(nodes=True, account=True)
def show(session: Session, who: str | None) -> None:
    """Show the accreditation of WHO (gm1... or a key's name), of the acting account by default."""
    with session.client() as client:
        account = session.resolve(who or session.account_name())
        emit(client.accreditations.get(account), json=session.json, dates=True)


@accreditation.command("post-bond")
@click.argument("who", required=False)
@with_session(nodes=True, account=True)
def post_bond(session: Session, who: str | None) -> None:
    """Put up what is missing of the bond of WHO, an account of the same organization; of the acting one by default."""
    with session.client(acting=True) as client:
        account = None if who is None else session.resolve(who)
        emit(client.accreditations.post_bond(account), json=session.json, dates=True)


@accreditation.command("resign")
@with_session(nodes=True, account=True)
def resign(session: Session) -> None:
    """Give the acting account's accreditation up. Its statements count no more; the bond stays for a while.

    What they were evidence of in reputation stays, and decays: a score tells what has happened.
    """
    with session.client(acting=True) as client:
        emit(client.accreditations.resign(), json=session.json, dates=True)


@click.command("accredit")
@click.argument("who")
@click.option("--role", "roles", type=click.Choice(("evaluate", "audit")), multiple=True, required=True)
@click.option("--tier", type=Whole(1, 10), default=1, show_default=True, help="How far the account is trusted.")
@click.option("--bond", type=UNITS, required=True, help="Units, within the parameters of the chain.")
@click.option("--days", type=Whole(1, 1830, "days"), default=365, show_default=True, help="From now.")
@TITLE
@with_session(nodes=True, account=True)
def accredit(session: Session, who: str, roles: tuple[Any, ...], days: int, **decided: Any) -> None:
    """Let WHO (gm1... or a key's name) state what versions reach, or what an audit came to."""
    with session.client(acting=True) as client:
        until_ms = client.network_time_ms() + days * _DAY_MS
        account = session.resolve(who)
        show_proposal(client.accreditations.propose(account, roles, until_ms=until_ms, **decided), json=session.json)


suspend = proposal_about(
    "suspend-accreditation",
    "WHO",
    "Let WHO state nothing new, and nothing count that it has stated, until it is reinstated.",
    lambda session, client, who, title: client.accreditations.propose_suspension(session.resolve(who), title),
)
reinstate = proposal_about(
    "reinstate-accreditation",
    "WHO",
    "End the suspension of the accreditation of WHO.",
    lambda session, client, who, title: client.accreditations.propose_reinstatement(session.resolve(who), title),
)
end = proposal_about(
    "end-accreditation",
    "WHO",
    "End the accreditation of WHO for good.",
    lambda session, client, who, title: client.accreditations.propose_end(session.resolve(who), title),
)
PROPOSALS = (accredit, suspend, reinstate, end)
"""What `guildmark governance propose` takes over."""

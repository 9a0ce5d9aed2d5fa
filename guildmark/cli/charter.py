"""`guildmark charter`: how the owners of an asset decide together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli.alias import read_alias
from guildmark.cli.charter_proposals import show_proposal
from guildmark.cli.numbers import PRICE, UNITS, VERSION, Whole, bps
from guildmark.cli.output import emit, emit_table, minute
from guildmark.cli.pages import every
from guildmark.cli.session import Session, with_session
from guildmark.cli.votes import vote_option

DAY_MS = 24 * 3_600_000
_ASSET = click.argument("asset")
_TITLE = click.option("--title", default="", help="What the other owners read; at most 128 characters.")
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group("charter")
def charter() -> None:
    """Decide together about an asset: every owner votes with the share that it had when something was proposed."""


@charter.command("show")
@_ASSET
@with_session(nodes=True)
def show(session: Session, asset: str) -> None:
    """Show the charter of ASSET, what is in its treasury, and the fair price of the whole."""
    with session.client() as client:
        emit(client.charters.get(asset), json=session.json)


@charter.command("proposal")
@click.argument("proposal_id")
@with_session(nodes=True)
def proposal(session: Session, proposal_id: str) -> None:
    """Show a proposal, who may vote on it, and the votes."""
    with session.client() as client:
        show_proposal(client.charters.proposal(proposal_id), json=session.json)


@charter.command("proposals")
@_ASSET
@with_session(nodes=True)
def proposals(session: Session, asset: str) -> None:
    """List what the owners of ASSET have proposed, the oldest first."""
    with session.client() as client:
        listed = every(lambda after: client.charters.proposals(asset, after=after), "proposal")
    found = sorted(listed, key=lambda item: (item["proposed_at_ms"], item["proposal"]))
    columns = ("proposal", "what", "state", "approve", "refuse", "of", "closes")
    emit_table(found, columns, json=session.json, shown=_row)


def _row(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "proposal": item["proposal"],
        "what": item["action"]["kind"],
        "state": item["code"] or item["state"],
        "approve": item["approving_bps"],
        "refuse": item["refusing_bps"],
        "of": item["power_bps"],
        "closes": minute(item["closes_at_ms"]),
    }


@charter.command("vote")
@click.argument("proposal_id")
@vote_option("approve", "It stands.")
@with_session(nodes=True, account=True)
def vote(session: Session, proposal_id: str, approve: bool) -> None:
    """Vote with the share that the acting account had when this was proposed. What is decided is done at once."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.vote(proposal_id, approve), json=session.json)


@charter.command("withdraw")
@click.argument("proposal_id")
@with_session(nodes=True, account=True)
def withdraw(session: Session, proposal_id: str) -> None:
    """Take back what the acting account has proposed."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.withdraw(proposal_id), json=session.json)


@charter.group("propose")
def propose() -> None:
    """Propose something to all owners. It must be possible as things stand."""


@propose.command("terms")
@_ASSET
@click.option("--terms", "terms_file", type=_FILE, required=True, help="TOML or JSON with the fields of the terms.")
@click.option("--version", type=VERSION, help="The latest by default.")
@click.option("--buyer", help="The only account that may buy: gm1... or a key's name.")
@click.option("--open-days", type=Whole(1, unit="days"), default=14, show_default=True, help="From now on.")
@_TITLE
@with_session(nodes=True, account=True)
def terms(session: Session, asset: str, terms_file: Path, buyer: str | None, open_days: int, **said: Any) -> None:
    """Offer licenses on ASSET."""
    from guildmark.licenses import read_terms

    with session.client(acting=True) as client:
        made = client.charters.propose_terms(
            asset,
            read_terms(terms_file),
            buyer=session.resolve(buyer) if buyer else None,
            lifetime_ms=open_days * DAY_MS,
            **said,
        )
    show_proposal(made, json=session.json)


@propose.command("withdrawal")
@_ASSET
@click.argument("offer")
@_TITLE
@with_session(nodes=True, account=True)
def withdrawal(session: Session, asset: str, offer: str, title: str) -> None:
    """Withdraw the OFFER of licenses on ASSET."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.propose_withdrawal(asset, offer, title=title), json=session.json)


@propose.command("alias")
@_ASSET
@click.argument("name", callback=read_alias)
@click.argument("version", type=VERSION, required=False)
@_TITLE
@with_session(nodes=True, account=True)
def alias(session: Session, asset: str, name: str, version: int | None, title: str) -> None:
    """Point the alias NAME of ASSET to VERSION; without one it is removed."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.propose_alias(asset, name, version, title=title), json=session.json)


@propose.command("manager")
@_ASSET
@click.argument("who")
@_TITLE
@with_session(nodes=True, account=True)
def manager(session: Session, asset: str, who: str, title: str) -> None:
    """Make WHO (gm1... or a key's name) the manager of ASSET."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.propose_manager(asset, session.resolve(who), title=title), json=session.json)


@propose.command("payment")
@_ASSET
@click.argument("who")
@click.argument("amount", type=UNITS)
@_TITLE
@with_session(nodes=True, account=True)
def payment(session: Session, asset: str, who: str, amount: int, title: str) -> None:
    """Pay AMOUNT from the treasury of ASSET to WHO, whose organization does not vote on it."""
    with session.client(acting=True) as client:
        show_proposal(
            client.charters.propose_payment(asset, session.resolve(who), amount, title=title), json=session.json
        )


@propose.command("sale")
@_ASSET
@click.argument("offer")
@click.option("--price-min", type=PRICE, default=0, help="Refuse a lower price.")
@_TITLE
@with_session(nodes=True, account=True)
def sale(session: Session, asset: str, offer: str, **said: Any) -> None:
    """Sell all of ASSET for the OFFER that a buyer has put into escrow (`guildmark market offer`)."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.propose_sale(asset, offer, **said), json=session.json)


@propose.command("listing")
@_ASSET
@click.argument("price", type=UNITS)
@click.option("--open-days", type=Whole(1, unit="days"), default=14, show_default=True, help="From now on.")
@_TITLE
@with_session(nodes=True, account=True)
def listing(session: Session, asset: str, price: int, open_days: int, title: str) -> None:
    """Put all of ASSET up for sale in the market at PRICE."""
    with session.client(acting=True) as client:
        made = client.charters.propose_listing(asset, price, lifetime_ms=open_days * DAY_MS, title=title)
    show_proposal(made, json=session.json)


@propose.command("contribution")
@_ASSET
@click.argument("contribution_id")
@click.option("--share-bps", type=bps(0, 9_999), help="For the contributor; what is asked for by default.")
@click.option("--own-share", is_flag=True, help="It is taken from the acting account's share, not from all.")
@_TITLE
@with_session(nodes=True, account=True)
def contribution(
    session: Session, asset: str, contribution_id: str, share_bps: int | None, own_share: bool, title: str
) -> None:
    """Make a contribution the next version of ASSET, for what it asks: a share, a bounty, or credit."""
    with session.client(acting=True) as client:
        asked = client.contributions.get(contribution_id)
        made = client.charters.propose_contribution(
            asset,
            contribution_id,
            share_bps=asked["share_bps_min"] if share_bps is None else share_bps,
            giver=client.signer() if own_share else None,
            bounty=asked["bounty"],
            title=title,
        )
    show_proposal(made, json=session.json)


@propose.command("change")
@_ASSET
@click.argument("file", type=_FILE, metavar="CHARTER.toml")
@_TITLE
@with_session(nodes=True, account=True)
def change(session: Session, asset: str, file: Path, title: str) -> None:
    """Put the charter of CHARTER.toml in the place of the present one."""
    from guildmark.charters import read_charter

    with session.client(acting=True) as client:
        show_proposal(client.charters.propose_change(asset, read_charter(file), title=title), json=session.json)


@propose.command("dissolution")
@_ASSET
@_TITLE
@with_session(nodes=True, account=True)
def dissolution(session: Session, asset: str, title: str) -> None:
    """End the charter of ASSET and pay its treasury out by shares."""
    with session.client(acting=True) as client:
        show_proposal(client.charters.propose_dissolution(asset, title=title), json=session.json)

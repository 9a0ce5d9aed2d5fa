"""`guildmark reputation`: scores of accounts and organizations, and every piece of evidence behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import rich_click as click

from guildmark.cli.numbers import Whole
from guildmark.cli.output import emit, emit_table
from guildmark.cli.session import Session, with_session
from guildmark.errors import NotFound

if TYPE_CHECKING:
    from guildmark import Client

_ROLES: Final = {"evaluation": "evaluate", "agreement": "evaluate", "audit": "audit"}
"""What an account is accredited to that brings such evidence about; reviews and disputes take no accreditation."""


@click.group("reputation")
def reputation() -> None:
    """Show what speaks for and against accounts and organizations, and what each rule made of it."""


@reputation.command("show")
@click.argument("who", metavar="ACCOUNT|ORGANIZATION")
@click.option("--why", is_flag=True, help="Every piece of evidence, its weight, and the rules that set and cut it.")
@with_session(nodes=True, wallet=True)
def show(session: Session, who: str, why: bool) -> None:
    """Show a score in millionths: of gm1..., of the account of a key in the wallet, or of an organization."""
    with session.client() as client:
        if who.startswith("gm1") or who in session.wallet.names():
            account = session.resolve(who)
            result = client.reputation.score(account)
            accounts = [account]
        else:
            result = _of_organization(session, client, who)
            accounts = [entry["account"] for entry in client.organizations.accounts(who)] if why else []
        if why:
            result |= {"evidence": _evidence(client, accounts)}
    if session.json or not why:
        emit(result, json=session.json)
        return
    emit({name: value for name, value in result.items() if name != "evidence"}, json=False)
    _explain(result["evidence"])


@reputation.command("list")
@click.option("--organizations", is_flag=True, help="All organizations instead of accounts.")
@click.option("--organization", metavar="ID", help="Accounts of one organization only.")
@click.option("--limit", type=Whole(1, 200), default=50, show_default=True)
@with_session(nodes=True)
def list_scores(session: Session, organizations: bool, organization: str | None, limit: int) -> None:
    """List the best scores first: of accounts about which there is evidence, or of all organizations."""
    with session.client() as client:
        found = client.reputation.ranking(
            "organization" if organizations else "account", organization=organization, limit=limit
        )
    columns = ["account"] if not organizations else []
    columns += ["organization", "score_ppm", "confidence_ppm", "weight_for", "weight_against"]
    emit_table(found, columns, json=session.json)


def _of_organization(session: Session, client: Client, name: str) -> dict[str, Any]:
    """The score of an organization. Raises NotFound that says where else the name was looked for."""
    try:
        return client.reputation.score(organization=name)
    except NotFound as error:
        where = f"no key in {session.wallet_directory} and no organization of the network"
        raise NotFound(error.code, f"{name!r} is {where}; another account is named by its id, gm1...") from error


def _evidence(client: Client, accounts: list[str]) -> list[dict[str, Any]]:
    """Every piece of evidence about the accounts, and whether the accreditation that it rests on holds now."""
    found = [{"about": account, **piece} for account in accounts for piece in client.reputation.evidence(account)]
    roles = {piece["rater"]: _roles(client, piece["rater"]) for piece in found if piece["kind"] in _ROLES}
    return [piece | {"accredited": _is_accredited(piece, roles)} for piece in found]


def _roles(client: Client, account: str) -> list[str]:
    """What an account may state now."""
    try:
        accreditation = client.accreditations.get(account)
    except NotFound:
        return []
    return list(accreditation["roles"]) if accreditation["active"] else []


def _is_accredited(piece: dict[str, Any], roles: dict[str, list[str]]) -> bool | None:
    """None of what takes no accreditation."""
    role = _ROLES.get(piece["kind"])
    return None if role is None else role in roles[piece["rater"]]


def _explain(pieces: list[dict[str, Any]]) -> None:
    from guildmark.reputation import explain

    click.echo("")
    if not pieces:
        click.echo("no evidence")
    about = ""
    for piece in pieces:
        if piece["about"] != about:
            about = piece["about"]
            click.echo(f"about {about}, by the block time of this answer:")
        lost = "; the statement itself does not count now: its accreditation does not hold"
        click.echo(f"  {explain(piece)}{lost if piece['accredited'] is False else ''}")

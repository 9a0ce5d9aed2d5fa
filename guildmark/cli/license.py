"""`guildmark license`: offering, buying and checking licenses; royalties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from guildmark.cli.evidence import read_evidence
from guildmark.cli.license_odrl import odrl
from guildmark.cli.numbers import PRICE, Whole, bps
from guildmark.cli.output import emit, emit_table, minute
from guildmark.cli.pages import every
from guildmark.cli.session import Session, with_session

RIGHTS = (
    "download",
    "inference",
    "inference-as-service",
    "fine-tune",
    "distill-merge",
    "redistribute",
    "sublicense",
    "publish-benchmarks",
    "train-on",
    "display-print",
    "compute-only",
)
DENIED = 4
ENDED = frozenset({"exhausted", "expired", "revoked", "superseded", "refunded"})
"""States of a grant that gives nothing any more (`ledger.modules.licenses.grants.State`)."""
DAY_MS = 86_400_000


@click.group("license")
def license_group() -> None:
    """Offer, buy and check licenses."""


license_group.add_command(odrl)


@license_group.command("offer")
@click.argument("asset")
@click.option(
    "--terms",
    "terms_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TOML or JSON file with all terms; other options override it.",
)
@click.option("--right", "rights", multiple=True, type=click.Choice(RIGHTS))
@click.option("--price", type=PRICE, help="In minor units.")
@click.option("--commercial", is_flag=True, default=None)
@click.option("--exclusivity", type=click.Choice(["none", "sole", "exclusive"]))
@click.option("--editions-max", type=Whole(1))
@click.option("--term-days", type=Whole(1, unit="days"), help="How long a grant holds; perpetual by default.")
@click.option("--derivatives", type=click.Choice(["no", "on-approval", "yes"]))
@click.option("--revenue-share-bps", type=bps(0, 5_000))
@click.option("--revenue-share-depth", type=Whole(1, 8))
@click.option("--attribution")
@click.option("--buyer", help="The only account that may buy: gm1... or a key's name.")
@click.option(
    "--open-days", type=Whole(1, unit="days"), default=7, show_default=True, help="How long the offer stands."
)
@with_session(nodes=True, account=True)
def offer(
    session: Session, asset: str, terms_file: Path | None, buyer: str | None, open_days: int, **fields: Any
) -> None:
    """Offer licenses on ASSET."""
    from guildmark.licenses import read_terms, terms

    given = {name: value for name, value in fields.items() if value not in (None, ())}
    if "term_days" in given:
        given["term_ms"] = given.pop("term_days") * DAY_MS
    if terms_file is not None:
        base = read_terms(terms_file)
        given = {name: getattr(base, name) for name in base.__struct_fields__} | given
    if "rights" not in given or "price" not in given:
        raise click.UsageError("say at least --right and --price, or give --terms FILE")
    with session.client(acting=True) as client:
        made = client.licenses.offer(
            asset,
            terms(**given),
            buyer=session.resolve(buyer) if buyer else None,
            lifetime_ms=open_days * DAY_MS,
        )
    emit(made, json=session.json)


@license_group.command("buy")
@click.argument("offer_id")
@click.option("--price-max", type=PRICE, help="Refuse a higher price; the stated one by default.")
@with_session(nodes=True, account=True)
def buy(session: Session, offer_id: str, price_max: int | None) -> None:
    """Buy a license under an offer: payment, royalties and grant in one transaction."""
    with session.client(acting=True) as client:
        emit(client.licenses.buy(offer_id, price_max=price_max), json=session.json)


@license_group.command("check")
@click.argument("asset")
@click.option("--right", type=click.Choice(RIGHTS), default="download", show_default=True)
@click.option("--for", "who", help="gm1... or a key's name; the acting account by default.")
@click.option("--at-ms", type=Whole(0), help="Unix ms of block time; now by default.")
@click.option("--field", "field_of_use", help="A field of use.")
@click.option("--country", help="Two letters, as DE.")
@with_session(nodes=True, account=True)
def check(session: Session, asset: str, right: Any, who: str | None, **asked: Any) -> int:
    """May an account exercise a right on ASSET? Ends with 4 when it may not; the reason is in the result."""
    target = session.resolve(who or session.account_name())
    with session.client() as client:
        answer = client.licenses.check(asset, right, account=target, **asked)
    emit(answer, json=session.json)
    return 0 if answer["allowed"] else DENIED


@license_group.command("offers")
@click.argument("asset")
@with_session(nodes=True)
def offers(session: Session, asset: str) -> None:
    """List the offers on ASSET."""
    with session.client() as client:
        rows = every(lambda after: client.licenses.offers(asset, after=after), "offer")
    emit_table(rows, ("offer", "price", "open", "terms_digest"), json=session.json)


@license_group.command("grants")
@click.argument("asset", required=False)
@click.option("--for", "who", help="gm1... or a key's name; without ASSET the acting account by default.")
@click.option("--seats", "of_others", is_flag=True, help="Those of others of which the account has a seat.")
@with_session(nodes=True, account=True)
def grants(session: Session, asset: str | None, who: str | None, of_others: bool) -> None:
    """List the licenses granted to the acting account, to another, or on ASSET, and say which have ended."""
    target = session.resolve(who or session.account_name()) if who or of_others or not asset else None
    with session.client() as client:
        if of_others:
            rows = every(lambda after: client.licenses.seats(target, asset, after=after), "grant")
        else:
            rows = every(lambda after: client.licenses.grants(target, asset, after=after), "grant")
    columns = ("grant", "asset_name", "version", "state", "ended", "until", "price")
    emit_table(rows, columns, json=session.json, shown=_with_its_end)


def _with_its_end(grant: dict[str, Any]) -> dict[str, Any]:
    until = None if grant["end_ms"] is None else minute(grant["end_ms"])
    return grant | {"ended": grant["state"] in ENDED, "until": until}


@license_group.command("show")
@click.argument("grant")
@with_session(nodes=True)
def show(session: Session, grant: str) -> None:
    """Show GRANT: its terms and state, what was used, paid and paid back."""
    with session.client() as client:
        emit(client.licenses.get_grant(grant), json=session.json)


@license_group.command("renew")
@click.argument("grant")
@click.argument("offer_id")
@click.option("--price-max", type=PRICE, help="Refuse a higher price; the stated one by default.")
@with_session(nodes=True, account=True)
def renew(session: Session, grant: str, offer_id: str, price_max: int | None) -> None:
    """Renew GRANT under an open offer: a further term where the terms are the same, else a grant that follows it."""
    with session.client(acting=True) as client:
        emit(client.licenses.renew(grant, offer_id, price_max=price_max), json=session.json)


@license_group.command("revoke")
@click.argument("grant")
@click.option("--cause", required=True, help="One that the terms name.")
@click.option("--evidence", metavar="CID|FILE", callback=read_evidence, help="What shows it: its CID, or the file.")
@with_session(nodes=True, account=True)
def revoke(session: Session, grant: str, cause: str, evidence: str | None) -> None:
    """Revoke GRANT. The acting account, the asset's manager, pays the refund that the terms promise."""
    with session.client(acting=True) as client:
        outcome = client.licenses.revoke(grant, cause, evidence)
    emit(outcome.event("licenses.revoked"), json=session.json)


@license_group.command("seats")
@click.argument("grant")
@click.argument("accounts", nargs=-1)
@with_session(nodes=True, account=True)
def seats(session: Session, grant: str, accounts: tuple[str, ...]) -> None:
    """Let ACCOUNTS (gm1... or names of keys) use GRANT beside the acting account; without any, nobody else."""
    named = [session.resolve(account) for account in accounts]
    with session.client(acting=True) as client:
        client.licenses.set_seats(grant, named)
        emit({"grant": grant, "seats": client.licenses.get_grant(grant)["seats"]}, json=session.json)


@license_group.command("token")
@click.argument("grant")
@with_session(nodes=True)
def token(session: Session, grant: str) -> None:
    """Show GRANT as a unique token with its metadata."""
    with session.client() as client:
        emit(client.licenses.token(grant), json=session.json)


@license_group.command("sign-voucher")
@click.argument("grant")
@click.argument("count", type=Whole(1))
@with_session(nodes=True, account=True)
def sign_voucher(session: Session, grant: str, count: int) -> None:
    """Sign that COUNT units of GRANT have been used in all. Give the JSON to the provider; nothing is sent."""
    with session.client(acting=True) as client:
        emit(client.licenses.sign_voucher(grant, count), json=session.json)


_VOUCHER = click.argument("voucher_file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@license_group.command("verify-voucher")
@_VOUCHER
@with_session(nodes=True)
def verify_voucher(session: Session, voucher_file: Path) -> None:
    """Say how many units a voucher is worth beyond what is reported. Ends with 7 when it does not hold."""
    from guildmark.vouchers import read_voucher

    voucher = read_voucher(voucher_file)
    with session.client() as client:
        worth = client.licenses.verify_voucher(voucher)
    emit({"grant": voucher.grant, "count": voucher.count, "worth": worth}, json=session.json)


@license_group.command("report-usage")
@_VOUCHER
@with_session(nodes=True, account=True)
def report_usage(session: Session, voucher_file: Path) -> None:
    """Report use by a voucher, as the manager of its asset, and be paid for it."""
    from guildmark.vouchers import read_voucher

    voucher = read_voucher(voucher_file)
    with session.client(acting=True) as client:
        client.licenses.report_usage(voucher)
        grant = client.licenses.get_grant(voucher.grant)
    emit({name: grant[name] for name in ("grant", "used", "quota", "deposit")}, json=session.json)


@license_group.command("royalties")
@click.argument("asset")
@click.option("--withdraw", is_flag=True, help="Take out what the acting account is owed.")
@with_session(nodes=True, account=True)
def royalties(session: Session, asset: str, withdraw: bool) -> None:
    """Show what ASSET has earned for the acting account, or take it out."""
    with session.client(acting=True) as client:
        if withdraw:
            emit(client.licenses.withdraw_royalties(asset), json=session.json)
        else:
            emit(client.licenses.royalties_owed(asset), json=session.json)


@license_group.command("pays")
@click.argument("asset")
@with_session(nodes=True)
def pays(session: Session, asset: str) -> None:
    """List whom ASSET pays of every payment for it: what it was derived from, and at which rates."""
    with session.client() as client:
        stack = client.licenses.royalty_stack(asset)
    if session.json:
        emit(stack, json=True)
    else:
        emit_table(stack["entries"], ("name", "rate_bps", "least", "cap_left", "depth", "ancestor"), json=False)


@license_group.command("quote")
@click.argument("asset")
@click.argument("price", type=PRICE)
@with_session(nodes=True)
def quote(session: Session, asset: str, price: int) -> None:
    """Show how PRICE for a license on ASSET would be split now."""
    with session.client() as client:
        split = client.licenses.quote(asset, price)
        names = {entry["ancestor"]: entry["name"] for entry in client.licenses.royalty_stack(asset)["entries"]}
    if session.json:
        emit(split, json=True)
        return
    parts = sorted(split["royalties"], key=lambda part: (-part["amount"], names[part["asset"]]))
    rows = [{"to": f"the owners of {names[part['asset']]}", "amount": part["amount"]} for part in parts]
    rows = [{"to": "the treasury", "amount": split["fee"]}, *rows, {"to": "the owners", "amount": split["rest"]}]
    emit_table(rows, ("amount", "to"), json=False)


@license_group.command("withdraw")
@click.argument("offer_id")
@with_session(nodes=True, account=True)
def withdraw(session: Session, offer_id: str) -> None:
    """End an offer. What was bought under it stays."""
    with session.client(acting=True) as client:
        emit(client.licenses.withdraw_offer(offer_id), json=session.json)


@license_group.command("approve")
@click.argument("grant_id")
@with_session(nodes=True, account=True)
def approve(session: Session, grant_id: str) -> None:
    """Approve that GRANT_ID is used for derivatives, where its terms ask for that."""
    with session.client(acting=True) as client:
        emit(client.licenses.approve_derivatives(grant_id), json=session.json)


@license_group.command("claim")
@click.argument("grant_id")
@with_session(nodes=True, account=True)
def claim(session: Session, grant_id: str) -> None:
    """Have the due settlement or refund of a grant's escrow done now."""
    with session.client(acting=True) as client:
        emit(client.licenses.claim(grant_id), json=session.json)

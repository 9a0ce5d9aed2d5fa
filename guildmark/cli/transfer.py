"""`guildmark transfer`: handing over assets, shares and grants."""

from __future__ import annotations

from typing import Any

import rich_click as click

from guildmark.cli.consents import consent_options, emit_prepared, read_prepared
from guildmark.cli.numbers import PRICE
from guildmark.cli.output import emit, emit_table
from guildmark.cli.pages import every
from guildmark.cli.session import Session, with_session
from guildmark.cli.things import read_thing, thing_options


@click.group("transfer")
def transfer() -> None:
    """Hand over assets, shares and grants: by offer and acceptance."""


@transfer.command("offer")
@thing_options
@click.option("--to", "recipient", help="gm1... or a key's name.")
@click.option("--price", type=PRICE, default=0, show_default=True, help="0 is a gift.")
@consent_options
@with_session(nodes=True, account=True)
def offer(
    session: Session, recipient: str | None, price: int, prepare: bool, prepared: str | None, **named: Any
) -> None:
    """Offer something to an account, which must accept it."""
    from guildmark.transfers import show_operation
    from ledger.modules.transfers.operations import Offer, OfferGift

    with session.client(acting=True) as client:
        if prepared is not None:
            operation: Offer | OfferGift = read_prepared(prepared, "an offer of a transfer", Offer, OfferGift)
        else:
            if recipient is None:
                raise click.UsageError("name the recipient with --to")
            operation = client.transfers.operation(read_thing(**named), session.resolve(recipient), price)
        if prepare:
            emit_prepared(operation, json=session.json)
            return
        emit({"transfer": client.transfers.send(operation), **show_operation(operation)}, json=session.json)


@transfer.command("accept")
@click.argument("transfer_id")
@click.option("--price-max", type=PRICE, default=0, show_default=True)
@with_session(nodes=True, account=True)
def accept(session: Session, transfer_id: str, price_max: int) -> None:
    """Accept what is offered and pay its price."""
    with session.client(acting=True) as client:
        emit(client.transfers.accept(transfer_id, price_max), json=session.json)


@transfer.command("withdraw")
@click.argument("transfer_id")
@with_session(nodes=True, account=True)
def withdraw(session: Session, transfer_id: str) -> None:
    """Take an offer back, or decline it."""
    with session.client(acting=True) as client:
        emit(client.transfers.withdraw(transfer_id), json=session.json)


@transfer.command("list")
@click.option("--for", "who", help="gm1... or a key's name; the acting account by default.")
@with_session(nodes=True, account=True)
def pending(session: Session, who: str | None) -> None:
    """List what waits for acceptance by an account, or was offered by it."""
    with session.client() as client:
        account = session.resolve(who or session.account_name())
        rows = every(lambda after: client.transfers.pending(account, after=after), "transfer")
    emit_table(rows, ("transfer", "kind", "asset", "bps", "price"), json=session.json)


@transfer.command("show")
@click.argument("transfer_id")
@with_session(nodes=True)
def show(session: Session, transfer_id: str) -> None:
    """Show a transfer that waits for acceptance."""
    with session.client() as client:
        emit(client.transfers.get(transfer_id), json=session.json)

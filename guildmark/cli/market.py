"""`guildmark market`: selling and buying assets, shares and grants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rich_click as click

from guildmark.cli.consents import consent_options, emit_prepared, read_prepared
from guildmark.cli.numbers import PRICE, UNITS, Whole
from guildmark.cli.output import emit, emit_table
from guildmark.cli.pages import every
from guildmark.cli.session import Session, with_session
from guildmark.cli.things import read_thing, thing_options

if TYPE_CHECKING:
    from guildmark.sync import Client

HOUR_MS = 3_600_000
MINUTE_MS = 60_000
HOURS = Whole(1, unit="hours")


@click.group("market")
def market() -> None:
    """Sell and buy assets, shares and grants: listings, offers, auctions."""


def hours_option(function: Any) -> Any:
    """Add `--hours`."""
    return click.option("--hours", type=HOURS, default=168, show_default=True, help="How long it stays open.")(function)


@market.command("list")
@thing_options
@click.option("--price", type=UNITS, help="In minor units.")
@hours_option
@consent_options
@with_session(nodes=True, account=True)
def list_for_sale(
    session: Session, price: int | None, hours: int, prepare: bool, prepared: str | None, **named: Any
) -> None:
    """Put something up at a fixed price."""

    def make(client: Client) -> Any:
        if price is None:
            raise click.UsageError("name the price with --price")
        return client.market.listing(read_thing(**named), price, lifetime_ms=hours * HOUR_MS)

    _put_up(session, "listing", make, prepare, prepared)


@market.command("auction")
@thing_options
@click.option("--reserve", type=PRICE, default=0, show_default=True, help="Nothing is sold below it.")
@click.option("--increment", type=UNITS, default=1, show_default=True, help="Least step from bid to bid.")
@click.option(
    "--extension-minutes",
    type=Whole(0, unit="minutes"),
    default=10,
    show_default=True,
    help="A bid in the last so many minutes moves the end.",
)
@hours_option
@consent_options
@with_session(nodes=True, account=True)
def auction(
    session: Session,
    reserve: int,
    increment: int,
    extension_minutes: int,
    hours: int,
    prepare: bool,
    prepared: str | None,
    **named: Any,
) -> None:
    """Auction something to the highest bidder."""

    def make(client: Client) -> Any:
        return client.market.english_auction(
            read_thing(**named),
            reserve=reserve,
            increment=increment,
            lifetime_ms=hours * HOUR_MS,
            extension_ms=extension_minutes * MINUTE_MS,
        )

    _put_up(session, "auction", make, prepare, prepared)


@market.command("dutch-auction")
@thing_options
@click.option("--start-price", type=UNITS, help="In minor units.")
@click.option("--floor-price", type=UNITS, help="What the price falls to.")
@click.option("--steps", type=Whole(1, 10_000), default=10, show_default=True, help="How often it falls.")
@hours_option
@consent_options
@with_session(nodes=True, account=True)
def dutch_auction(
    session: Session,
    start_price: int | None,
    floor_price: int | None,
    steps: int,
    hours: int,
    prepare: bool,
    prepared: str | None,
    **named: Any,
) -> None:
    """Auction something at a price that falls until somebody takes it."""

    def make(client: Client) -> Any:
        if start_price is None or floor_price is None:
            raise click.UsageError("name the prices with --start-price and --floor-price")
        return client.market.dutch_auction(
            read_thing(**named),
            start_price=start_price,
            floor_price=floor_price,
            steps=steps,
            lifetime_ms=hours * HOUR_MS,
        )

    _put_up(session, "auction", make, prepare, prepared)


@market.command("buy")
@click.argument("listing_id")
@click.option("--price-max", type=PRICE, help="Refuse a higher price; the stated one by default.")
@with_session(nodes=True, account=True)
def buy(session: Session, listing_id: str, price_max: int | None) -> None:
    """Buy what is listed."""
    with session.client(acting=True) as client:
        emit(client.market.buy(listing_id, price_max=price_max), json=session.json)


@market.command("take")
@click.argument("auction_id")
@click.option("--price-max", type=PRICE, help="Refuse a higher price; the stated one by default.")
@with_session(nodes=True, account=True)
def take(session: Session, auction_id: str, price_max: int | None) -> None:
    """Buy in a Dutch auction at its price."""
    with session.client(acting=True) as client:
        emit(client.market.take(auction_id, price_max=price_max), json=session.json)


@market.command("bid")
@click.argument("auction_id")
@click.argument("amount", type=UNITS)
@with_session(nodes=True, account=True)
def bid(session: Session, auction_id: str, amount: int) -> None:
    """Bid in an English auction."""
    with session.client(acting=True) as client:
        emit(client.market.bid(auction_id, amount), json=session.json)


@market.command("withdraw")
@click.argument("listing_id")
@with_session(nodes=True, account=True)
def withdraw(session: Session, listing_id: str) -> None:
    """Take a listing back."""
    with session.client(acting=True) as client:
        emit(client.market.withdraw_listing(listing_id), json=session.json)


@market.command("cancel")
@click.argument("auction_id")
@with_session(nodes=True, account=True)
def cancel(session: Session, auction_id: str) -> None:
    """Take back an auction in which nobody has bid."""
    with session.client(acting=True) as client:
        emit(client.market.cancel_auction(auction_id), json=session.json)


@market.command("settle")
@click.argument("auction_id")
@with_session(nodes=True, account=True)
def settle(session: Session, auction_id: str) -> None:
    """Have an auction concluded whose end has come."""
    with session.client(acting=True) as client:
        emit(client.market.settle(auction_id), json=session.json)


@market.command("offer")
@thing_options
@click.option("--price", type=UNITS, required=True, help="In minor units; in escrow until the offer ends.")
@click.option("--holder", help="Whose share it is: gm1... or a key's name.")
@hours_option
@with_session(nodes=True, account=True)
def offer(session: Session, price: int, holder: str | None, hours: int, **named: Any) -> None:
    """Offer a price for something, as it is now."""
    thing = read_thing(**named)
    if (thing.kind == "share") != (holder is not None):
        raise click.UsageError("name with --holder whose share it is, and only for a share")
    with session.client(acting=True) as client:
        made = client.market.make_offer(
            thing, price, holder=session.resolve(holder) if holder else None, lifetime_ms=hours * HOUR_MS
        )
    emit({"offer": made, "price": price}, json=session.json)


@market.command("accept")
@click.argument("offer_id", required=False)
@consent_options
@with_session(nodes=True, account=True)
def accept(session: Session, offer_id: str | None, prepare: bool, prepared: str | None) -> None:
    """Sell for what a buyer offers."""
    from ledger.modules.market.operations import AcceptOffer

    if (offer_id is None) == (prepared is None):
        raise click.UsageError("name an offer, or give --prepared")
    with session.client(acting=True) as client:
        if offer_id is not None:
            operation = client.market.acceptance(offer_id)
        else:
            operation = read_prepared(prepared or "", "the acceptance of an offer", AcceptOffer)
        if prepare:
            emit_prepared(operation, json=session.json)
            return
        emit(client.market.accept_offer(operation), json=session.json)


@market.command("withdraw-offer")
@click.argument("offer_id")
@with_session(nodes=True, account=True)
def withdraw_offer(session: Session, offer_id: str) -> None:
    """Take an offer and its price back."""
    with session.client(acting=True) as client:
        emit(client.market.withdraw_offer(offer_id), json=session.json)


@market.command("listings")
@click.argument("asset", required=False)
@click.option("--of", "who", help="gm1... or a key's name of the seller.")
@with_session(nodes=True, wallet=True)
def listings(session: Session, asset: str | None, who: str | None) -> None:
    """List what is for sale at fixed prices: everything, or of ASSET, its shares and licenses on it."""
    with session.client() as client:
        seller = session.resolve(who) if who else None
        rows = every(lambda after: client.market.listings(asset, seller, after=after), "listing")
    emit_table(rows, ("listing", "kind", "id", "bps", "price", "open"), json=session.json)


@market.command("auctions")
@click.argument("asset", required=False)
@click.option("--of", "who", help="gm1... or a key's name of the seller.")
@click.option("--bidder", help="gm1... or a key's name of who has the best bid.")
@with_session(nodes=True, wallet=True)
def auctions(session: Session, asset: str | None, who: str | None, bidder: str | None) -> None:
    """List auctions: all of them, or those of ASSET, its shares and licenses on it."""
    with session.client() as client:
        seller, best = session.resolve(who) if who else None, session.resolve(bidder) if bidder else None
        rows = every(lambda after: client.market.auctions(asset, seller, bidder=best, after=after), "auction")
    columns = ("auction", "format", "kind", "id", "bps", "price", "ends_at_ms", "open")
    emit_table(rows, columns, json=session.json, shown=lambda row: row | {"price": _price(row)})


@market.command("offers")
@click.argument("thing", metavar="[ASSET|GRANT]", required=False)
@click.option("--of", "who", help="gm1... or a key's name of the buyer; the acting account by default.")
@with_session(nodes=True, account=True)
def offers(session: Session, thing: str | None, who: str | None) -> None:
    """List buyers' offers on an asset and its shares or on a grant, or of a buyer."""
    if thing is not None and who is not None:
        raise click.UsageError("name what is offered for, or a buyer with --of")
    buyer = None if thing is not None else session.resolve(who or session.account_name())
    with session.client() as client:
        rows = every(lambda after: client.market.offers(thing, buyer, after=after), "offer")
    emit_table(rows, ("offer", "kind", "id", "bps", "price", "condition_kept"), json=session.json)


@market.command("prices")
@click.argument("asset")
@with_session(nodes=True)
def prices(session: Session, asset: str) -> None:
    """At what prices ASSET, its shares and licenses on it can be bought now."""
    with session.client() as client:
        rows = every(lambda after: client.market.prices(asset, after=after), "sale")
    emit_table(rows, ("sale", "format", "kind", "bps", "price", "ends_at_ms"), json=session.json)


@market.command("show")
@click.option("--listing")
@click.option("--auction", "auction_id")
@click.option("--offer", "offer_id")
@with_session(nodes=True)
def show(session: Session, listing: str | None, auction_id: str | None, offer_id: str | None) -> None:
    """Show a listing, an auction or a buyer's offer."""
    if [listing, auction_id, offer_id].count(None) != 2:
        raise click.UsageError("name exactly one of --listing, --auction and --offer")
    with session.client() as client:
        if listing is not None:
            found = client.market.get_listing(listing)
        elif auction_id is not None:
            found = client.market.get_auction(auction_id)
        else:
            assert offer_id is not None
            found = client.market.get_offer(offer_id)
    emit(found, json=session.json)


def _put_up(session: Session, what: str, make: Any, prepare: bool, prepared: str | None) -> None:
    """Make an operation, or read a prepared one; show it, or send it."""
    from guildmark.transfers import show_operation
    from ledger.modules.market.operations import List, OpenAuction, OpenDutchAuction

    allowed = (List,) if what == "listing" else (OpenAuction, OpenDutchAuction)
    with session.client(acting=True) as client:
        operation = make(client) if prepared is None else read_prepared(prepared, f"the opening of a {what}", *allowed)
        if prepare:
            emit_prepared(operation, json=session.json)
            return
        emit({what: client.market.put_up(operation), **show_operation(operation)}, json=session.json)


def _price(row: dict[str, Any]) -> int | None:
    """The price of a Dutch auction, the best bid of an English one."""
    price: int | None = row["english"]["best_amount"] if row["dutch"] is None else row["dutch"]["price"]
    return price

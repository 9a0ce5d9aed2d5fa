"""What listings and auctions have in common: putting something up, locked, and taking it down again; who may buy."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from ledger.errors import OperationError
from ledger.modules.assets.commitments import CommitmentBook
from ledger.modules.assets.reads import ownership
from ledger.modules.fields import MARKER, Marker, Operation
from ledger.modules.licenses.grants import require_grant, require_terms
from ledger.modules.licenses.records import EDITIONS, Editions
from ledger.modules.lifetimes import require_lifetime
from ledger.modules.market import events
from ledger.modules.market.conditions import require_condition
from ledger.modules.market.operations import Commit, commitment
from ledger.modules.market.records import (
    AUCTIONS,
    AUCTIONS_BY_ASSET,
    AUCTIONS_BY_SELLER,
    LISTINGS,
    LISTINGS_BY_ASSET,
    LISTINGS_BY_SELLER,
    Sale,
)
from ledger.modules.module import Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, sender_organization
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.things import lock, require_available, require_offerable, unlock
from ledger.state.view import Readable, Table

COMMITMENTS: Final = CommitmentBook("market", b"market-commitment/")


class Place(NamedTuple):
    """Where sales of one kind are kept, on the quota of their sellers."""

    records: Table[Any]
    by_asset: Table[Marker]
    by_seller: Table[Marker]
    deadline: str


LISTING_EXPIRY: Final = "market.listing_expiry"
AUCTION_END: Final = "market.auction_end"
LISTING_PLACE: Final = Place(LISTINGS, LISTINGS_BY_ASSET, LISTINGS_BY_SELLER, LISTING_EXPIRY)
AUCTION_PLACE: Final = Place(AUCTIONS, AUCTIONS_BY_ASSET, AUCTIONS_BY_SELLER, AUCTION_END)


def commit(context: Context, operation: Commit) -> None:
    """Commit to a purchase that must not be copied."""
    COMMITMENTS.add(context, operation.commitment)
    context.emit(events.Committed(context.sender, operation.commitment))


def require_end(context: Context, ends_at_ms: int) -> None:
    """Refuse an end that is not ahead, or too far.

    Raises:
        OperationError: `market.end_out_of_range`.
    """
    require_lifetime(context, ends_at_ms, "market.end_out_of_range", "it ends")


def require_sellable(context: Context, thing: Thing, operation: Operation) -> None:
    """Refuse to put up what the sender may not sell now.

    Raises:
        OperationError: `transfers.*`, `assets.*`, `licenses.*`.
    """
    require_offerable(context, thing, operation, for_price=True)
    require_available(context.view, thing)


def put_up(context: Context, place: Place, identifier: bytes, sale: Sale) -> None:
    """Record a sale that the sender opens, with its deadline, and lock the thing.

    Raises:
        OperationError: `market.sale_exists`, or the quota.
    """
    if place.records.get(context.view, identifier) is not None:
        raise OperationError("market.sale_exists", "one transaction puts a thing up once")
    organization = sender_organization(context)
    quota.store(context, organization, place.records, sale, identifier)
    quota.store(context, organization, place.by_asset, MARKER, sale.asset, identifier)
    quota.store(context, organization, place.by_seller, MARKER, sale.seller, identifier)
    quota.schedule(context, organization, sale.ends_at_ms, place.deadline, identifier)
    lock(context, sale.thing, sale.seller, identifier)


def take_down(context: Context, place: Place, identifier: bytes, sale: Sale, *, swept: bool = False) -> None:
    """Remove a sale and open its lock; `swept` says that its deadline is what is running. Cannot fail."""
    organization = organization_of(context.view, sale.seller)
    if swept:
        quota.swept(context, organization)
    else:
        quota.cancel(context, organization, sale.ends_at_ms, place.deadline, identifier)
    quota.remove(context, organization, place.records, identifier)
    quota.remove(context, organization, place.by_asset, sale.asset, identifier)
    quota.remove(context, organization, place.by_seller, sale.seller, identifier)
    unlock(context, sale.thing, sale.seller)


def require_stranger(context: Context, thing: Thing, seller: bytes, buyer: bytes) -> None:
    """Refuse a buyer of the seller's organization, or of that of any owner of a whole asset: a price that is paid from
    one pocket into the other says nothing, and would be for everybody to see. Inside an organization there are
    transfers.

    Raises:
        OperationError: `market.own_organization`.
    """
    sellers = [seller]
    if thing.kind == "asset":
        sellers = [share.account for share in ownership(context.view, thing.id).shares]
    own = organization_of(context.view, buyer)
    if any(organization_of(context.view, account) == own for account in sellers):
        raise OperationError("market.own_organization", f"{own} cannot buy in the market from itself")


def require_buyable(context: Context, sale: Sale) -> None:
    """Refuse the sender as buyer of what it may not buy, or of what is not as it was when it was put up.

    Raises:
        OperationError: `market.own_organization`, `market.condition_changed`.
    """
    require_stranger(context, sale.thing, sale.seller, context.sender)
    require_condition(context.view, sale.thing, sale.condition)


def require_commitment(context: Context, identifier: bytes, thing: Thing, salt: bytes | None) -> None:
    """Reveal the sender's commitment to a sale where it brings one; refuse a sale that needs one without.

    Raises:
        OperationError: `market.commitment_*`.
    """
    if salt is not None:
        COMMITMENTS.reveal(context, commitment(identifier, context.sender, salt))
    elif needs_commitment(context.view, thing):
        raise OperationError(
            "market.commitment_required",
            "a whole asset, an exclusive grant and one of a sold-out edition are bought by commitment and reveal",
        )


def needs_commitment(view: Readable, thing: Thing) -> bool:
    """Tell whether a thing is the only one of its kind, so that whoever sees a purchase must not be able to be first:
    a whole asset, an exclusive grant, one of an edition of which no further grants can be bought."""
    if thing.kind != "grant":
        return thing.kind == "asset"
    grant = require_grant(view, thing.id)
    terms = require_terms(view, grant.terms)
    editions = EDITIONS.get(view, grant.asset, grant.terms) or Editions()
    sold_out = terms.editions_max is not None and editions.outstanding >= terms.editions_max
    return terms.exclusivity == "exclusive" or sold_out

"""Selling and buying in the market: listings, buyers' offers, auctions.

listing = await client.market.sell(share(asset, 2_500), 40_000)
await client.acting_as(buyer).market.buy(listing)
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.assets import asset_bytes, reveal
from guildmark.open_until import open_until
from guildmark.transactions import Outcome
from ledger.modules.market.operations import (
    AcceptOffer,
    Bid,
    Buy,
    CancelAuction,
    Commit,
    Condition,
    List,
    MakeOffer,
    OpenAuction,
    OpenDutchAuction,
    Settle,
    Take,
    WithdrawListing,
    WithdrawOffer,
    auction_id,
    commitment,
    listing_id,
    offer_id,
)
from ledger.modules.transfers.operations import Thing

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

SALE_LIFETIME_MS: Final = 7 * 24 * 3_600_000
"""How long a sale or offer stays open when nothing else is said; the network's own limit wins where it is lower."""
EXTENSION_MS: Final = 10 * 60_000
"""A bid in the last ten minutes moves the end of an auction when nothing else is said."""
TOO_YOUNG: Final = "market.commitment_too_young"

PutUp = List | OpenAuction | OpenDutchAuction


class AsyncMarket:
    """What an account sells, buys and bids. Things are named as for transfers: `guildmark.transfers.whole`, `share`,
    `grant`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    # Selling

    async def listing(self, thing: Thing, price: int, *, lifetime_ms: int = SALE_LIFETIME_MS) -> List:
        """The operation that lists `thing` at a price. Of an asset with several owners the others consent to it first
        (`assets.consent`); then one of them sends it with `put_up`."""
        return List(thing=thing, price=price, expires_at_ms=await _end_ms(self._client, lifetime_ms))

    async def english_auction(
        self,
        thing: Thing,
        *,
        reserve: int,
        increment: int,
        lifetime_ms: int = SALE_LIFETIME_MS,
        extension_ms: int = EXTENSION_MS,
    ) -> OpenAuction:
        """The operation that auctions `thing` to the highest bidder; as `listing`."""
        return OpenAuction(
            thing=thing,
            reserve=reserve,
            increment=increment,
            ends_at_ms=await _end_ms(self._client, lifetime_ms),
            extension_ms=min(extension_ms, lifetime_ms // 2) if extension_ms == EXTENSION_MS else extension_ms,
        )

    async def dutch_auction(
        self, thing: Thing, *, start_price: int, floor_price: int, steps: int, lifetime_ms: int = SALE_LIFETIME_MS
    ) -> OpenDutchAuction:
        """The operation that auctions `thing` at a falling price; as `listing`."""
        ends_at_ms = await _end_ms(self._client, lifetime_ms)
        return OpenDutchAuction(
            thing=thing, start_price=start_price, floor_price=floor_price, steps=steps, ends_at_ms=ends_at_ms
        )

    async def put_up(self, operation: PutUp) -> str:
        """Open a listing or auction; returns its id (hex).

        Raises:
            Refused: `market.*`, `transfers.*`, `assets.*` or `licenses.*`.
        """
        transaction = await self._client.prepare(operation)
        await self._client.deliver(transaction)
        make_id = listing_id if isinstance(operation, List) else auction_id
        return make_id(bytes.fromhex(transaction.id), operation.thing).hex()

    async def sell(self, thing: Thing, price: int, *, lifetime_ms: int = SALE_LIFETIME_MS) -> str:
        """List what the client's account alone holds at a price; returns the listing's id (hex). Raises as `put_up`."""
        return await self.put_up(await self.listing(thing, price, lifetime_ms=lifetime_ms))

    async def withdraw_listing(self, listing: str | bytes) -> Outcome:
        """Take a listing back."""
        return await self._client.submit_and_wait(WithdrawListing(listing=asset_bytes(listing)))

    async def cancel_auction(self, auction: str | bytes) -> Outcome:
        """Take back an auction in which nobody has bid."""
        return await self._client.submit_and_wait(CancelAuction(auction=asset_bytes(auction)))

    async def settle(self, auction: str | bytes) -> Outcome:
        """Have an auction concluded whose end has come, where the network is behind."""
        return await self._client.submit_and_wait(Settle(auction=asset_bytes(auction)))

    # Buying

    async def buy(self, listing: str | bytes, *, price_max: int | None = None) -> Outcome:
        """Buy what is listed: payment, royalties and the thing in one transaction.

        `price_max` defaults to the price that the listing states now. What exists only once is committed to first, so
        that nobody who sees the purchase can be faster.

        Raises:
            NotFound: no such listing. Refused: `market.*`, `transfers.*`, `credits.*` or `royalties.*`.
        """
        identifier = asset_bytes(listing)
        stated = await self.get_listing(identifier)
        limit = int(stated["price"]) if price_max is None else price_max
        if not stated["commitment_required"]:
            return await self._client.submit_and_wait(Buy(listing=identifier, price_max=limit))
        salt = await _commit(self._client, identifier)
        return await reveal(self._client, Buy(listing=identifier, price_max=limit, salt=salt), TOO_YOUNG)

    async def take(self, auction: str | bytes, *, price_max: int | None = None) -> Outcome:
        """Buy in a Dutch auction at the price of the block; at most `price_max`, by default the price that it states
        now. As `buy`."""
        identifier = asset_bytes(auction)
        stated = await self.get_auction(identifier)
        limit = price_max
        if limit is None:
            # Of an English auction the network says why not.
            limit = 0 if stated["dutch"] is None else int(stated["dutch"]["price"])
        if not stated["commitment_required"]:
            return await self._client.submit_and_wait(Take(auction=identifier, price_max=limit))
        salt = await _commit(self._client, identifier)
        return await reveal(self._client, Take(auction=identifier, price_max=limit, salt=salt), TOO_YOUNG)

    async def bid(self, auction: str | bytes, amount: int) -> Outcome:
        """Bid in an English auction; the amount is in escrow until somebody bids more or the auction ends."""
        return await self._client.submit_and_wait(Bid(auction=asset_bytes(auction), amount=amount))

    async def make_offer(
        self,
        thing: Thing,
        price: int,
        *,
        holder: AnyAccount | None = None,
        condition: Condition | None = None,
        lifetime_ms: int = SALE_LIFETIME_MS,
    ) -> str:
        """Offer a price for something; returns the offer's id (hex). The price is in escrow until the offer is
        accepted, withdrawn or expired. `holder` is whose share it is.

        The offer can be accepted only while the thing is as it is now, or as `condition` says: pass what `condition`
        returned when the thing was looked at.
        """
        seen = await self.condition(thing) if condition is None else condition
        of = None if holder is None else account_bytes(holder)
        ends_at_ms = await _end_ms(self._client, lifetime_ms)
        operation = MakeOffer(thing=thing, price=price, expires_at_ms=ends_at_ms, condition=seen, holder=of)
        transaction = await self._client.prepare(operation)
        await self._client.deliver(transaction)
        return offer_id(bytes.fromhex(transaction.id), thing, of).hex()

    async def condition(self, thing: Thing) -> Condition:
        """What a thing is like now. Raises NotFound."""
        answer = await self._client.query("market.condition", kind=thing.kind, id=thing.id, bps=thing.bps)
        fields = dict(answer["condition"])
        if fields["duties"] is not None:
            fields["duties"] = bytes.fromhex(fields["duties"])
        return Condition(**fields)

    async def acceptance(self, offer: str | bytes) -> AcceptOffer:
        """The operation that accepts an offer at the price that it states. Of an asset with several owners the others
        consent to it first (`assets.consent`); then one of them sends it with `accept_offer`."""
        stated = await self.get_offer(offer)
        return AcceptOffer(offer=asset_bytes(offer), price_min=int(stated["price"]))

    async def accept_offer(self, offer: str | bytes | AcceptOffer) -> Outcome:
        """Sell for what a buyer offers.

        Raises:
            NotFound: no such offer. Refused: `market.*`, `transfers.*`, `assets.*` or `royalties.*`.
        """
        operation = offer if isinstance(offer, AcceptOffer) else await self.acceptance(offer)
        return await self._client.submit_and_wait(operation)

    async def withdraw_offer(self, offer: str | bytes) -> Outcome:
        """Take an offer and its price back."""
        return await self._client.submit_and_wait(WithdrawOffer(offer=asset_bytes(offer)))

    # Reading

    async def get_listing(self, listing: str | bytes) -> dict[str, Any]:
        """An open listing. Raises NotFound."""
        return await _one(self._client, "listing", listing)

    async def get_offer(self, offer: str | bytes) -> dict[str, Any]:
        """A buyer's open offer. Raises NotFound."""
        return await _one(self._client, "offer", offer)

    async def get_auction(self, auction: str | bytes) -> dict[str, Any]:
        """An auction with its price or best bid. Raises NotFound."""
        return await _one(self._client, "auction", auction)

    async def listings(
        self,
        asset: str | bytes | None = None,
        account: AnyAccount | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The listings of an asset with its shares and licenses, of a seller, or all; a page at a time."""
        return await _many(
            self._client, "listings", asset=_id(asset), account=_account(account), after=after, limit=limit
        )

    async def auctions(
        self,
        asset: str | bytes | None = None,
        account: AnyAccount | None = None,
        *,
        bidder: AnyAccount | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The auctions of an asset with its shares and licenses, of a seller, those that `bidder` leads, or all; a page
        at a time."""
        return await _many(
            self._client,
            "auctions",
            asset=_id(asset),
            account=_account(account),
            bidder=_account(bidder),
            after=after,
            limit=limit,
        )

    async def offers(
        self,
        thing: str | bytes | None = None,
        account: AnyAccount | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The offers on an asset (and its shares) or a grant, or of a buyer (the client's account when neither is
        named); a page at a time."""
        who = self._client.signer() if thing is None and account is None else account
        return await _many(self._client, "offers", thing=_id(thing), account=_account(who), after=after, limit=limit)

    async def prices(
        self, asset: str | bytes, *, after: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """At what prices an asset, its shares and licenses on it can be bought or bid for now; a page at a time."""
        return await _many(self._client, "prices", asset=_id(asset), after=after, limit=limit)


async def _end_ms(client: AsyncClient, lifetime_ms: int) -> int:
    return await open_until(client, lifetime_ms, SALE_LIFETIME_MS)


async def _commit(client: AsyncClient, sale: bytes) -> bytes:
    """Commit to buying from a sale, and wait until the commitment is old enough; return its salt."""
    salt = secrets.token_bytes(16)
    committed = await client.submit_and_wait(Commit(commitment(sale, client.signer().id, salt)))
    assert committed.height is not None
    block = await client.wait_for_height(committed.height)
    age_ms = (await client.parameters()).commitment_age_ms
    await client.wait_until(int(block["timestamp_ms"]) + age_ms)
    return salt


async def _one(client: AsyncClient, what: str, identifier: str | bytes) -> dict[str, Any]:
    named: dict[str, Any] = {what: asset_bytes(identifier)}
    result: dict[str, Any] = await client.query(f"market.{what}", **named)
    return result


async def _many(client: AsyncClient, what: str, **arguments: Any) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = await client.query(f"market.{what}", **arguments)
    return result


def _id(identifier: str | bytes | None) -> bytes | None:
    return None if identifier is None else asset_bytes(identifier)


def _account(account: AnyAccount | None) -> str | None:
    return None if account is None else account_text(account)

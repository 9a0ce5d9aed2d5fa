"""Handing over assets, shares and grants by offer and acceptance, and what several owners do together.

offered = await client.transfers.offer(share(asset, 2_500), friend, 40_000)
await client.acting_as(friend).transfers.accept(offered, 40_000)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.assets import asset_bytes
from guildmark.errors import InvalidArgument, Refused
from guildmark.open_until import open_until
from guildmark.transactions import Outcome, malformed
from ledger.modules.transfers.operations import Accept, Offer, OfferGift, Thing, Withdraw, transfer_id
from ledger.operations import Operation, default_registry
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_to_text

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

TRANSFER_LIFETIME_MS: Final = 24 * 3_600_000
"""How long a transfer stays open when nothing else is said; the network's own limit wins where it is lower."""


def whole(asset: str | bytes) -> Thing:
    """An asset with all its shares."""
    return Thing("asset", asset_bytes(asset))


def share(asset: str | bytes, bps: int) -> Thing:
    """A part of an asset: 1 to 9,999 ten-thousandths."""
    return Thing("share", asset_bytes(asset), bps)


def grant(identifier: str | bytes) -> Thing:
    """A bought license."""
    return Thing("grant", asset_bytes(identifier))


def write_operation(operation: Operation) -> str:
    """Return an operation as text (hex), for the other owners to read and to consent to.

    Raises:
        Refused: `transaction.malformed`, naming the field that is out of its bounds.
    """
    if wrong := malformed([operation]):
        raise Refused("transaction.malformed", wrong)
    return encode(operation).hex()


def read_operation(text: str) -> Operation:
    """Read what `write_operation` wrote.

    Raises:
        InvalidArgument: `argument.operation`.
    """
    try:
        operation: Operation = decode(bytes.fromhex(text), default_registry().union)
    except (ValueError, CodecError) as error:
        raise InvalidArgument("argument.operation", f"not an operation in hex: {error}") from error
    return operation


def show_operation(operation: Operation) -> dict[str, Any]:
    """Return an operation as plain values for people: its tag and fields, ids in hex."""
    shown: dict[str, Any] = {"operation": operation.__struct_config__.tag}
    for name in operation.__struct_fields__:
        shown[name] = _shown(name, getattr(operation, name))
    return shown


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return account_to_text(value) if name in ("recipient", "manager") else value.hex()
    if isinstance(value, msgspec.Struct):
        return {field: _shown(field, getattr(value, field)) for field in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_shown(name, item) for item in value]
    return value


class AsyncTransfers:
    """What an account hands over and takes over."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def operation(
        self, thing: Thing, recipient: AnyAccount, price: int = 0, *, lifetime_ms: int = TRANSFER_LIFETIME_MS
    ) -> Offer | OfferGift:
        """The operation that offers `thing`, as a gift when `price` is 0. Of an asset with several owners the others
        consent to it first (`assets.consent`); then one of them sends it with `send`."""
        expires_at_ms = await open_until(self._client, lifetime_ms, TRANSFER_LIFETIME_MS)
        to = account_bytes(recipient)
        if price:
            return Offer(thing=thing, recipient=to, price=price, expires_at_ms=expires_at_ms)
        return OfferGift(thing=thing, recipient=to, expires_at_ms=expires_at_ms)

    async def send(self, operation: Offer | OfferGift) -> str:
        """Offer; returns the transfer's id (hex)."""
        transaction = await self._client.prepare(operation)
        await self._client.deliver(transaction)
        return transfer_id(bytes.fromhex(transaction.id), operation.thing).hex()

    async def offer(
        self, thing: Thing, recipient: AnyAccount, price: int = 0, *, lifetime_ms: int = TRANSFER_LIFETIME_MS
    ) -> str:
        """Offer what the client's account holds to one account, as a gift when `price` is 0; returns the transfer's id
        (hex).

        Raises:
            Refused: `transfers.*`, `assets.*` or `licenses.*`.
        """
        return await self.send(await self.operation(thing, recipient, price, lifetime_ms=lifetime_ms))

    async def accept(self, transfer: str | bytes, price_max: int = 0) -> Outcome:
        """Accept what is offered, and pay at most `price_max`."""
        return await self._client.submit_and_wait(Accept(transfer=asset_bytes(transfer), price_max=price_max))

    async def withdraw(self, transfer: str | bytes) -> Outcome:
        """Take an offer back, or decline it."""
        return await self._client.submit_and_wait(Withdraw(transfer=asset_bytes(transfer)))

    async def get(self, transfer: str | bytes) -> dict[str, Any]:
        """A transfer that waits for acceptance. Raises NotFound."""
        result: dict[str, Any] = await self._client.query("transfers.get", transfer=asset_bytes(transfer))
        return result

    async def pending(
        self, account: AnyAccount | None = None, *, after: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """What waits for acceptance by an account (the client's by default), or was offered by it."""
        who = account_text(self._client.signer() if account is None else account)
        result: list[dict[str, Any]] = await self._client.query("transfers.list", account=who, after=after, limit=limit)
        return result

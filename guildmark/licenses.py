"""Offering, buying and checking licenses, and taking out what they earned."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.assets import asset_bytes, reveal
from guildmark.errors import InvalidArgument, Refused, VerificationFailed
from guildmark.open_until import open_until
from guildmark.transactions import Outcome
from guildmark.vouchers import SignedVoucher, check_signature, sign_voucher
from ledger.modules.licenses.operations import (
    ApproveDerivatives,
    Claim,
    Commit,
    Offer,
    Purchase,
    Renew,
    ReportUsage,
    Revoke,
    Right,
    SetSeats,
    Terms,
    WithdrawOffer,
    grant_id,
    offer_id,
    purchase_commitment,
    terms_digest,
)
from ledger.modules.licenses.usage import VOUCHER_ROLES
from ledger.modules.royalties.operations import Withdraw
from primitives.identifiers import key_from_text

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

OFFER_LIFETIME_MS: Final = 7 * 24 * 3_600_000
"""How long an offer stays open when nothing else is said; the network's own limit wins where it is lower."""
_LISTS: Final = ("rights", "field_allow", "field_deny", "territory", "credentials", "revocation_causes")


class LicenseOffer(msgspec.Struct, frozen=True):
    offer: str
    asset: str
    terms_digest: str
    expires_at_ms: int
    height: int


class Grant(msgspec.Struct, frozen=True):
    """A license that was bought or renewed."""

    grant: str
    offer: str
    asset: str
    price: int
    state: str
    """`active`, or `escrowed` until a quorum of validators holds the version; `renewed` for a further term of the same
    grant."""
    transaction: str
    height: int


def terms(**fields: Any) -> Terms:
    """Make license terms from plain values: lists may come in any order.

    Raises:
        Refused: `licenses.terms`, an unknown field or a value out of its bounds.
    """
    plain: dict[str, Any] = {
        name: tuple(sorted(set(value))) if name in _LISTS else value for name, value in fields.items()
    }
    unknown = sorted(set(plain) - set(Terms.__struct_fields__))
    if unknown:
        raise Refused("licenses.terms", f"unknown terms: {', '.join(unknown)}")
    try:
        made = Terms(**plain)
        return msgspec.convert(msgspec.to_builtins(made), Terms)
    except (msgspec.ValidationError, TypeError) as error:
        raise Refused("licenses.terms", str(error)) from error


def read_terms(path: Path) -> Terms:
    """Read terms from a TOML or JSON file whose members are their fields. Raises as `terms`, or OSError."""
    import tomllib

    data = path.read_bytes()
    try:
        fields = msgspec.json.decode(data) if path.suffix == ".json" else tomllib.loads(data.decode("utf-8"))
    except (msgspec.MsgspecError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Refused("licenses.terms", f"{path}: {error}") from error
    if not isinstance(fields, dict):
        raise Refused("licenses.terms", f"{path}: the terms must be a table of fields")
    return terms(**fields)


def write_terms(license_terms: Terms, *, json: bool = False) -> str:
    """Write terms as `read_terms` takes them, as TOML or JSON; fields that have their default are left out."""
    given = {
        field.name: msgspec.to_builtins(getattr(license_terms, field.name))
        for field in msgspec.structs.fields(Terms)
        if field.required or getattr(license_terms, field.name) != field.default
    }
    if json:
        return msgspec.json.format(msgspec.json.encode(given), indent=2).decode("utf-8") + "\n"
    # What these fields hold (texts, whole numbers, truth, lists of texts) JSON and TOML write alike, but for DEL.
    lines = [f"{name} = {msgspec.json.encode(value).decode('utf-8')}\n" for name, value in given.items()]
    return "".join(lines).replace("\x7f", "\\u007f")


class AsyncLicenses:
    """What accounts do with licenses."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def offer(
        self,
        asset: str | bytes,
        license_terms: Terms,
        *,
        version: int | None = None,
        buyer: AnyAccount | None = None,
        lifetime_ms: int = OFFER_LIFETIME_MS,
    ) -> LicenseOffer:
        """Offer licenses on an asset that the client's account manages, to all or to one buyer."""
        expires_at_ms = await open_until(self._client, lifetime_ms, OFFER_LIFETIME_MS)
        identifier, to = asset_bytes(asset), None if buyer is None else account_bytes(buyer)
        operation = Offer(asset=identifier, terms=license_terms, expires_at_ms=expires_at_ms, version=version, buyer=to)
        transaction = await self._client.prepare(operation)
        outcome = await self._client.deliver(transaction)
        digest = terms_digest(license_terms)
        offer = offer_id(bytes.fromhex(transaction.id), identifier, digest, to)
        return LicenseOffer(offer.hex(), identifier.hex(), digest.hex(), expires_at_ms, outcome.height or 0)

    async def withdraw_offer(self, offer: str | bytes) -> Outcome:
        """End an offer."""
        return await self._client.submit_and_wait(WithdrawOffer(offer=asset_bytes(offer)))

    async def buy(self, offer: str | bytes, *, price_max: int | None = None) -> Grant:
        """Buy under an offer: payment, royalties and grant in one transaction.

        `price_max` defaults to the price that the offer states now. Where the grant is exclusive or the last edition,
        the purchase is committed to first, so that nobody who sees it can be faster.

        Raises:
            NotFound: no such offer. Refused: `licenses.*`, `credits.*` or `royalties.*`.
        """
        identifier = asset_bytes(offer)
        stated = await self.get_offer(identifier)
        limit = int(stated["price"]) if price_max is None else price_max
        digest = bytes.fromhex(stated["terms_digest"])
        operation = Purchase(offer=identifier, terms_digest=digest, price_max=limit)
        return _grant(identifier, stated, await self._place(operation, committed=stated["commitment_required"]))

    async def renew(self, grant: str | bytes, offer: str | bytes, *, price_max: int | None = None) -> Grant:
        """Renew a grant of the client's account under an open offer on its asset.

        An offer of the grant's own terms adds a term to it; one of other terms makes a new grant that follows it.
        `price_max` and commitments are as in `buy`.

        Raises:
            NotFound: no such offer or grant. Refused: `licenses.*`, `credits.*` or `royalties.*`.
        """
        renewed, identifier = asset_bytes(grant), asset_bytes(offer)
        stated, held = await self.get_offer(identifier), await self.get_grant(renewed)
        same = stated["terms_digest"] == held["terms_digest"]
        operation = Renew(
            grant=renewed,
            offer=identifier,
            terms_digest=bytes.fromhex(stated["terms_digest"]),
            price_max=int(stated["price"]) if price_max is None else price_max,
        )
        # A further term takes no edition: only an exclusive grant could then be snatched away.
        needed = stated["terms"]["exclusivity"] == "exclusive" if same else stated["commitment_required"]
        outcome = await self._place(operation, committed=needed)
        if not same:
            return _grant(identifier, stated, outcome)
        event = outcome.event("licenses.renewed")
        return Grant(
            grant=renewed.hex(),
            offer=identifier.hex(),
            asset=stated["asset"],
            price=int(event["price"]),
            state="renewed",
            transaction=outcome.id,
            height=outcome.height or 0,
        )

    async def _place(self, operation: Purchase | Renew, *, committed: bool) -> Outcome:
        """Submit an order; where others could be faster, commit to it first and reveal it when that is old enough."""
        if not committed:
            return await self._client.submit_and_wait(operation)
        offer, salt = operation.offer, secrets.token_bytes(16)
        outcome = await self._client.submit_and_wait(Commit(purchase_commitment(offer, self._client.signer().id, salt)))
        assert outcome.height is not None
        block = await self._client.wait_for_height(outcome.height)
        age_ms = (await self._client.parameters()).commitment_age_ms
        await self._client.wait_until(int(block["timestamp_ms"]) + age_ms)
        revealing = msgspec.structs.replace(operation, salt=salt)
        return await reveal(self._client, revealing, "licenses.commitment_too_young")

    async def check(
        self,
        asset: str | bytes,
        right: Right = "download",
        *,
        account: AnyAccount | None = None,
        at_ms: int | None = None,
        field_of_use: str | None = None,
        country: str | None = None,
        at_least: int | None = None,
    ) -> dict[str, Any]:
        """May an account (the client's, when none is named) exercise a right? With `allowed`, `reason` and `clause`."""
        result: dict[str, Any] = await self._client.query(
            "licenses.check",
            account=account_text(account or self._client.signer()),
            asset=asset_bytes(asset),
            right=right,
            at_ms=at_ms,
            field_of_use=field_of_use,
            country=country,
            at_least=at_least,
        )
        return result

    async def get_offer(self, offer: str | bytes) -> dict[str, Any]:
        """An offer with its terms and price."""
        result: dict[str, Any] = await self._client.query("licenses.offer", offer=asset_bytes(offer))
        return result

    async def offers(self, asset: str | bytes, *, after: str | None = None) -> list[dict[str, Any]]:
        """The offers on an asset; a page at a time."""
        result: list[dict[str, Any]] = await self._client.query(
            "licenses.offers", asset=asset_bytes(asset), after=after
        )
        return result

    async def get_grant(self, grant: str | bytes) -> dict[str, Any]:
        """A grant with its terms and state."""
        result: dict[str, Any] = await self._client.query("licenses.grant", grant=asset_bytes(grant))
        return result

    async def grants(
        self, account: AnyAccount | None = None, asset: str | bytes | None = None, *, after: str | None = None
    ) -> list[dict[str, Any]]:
        """The grants of an account (the client's, when neither is named), on an asset, or both; a page at a time."""
        if account is None and asset is None:
            account = self._client.signer()
        result: list[dict[str, Any]] = await self._client.query(
            "licenses.grants",
            account=None if account is None else account_text(account),
            asset=None if asset is None else asset_bytes(asset),
            after=after,
        )
        return result

    async def export_odrl(
        self, *, offer: str | bytes | None = None, grant: str | bytes | None = None
    ) -> dict[str, Any]:
        """An offer as an ODRL Offer, or a grant as an ODRL Agreement: `guildmark.odrl` says how.

        The assigner is who made the offer; of a grant, the asset's manager now, since its offer may be gone.

        Raises:
            NotFound: no such offer or grant. InvalidArgument: `odrl.source`, not exactly one of the two is named.
        """
        from guildmark.odrl import to_odrl

        if (offer is None) == (grant is None):
            raise InvalidArgument("odrl.source", "name an offer or a grant")
        if offer is not None:
            stated = await self.get_offer(offer)
            assigner, assignee, name = stated["maker"], stated["buyer"], f"urn:guildmark:offer:{stated['offer']}"
        else:
            assert grant is not None
            stated = await self.get_grant(grant)
            asset = await self._client.query("assets.get", asset=asset_bytes(stated["asset"]))
            assigner, assignee, name = asset["manager"], stated["licensee"], f"urn:guildmark:grant:{stated['grant']}"
        return to_odrl(
            terms(**stated["terms"]),
            asset=stated["asset"],
            assigner=assigner,
            assignee=assignee,
            uid=name,
            kind="Offer" if grant is None else "Agreement",
        )

    async def approve_derivatives(self, grant: str | bytes) -> Outcome:
        """Approve that a grant is used for derivatives."""
        return await self._client.submit_and_wait(ApproveDerivatives(grant=asset_bytes(grant)))

    async def revoke(self, grant: str | bytes, cause: str, evidence: str | None = None) -> Outcome:
        """Revoke a grant for a cause that its terms name, as its asset's manager; the client's account pays the refund.

        `evidence` is a CID. The effect and the refund are in the event `licenses.revoked`.
        """
        return await self._client.submit_and_wait(Revoke(grant=asset_bytes(grant), cause=cause, evidence=evidence))

    async def set_seats(self, grant: str | bytes, accounts: Iterable[AnyAccount]) -> Outcome:
        """Say which accounts of its organization may use a grant of the client's account, beside itself."""
        seats = tuple(sorted({account_bytes(account) for account in accounts}))
        return await self._client.submit_and_wait(SetSeats(grant=asset_bytes(grant), accounts=seats))

    async def seats(
        self, account: AnyAccount | None = None, asset: str | bytes | None = None, *, after: str | None = None
    ) -> list[dict[str, Any]]:
        """The grants of others of which an account (the client's, when none is named) has a seat; a page at a time."""
        result: list[dict[str, Any]] = await self._client.query(
            "licenses.seats",
            account=account_text(account or self._client.signer()),
            asset=None if asset is None else asset_bytes(asset),
            after=after,
        )
        return result

    async def token(self, grant: str | bytes) -> dict[str, Any]:
        """A grant as a unique token: owner, edition and metadata in the shape of ERC-721."""
        result: dict[str, Any] = await self._client.query("licenses.token", token=asset_bytes(grant))
        return result

    # Metered use

    async def sign_voucher(self, grant: str | bytes, count: int) -> SignedVoucher:
        """Sign, as the licensee, that `count` units of a grant have been used in all. Nothing is sent."""
        return sign_voucher(self._client.signer(), await self._client.network_id(), grant, count)

    async def verify_voucher(self, voucher: SignedVoucher) -> int:
        """Check a voucher as its provider, before serving: return how many units it is worth beyond what is reported.

        Raises:
            NotFound: no such grant. VerificationFailed: `licenses.voucher_*` or `licenses.above_quota`.
        """
        check_signature(voucher, await self._client.network_id())
        grant = await self.get_grant(voucher.grant)
        licensee: dict[str, Any] = await self._client.query("accounts.get", account=grant["licensee"])
        if not any(key["key"] == voucher.key and key["role"] in VOUCHER_ROLES for key in licensee["keys"]):
            raise VerificationFailed("licenses.voucher_key", "not an owner or operator key of the licensee")
        if grant["quota"] is None or voucher.count > grant["quota"]:
            raise VerificationFailed("licenses.above_quota", f"{voucher.count} of at most {grant['quota']}")
        return max(voucher.count - int(grant["used"]), 0)

    async def report_usage(self, voucher: SignedVoucher) -> Outcome:
        """Submit a voucher as the manager of the grant's asset. One that was submitted already changes nothing."""
        check_signature(voucher, await self._client.network_id())
        return await self._client.submit_and_wait(
            ReportUsage(
                grant=asset_bytes(voucher.grant),
                count=voucher.count,
                key=key_from_text(voucher.key),
                signature=bytes.fromhex(voucher.signature),
            )
        )

    async def claim(self, grant: str | bytes) -> Outcome:
        """Have a due settlement, refund or return of a deposit done now."""
        return await self._client.submit_and_wait(Claim(grant=asset_bytes(grant)))

    # Royalties

    async def royalties_owed(self, asset: str | bytes, account: AnyAccount | None = None) -> dict[str, Any]:
        """What an account (the client's, when none is named) may withdraw from an asset's pool."""
        result: dict[str, Any] = await self._client.query(
            "royalties.owed", asset=asset_bytes(asset), account=account_text(account or self._client.signer())
        )
        return result

    async def royalty_pool(self, asset: str | bytes) -> dict[str, Any]:
        """An asset's pool: what came in, what is owed to whom."""
        result: dict[str, Any] = await self._client.query("royalties.pool", asset=asset_bytes(asset))
        return result

    async def royalty_stack(self, asset: str | bytes) -> dict[str, Any]:
        """Whom an asset pays of every payment for it, the largest rate first."""
        result: dict[str, Any] = await self._client.query("royalties.stack", asset=asset_bytes(asset))
        entries = sorted(result["entries"], key=lambda entry: (-entry["rate_bps"], entry["name"], entry["ancestor"]))
        return result | {"entries": entries}

    async def quote(self, asset: str | bytes, price: int) -> dict[str, Any]:
        """How a price for a license on an asset would be split now: fee, royalties, rest.

        Raises:
            Refused: `royalties.uncovered`, the price does not cover the least royalties.
        """
        fee_bps = (await self._client.parameters()).fee_bps
        result: dict[str, Any] = await self._client.query(
            "royalties.quote", asset=asset_bytes(asset), price=price, fee_bps=fee_bps
        )
        return result

    async def withdraw_royalties(self, asset: str | bytes) -> Outcome:
        """Take out what the client's account is owed from an asset's pool."""
        return await self._client.submit_and_wait(Withdraw(asset=asset_bytes(asset)))


def _grant(offer: bytes, stated: dict[str, Any], outcome: Outcome) -> Grant:
    bought = outcome.event("licenses.purchased")
    return Grant(
        grant=grant_id(bytes.fromhex(outcome.id), offer).hex(),
        offer=offer.hex(),
        asset=stated["asset"],
        price=int(bought["price"]),
        state=str(bought["state"]),
        transaction=outcome.id,
        height=outcome.height or 0,
    )

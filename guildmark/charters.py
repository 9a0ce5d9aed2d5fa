"""Charters: the owners of an asset decide together, by the shares that they had when something was proposed.

made = await client.assets.register(path, kind="model", name="Digits", charter=read_charter(Path("charter.toml")))
proposal = await client.charters.propose_alias(made.asset, "production", 2)
await client.acting_as(other).charters.vote(proposal["proposal"], True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from guildmark.accounts import AnyAccount, account_bytes
from guildmark.assets import asset_bytes
from guildmark.errors import Refused
from guildmark.open_until import open_until
from ledger.modules.assets.charter import Charter
from ledger.modules.charters.operations import (
    AcceptContribution,
    Action,
    ChangeCharter,
    Dissolve,
    ListWhole,
    NameManager,
    OfferTerms,
    Pay,
    PointAlias,
    Propose,
    SellWhole,
    Vote,
    Withdraw,
    WithdrawTerms,
    proposal_id,
)
from ledger.modules.contributions.operations import Reward

if TYPE_CHECKING:
    from pathlib import Path

    from guildmark.client import AsyncClient
    from ledger.modules.licenses.operations import Terms

OFFER_LIFETIME_MS: Final = 14 * 24 * 3_600_000
"""How long a proposed offer of licenses stands when nothing else is said; the network's own limit wins where it is
lower."""
_DAILY: Final = ("terms", "aliases", "contributions", "management", "payments")


def charter(**fields: Any) -> Charter:
    """Make a charter from plain values: lists may come in any order, and `majority` is that of every kind of decision
    that is not named, but of `charter` and `dissolution`.

    Raises:
        Refused: `charters.charter`, an unknown field or a value out of its bounds.
    """
    plain = dict(fields)
    common = plain.pop("majority", None)
    if common is not None:
        plain = dict.fromkeys(_DAILY, common) | plain
    for name in ("voted", "voted_aliases"):
        if isinstance(plain.get(name), list | tuple) and all(isinstance(item, str) for item in plain[name]):
            plain[name] = sorted(set(plain[name]))
    unknown = sorted(set(plain) - set(Charter.__struct_fields__))
    if unknown:
        raise Refused("charters.charter", f"unknown fields: {', '.join(unknown)}")
    missing = [field.name for field in msgspec.structs.fields(Charter) if field.required and field.name not in plain]
    if missing:
        raise Refused("charters.charter", f"missing: {', '.join(missing)}")
    try:
        row = [_row(plain.get(field.name, field.default)) for field in msgspec.structs.fields(Charter)]
        return msgspec.convert(row, Charter)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        raise Refused("charters.charter", str(error)) from error


def _row(value: Any) -> Any:
    """A majority as it stands in an array: (quorum, threshold)."""
    if isinstance(value, dict):
        if set(value) != {"quorum_bps", "threshold_bps"}:
            raise TypeError("a majority is a quorum_bps and a threshold_bps")
        return [value["quorum_bps"], value["threshold_bps"]]
    return msgspec.to_builtins(value)


def read_charter(path: Path) -> Charter:
    """Read a charter from a TOML file whose members are its fields. Raises as `charter`, or OSError."""
    import tomllib

    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise Refused("charters.charter", f"{path}: {error}") from error
    return charter(**fields)


class AsyncCharters:
    """What the owners of assets propose and decide. What proposes returns the proposal as it is then."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, asset: str | bytes, *, at_least: int | None = None) -> dict[str, Any]:
        """An asset's charter, its treasury, and the fair price of the whole. Raises NotFound."""
        result: dict[str, Any] = await self._client.query("charters.get", at_least=at_least, asset=asset_bytes(asset))
        return result

    async def proposal(self, proposal: str | bytes, *, at_least: int | None = None) -> dict[str, Any]:
        """A proposal, its votes, and who may vote with what power. Raises NotFound."""
        result: dict[str, Any] = await self._client.query(
            "charters.proposal", at_least=at_least, proposal=asset_bytes(proposal)
        )
        return result

    async def proposals(
        self, asset: str | bytes, *, after: str | None = None, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """What the owners of an asset have proposed, decided or not, in order of id."""
        result: list[dict[str, Any]] = await self._client.query(
            "charters.proposals", asset=asset_bytes(asset), after=after, limit=limit
        )
        return result

    async def propose_terms(
        self,
        asset: str | bytes,
        license_terms: Terms,
        *,
        version: int | None = None,
        buyer: AnyAccount | None = None,
        lifetime_ms: int = OFFER_LIFETIME_MS,
        title: str = "",
    ) -> dict[str, Any]:
        """Propose that the manager offers licenses, for `lifetime_ms` from now on."""
        expires_at_ms = await open_until(self._client, lifetime_ms, OFFER_LIFETIME_MS)
        named = None if buyer is None else account_bytes(buyer)
        return await self._propose(asset, OfferTerms(license_terms, expires_at_ms, version, named), title)

    async def propose_withdrawal(self, asset: str | bytes, offer: str | bytes, *, title: str = "") -> dict[str, Any]:
        """Propose to withdraw an offer of licenses."""
        return await self._propose(asset, WithdrawTerms(asset_bytes(offer)), title)

    async def propose_alias(
        self, asset: str | bytes, alias: str, version: int | None, *, title: str = ""
    ) -> dict[str, Any]:
        """Propose to point an alias to a version; None removes it."""
        return await self._propose(asset, PointAlias(alias, version), title)

    async def propose_manager(self, asset: str | bytes, manager: AnyAccount, *, title: str = "") -> dict[str, Any]:
        """Propose another manager."""
        return await self._propose(asset, NameManager(account_bytes(manager)), title)

    async def propose_payment(
        self, asset: str | bytes, recipient: AnyAccount, amount: int, *, title: str = ""
    ) -> dict[str, Any]:
        """Propose a payment from the asset's treasury. The recipient's organization does not vote on it."""
        return await self._propose(asset, Pay(account_bytes(recipient), amount), title)

    async def propose_sale(
        self, asset: str | bytes, offer: str | bytes, *, price_min: int = 0, title: str = ""
    ) -> dict[str, Any]:
        """Propose to sell the whole asset for what a buyer has put into escrow (`market.make_offer`)."""
        return await self._propose(asset, SellWhole(asset_bytes(offer), price_min), title)

    async def propose_listing(
        self, asset: str | bytes, price: int, *, lifetime_ms: int = OFFER_LIFETIME_MS, title: str = ""
    ) -> dict[str, Any]:
        """Propose to put the whole asset up for sale in the market, for `lifetime_ms` from now on."""
        expires_at_ms = await open_until(self._client, lifetime_ms, OFFER_LIFETIME_MS)
        return await self._propose(asset, ListWhole(price, expires_at_ms), title)

    async def propose_contribution(
        self,
        asset: str | bytes,
        contribution: str | bytes,
        *,
        share_bps: int = 0,
        giver: AnyAccount | None = None,
        bounty: str | bytes | None = None,
        title: str = "",
    ) -> dict[str, Any]:
        """Propose to accept a contribution: for credit, a share of all owners or of the proposer (`giver`), a
        bounty."""
        named = None if giver is None else account_bytes(giver)
        reward = Reward(share_bps, named, None if bounty is None else asset_bytes(bounty))
        return await self._propose(asset, AcceptContribution(asset_bytes(contribution), reward), title)

    async def propose_change(self, asset: str | bytes, rules: Charter, *, title: str = "") -> dict[str, Any]:
        """Propose another charter."""
        return await self._propose(asset, ChangeCharter(rules), title)

    async def propose_dissolution(self, asset: str | bytes, *, title: str = "") -> dict[str, Any]:
        """Propose to end the charter and to pay the treasury out by shares."""
        return await self._propose(asset, Dissolve(), title)

    async def vote(self, proposal: str | bytes, approve: bool) -> dict[str, Any]:
        """Vote with the share that the client's account had when it was proposed; return the proposal as it is
        then."""
        outcome = await self._client.submit_and_wait(Vote(asset_bytes(proposal), approve))
        return await self.proposal(proposal, at_least=outcome.height)

    async def withdraw(self, proposal: str | bytes) -> dict[str, Any]:
        """Take a proposal of the client's account back."""
        outcome = await self._client.submit_and_wait(Withdraw(asset_bytes(proposal)))
        return await self.proposal(proposal, at_least=outcome.height)

    async def _propose(self, asset: str | bytes, action: Action, title: str) -> dict[str, Any]:
        identifier = asset_bytes(asset)
        transaction = await self._client.prepare(Propose(identifier, action, title))
        outcome = await self._client.deliver(transaction)
        proposal = proposal_id(bytes.fromhex(transaction.id), identifier, action)
        return await self.proposal(proposal, at_least=outcome.height)

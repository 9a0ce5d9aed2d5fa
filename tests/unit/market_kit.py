"""Short ways to say what accounts do in the market."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.assets import operations as assets
from ledger.modules.assets.operations import action_digest
from ledger.modules.licenses.operations import Terms
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import NAMES, World

HOUR_MS = 3_600_000
TOKEN = Terms(rights=("inference",), price=100, transferable=True)
EXCLUSIVE = Terms(rights=("inference",), price=100, transferable=True, exclusivity="exclusive")


class Bazaar(World):
    """A world in which alice has the asset `A`, and what she puts up is sold."""

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments)
        self.asset = self.register("alice", "A", **fields)
        self.whole = Thing("asset", self.asset)
        self.later_parent = b""
        """Of the asset, where a story gives it one."""

    def share(self, bps: int) -> Thing:
        return Thing("share", self.asset, bps)

    def grant(self, holder: str = "bob", terms: Terms = TOKEN) -> Thing:
        """A license that `holder` buys from alice."""
        return Thing("grant", self.license("alice", self.asset, holder, terms))

    def dear_parent(self, parent: bytes = b"", **fields: Any) -> assets.Derivation:
        """How to derive from an asset of dave's, for a share of all later income, under a license that alice buys."""
        parent = parent or self.register("dave", "dear")
        base: dict[str, Any] = {"commercial": True, "revenue_share_bps": 3_000, "revenue_share_depth": 2}
        terms = Terms(rights=("train-on",), price=100, derivatives="yes", **(base | fields))
        return assets.Derivation(parent, "train-on", self.license("dave", parent, "alice", terms))

    def co_owned(self, *holders: tuple[str, int]) -> None:
        for who, bps in holders:
            self.transfer("alice", self.share(bps), who, 1_000)

    def text(self, who: str) -> str:
        return account_to_text(self.accounts[who])

    def used(self) -> dict[str, Any]:
        """The quota that every organization uses, the asset's bookkeeping of payments aside."""
        return {name: usage(self.view, f"org-{name}") for name in NAMES}

    def consent(self, who: str, operation: Any) -> None:
        self.do(who, assets.Consent(self.asset, action_digest(operation), self.now_ms + DAY_MS))

    def put_up(self, who: str, thing: Thing, price: int = 1_000, lifetime_ms: int = DAY_MS) -> bytes:
        self.do(who, market.List(thing, price, self.now_ms + lifetime_ms))
        return market.listing_id(self.transaction_id, thing)

    def auction(self, who: str, thing: Thing, **fields: Any) -> bytes:
        lifetime_ms = fields.pop("lifetime_ms", DAY_MS)
        base: dict[str, Any] = {"reserve": 500, "increment": 100, "extension_ms": HOUR_MS}
        operation = market.OpenAuction(thing=thing, ends_at_ms=self.now_ms + lifetime_ms, **(base | fields))
        self.do(who, operation)
        return market.auction_id(self.transaction_id, thing)

    def dutch(self, who: str, thing: Thing, **fields: Any) -> bytes:
        lifetime_ms = fields.pop("lifetime_ms", DAY_MS)
        base: dict[str, Any] = {"start_price": 10_000, "floor_price": 2_000, "steps": 8}
        operation = market.OpenDutchAuction(thing=thing, ends_at_ms=self.now_ms + lifetime_ms, **(base | fields))
        self.do(who, operation)
        return market.auction_id(self.transaction_id, thing)

    def offer_operation(self, thing: Thing, price: int, holder: str | None = None, **fields: Any) -> market.MakeOffer:
        condition = fields.pop("condition", None) or condition_of(self.view, thing)
        lifetime_ms = fields.pop("lifetime_ms", DAY_MS)
        of = None if holder is None else self.accounts[holder]
        return market.MakeOffer(thing, price, self.now_ms + lifetime_ms, condition, of)

    def bid_for(self, who: str, thing: Thing, price: int = 1_000, holder: str | None = None, **fields: Any) -> bytes:
        """Make an offer."""
        operation = self.offer_operation(thing, price, holder, **fields)
        self.do(who, operation)
        return market.offer_id(self.transaction_id, thing, operation.holder)

    def committed(self, who: str, sale: bytes) -> bytes:
        """Commit to a purchase, and let the commitment become old enough; return its salt."""
        salt = self.salt(f"{who} {sale.hex()} {self.now_ms}")
        self.do(who, market.Commit(market.commitment(sale, self.accounts[who], salt)))
        self.advance(self.parameters.commitment_age_ms)
        return salt

    def buy_listed(self, who: str, listing: bytes, price_max: int = 1_000) -> list[Any]:
        """Commit and buy."""
        return self.do(who, market.Buy(listing, price_max, self.committed(who, listing)))

    def owners(self) -> dict[str, int]:
        names = {account_to_text(account): name for name, account in self.accounts.items()}
        return {names[owner.account]: owner.bps for owner in self.query("assets.get", asset=self.asset.hex()).owners}

    def holder(self, grant: Thing) -> str:
        names = {account_to_text(account): name for name, account in self.accounts.items()}
        return names[self.query("licenses.grant", grant=grant.id.hex()).licensee]

    def locked(self) -> bool:
        return self.query("assets.get", asset=self.asset.hex()).locked_by is not None


def tags(events: list[Any]) -> list[str]:
    return [str(event.__struct_config__.tag) for event in events]


def replaced(operation: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(operation, **fields)

"""A stage on real blocks and on the reference ledger alike, for the bounds of the rules."""

from __future__ import annotations

from random import Random
from typing import Any

from ledger.modules.assets import operations as assets
from ledger.modules.licenses import operations as licenses
from tests.property.pairing_kit import Pair
from tests.unit.modules_kit import cid, make_genesis

DAY_MS = 86_400_000
AGE_MS = 10_000
DERIVE = licenses.Terms(
    rights=("train-on",),
    price=100,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=10,
    revenue_share_depth=8,
)


class Stage:
    """Two ledgers, and short ways to let somebody do something in a block of its own."""

    def __init__(self, **parameters: Any) -> None:
        self.pair = Pair(make_genesis(**parameters))
        names = {record["name"]: account for account, record in self.pair.state.accounts.items()}
        self.accounts: dict[str, bytes] = names
        self.id = b""

    @property
    def now(self) -> int:
        return int(self.pair.state.now)

    def send(self, who: str | bytes, *operations: Any, code: str = "", later: int = 1, **changes: Any) -> None:
        """Execute a block `later` ms after the last; its one transaction must have the mark or code."""
        state = self.pair.state
        sender = self.accounts[who] if isinstance(who, str) else who
        expires = state.now + later + 60_000
        data, sent = self.pair.transaction(sender, operations, Random(2), expires=expires)
        self.id = sent.id
        before = dict(self.pair.outcomes)
        self.pair.let_pass(later, (data, sent._replace(**changes)))
        after = self.pair.outcomes
        fates = [key for key in after if after[key] != before.get(key, 0)]
        assert {found for _, found in fates} == {code}

    def pause(self, ms: int) -> None:
        self.pair.let_pass(ms)

    def commit(self, who: str, *labels: str) -> None:
        account = self.accounts[who]
        self.send(who, *[assets.Commit(assets.commitment(cid(label), account, bytes(16))) for label in labels])

    def registration(self, label: str, **fields: Any) -> assets.Register:
        derivations = tuple(fields.pop("parents", ()))
        provenance = assets.Provenance(derivations)
        return assets.Register(
            assets.Artifact(cid(label), 1), bytes(16), "dataset", label, provenance=provenance, **fields
        )

    def register(self, who: str, *labels: str, code: str = "", **fields: Any) -> list[bytes]:
        """Register assets in one transaction, and let a quorum hold them."""
        self.commit(who, *labels)
        self.send(who, *[self.registration(label, **fields) for label in labels], code=code, later=AGE_MS)
        network = self.pair.state.network
        made = [assets.asset_id(network, self.accounts[who], cid(label)) for label in labels]
        for validator in self.pair.state.validators[:3] if not code else ():
            self.send(validator, *[assets.ReportHeld(asset, 1) for asset in made])
        return made

    def offer(self, who: str, *sold: bytes, terms: licenses.Terms = DERIVE, expires: int | None = None) -> list[bytes]:
        expires = self.now + DAY_MS if expires is None else expires
        self.send(who, *[licenses.Offer(asset, terms, expires) for asset in sold])
        digest = licenses.terms_digest(terms)
        return [licenses.offer_id(self.id, asset, digest) for asset in sold]

    def purchase(self, offer: bytes, terms: licenses.Terms = DERIVE) -> licenses.Purchase:
        return licenses.Purchase(offer, licenses.terms_digest(terms), terms.price)

    def license(self, seller: str, buyer: str, *sold: bytes, terms: licenses.Terms = DERIVE) -> list[assets.Derivation]:
        """Let somebody buy a grant on each, and return how to derive from them."""
        offers = self.offer(seller, *sold, terms=terms)
        self.send(buyer, *[self.purchase(offer, terms) for offer in offers])
        grants = [licenses.grant_id(self.id, offer) for offer in offers]
        return [assets.Derivation(asset, "train-on", grant) for asset, grant in zip(sold, grants, strict=True)]

    def stack(self, asset: bytes) -> dict[bytes, Any]:
        return dict(self.pair.state.assets[asset]["stack"])

"""Random operations by random accounts, refused or not, against the laws that hold at every height."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import msgspec
from hypothesis import settings
from hypothesis.stateful import initialize, invariant, rule

from ledger.errors import OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import ESCROWS
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.records import GRANTS, OFFERS, TERMS
from ledger.modules.licenses.settlement import hold_for_dispute, release_from_dispute
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.organizations.operations import AddKey, RevokeKey
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.records import TRANSFERS
from ledger.parameters import DAY_MS
from tests.property.machine_kit import Life
from tests.thoroughness import tries
from tests.unit.modules_kit import COMMITMENT_AGE_MS, NAMES, World, cid, make_genesis, seed_key

PEOPLE = st.sampled_from([*NAMES, "alan"])
PICK = st.integers(0, 1_000)
PRICES = st.sampled_from([0, 0, 1, 7, 29, 5_000, 123_457, 10**9, 2**63 - 1])
TERMS_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "rights": st.sampled_from([("download",), ("inference",), ("download", "train-on"), ("inference", "train-on")]),
    "price": PRICES,
    "commercial": st.booleans(),
    "exclusivity": st.sampled_from(["none", "none", "none", "sole", "exclusive"]),
    "editions_max": st.sampled_from([None, None, 1, 2]),
    "term_ms": st.sampled_from([None, 1_000, DAY_MS]),
    "field_deny": st.sampled_from([(), (), ("weapons",)]),
    "territory": st.sampled_from([(), (), ("DE",), ("FR",)]),
    "derivatives": st.sampled_from(["no", "on-approval", "yes", "yes", "yes"]),
    "revenue_share_bps": st.sampled_from([0, 1, 500, 3_333, 5_000]),
    "revenue_share_depth": st.integers(0, 3),
    "revenue_share_cap": st.sampled_from([None, None, 5, 1_000]),
    "least_royalty": st.sampled_from([0, 0, 0, 3]),
    "dispute_window_ms": st.sampled_from([0, 0, 500, 5_000]),
    "renewable": st.booleans(),
    "quota": st.sampled_from([None, None, 1, 3, 1_000]),
    "usage_price": st.sampled_from([0, 1, 7, 2**40]),
    "seats": st.sampled_from([None, None, 2]),
    "revocation_causes": st.sampled_from([(), ("breach",)]),
    "notice_ms": st.sampled_from([0, 300]),
    "refund_mode": st.sampled_from(["none", "pro-rata"]),
}

SERVICE = licenses.Terms(
    rights=("inference-as-service",),
    price=997,
    commercial=True,
    term_ms=3 * DAY_MS,
    renewable=True,
    quota=5,
    quota_unit="calls",
    usage_price=7,
    seats=2,
    field_deny=("weapons",),
    revocation_causes=("breach",),
    notice_ms=60_000,
    refund_mode="pro-rata",
)
"""Terms with all that can happen to a grant after its purchase."""


def repaired(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of terms that agree, so that most offers are made."""
    if not fields["revenue_share_bps"] or fields["derivatives"] == "no":
        fields |= {"revenue_share_bps": 0, "revenue_share_depth": 0, "revenue_share_cap": None, "least_royalty": 0}
    else:
        fields |= {"commercial": True, "revenue_share_depth": max(fields["revenue_share_depth"], 1)}
    if fields["exclusivity"] != "none":
        fields |= {"editions_max": None}
    if fields["term_ms"] is None:
        fields |= {"renewable": False, "usage_price": 0, "refund_mode": "none"}
    elif fields["renewable"]:
        fields |= {"dispute_window_ms": min(fields["dispute_window_ms"], fields["term_ms"])}
    if not fields["revocation_causes"]:
        fields |= {"notice_ms": 0, "refund_mode": "none"}
    if fields["quota"] is None:
        return fields | {"usage_price": 0}
    if "train-on" in fields["rights"]:
        return fields | {"quota_unit": "trainings"}
    return fields | {"quota_unit": "calls", "rights": ("inference-as-service",)}


class Market(Life):
    """Five accounts that do anything they like with one another's assets."""

    @initialize(fee_bps=st.sampled_from([0, 250, 500]))
    def begin(self, fee_bps: int) -> None:
        self.world = World(make_genesis(fee_bps=fee_bps, escrow_timeout_ms=50_000))
        self.count = 0
        share = licenses.Terms(
            rights=("download", "train-on"),
            price=100,
            commercial=True,
            derivatives="yes",
            revenue_share_bps=1_700,
            revenue_share_depth=3,
        )
        first = self.world.register("alice", "first")
        grant = self.world.license("alice", first, "bob", share)
        self.world.register("bob", "second", derivations=[assets.Derivation(first, "train-on", grant)])
        for name, label in (("alice", "first"), ("bob", "second")):
            asset_id = assets.asset_id(self.world.network_id, self.world.accounts[name], cid(label))
            for terms in (share, SERVICE, msgspec.structs.replace(SERVICE, dispute_window_ms=DAY_MS)):
                self.world.offer(name, asset_id, terms, expires_at_ms=self.world.now_ms + 20 * DAY_MS)
            for buyer in ("carol", "dave"):
                self.world.license(name, asset_id, buyer, SERVICE)

    @rule(who=PEOPLE, parents=st.lists(PICK, max_size=2), bps=st.integers(1, 9_999), resale=st.integers(0, 1_500))
    def register(self, who: str, parents: list[int], bps: int, resale: int) -> None:
        self.count += 1
        label = f"work {self.count}"
        other = next(name for name in NAMES if name != who)
        creators = ((self.world.accounts[who], bps), (self.world.accounts[other], 10_000 - bps))
        self.commit(who, label)
        self.attempt(
            who,
            self.world.registration(
                who,
                label,
                creators=creators,
                derivations=self.derivations(who, parents),
                transfer_terms=assets.TransferTerms(resale, 2 if resale > 1_000 else 0),
            ),
        )

    def owner_or(self, asset: bytes, who: str) -> str:
        """Mostly the asset's owner acts, sometimes anybody."""
        owner = ownership(self.world.view, asset).shares[0].account
        names = {account: name for name, account in self.world.accounts.items()}
        return who if who == "carol" else names[owner]

    @rule(who=PEOPLE, asset=PICK, parents=st.lists(PICK, max_size=2))
    def version(self, who: str, asset: int, parents: list[int]) -> None:
        chosen = self.pick(ASSETS, asset)
        if chosen:
            who = self.owner_or(chosen[0], who)
            self.count += 1
            label = f"work {self.count}"
            self.commit(who, label)
            provenance = assets.Provenance(derivations=tuple(self.derivations(who, parents)))
            artifact, salt = self.world.artifact(label), self.world.salt(label)
            self.attempt(who, assets.AddVersion(chosen[0], artifact, salt, provenance))

    def commit(self, who: str, label: str) -> None:
        self.world.commit(who, label)

    def derivations(self, who: str, parents: list[int]) -> list[assets.Derivation]:
        """Name a grant of `who` where there is one, else hope to be the owner."""
        found: list[assets.Derivation] = []
        for index in parents:
            account = self.world.accounts[who]
            own = [row for row in GRANTS.items(self.world.view) if row[1].licensee == account]
            if own and index % 3:
                key, grant = own[index % len(own)]
                found.append(assets.Derivation(grant.asset, "train-on", key))
            elif chosen := self.pick(ASSETS, index):
                found.append(assets.Derivation(chosen[0], "train-on"))
        return found

    @rule(asset=PICK, validators=st.sampled_from([1, 3, 3, 4]))
    def hold(self, asset: int, validators: int) -> None:
        chosen = self.pick(ASSETS, asset)
        if chosen:
            for account in self.world.validators[:validators]:
                self.attempt(account, assets.ReportHeld(chosen[0], chosen[1].versions), role="validator")

    @rule(asset=PICK, fields=st.fixed_dictionaries(TERMS_FIELDS), lifetime_ms=st.sampled_from([5_000, 5 * DAY_MS]))
    def offer(self, asset: int, fields: dict[str, Any], lifetime_ms: int) -> None:
        chosen = self.pick(ASSETS, asset)
        if not chosen:
            return
        manager, terms = chosen[1].manager, licenses.Terms(**repaired(fields))
        self.attempt(manager, licenses.Offer(chosen[0], terms, self.world.now_ms + lifetime_ms))

    @rule(who=PEOPLE, offer=PICK, committed=st.booleans())
    def buy(self, who: str, offer: int, committed: bool) -> None:
        chosen = self.pick(OFFERS, offer)
        if chosen:
            salt = self.reveal(who, chosen[0]) if committed else None
            price = self.terms(chosen[1]).price
            self.attempt(who, licenses.Purchase(chosen[0], chosen[1].terms, price, salt))

    def reveal(self, who: str | bytes, offer: bytes) -> bytes:
        """Commit to a purchase and let the commitment become old enough; return the salt that reveals it."""
        self.count += 1
        salt = self.world.salt(str(self.count))
        account = self.world.accounts[who] if isinstance(who, str) else who
        self.attempt(who, licenses.Commit(licenses.purchase_commitment(offer, account, salt)))
        self.world.advance(COMMITMENT_AGE_MS)
        return salt

    def terms(self, record: Any) -> licenses.Terms:
        """The terms that an offer or a grant refers to."""
        terms = TERMS.get(self.world.view, record.terms)
        assert terms is not None
        return terms

    @rule(grant=PICK, offer=PICK, committed=st.booleans(), same=st.booleans())
    def renew(self, grant: int, offer: int, committed: bool, same: bool) -> None:
        """Under an offer on the grant's asset; often of the same terms, which its manager makes first."""
        chosen = self.pick(GRANTS, grant)
        if not chosen:
            return
        grant_id, record = chosen
        asset = ASSETS.get(self.world.view, record.asset)
        assert asset is not None
        if same:
            self.attempt(asset.manager, licenses.Offer(record.asset, self.terms(record), self.world.now_ms + DAY_MS))
        open_offers = [
            row
            for row in OFFERS.items(self.world.view)
            if row[1].asset == record.asset and (not same or row[1].terms == record.terms)
        ]
        if open_offers:
            offer_id, made = open_offers[offer % len(open_offers)]
            salt = self.reveal(record.licensee, offer_id) if committed else None
            price = self.terms(made).price
            self.attempt(record.licensee, licenses.Renew(grant_id, offer_id, made.terms, price, salt))

    @rule(grant=PICK, more=st.sampled_from([0, 1, 2, 5, 500]), cause=st.sampled_from(["breach", "breach", "whim"]))
    def report_or_revoke(self, grant: int, more: int, cause: str) -> None:
        chosen = self.pick(GRANTS, grant)
        if not chosen:
            return
        grant_id, record = chosen
        asset = ASSETS.get(self.world.view, record.asset)
        assert asset is not None
        names = {account: name for name, account in self.world.accounts.items()}
        key, count = seed_key(names[record.licensee]), record.used + more
        signature = sign_voucher(Voucher(self.world.network_id, grant_id, max(count, 1)), key)
        self.attempt(asset.manager, licenses.ReportUsage(grant_id, max(count, 1), key.public_key, signature))
        if grant % 4 == 0:
            self.attempt(asset.manager, licenses.Revoke(grant_id, cause))

    @rule(grant=PICK, seats=st.lists(PEOPLE, max_size=2))
    def give_seats(self, grant: int, seats: list[str]) -> None:
        chosen = self.pick(GRANTS, grant)
        if chosen:
            accounts = tuple(self.world.accounts[name] for name in seats)
            self.attempt(chosen[1].licensee, licenses.SetSeats(chosen[0], accounts))

    @rule(grant=PICK, outcome=st.sampled_from(["settle", "refund"]))
    def dispute(self, grant: int, outcome: Any) -> None:
        """What the end or the beginning of a dispute does, without the dispute."""
        chosen = self.pick(GRANTS, grant)
        if not chosen:
            return
        view = self.world.view.child()
        context = self.world.context(view, b"", b"dispute")
        try:
            if chosen[1].disputed:
                release_from_dispute(context, chosen[0], outcome)
            else:
                hold_for_dispute(context, chosen[0])
        except OperationError:
            assert not chosen[1].disputed, "the end of a dispute never refuses"
            return
        self.world.view.apply(view)

    @rule(offer=PICK)
    def withdraw_offer(self, offer: int) -> None:
        chosen = self.pick(OFFERS, offer)
        if chosen and offer % 4 == 0:
            self.attempt(chosen[1].maker, licenses.WithdrawOffer(chosen[0]))

    @rule(who=PEOPLE, grant=PICK)
    def claim_or_approve(self, who: str, grant: int) -> None:
        chosen = self.pick(GRANTS, grant)
        if chosen:
            self.attempt(who, licenses.Claim(chosen[0]))
            self.attempt(who, licenses.ApproveDerivatives(chosen[0]))

    @rule(who=PEOPLE, to=PEOPLE, asset=PICK, price=PRICES, lifetime_ms=st.sampled_from([5_000, DAY_MS]))
    def hand_over(self, who: str, to: str, asset: int, price: int, lifetime_ms: int) -> None:
        chosen = self.pick(ASSETS, asset)
        if not chosen:
            return
        who = self.owner_or(chosen[0], who)
        recipient, expires_at_ms = self.world.accounts[to], self.world.now_ms + lifetime_ms
        if price:
            self.attempt(who, transfers.Offer(Thing("asset", chosen[0]), recipient, price, expires_at_ms))
        else:
            self.attempt(who, transfers.OfferGift(Thing("asset", chosen[0]), recipient, expires_at_ms))

    @rule(transfer=PICK, accept=st.sampled_from([True, True, False]))
    def end_transfer(self, transfer: int, accept: bool) -> None:
        chosen = self.pick(TRANSFERS, transfer)
        if chosen:
            accepted, declined = transfers.Accept(chosen[0], chosen[1].price), transfers.Withdraw(chosen[0])
            self.attempt(chosen[1].recipient, accepted if accept else declined)

    @rule(who=PEOPLE, asset=PICK)
    def withdraw(self, who: str, asset: int) -> None:
        chosen = self.pick(ASSETS, asset)
        if chosen:
            self.attempt(self.owner_or(chosen[0], who), Withdraw(chosen[0]))

    @rule(who=PEOPLE, asset=PICK, alias=st.sampled_from(["stable", "next"]), version=st.sampled_from([None, 1, 2]))
    def manage(self, who: str, asset: int, alias: str, version: int | None) -> None:
        chosen = self.pick(ASSETS, asset)
        if chosen:
            who = self.owner_or(chosen[0], who)
            self.attempt(who, assets.SetAlias(chosen[0], alias, version))
            if asset % 17 == 0:
                self.attempt(who, assets.Retire(chosen[0]))
            if asset % 5 == 0:
                self.attempt(who, assets.SetManager(chosen[0], self.world.accounts[NAMES[asset % 4]]))

    @rule(who=PEOPLE, to=PEOPLE, amount=PRICES, role=st.sampled_from(["owner", "operator", "release"]))
    def pay_and_change_keys(self, who: str, to: str, amount: int, role: Any) -> None:
        self.attempt(who, Transfer(self.world.accounts[to], max(amount, 1)))
        key = seed_key(f"key {amount % 3}").public_key
        if not self.attempt(who, AddKey(key, role)):
            self.attempt(who, RevokeKey(key))

    @rule(ms=st.sampled_from([1, 1_000, 10_000, 60_000, DAY_MS, 3 * DAY_MS]), limit=st.sampled_from([0, 1, 1_000]))
    def wait(self, ms: int, limit: int) -> None:
        self.world.advance(ms, limit)

    @invariant()
    def laws(self) -> None:
        self.world.check_laws()

    def teardown(self) -> None:
        """Whatever was left open ends by itself: no escrow and no lock outlives its deadline."""
        if not hasattr(self, "world"):
            return
        for index, (_, grant) in enumerate(list(GRANTS.items(self.world.view))):
            if grant.disputed:
                self.dispute(index, "settle" if index % 2 else "refund")
        self.world.advance(40 * DAY_MS, limit=100_000)
        self.world.advance(120 * DAY_MS, limit=100_000)
        self.world.check_laws()
        assert list(ESCROWS.items(self.world.view)) == []
        assert all(asset.locked_by is None for _, asset in ASSETS.items(self.world.view))
        for name in (*NAMES, "alan"):
            for asset, _ in ASSETS.items(self.world.view):
                self.attempt(name, Withdraw(asset))
        self.world.check_laws()
        for summary in self.world.query("assets.list"):
            self.world.query("assets.get", asset=summary.asset)
            self.world.query("royalties.pool", asset=summary.asset)
            self.world.query("royalties.stack", asset=summary.asset)


Market.TestCase.settings = settings(max_examples=tries(50), stateful_step_count=80, deadline=None)
TestMarket = Market.TestCase

"""Random operations by random accounts, refused or not, against the laws that hold at every height."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger.errors import OperationError
from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import ESCROWS
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.records import GRANTS, OFFERS, TERMS
from ledger.modules.organizations.operations import AddKey, RevokeKey
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.records import TRANSFERS
from ledger.parameters import DAY_MS
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
    "dispute_window_ms": st.sampled_from([0, 0, 5_000]),
}


class Market(RuleBasedStateMachine):
    """Five accounts that do anything they like with one another's assets."""

    world: World

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
            self.world.offer(name, asset_id, share, expires_at_ms=self.world.now_ms + 20 * DAY_MS)

    def attempt(self, who: str | bytes, *operations: Any, role: str = "owner") -> bool:
        before = self.world.view.changes()
        try:
            self.world.do(who, *operations, role=role)
        except OperationError:
            assert self.world.view.changes() == before, "a refused transaction leaves no trace"
            return False
        return True

    def pick(self, table: Any, index: int) -> Any:
        """Return (key, record) of some record of a table, or None."""
        rows = list(table.items(self.world.view))
        return rows[index % len(rows)] if rows else None

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
        if not fields["revenue_share_bps"] or fields["derivatives"] == "no":
            fields |= {"revenue_share_bps": 0, "revenue_share_depth": 0, "revenue_share_cap": None, "least_royalty": 0}
        else:
            fields |= {"commercial": True, "revenue_share_depth": max(fields["revenue_share_depth"], 1)}
        if fields["exclusivity"] != "none":
            fields |= {"editions_max": None}
        manager = chosen[1].manager
        self.attempt(manager, licenses.Offer(chosen[0], licenses.Terms(**fields), self.world.now_ms + lifetime_ms))

    @rule(who=PEOPLE, offer=PICK, committed=st.booleans())
    def buy(self, who: str, offer: int, committed: bool) -> None:
        chosen = self.pick(OFFERS, offer)
        if not chosen:
            return
        salt = None
        if committed:
            self.count += 1
            salt = self.world.salt(str(self.count))
            commitment = licenses.purchase_commitment(chosen[0], self.world.accounts[who], salt)
            self.attempt(who, licenses.Commit(commitment))
            self.world.advance(COMMITMENT_AGE_MS)
        terms = TERMS.get(self.world.view, chosen[1].terms)
        assert terms is not None
        self.attempt(who, licenses.Purchase(chosen[0], chosen[1].terms, terms.price, salt))

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


Market.TestCase.settings = settings(max_examples=80, stateful_step_count=80, deadline=None)
TestMarket = Market.TestCase

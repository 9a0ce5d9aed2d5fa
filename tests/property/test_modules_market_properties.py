"""Random trade by random accounts: whatever happens, credits are conserved, every lock and every escrow is of exactly
one open sale or offer, quotas add up, and everything ends."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ledger import deadlines
from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import ASSETS, SHARE_LOCKS
from ledger.modules.credits.records import ESCROWS
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.records import GRANTS
from ledger.modules.market import operations as market
from ledger.modules.market.conditions import condition_of
from ledger.modules.market.dutch import price_at
from ledger.modules.market.records import AUCTIONS, LISTINGS, OFFERS, Auction, Dutch, English, best_bid
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.modules.transfers.records import TRANSFERS
from ledger.parameters import DAY_MS
from tests.property.charges_kit import uncharged
from tests.property.machine_kit import Life
from tests.thoroughness import tries
from tests.unit.market_kit import EXCLUSIVE, TOKEN, Bazaar, replaced
from tests.unit.modules_kit import COMMITMENT_AGE_MS, NAMES, SUPPLY_EACH, World, make_genesis

PEOPLE = st.sampled_from([*NAMES, "alan"])
PICK = st.integers(0, 1_000)
PRICES = st.sampled_from([1, 2, 29, 500, 5_000, 12_345, 123_457, 10**6, 2**63 - 1])
ENDS = st.sampled_from([5_000, 60_000, 70_000, DAY_MS, 2 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS + 1])
TERMS = st.sampled_from(
    [
        TOKEN,
        replaced(TOKEN, term_ms=30_000),
        replaced(TOKEN, editions_max=1, resale_royalty_bps=333),
        replaced(EXCLUSIVE, rights=("display-print",), term_ms=20_000),
        replaced(TOKEN, dispute_window_ms=10_000),
    ]
)


class Trade(Life):
    """Five accounts that put up, bid, buy and take back, on two assets and the licenses of them."""

    @initialize(fee_bps=st.sampled_from([0, 250, 500]), least=st.sampled_from([0, 40]))
    def begin(self, fee_bps: int, least: int) -> None:
        self.world = World(make_genesis(fee_bps=fee_bps))
        self.count = 0
        terms = assets.TransferTerms(resale_royalty_bps=700, least_royalty=least)
        first = self.world.register("alice", "first", transfer_terms=terms)
        self.world.transfer("alice", Thing("share", first, 3_000), "bob", 10_000)
        share = licenses.Terms(
            rights=("train-on",),
            price=100,
            commercial=True,
            transferable=True,
            derivatives="yes",
            revenue_share_bps=1_700,
            revenue_share_depth=3,
        )
        grant = self.world.license("alice", first, "carol", share)
        second = self.world.register("carol", "second", derivations=[assets.Derivation(first, "train-on", grant)])
        for asset, owner, buyer in ((first, "alice", "dave"), (second, "carol", "bob"), (second, "carol", "alan")):
            self.world.license(owner, asset, buyer, TOKEN)
        self.uncharged = uncharged(self.world.view)

    # --- ways to act

    def thing(self, index: int, bps: int) -> tuple[Thing, bytes]:
        """Some thing, and an account that has it."""
        grant = self.pick(GRANTS, index)
        if index % 3 == 0 and grant:
            return Thing("grant", grant[0]), grant[1].licensee
        asset = self.pick(ASSETS, index)[0]
        owners = ownership(self.world.view, asset).shares
        owner = owners[index % len(owners)]
        if index % 3 == 1:
            return Thing("asset", asset), owner.account
        return Thing("share", asset, min(bps, owner.bps)), owner.account

    def act_for_all(self, who: bytes, thing: Thing, operation: Any) -> None:
        """Let all owners consent, and one of them act."""
        if thing.kind == "asset":
            action, expires_at_ms = assets.action_digest(operation), self.world.now_ms + 1_000
            for share in ownership(self.world.view, thing.id).shares:
                if share.account != who:
                    self.attempt(share.account, assets.Consent(thing.id, action, expires_at_ms))
        self.attempt(who, operation)

    def commit(self, who: str, sale: bytes, committed: bool) -> bytes | None:
        if not committed:
            return None
        self.count += 1
        salt = self.world.salt(str(self.count))
        self.attempt(who, market.Commit(market.commitment(sale, self.world.accounts[who], salt)))
        self.world.advance(COMMITMENT_AGE_MS)
        return salt

    # --- rules

    @rule(index=PICK, bps=st.sampled_from([1, 2_500, 7_000]), price=PRICES, ahead_ms=ENDS)
    def put_up(self, index: int, bps: int, price: int, ahead_ms: int) -> None:
        thing, holder = self.thing(index, bps)
        self.act_for_all(holder, thing, market.List(thing, price, self.world.now_ms + ahead_ms))

    @rule(who=PEOPLE, index=PICK, committed=st.booleans())
    def buy(self, who: str, index: int, committed: bool) -> None:
        if chosen := self.pick(LISTINGS, index):
            salt = self.commit(who, chosen[0], committed)
            self.attempt(who, market.Buy(chosen[0], chosen[1].price, salt))

    @rule(
        index=PICK,
        bps=st.sampled_from([1, 2_500, 7_000]),
        reserve=PRICES,
        increment=st.sampled_from([1, 50, 2**63 - 1]),
        ahead_ms=ENDS,
    )
    def open_auction(self, index: int, bps: int, reserve: int, increment: int, ahead_ms: int) -> None:
        thing, holder = self.thing(index, bps)
        end_ms = self.world.now_ms + ahead_ms
        extension_ms = ahead_ms // (1 + index % 3)
        self.act_for_all(holder, thing, market.OpenAuction(thing, reserve - 1, increment, end_ms, extension_ms))

    @rule(
        bids=st.lists(st.tuples(PEOPLE, st.sampled_from([-1, 0, 0, 1, 10**6])), min_size=1, max_size=4),
        index=PICK,
        wait_ms=st.sampled_from([0, 0, 1, 4_999, 59_000]),
    )
    def bid(self, bids: list[tuple[str, int]], index: int, wait_ms: int) -> None:
        for who, above in bids:
            chosen = self.pick(AUCTIONS, index)
            pricing = chosen[1].pricing if chosen else None
            if isinstance(pricing, English):
                least = max(pricing.increment + (pricing.best.amount if pricing.best else 0), pricing.reserve * above)
                self.attempt(who, market.Bid(chosen[0], min(max(least + above, 1), 2**63 - 1)))
            elif pricing and above < 0:
                self.attempt(who, market.Bid(chosen[0], 7))
            self.world.advance(wait_ms)

    @rule(index=PICK, bps=st.sampled_from([1, 2_500, 7_000]), start=PRICES, floor=PRICES, ahead_ms=ENDS)
    def open_dutch(self, index: int, bps: int, start: int, floor: int, ahead_ms: int) -> None:
        thing, holder = self.thing(index, bps)
        start, floor = max(start, floor), min(start, floor)
        steps, end_ms = 1 + index % 7, self.world.now_ms + ahead_ms
        self.act_for_all(holder, thing, market.OpenDutchAuction(thing, start, floor, steps, end_ms))

    @rule(who=PEOPLE, index=PICK, committed=st.booleans())
    def take(self, who: str, index: int, committed: bool) -> None:
        if chosen := self.pick(AUCTIONS, index):
            salt = self.commit(who, chosen[0], committed)
            self.attempt(who, market.Take(chosen[0], 2**63 - 1, salt))

    @rule(who=PEOPLE, index=PICK, bps=st.sampled_from([1, 2_500]), price=PRICES, ahead_ms=ENDS, stale=st.booleans())
    def make_offer(self, who: str, index: int, bps: int, price: int, ahead_ms: int, stale: bool) -> None:
        thing, holder = self.thing(index, bps)
        if thing.bps == 10_000:
            return
        condition = condition_of(self.world.view, thing)
        if stale and index % 5 == 0:
            condition = replaced(condition, used=condition.used + 1)
        of = holder if thing.kind == "share" else None
        self.attempt(who, market.MakeOffer(thing, price, self.world.now_ms + ahead_ms, condition, of))

    @rule(who=PEOPLE, index=PICK)
    def accept_offer(self, who: str, index: int) -> None:
        if chosen := self.pick(OFFERS, index):
            thing, holder = chosen[1].thing, chosen[1].holder
            if thing.kind == "grant":
                grant = GRANTS.get(self.world.view, thing.id)
                assert grant is not None
                holder = grant.licensee
            elif thing.kind == "asset":
                holder = ownership(self.world.view, thing.id).shares[0].account
            acting = holder if index % 4 else self.world.accounts[who]
            self.act_for_all(acting, thing, market.AcceptOffer(chosen[0], chosen[1].price))

    @rule(who=PEOPLE, index=PICK, own=st.booleans())
    def take_back(self, who: str, index: int, own: bool) -> None:
        if chosen := self.pick(LISTINGS, index):
            self.attempt(chosen[1].seller if own else who, market.WithdrawListing(chosen[0]))
        if (chosen := self.pick(OFFERS, index)) and index % 2:
            self.attempt(chosen[1].buyer if own else who, market.WithdrawOffer(chosen[0]))
        if chosen := self.pick(AUCTIONS, index):
            self.attempt(chosen[1].seller if own else who, market.CancelAuction(chosen[0]))

    @rule(who=PEOPLE, index=PICK)
    def settle(self, who: str, index: int) -> None:
        if chosen := self.pick(AUCTIONS, index):
            ended = self.world.now_ms >= chosen[1].ends_at_ms
            assert self.attempt(who, market.Settle(chosen[0])) == ended, "from the end on anybody can settle"

    @rule(index=PICK, terms=TERMS, who=PEOPLE)
    def license(self, index: int, terms: licenses.Terms, who: str) -> None:
        asset = self.pick(ASSETS, index)
        expires_at_ms = self.world.now_ms + 60_000
        if self.attempt(asset[1].manager, licenses.Offer(asset[0], terms, expires_at_ms)):
            digest = licenses.terms_digest(terms)
            offer = licenses.offer_id(self.world.transaction_id, asset[0], digest)
            salt = self.world.salt(offer.hex())
            account = self.world.accounts[who]
            self.attempt(who, licenses.Commit(licenses.purchase_commitment(offer, account, salt)))
            self.world.advance(COMMITMENT_AGE_MS)
            self.attempt(who, licenses.Purchase(offer, digest, terms.price, salt))

    @rule(index=PICK)
    def spoil(self, index: int) -> None:
        """Retire an asset (seldom), or add a version, held or not."""
        asset = self.pick(ASSETS, index)
        if index > 980:
            self.act_for_all(ownership(self.world.view, asset[0]).shares[0].account, Thing("asset", asset[0]),
                             assets.Retire(asset[0]))  # fmt: skip
        elif index % 4 == 0 and asset[1].versions < 4:
            self.count += 1
            label, manager = f"version {self.count}", asset[1].manager
            salt, artifact = self.world.salt(label), self.world.artifact(label)
            hidden = assets.commitment(artifact.cid, manager, salt, artifact.tensors_digest)
            self.attempt(manager, assets.Commit(hidden))
            self.world.advance(COMMITMENT_AGE_MS)
            self.attempt(manager, assets.AddVersion(asset[0], artifact, salt, assets.Provenance()))
        latest = ASSETS.get(self.world.view, asset[0])
        assert latest is not None
        if index % 2:
            for account in self.world.validators:
                self.attempt(account, assets.ReportHeld(asset[0], latest.versions), role="validator")

    @rule(index=PICK, bps=st.sampled_from([1, 2_500]), price=PRICES, to=PEOPLE, accept=st.booleans())
    def transfer(self, index: int, bps: int, price: int, to: str, accept: bool) -> None:
        thing, holder = self.thing(index, bps)
        recipient = self.world.accounts[to]
        self.act_for_all(holder, thing, transfers.Offer(thing, recipient, price, self.world.now_ms + 50_000))
        if accept and (chosen := self.pick(TRANSFERS, index)):
            self.attempt(chosen[1].recipient, transfers.Accept(chosen[0], chosen[1].price))

    @rule(ms=st.sampled_from([0, 1, 4_999, 10_000, 60_000, DAY_MS, 15 * DAY_MS]), limit=st.sampled_from([0, 1, 1_000]))
    def wait(self, ms: int, limit: int) -> None:
        self.world.advance(ms, limit)

    # --- laws

    @invariant()
    def laws(self) -> None:
        self.world.check_laws()
        assert uncharged(self.world.view) == self.uncharged
        for _, auction in AUCTIONS.items(self.world.view):
            if isinstance(auction.pricing, English):
                assert auction.opened_at_ms < auction.ends_at_ms <= auction.pricing.hard_end_ms
                best = best_bid(auction)
                assert best is None or best.amount >= auction.pricing.increment

    def teardown(self) -> None:
        """Whatever was left open ends by itself: no escrow, lock or deadline of the market outlives its time."""
        if not hasattr(self, "world"):
            return
        view = self.world.view
        for _ in range(3):
            self.world.advance(70 * DAY_MS, limit=100_000)
        self.world.check_laws()
        for table in (ESCROWS, LISTINGS, AUCTIONS, OFFERS, TRANSFERS, SHARE_LOCKS):
            assert list(table.items(view)) == []  # type: ignore[attr-defined]  # tables of different records
        assert all(asset.locked_by is None for _, asset in ASSETS.items(view))
        assert all(grant.locked_by is None for _, grant in GRANTS.items(view))
        assert deadlines.next_deadline(view) is None
        assert uncharged(self.world.view) == self.uncharged


Trade.TestCase.settings = settings(max_examples=tries(50), stateful_step_count=80, deadline=None)
TestTrade = Trade.TestCase


@given(
    start=st.integers(2, 2**63 - 1),
    floor_part=st.integers(0, 10_000),
    steps=st.integers(1, 10_000),
    length_ms=st.integers(1, 30 * DAY_MS),
    moments=st.lists(st.integers(0, 10_000), min_size=2, max_size=8),
)
def test_a_dutch_price_falls_from_start_to_floor_in_equal_steps(
    start: int, floor_part: int, steps: int, length_ms: int, moments: list[int]
) -> None:
    floor = 1 + (start - 2) * floor_part // 10_000
    dutch = Dutch(start, floor, steps)
    record = Auction(Thing("asset", bytes(32)), bytes(32), bytes(32), 5, 5 + length_ms, market.Condition(), dutch)
    times = sorted(5 + (length_ms - 1) * moment // 10_000 for moment in moments)
    prices = [price_at(record, dutch, at_ms) for at_ms in times]
    assert prices == sorted(prices, reverse=True)
    assert price_at(record, dutch, 5) == start
    for at_ms, price in zip(times, prices, strict=True):
        fallen = (at_ms - 5) * (steps + 1) // length_ms
        assert floor <= price <= start
        assert 0 <= price * steps - (start * steps - (start - floor) * fallen) < steps
    if steps < length_ms:
        assert price_at(record, dutch, 5 + length_ms - 1) == floor


class AuctionLife(RuleBasedStateMachine):
    """One English auction after another, against a model of what it must do: who leads, when it ends, who pays what."""

    bazaar: Bazaar

    @initialize()
    def begin(self) -> None:
        self.bazaar = Bazaar(make_genesis(commitment_age_ms=0))
        self.auction = b""
        self.encumbered_ms = 0
        self.paid = dict.fromkeys(NAMES, 0)
        self.won = dict.fromkeys(NAMES, 0)

    @rule(
        length_ms=st.sampled_from([1, 10, 10, 50]),
        extension=st.sampled_from([0, 50, 100]),
        reserve=st.sampled_from([0, 10, 20, 21]),
        increment=st.sampled_from([1, 10]),
    )
    def open(self, length_ms: int, extension: int, reserve: int, increment: int) -> None:
        if self.auction:
            return
        self.spoilt = False
        self.end_ms = self.bazaar.now_ms + length_ms
        self.hard_end_ms = self.bazaar.now_ms + 2 * length_ms
        self.extension_ms = length_ms * extension // 100
        self.reserve, self.increment = reserve, increment
        self.best: tuple[str, int] | None = None
        self.auction = self.bazaar.auction(
            "alice",
            self.bazaar.share(1),
            reserve=reserve,
            increment=increment,
            extension_ms=self.extension_ms,
            lifetime_ms=length_ms,
        )

    @rule(who=PEOPLE, above=st.sampled_from([-1, 0, 0, 0, 1, 9]))
    def bid(self, who: str, above: int) -> None:
        if not self.auction:
            return
        least = self.increment + (self.best[1] if self.best else 0)
        amount = max(least + above, 1)
        operation = market.Bid(self.auction, amount)
        if self.bazaar.now_ms >= self.end_ms:
            self.bazaar.refused("market.auction_over", who, operation)
        elif who in ("alice", "alan"):
            self.bazaar.refused("market.own_organization", who, operation)
        elif self.spoilt:
            self.bazaar.refused("market.condition_changed", who, operation)
        elif amount < least:
            self.bazaar.refused("market.bid_too_low", who, operation)
        else:
            self.bazaar.do(who, operation)
            self.best = (who, amount)
            if self.bazaar.now_ms > self.end_ms - self.extension_ms:
                self.end_ms = min(self.bazaar.now_ms + self.extension_ms, self.hard_end_ms)

    @rule(who=PEOPLE)
    def settle(self, who: str) -> None:
        if not self.auction:
            return
        if self.bazaar.now_ms < self.end_ms:
            self.bazaar.refused("market.auction_running", who, market.Settle(self.auction))
        else:
            self.bazaar.do(who, market.Settle(self.auction))
            self.conclude()

    @rule(who=PEOPLE)
    def cancel(self, who: str) -> None:
        if not self.auction:
            return
        operation = market.CancelAuction(self.auction)
        if who != "alice":
            self.bazaar.refused("market.not_the_seller", who, operation)
        elif self.best:
            self.bazaar.refused("market.has_bid", who, operation)
        else:
            self.bazaar.do(who, operation)
            self.conclude()

    @rule(dice=st.integers(0, 5))
    def encumber(self, dice: int) -> None:
        """Sell an exclusive license, for a millisecond: no share is then what it was when the auction was opened."""
        if dice == 0 and self.bazaar.now_ms > self.encumbered_ms:
            terms = replaced(EXCLUSIVE, price=0, term_ms=1, transferable=False)
            self.wait(0, swept=True)  # as the wait for the commitment does
            self.bazaar.license("alice", self.bazaar.asset, "alan", terms)
            self.encumbered_ms, self.spoilt = self.bazaar.now_ms, True

    @rule(ms=st.sampled_from([0, 1, 4, 5, 5, 9, 10]), swept=st.booleans())
    def wait(self, ms: int, swept: bool) -> None:
        self.bazaar.advance(ms, limit=1_000 if swept else 0)
        if self.auction and swept and self.bazaar.now_ms >= self.end_ms:
            self.conclude()

    def conclude(self) -> None:
        if self.best and self.best[1] >= self.reserve and not self.spoilt:
            self.paid[self.best[0]] += self.best[1]
            self.won[self.best[0]] += 1
        self.auction, self.best = b"", None

    @invariant()
    def as_the_model_says(self) -> None:
        self.bazaar.check_laws()
        shown = self.bazaar.query("market.auctions")
        held = dict.fromkeys(NAMES, 0)
        if self.auction:
            (row,) = shown
            assert row.ends_at_ms == self.end_ms <= self.hard_end_ms
            leader = None if self.best is None else (self.bazaar.text(self.best[0]), self.best[1])
            assert (
                None if row.english.best_bidder is None else (row.english.best_bidder, row.english.best_amount)
            ) == (leader)
            if self.best:
                held[self.best[0]] = self.best[1]
        else:
            assert shown == []
        owners = self.bazaar.owners()
        for who in ("bob", "carol", "dave"):
            assert self.bazaar.balance(who) == SUPPLY_EACH - self.paid[who] - held[who]
            assert owners.get(who, 0) == self.won[who]


AuctionLife.TestCase.settings = settings(max_examples=tries(50), stateful_step_count=60, deadline=None)
TestAuctionLife = AuctionLife.TestCase

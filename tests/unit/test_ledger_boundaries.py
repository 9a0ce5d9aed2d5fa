"""The bounds of the rules, at them and one beyond, on real blocks and on the reference ledger alike."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses import grants
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from ledger.modules.market import operations as market
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.royalties import stack
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from primitives.identifiers import account_id
from tests.property.pairing_kit import Pair
from tests.reference.state import TREASURY
from tests.unit.modules_kit import NAMES, World, cid, make_genesis, seed_key

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


# --- amounts


def amounts(value: Any) -> dict[str, Any]:
    """Every field for credits, with a value."""
    terms: dict[str, Any] = {"rights": ("download",), "price": 1}
    offer = {
        name: licenses.Offer(bytes(32), licenses.Terms(**(terms | {name: value})), 1)
        for name in ("price", "usage_price", "least_royalty", "revenue_share_cap")
    }
    return {
        "transfer": Transfer(bytes(32), value),
        "sale": transfers.Offer(Thing("asset", bytes(32)), bytes(32), value, 1),
        "highest price of an asset": transfers.Accept(bytes(32), value),
        "listing": market.List(Thing("asset", bytes(32)), value, 1),
        "bid": market.Bid(bytes(32), value),
        "reserve": market.OpenAuction(Thing("asset", bytes(32)), value, 1, 1, 0),
        "highest price of a grant": licenses.Purchase(bytes(32), bytes(32), value),
        **{f"{name} of terms": operation for name, operation in offer.items()},
    }


MAY_BE_ZERO = set(amounts(0)) - {"transfer", "sale", "listing", "bid"}


NO_AMOUNTS = [
    (field, value)
    for field in sorted(amounts(1))
    for value in (0, -1, 2**63, True, 1.0)
    if value != 0 or field not in MAY_BE_ZERO
]


@pytest.mark.parametrize(("field", "value"), NO_AMOUNTS)
def test_what_is_no_amount_leaves_no_receipt(field: str, value: Any) -> None:
    """E4: 0 where something must be paid, negative, 2^63, bool and float are malformed, whatever carries them."""
    stage = Stage()
    stage.send("alice", amounts(value)[field], code="transaction.malformed", malformed=True)


@pytest.mark.parametrize("amount", [1, 10**10, 10**10 + 1, 2**63 - 1])
def test_the_last_credit_can_be_paid_and_no_more(amount: int) -> None:
    """E2: at the balance and one beyond it."""
    stage = Stage()
    code = "" if amount <= 10**10 else "credits.insufficient"
    stage.send("alice", Transfer(stage.accounts["bob"], amount), code=code)


# --- times

EDGES = [(-1, True), (0, False), (1, False)]
"""(ms after an expiry, whether it still counts)"""


@pytest.mark.parametrize(("edge", "open_"), EDGES)
@pytest.mark.parametrize("swept", [True, False])
def test_an_offer_ends_at_its_expiry(edge: int, open_: bool, swept: bool) -> None:
    """Whether the sweep has been there or is behind."""
    stage = Stage(deadlines_per_block_max=1_000 if swept else 1)
    (asset,) = stage.register("alice", "A")
    expires = stage.now + 1_000
    offers = [stage.offer("alice", asset, expires=expires)[0] for _ in range(4)]
    last = max(offers)  # the sweep takes one a block, in order of id
    late = "licenses.unknown_offer" if swept else "licenses.offer_expired"
    stage.send("bob", stage.purchase(last), code="" if open_ else late, later=expires + edge - stage.now)


@pytest.mark.parametrize(("edge", "open_"), EDGES)
def test_a_transfer_ends_at_its_expiry(edge: int, open_: bool) -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    expires = stage.now + 1_000
    stage.send("alice", transfers.OfferGift(Thing("asset", asset), stage.accounts["bob"], expires))
    (transfer,) = stage.pair.state.transfers
    code = "" if open_ else "transfers.unknown_transfer"
    stage.send("bob", transfers.Accept(transfer, 0), code=code, later=expires + edge - stage.now)


@pytest.mark.parametrize(
    ("later", "code"),
    [
        (AGE_MS - 1, "assets.commitment_too_young"),
        (AGE_MS, ""),
        (DAY_MS - 1, ""),
        (DAY_MS, "assets.commitment_missing"),
    ],
)
def test_a_commitment_serves_from_its_age_until_its_end(later: int, code: str) -> None:
    stage = Stage()
    stage.commit("alice", "A")
    stage.send("alice", stage.registration("A"), code=code, later=later)


@pytest.mark.parametrize(
    ("ahead", "mark"),
    [
        (-1, "transaction.expired"),
        (0, "transaction.expired"),
        (1, ""),
        (120_000, ""),
        (120_001, "transaction.expiry_too_far"),
    ],
)
def test_a_transaction_lives_for_a_lifetime(ahead: int, mark: str) -> None:
    """A7: judged by block time."""
    stage = Stage()
    state = stage.pair.state
    operations, expires = [Transfer(stage.accounts["bob"], 1)], state.now + 5 + ahead
    prepared = stage.pair.transaction(stage.accounts["alice"], operations, Random(0), expires=expires)
    stage.pair.let_pass(5, prepared)
    assert stage.pair.outcomes["transaction" if mark else "credits.transfer", mark] == 1


@pytest.mark.parametrize(("ahead", "good"), [(0, False), (1, True), (30 * DAY_MS, True), (30 * DAY_MS + 1, False)])
@pytest.mark.parametrize("what", ["license", "sale", "gift", "listing", "auction", "dutch auction", "consent"])
def test_an_offer_expires_within_its_bounds(what: str, ahead: int, good: bool) -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    bob, expires = stage.accounts["bob"], stage.now + 1 + ahead
    thing = Thing("asset", asset)
    operation, code = {
        "license": (licenses.Offer(asset, DERIVE, expires), "licenses.expiry_out_of_range"),
        "sale": (transfers.Offer(thing, bob, 1, expires), "transfers.expiry_out_of_range"),
        "gift": (transfers.OfferGift(thing, bob, expires), "transfers.expiry_out_of_range"),
        "listing": (market.List(thing, 1, expires), "market.end_out_of_range"),
        "auction": (market.OpenAuction(thing, 1, 1, expires, 0), "market.end_out_of_range"),
        "dutch auction": (market.OpenDutchAuction(thing, 2, 1, 1, expires), "market.end_out_of_range"),
        "consent": (assets.Consent(asset, bytes(32), expires), "assets.consent_expiry_out_of_range"),
    }[what]
    stage.send("alice", operation, code="" if good else code)


@pytest.mark.parametrize(("edge", "live"), EDGES)
def test_a_grant_ends_with_its_term(edge: int, live: bool) -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    terms = licenses.Terms(rights=("train-on",), price=1, derivatives="yes", term_ms=60_000)
    (derivation,) = stage.license("alice", "bob", asset, terms=terms)
    end = stage.now + 60_000
    stage.commit("bob", "B")
    code = "" if live else "assets.derivation_grant_not_live"
    stage.send("bob", stage.registration("B", parents=[derivation]), code=code, later=end + edge - stage.now)


@pytest.mark.parametrize(("edge", "code"), [(-1, "licenses.not_due"), (0, "licenses.nothing_in_escrow")])
def test_an_escrow_is_due_at_its_time(edge: int, code: str) -> None:
    """From then on the sweep has settled it."""
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    terms = licenses.Terms(rights=("download",), price=1, dispute_window_ms=5_000)
    (derivation,) = stage.license("alice", "bob", asset, terms=terms)
    assert derivation.grant is not None
    stage.send("dave", licenses.Claim(derivation.grant), code=code, later=5_000 + edge)


# --- royalties


@pytest.mark.parametrize(
    ("price", "rate", "times", "fee", "royalty"),
    [
        (1, 1, 1, 0, 0),
        (1, 5_000, 1, 0, 0),
        (1, 5_000, 2, 0, 1),
        (1, 1, 39, 0, 0),
        (1, 1, 40, 1, 0),
        (1, 256, 40, 1, 0),
        (1, 257, 40, 1, 1),
        (39, 1, 1, 0, 0),
        (40, 1, 1, 1, 0),
        (9_999, 1, 1, 249, 0),
        (10_257, 1, 1, 256, 1),
    ],
)
def test_rates_that_floor_to_zero_are_paid_later(price: int, rate: int, times: int, fee: int, royalty: int) -> None:
    """E3: a payment of a unit pays no fee of 2.5 % and no royalty; forty of them pay what one of forty would."""
    stage = Stage()
    (root,) = stage.register("alice", "A")
    free = licenses.Terms(
        rights=("train-on",),
        price=0,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=rate,
        revenue_share_depth=1,
    )
    (derivation,) = stage.license("alice", "bob", root, terms=free)
    (child,) = stage.register("bob", "B", parents=[derivation])
    terms = licenses.Terms(rights=("download",), price=price)
    (offer,) = stage.offer("bob", child, terms=terms)
    for _ in range(times):
        stage.send("carol", stage.purchase(offer, terms))
    state = stage.pair.state
    assert state.balances.get(TREASURY, 0) == fee
    assert state.received.get(root, 0) == royalty
    assert state.received[child] == price * times - fee - royalty


@pytest.mark.parametrize(("roots", "code"), [(7, ""), (8, "royalties.too_many_ancestors")])
def test_an_asset_pays_sixty_four_ancestors(roots: int, code: str) -> None:
    """Eight parents with seven ancestors each are 64; one more on one of them is refused."""
    stage = Stage()
    parents = []
    for number in range(8):
        count = roots if number == 0 else 7
        made = stage.register("alice", *[f"root {number} {index}" for index in range(count)])
        parents += stage.register("bob", f"parent {number}", parents=stage.license("alice", "bob", *made))
    derivations = stage.license("bob", "carol", *parents)
    (child,) = stage.register("carol", "child", parents=derivations, code=code)
    if not code:
        assert len(stage.stack(child)) == 64
        assert sum(entry["rate"] for entry in stage.stack(child).values()) == 640


def test_a_claim_reaches_eight_generations_and_not_the_ninth() -> None:
    stage = Stage()
    line = [stage.register("alice", "generation 0")[0]]
    for generation in range(1, 10):
        maker, seller = NAMES[generation % 2], NAMES[(generation - 1) % 2]
        derivations = stage.license(seller, maker, line[-1])
        line += stage.register(maker, f"generation {generation}", parents=derivations)
    assert stage.stack(line[8])[line[0]]["depth"] == 1
    assert line[0] not in stage.stack(line[9])
    assert [len(stage.stack(asset)) for asset in line] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    deeper = licenses.Terms(("train-on",), 1, True, derivatives="yes", revenue_share_bps=1, revenue_share_depth=9)
    offer = licenses.Offer(line[0], deeper, stage.now + DAY_MS)
    stage.send("alice", offer, code="transaction.malformed", malformed=True)


def test_a_loop_of_derived_models_is_refused_at_any_length() -> None:
    """E6: itself, its child, its grandchild."""
    stage = Stage()
    line = stage.register("alice", "A")
    for label, seller, maker in (("B", "alice", "bob"), ("C", "bob", "carol")):
        line += stage.register(maker, label, parents=stage.license(seller, maker, line[-1]))
    stage.commit("alice", "A 2")
    version = assets.Artifact(cid("A 2"), 1)
    sellers = dict(zip(line[1:], ("bob", "carol"), strict=True))
    stage.pause(AGE_MS)
    loops = [assets.Derivation(line[0], "train-on")]
    loops += [stage.license(sellers[asset], "alice", asset)[0] for asset in line[1:]]
    for loop in loops:
        operation = assets.AddVersion(line[0], version, bytes(16), assets.Provenance((loop,)))
        stage.send("alice", operation, code="royalties.cycle")


def test_who_pays_himself_is_refused_or_nets_nothing() -> None:
    """E6: self-transfer, self-purchase, a sale to oneself, a payee named twice, and a payee that buys."""
    stage = Stage()
    alice = stage.accounts["alice"]
    (asset,) = stage.register("alice", "A")
    (offer,) = stage.offer("alice", asset)
    stage.send("alice", Transfer(alice, 1), code="credits.self_transfer")
    stage.send("alice", stage.purchase(offer), code="licenses.self_purchase")
    whole = Thing("asset", asset)
    stage.send("alice", transfers.Offer(whole, alice, 1, stage.now + DAY_MS), code="transfers.self_transfer")
    stage.commit("alice", "B")
    twice = stage.registration("B", creators=((alice, 5_000), (alice, 5_000)))
    stage.send("alice", twice, code="assets.creator_repeated", later=AGE_MS)
    (child,) = stage.register("bob", "C", parents=stage.license("alice", "bob", asset))
    terms = licenses.Terms(rights=("download",), price=10_000)
    before = stage.pair.state.balances[alice]
    stage.license("bob", "alice", child, terms=terms)
    stage.send("alice", Withdraw(asset))
    # What bob paid for his grant (100 less the fee of 2), and 10 bps of the 9,750 that were left of alice's payment.
    assert stage.pair.state.balances[alice] == before - 10_000 + 98 + 9


# --- what becomes of a license

SERVICE = licenses.Terms(
    rights=("inference-as-service",),
    price=1_000,
    term_ms=60_000,
    renewable=True,
    quota=5,
    quota_unit="calls",
    usage_price=7,
    revocation_causes=("breach",),
    refund_mode="pro-rata",
)
WEEK_MS = 7 * DAY_MS


def served(stage: Stage) -> tuple[bytes, bytes, int]:
    """Let bob buy a service of alice's; return the offer, the grant and its end."""
    (asset,) = stage.register("alice", "A")
    (offer,) = stage.offer("alice", asset, terms=SERVICE, expires=stage.now + 30 * DAY_MS)
    stage.send("bob", stage.purchase(offer, SERVICE))
    grant = licenses.grant_id(stage.id, offer)
    return offer, grant, int(stage.pair.state.grants[grant]["end"])


def renewal(grant: bytes, offer: bytes) -> licenses.Renew:
    return licenses.Renew(grant, offer, licenses.terms_digest(SERVICE), SERVICE.price)


def report(stage: Stage, grant: bytes, count: int) -> licenses.ReportUsage:
    key = seed_key("bob")
    signature = sign_voucher(Voucher(stage.pair.state.network, grant, count), key)
    return licenses.ReportUsage(grant, count, key.public_key, signature)


@pytest.mark.parametrize(("edge", "code"), [(-1, "licenses.renewal_too_early"), (0, "")])
def test_a_term_is_bought_a_term_ahead(edge: int, code: str) -> None:
    """Of two terms ahead the second is too early by a millisecond, or not."""
    stage = Stage()
    offer, grant, end = served(stage)
    stage.send("bob", renewal(grant, offer))
    stage.send("bob", renewal(grant, offer), code=code, later=end + edge - stage.now)
    assert stage.pair.state.grants[grant]["end"] == end + (120_000 if not code else 60_000)


@pytest.mark.parametrize(("edge", "code"), [(-1, ""), (0, "licenses.renewal_too_late")])
def test_a_grant_is_renewed_until_a_week_after_its_end(edge: int, code: str) -> None:
    stage = Stage()
    offer, grant, end = served(stage)
    stage.send("bob", renewal(grant, offer), code=code, later=end + WEEK_MS + edge - stage.now)
    assert stage.pair.state.grants[grant]["start"] == (stage.now if not code else end - 60_000)


@pytest.mark.parametrize(("count", "code"), [(5, ""), (6, "licenses.above_quota")])
def test_use_is_counted_up_to_the_quota(count: int, code: str) -> None:
    """What is counted is paid from the deposit to the unit, and a count that is known changes nothing."""
    stage = Stage()
    _, grant, _ = served(stage)
    stage.send("alice", report(stage, grant, 2))
    stage.send("alice", report(stage, grant, count), code=code)
    stage.send("alice", report(stage, grant, 1))
    left = {amount for payer, amount in stage.pair.state.escrows.values() if payer == stage.accounts["bob"]}
    assert left == ({21} if code else set())


@pytest.mark.parametrize(("edge", "code"), [(-1, ""), (0, "licenses.reports_closed")])
def test_use_is_reported_until_a_week_after_the_end(edge: int, code: str) -> None:
    stage = Stage()
    _, grant, end = served(stage)
    stage.send("alice", report(stage, grant, 1), code=code, later=end + WEEK_MS + edge - stage.now)


@pytest.mark.parametrize(("before_end", "refund"), [(60_000, 1_000), (59_999, 1_000), (60, 1), (59, 1), (1, 1)])
def test_a_refund_is_rounded_up(before_end: int, refund: int) -> None:
    """1,000 for 60,000 ms, the rest of it: never less than it is worth."""
    stage = Stage()
    _, grant, end = served(stage)
    before = stage.pair.state.balances[stage.accounts["bob"]]
    later = max(0, end - before_end - stage.now)
    stage.send("alice", licenses.Revoke(grant, "breach"), later=max(1, later))
    paid = stage.pair.state.grants[grant]["refunded"]
    assert stage.pair.state.balances[stage.accounts["bob"]] == before + paid
    assert paid == refund


def test_a_grant_cannot_be_revoked_at_its_end() -> None:
    stage = Stage()
    _, grant, end = served(stage)
    stage.send("alice", licenses.Revoke(grant, "breach"), code="licenses.not_revocable", later=end - stage.now)


# --- sales


def auctioned(stage: Stage, **fields: Any) -> tuple[bytes, int]:
    """Let alice auction a half of an asset for a minute; return the auction and its end."""
    (asset,) = stage.register("alice", "A")
    thing, ends = Thing("share", asset, 5_000), stage.now + 1 + 60_000
    chosen = {"reserve": 100, "increment": 10, "extension_ms": 10_000} | fields
    stage.send("alice", market.OpenAuction(thing, chosen["reserve"], chosen["increment"], ends, chosen["extension_ms"]))
    return market.auction_id(stage.id, thing), ends


@pytest.mark.parametrize(("amount", "sold"), [(99, False), (100, True)])
def test_an_auction_sells_from_its_reserve_on(amount: int, sold: bool) -> None:
    stage = Stage()
    auction, ends = auctioned(stage)
    stage.send("bob", market.Bid(auction, amount))
    stage.pause(ends - stage.now)
    (asset,) = stage.pair.state.assets.values()
    assert (stage.accounts["bob"] in asset["shares"]) == sold
    assert (stage.pair.state.balances[stage.accounts["bob"]] == 10**10) != sold


@pytest.mark.parametrize(("second", "code"), [(109, "market.bid_too_low"), (110, "")])
def test_a_bid_is_an_increment_above_the_best(second: int, code: str) -> None:
    stage = Stage()
    auction, _ = auctioned(stage)
    stage.send("bob", market.Bid(auction, 9), code="market.bid_too_low")
    stage.send("bob", market.Bid(auction, 100))
    stage.send("carol", market.Bid(auction, second), code=code)


@pytest.mark.parametrize(("before_end", "moved"), [(10_001, 0), (10_000, 0), (9_999, 1), (1, 9_999)])
def test_a_late_bid_moves_the_end(before_end: int, moved: int) -> None:
    stage = Stage()
    auction, ends = auctioned(stage)
    stage.send("bob", market.Bid(auction, 100), later=ends - before_end - stage.now)
    assert stage.pair.state.auctions[auction]["ends"] == ends + moved


def test_no_bid_moves_the_end_beyond_twice_the_length() -> None:
    stage = Stage()
    auction, ends = auctioned(stage, extension_ms=60_000)
    hard = ends + 60_000
    for index in range(1, 4):
        stage.send(NAMES[index], market.Bid(auction, 100 * index), later=30_000)
    assert stage.pair.state.auctions[auction]["ends"] == hard
    stage.send("bob", market.Bid(auction, 1_000), later=hard - 1 - stage.now)
    stage.send("carol", market.Bid(auction, 2_000), code="market.unknown_auction")
    (asset,) = stage.pair.state.assets.values()
    assert stage.accounts["bob"] in asset["shares"]


@pytest.mark.parametrize("short", [0, 1])
@pytest.mark.parametrize(
    ("passed", "price"), [(1, 1_000), (19_999, 1_000), (20_000, 550), (39_999, 550), (40_000, 100), (59_999, 100)]
)
def test_the_price_of_a_dutch_auction_falls_in_equal_steps(passed: int, price: int, short: int) -> None:
    """Two steps in a minute make three parts."""
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    thing, opened = Thing("share", asset, 5_000), stage.now + 1
    stage.send("alice", market.OpenDutchAuction(thing, 1_000, 100, 2, opened + 60_000))
    auction, bob = market.auction_id(stage.id, thing), stage.accounts["bob"]
    code = "market.price_above_max" if short else ""
    stage.send("bob", market.Take(auction, price - short), code=code, later=passed)
    assert stage.pair.state.balances[bob] == 10**10 - (0 if short else price)


# --- numbers of things


def test_sixty_four_sole_grants_of_an_asset_may_be_live() -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    countries = [f"{first}{second}" for first in "ABC" for second in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"][:65]
    all_terms = [licenses.Terms(("download",), 1, exclusivity="sole", territory=(country,)) for country in countries]
    stage.send("alice", *[licenses.Offer(asset, terms, stage.now + DAY_MS) for terms in all_terms])
    offers = [licenses.offer_id(stage.id, asset, licenses.terms_digest(terms)) for terms in all_terms]
    purchases = [stage.purchase(offer, terms) for offer, terms in zip(offers, all_terms, strict=True)]
    stage.send("bob", *purchases, code="licenses.too_many_reserving")
    stage.send("bob", *purchases[:64])
    stage.send("bob", purchases[64], code="licenses.too_many_reserving")


def test_an_asset_derives_from_a_parent_under_sixteen_different_terms() -> None:
    stage = Stage()
    (parent,) = stage.register("alice", "A")
    all_terms = [licenses.Terms(("train-on",), price, derivatives="yes") for price in range(17)]
    derivations = [stage.license("alice", "bob", parent, terms=terms)[0] for terms in all_terms]
    (child,) = stage.register("bob", "B")
    labels = [f"B {number}" for number in range(17)]
    stage.commit("bob", *labels)
    versions = [
        assets.AddVersion(child, assets.Artifact(cid(label), 1), bytes(16), assets.Provenance((derivation,)))
        for label, derivation in zip(labels, derivations, strict=True)
    ]
    stage.send("bob", *versions, code="assets.derivation_terms", later=AGE_MS)
    stage.send("bob", *versions[:16])
    stage.send("bob", versions[16], code="assets.derivation_terms")


def test_a_search_among_grants_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 10,000; here it is 3."""
    monkeypatch.setattr(grants, "SCAN_MAX", 3)
    world = World()
    asset = world.register("alice", "A")
    plain = licenses.Terms(("download",), 1)
    sole = licenses.Terms(("inference",), 1, exclusivity="sole")
    offer, reserving = world.offer("alice", asset, plain), world.offer("alice", asset, sole)
    for _ in range(4):
        world.buy("bob", offer, plain)
    world.refused("licenses.too_many_grants", "carol", world.purchase_operation(reserving, sole))


@pytest.mark.parametrize(("bound", "code"), [(4, ""), (3, "licenses.family_too_large")])
def test_a_search_among_relatives_is_bounded(bound: int, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 1,024 assets of one owner; here an asset has three derivatives."""
    monkeypatch.setattr(grants, "FAMILY_MAX", bound)
    world = World()
    asset = world.register("alice", "A")
    for label in "BCD":
        world.register("alice", label, derivations=[assets.Derivation(asset, "train-on")])
    sole = licenses.Terms(("inference",), 1, exclusivity="sole")
    purchase = world.purchase_operation(world.offer("alice", asset, sole), sole)
    if code:
        world.refused(code, "bob", purchase)
    else:
        world.do("bob", purchase)


@pytest.mark.parametrize(("bound", "good"), [(3, True), (2, False)])
def test_a_search_for_a_cycle_is_bounded(bound: int, good: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is 1,024 ancestors; here there are three."""
    world = World()
    line = [world.register("alice", "A")]
    for label in "BC":
        line.append(world.register("alice", label, derivations=[assets.Derivation(line[-1], "train-on")]))
    monkeypatch.setattr(stack, "LINEAGE_MAX", bound)
    world.commit("alice", "D")
    last = world.registration("alice", "D", derivations=[assets.Derivation(line[-1], "train-on")])
    if good:
        world.do("alice", last)
    else:
        world.refused("royalties.lineage_too_large", "alice", last)


def test_an_asset_has_sixty_four_owners() -> None:
    stage = Stage()
    (asset,) = stage.register("alice", "A")
    keys = [seed_key(f"owner {index}") for index in range(64)]
    stage.pair.notebook.keys |= {key.public_key: key for key in keys}
    stage.send("alice", *[OpenAccount(key.public_key, bytes(16), "owner") for key in keys])
    accounts = [account_id(stage.pair.state.network, "org-alice", key.public_key, bytes(16)) for key in keys]
    thing, expires = Thing("share", asset, 1), stage.now + DAY_MS
    for account in accounts[:63]:
        stage.send("alice", transfers.OfferGift(thing, account, expires))
        stage.send(account, transfers.Accept(transfers.transfer_id(stage.id, thing), 0))
    assert len(stage.pair.state.assets[asset]["shares"]) == 64
    one_more = transfers.OfferGift(thing, accounts[63], expires)
    stage.send("alice", one_more, code="transfers.too_many_owners")
    stage.send("alice", transfers.OfferGift(thing, accounts[0], expires))
    stage.send(accounts[1], one_more)
    stage.send(accounts[63], transfers.Accept(transfers.transfer_id(stage.id, thing), 0))
    assert len(stage.pair.state.assets[asset]["shares"]) == 64

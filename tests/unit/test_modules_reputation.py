"""Reputation: what each rule makes of evidence, on the real operations where they bring it about."""

from __future__ import annotations

import itertools
from math import isqrt

import pytest
from msgspec import structs

from ledger.errors import LedgerError
from ledger.modules.assets.records import Share
from ledger.modules.attestations.operations import Review, statement_id
from ledger.modules.credits.operations import Transfer
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.operations import Renew, Revoke, Terms, terms_digest
from ledger.modules.licenses.paid import paid_units
from ledger.modules.organizations import operations as organizations
from ledger.modules.reputation import evidence, queries
from ledger.modules.reputation.decay import HALF_LIFE_MS, PERIODS_MAX, from_grid, to_grid
from ledger.modules.reputation.formula import S, confidence, review_weight, score
from ledger.modules.reputation.payments import brought
from ledger.modules.reputation.returns import read_flows, returned
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.identifiers import account_id, account_to_text
from tests.unit.charters_kit import a_charter
from tests.unit.disputes_kit import Court
from tests.unit.modules_kit import NAMES, World, make_genesis, seed_key

CREDIT = 1_000_000


def terms(credits: int, **fields: object) -> Terms:
    base = {"rights": ("download", "inference"), "price": credits * CREDIT}
    return Terms(**(base | fields))  # type: ignore[arg-type]


def test_what_a_grant_was_paid_with_again_and_again_stays_an_amount() -> None:
    """The attack: renew with the same credits, which come back each time, until the sum of what was paid is no amount
    any more; whoever reads the review then stops."""
    price = 2**62
    genesis = make_genesis(fee_bps=0)
    rich = tuple(structs.replace(one, credits=price if one.name == "bob" else 1_000) for one in genesis.accounts)
    world = World(structs.replace(genesis, accounts=rich))
    asset = world.register("alice", "A")
    brief = Terms(rights=("download",), price=price, term_ms=1_000, renewable=True)
    offer = world.offer("alice", asset, brief)
    grant = world.buy("bob", offer, brief)
    for _ in range(2):
        world.do("alice", Withdraw(asset))
        world.do("alice", Transfer(world.accounts["bob"], price))
        world.advance(600)
        world.do("bob", Renew(grant, offer, terms_digest(brief), price))
    assert paid_units(world.view, grant) == 3 * price
    first = Review(grant, 1, 500_000)
    world.do("bob", first)
    world.do("bob", Review(grant, 1, 400_000, supersedes=statement_id(world.transaction_id, first)))
    (piece,) = world.query("reputation.evidence", account=account_to_text(world.accounts["alice"]))
    assert (piece.paid, piece.original) == (AMOUNT_MAX, 20 * S)
    world.check_laws()


class Market(World):
    """A world without a fee, where statements can be made as their module makes them."""

    def __init__(self, *more: str) -> None:
        super().__init__(make_genesis(names=(*NAMES, *more), fee_bps=0))

    def review(self, who: str, grant: bytes, asset: bytes, rating_ppm: int = S) -> None:
        self._count += 1
        context = self.context(self.view, self.accounts[who], b"")
        paid = brought(context, asset, paid_units(self.view, grant))
        evidence.review(context, grant, b"\x07" * 32, asset, rating_ppm, paid)

    def state(self, who: str, about: str, tier: int, rating_ppm: int = S) -> bytes:
        self._count += 1
        identifier = self._count.to_bytes(32, "big")
        subjects = (Share(self.accounts[about], 10_000),)
        testimony = evidence.Testimony(
            "evaluation", identifier, identifier, self.accounts[who], b"\x01" * 32, rating_ppm, tier * S, subjects
        )
        evidence.state(self.context(self.view, self.accounts[who], b""), testimony)
        return identifier

    def bought_and_reviewed(self, buyer: str, asset: bytes, credits: int, rating_ppm: int = S) -> bytes:
        """`credits` are paid to alice, the owner."""
        grant = self.license("alice", asset, buyer, terms(credits))
        self.review(buyer, grant, asset, rating_ppm)
        return grant

    def weights(self, who: str) -> tuple[int, int]:
        found = self.query("reputation.score", account=account_to_text(self.accounts[who]))
        return found.weight_for, found.weight_against

    def organization_weights(self, organization: str) -> tuple[int, int]:
        found = self.query("reputation.score", organization=organization)
        return found.weight_for, found.weight_against

    def evidence_about(self, who: str) -> list[object]:
        return list(self.query("reputation.evidence", account=account_to_text(self.accounts[who])))


def test_the_formulas() -> None:
    assert score(0, 0) == 500_000
    assert confidence(0, 0) == 0
    assert score(20 * S, 0) == S * 22 // 24
    assert confidence(20 * S, 0) == S * 20 // 30
    assert score(0, 20 * S) == S * 2 // 24
    assert [review_weight(paid) for paid in (0, 1, CREDIT, 4 * CREDIT, 400 * CREDIT, 10**18)] == [
        0,
        1_000,
        S,
        2 * S,
        20 * S,
        20 * S,
    ]


def test_a_weight_halves_in_a_half_life_from_any_time_on_and_is_linear_between() -> None:
    for begin in (0, 1, HALF_LIFE_MS // 3, 1_700_000_000_000, 115 * HALF_LIFE_MS - 1):
        entered = to_grid(20 * S, begin)
        assert from_grid(entered, begin) == 20 * S
        assert from_grid(entered, begin + HALF_LIFE_MS) == 10 * S
        assert from_grid(entered, begin + 3 * HALF_LIFE_MS) == 20 * S // 8
    entered = to_grid(20 * S, 115 * HALF_LIFE_MS)
    steps = [from_grid(entered, 115 * HALF_LIFE_MS + HALF_LIFE_MS * day // 180) for day in range(181)]
    assert {before - after for before, after in itertools.pairwise(steps)} <= {55_555, 55_556}


def test_decay_ends_where_numbers_would_grow_without_bound() -> None:
    entered = to_grid(20 * S, (PERIODS_MAX + 1) * HALF_LIFE_MS)
    assert from_grid(entered, 2**53 - 1) == 20 * S
    assert entered.bit_length() < 900


def test_a_review_weighs_by_the_square_root_of_what_was_paid() -> None:
    market = Market()
    asset = market.register("alice", "A")
    market.bought_and_reviewed("bob", asset, 4, 750_000)
    assert market.weights("alice") == (1_500_000, 500_000)
    assert market.organization_weights("org-alice") == (1_500_000, 500_000)
    assert market.weights("alan") == (0, 0)
    assert market.query("reputation.score", organization="org-bob").score_ppm == 500_000


def test_a_review_divides_among_creators_by_their_parts() -> None:
    market = Market()
    creators = ((market.accounts["alice"], 7_500), (market.accounts["bob"], 2_500))
    asset = market.register("alice", "A", creators=tuple(sorted(creators)))
    market.transfer("alice", Thing("share", asset, 1), "bob")
    market.bought_and_reviewed("carol", asset, 4)
    assert abs(market.weights("alice")[0] - 1_500_000) <= 200
    assert abs(market.weights("bob")[0] - 500_000) <= 200


def test_who_is_only_named_as_creator_is_neither_praised_nor_blamed() -> None:
    """Anybody can be named; a share nobody gets unasked."""
    market = Market()
    creators = tuple(sorted(((market.accounts["alan"], 5_000), (market.accounts["bob"], 5_000))))
    asset = market.register("alice", "A", creators=creators)
    market.bought_and_reviewed("carol", asset, 4, 0)
    assert market.weights("alan") == (0, S)
    assert market.weights("bob") == (0, 0)


def test_a_review_inside_an_organization_weighs_nothing() -> None:
    """Self-dealing: neither through a second account, nor where another organization created it and one's own is
    paid."""
    market = Market()
    asset = market.register("alice", "A")
    market.bought_and_reviewed("alan", asset, 100)
    assert market.weights("alice") == market.organization_weights("org-alice") == (0, 0)
    (piece,) = market.evidence_about("alice")
    assert [step.rule for step in piece.steps] == ["own_organization"]  # type: ignore[attr-defined]
    foreign = market.register("alice", "F", creators=((market.accounts["bob"], 10_000),))
    market.bought_and_reviewed("alan", foreign, 100)
    assert market.weights("bob") == (0, 0)


def test_one_rater_weighs_at_most_30_s_and_one_organization_60() -> None:
    market = Market()
    for tier in (10, 10, 7):
        market.state("alan", "bob", tier)
    assert market.weights("bob") == (27 * S, 0)
    market.state("alan", "bob", 10)
    market.state("alan", "bob", 10)
    assert market.weights("bob") == (30 * S, 0)
    for _ in range(4):
        market.state("alice", "bob", 10)
    assert market.weights("bob") == (60 * S, 0)
    key = seed_key("third").public_key
    market.do("alice", organizations.OpenAccount(key, bytes(16), "third"))
    market.accounts["third"] = account_id(market.network_id, "org-alice", key, bytes(16))
    market.state("third", "bob", 10)
    assert market.weights("bob") == (60 * S, 0)
    rules = [[step.rule for step in piece.steps] for piece in market.evidence_about("bob")]  # type: ignore[attr-defined]
    assert rules == [
        [],
        [],
        [],
        ["rater_maximum"],
        ["rater_maximum"],
        [],
        [],
        [],
        ["rater_maximum"],
        ["organization_maximum"],
    ]
    market.now_ms += HALF_LIFE_MS
    market.state("third", "bob", 10)
    assert market.weights("bob") == (40 * S, 0)


def test_an_organization_weighs_at_most_60_s_about_another() -> None:
    """However many accounts of the one are rated by the other."""
    market = Market()
    for rater in ("bob", "bob", "bob"):
        market.state(rater, "alice", 10)
        market.state(rater, "alan", 10, 0)
    market.state("carol", "alan", 10)
    assert market.weights("alice") == (30 * S, 0)
    assert market.organization_weights("org-alice") == (40 * S, 30 * S)
    key = seed_key("second").public_key
    market.do("bob", organizations.OpenAccount(key, bytes(16), "second"))
    market.accounts["second"] = account_id(market.network_id, "org-bob", key, bytes(16))
    for _ in range(3):
        market.state("second", "alice", 10)
    assert market.organization_weights("org-alice") == (40 * S + 10 * S, 20 * S)


def test_many_small_payments_weigh_no_more_than_one_of_their_sum() -> None:
    market = Market()
    asset = market.register("alice", "A")
    for _ in range(9):
        market.bought_and_reviewed("bob", asset, 1)
    assert market.weights("alice") == (3 * S, 0)
    pieces = market.evidence_about("alice")
    rules = [[step.rule for step in piece.steps] for piece in pieces]  # type: ignore[attr-defined]
    assert rules == [[]] + [["payments_together"]] * 8
    dust = terms(0, price=1)
    for _ in range(20):
        market.review("carol", market.license("alice", asset, "carol", dust), asset)
    assert market.weights("alice")[0] - 3 * S == 1_000
    market.bought_and_reviewed("dave", asset, 1)
    assert market.weights("alice")[0] - 3 * S == 1_000 + S


def test_praise_in_both_directions_counts_half_and_criticism_in_full() -> None:
    market = Market()
    market.state("alice", "bob", 10)
    assert market.weights("bob") == (10 * S, 0)
    market.state("alan", "bob", 4, 0)
    market.state("bob", "alan", 6)
    assert market.weights("bob") == (5 * S, 4 * S)
    assert market.weights("alan") == (3 * S, 0)


def test_what_returns_directly_is_no_payment() -> None:
    market = Market()
    asset = market.register("alice", "A")
    market.bought_and_reviewed("bob", asset, 4)
    market.do("alice", Transfer(market.accounts["bob"], 1 * CREDIT))
    factor = isqrt(3 * S * S // 4)
    assert market.weights("alice") == (2 * S * factor // S, 0)
    market.do("alan", Transfer(market.accounts["bob"], 3 * CREDIT))
    assert market.weights("alice") == (0, 0)


@pytest.mark.parametrize("others", [("carol",), ("carol", "dave")])
def test_what_returns_through_one_or_two_others_is_no_payment(others: tuple[str, ...]) -> None:
    """A ring of three and of four organizations."""
    market = Market()
    asset = market.register("alice", "A")
    market.bought_and_reviewed("bob", asset, 4)
    way = ["alice", *others, "bob"]
    for giver, recipient in itertools.pairwise(way):
        market.do(giver, Transfer(market.accounts[recipient], 4 * CREDIT))
    assert market.weights("alice") == (0, 0)


def test_a_ring_of_five_is_not_seen() -> None:
    """As far as the rule goes; docs/reputation.md says what that costs."""
    market = Market("erin")
    asset = market.register("alice", "A")
    market.bought_and_reviewed("bob", asset, 4)
    way = ["alice", "carol", "dave", "erin", "bob"]
    for giver, recipient in itertools.pairwise(way):
        market.do(giver, Transfer(market.accounts[recipient], 4 * CREDIT))
    assert market.weights("alice") == (2 * S, 0)


def test_two_ways_that_share_a_step_return_once() -> None:
    moved = {"P": {"C": 100, "D": 100}, "C": {"E": 100}, "D": {"E": 100}, "E": {"A": 100}}
    assert returned(moved, "P", "A") == 100
    spread = {"P": {"C": 100}, "C": {"D": 100, "E": 100}, "D": {"A": 100}, "E": {"A": 100}}
    assert returned(spread, "P", "A") == 100
    assert returned({"P": {"A": 5, "C": 7}, "C": {"A": 3}}, "P", "A") == 8


def test_what_reviews_claim_is_what_was_paid_on_balance() -> None:
    """A grant that somebody else has paid for is no payment of its holder's."""
    market = Market()
    asset = market.register("alice", "A")
    grant = market.license("alice", asset, "bob", terms(100, transferable=True))
    market.transfer("bob", Thing("grant", grant), "carol")
    market.review("carol", grant, asset)
    assert market.weights("alice") == (0, 0)
    cheap = market.license("alice", asset, "carol", terms(1))
    assert cheap
    assert market.weights("alice") == (10 * S * isqrt(S * S // 100) // S, 0)


def test_a_pool_counts_for_its_owners_when_it_is_paid() -> None:
    """Whoever withdraws it later, and however late."""
    market = Market()
    asset = market.register("alice", "A")
    market.license("alice", asset, "bob", terms(4))
    before = read_flows(market.view)
    market.do("alice", Withdraw(asset))
    assert read_flows(market.view) == before
    moved, _ = before
    assert moved == {"org-bob": {"org-alice": to_grid(4 * CREDIT, market.now_ms)}}


def test_a_share_takes_its_part_of_the_treasury_with_it() -> None:
    """Else the half of a price that is set aside comes back to who paid it, as shares whose treasury is paid out."""
    market = Market()
    asset = market.register("alice", "A", charter=a_charter(treasury_bps=5_000))
    market.bought_and_reviewed("bob", asset, 4)
    assert market.weights("alice") == (2 * S, 0)
    market.transfer("alice", Thing("share", asset, 7_500), "bob")
    moved = read_flows(market.view)[0]
    assert from_grid(moved["org-alice"]["org-bob"], market.now_ms) == 2 * CREDIT * 3 // 4
    assert market.weights("alice") == (2 * S * isqrt(5 * S * S // 8) // S, 0)
    market.transfer("alice", Thing("share", asset, 1_000), "alan")
    assert set(read_flows(market.view)[0]["org-alice"]) == {"org-bob"}
    market.check_laws()


def test_a_refund_reduces_the_evidence_of_its_payment_from_its_height() -> None:
    market = Market()
    asset = market.register("alice", "A")
    fair = terms(4, term_ms=4 * DAY_MS, revocation_causes=("misuse",), refund_mode="pro-rata", notice_ms=0)
    grant = market.license("alice", asset, "bob", fair)
    market.review("bob", grant, asset)
    market.now_ms += 3 * DAY_MS
    before = market.weights("alice")
    market.do("alice", Revoke(grant, "misuse"))
    (piece,) = market.evidence_about("alice")
    assert piece.paid == 3 * CREDIT  # type: ignore[attr-defined]
    assert piece.original == review_weight(3 * CREDIT)  # type: ignore[attr-defined]
    after = market.weights("alice")
    assert before[0] * 0.86 < after[0] < before[0] * 0.87


def test_payments_of_which_all_but_little_returns_weigh_together_what_is_left() -> None:
    """A review that was cut to what it added keeps its cut when a part of its price returns: else a hundred prices that
    nearly all came back would weigh what the hundred did."""
    market = Market()
    asset = market.register("alice", "A")
    market.bought_and_reviewed("bob", asset, 4)
    fair = terms(12, term_ms=12 * DAY_MS, revocation_causes=("misuse",), refund_mode="pro-rata", notice_ms=0)
    grant = market.license("alice", asset, "bob", fair)
    market.review("bob", grant, asset)
    assert market.weights("alice") == (isqrt(16 * CREDIT) * 1_000, 0)
    market.now_ms += 4 * DAY_MS
    market.do("alice", Revoke(grant, "misuse"))
    first, second = market.evidence_about("alice")
    assert second.paid == 4 * CREDIT  # type: ignore[attr-defined]
    assert second.steps[0].rule == "payments_together"  # type: ignore[attr-defined]
    assert 0 < first.weight_for + second.weight_for <= isqrt(8 * CREDIT) * 1_000  # type: ignore[attr-defined]
    market.check_laws()


def test_a_refund_of_all_of_it_takes_the_evidence_out() -> None:
    market = Market()
    asset = market.register("alice", "A")
    fair = terms(
        4, term_ms=DAY_MS, revocation_causes=("misuse",), refund_mode="pro-rata", start_ms=market.now_ms + 30 * DAY_MS
    )
    grant = market.license("alice", asset, "bob", fair)
    market.review("bob", grant, asset)
    assert market.weights("alice")[0] > 0
    market.do("alice", Revoke(grant, "misuse"))
    assert market.weights("alice") == (0, 0)
    (piece,) = market.evidence_about("alice")
    assert [step.rule for step in piece.steps] == ["refunded"]  # type: ignore[attr-defined]
    assert read_flows(market.view)[1] == {}
    market.check_laws()


def test_speaking_again_makes_no_payment_young() -> None:
    market = Market()
    asset = market.register("alice", "A")
    grant = market.bought_and_reviewed("bob", asset, 400)
    market.now_ms += HALF_LIFE_MS
    assert market.weights("alice") == (10 * S, 0)
    evidence.rate_anew(market.context(market.view, market.accounts["bob"], b""), grant, b"\x09" * 32, 0)
    assert market.weights("alice") == (0, 10 * S)


def test_what_is_superseded_or_refuted_is_taken_out_and_stays_readable() -> None:
    market = Market()
    first, second = market.state("alice", "bob", 10), market.state("alice", "bob", 5, 0)
    evidence.end(market.context(market.view, b"", b""), first, "superseded")
    assert market.weights("bob") == (0, 5 * S)
    evidence.end(market.context(market.view, b"", b""), second, "refuted")
    evidence.end(market.context(market.view, b"", b""), second, "refuted")
    assert market.weights("bob") == (0, 0)
    assert len(market.evidence_about("bob")) == 2
    for _ in range(3):
        market.state("alice", "bob", 10)
    assert market.weights("bob") == (30 * S, 0)


def test_a_lost_dispute_counts_20_s_against_the_loser() -> None:
    court = Court()
    asset = court.register("alice", "A")
    court.conclude(court.file_against("bob", asset, "freeze_sales"), uphold=True)
    found = court.query("reputation.score", organization="org-alice")
    assert found.weight_against == from_grid(to_grid(20 * S, court.now_ms), court.now_ms)
    assert found.score_ppm == S * 2 // 24
    other = court.register("alice", "B")
    court.conclude(court.file_against("bob", other, "freeze_sales"), uphold=False)
    assert court.query("reputation.score", organization="org-bob").weight_against == 20 * S


def test_who_loses_together_shares_it() -> None:
    """An account does not weigh less by splitting, nor an organization more."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", Thing("share", asset, 4_000), "alan")
    court.conclude(court.file_against("bob", asset, "freeze_sales"), uphold=True)
    weights = [
        court.query("reputation.score", account=account_to_text(court.accounts[who])).weight_against
        for who in ("alice", "alan")
    ]
    assert weights == [12 * S, 8 * S]
    assert court.query("reputation.score", organization="org-alice").weight_against == 20 * S


def test_every_piece_says_what_each_rule_left_of_it_and_the_sum_is_the_score() -> None:
    market = Market()
    asset = market.register("alice", "A")
    market.bought_and_reviewed("bob", asset, 4, 600_000)
    market.bought_and_reviewed("carol", asset, 9)
    market.state("dave", "alice", 10, 0)
    market.do("alice", Transfer(market.accounts["bob"], 2 * CREDIT))
    other = market.register("carol", "C")
    grant = market.license("carol", other, "alice", terms(1))
    market.review("alice", grant, other)
    market.now_ms += 90 * DAY_MS
    pieces = market.query("reputation.evidence", account=account_to_text(market.accounts["alice"]))
    rules = [[step.rule for step in piece.steps] for piece in pieces]
    assert rules == [["returned", "decayed"], ["returned", "reciprocal", "decayed"], ["decayed"]]
    sums = [sum(piece.weight_for for piece in pieces), sum(piece.weight_against for piece in pieces)]
    for total, shown in zip(sums, market.weights("alice"), strict=True):
        assert abs(total - shown) <= len(pieces)
    for piece in pieces:
        assert piece.weight_for + piece.weight_against == piece.steps[-1].weight
    first = market.query("reputation.evidence", account=account_to_text(market.accounts["alice"]), limit=1)
    rest = market.query(
        "reputation.evidence", account=account_to_text(market.accounts["alice"]), after=first[0].evidence
    )
    assert [*first, *rest] == pieces


def test_lists_are_in_order_of_score() -> None:
    market = Market()
    market.state("alice", "bob", 10)
    market.state("alice", "carol", 10, 0)
    market.state("bob", "dave", 5)
    listed = market.query("reputation.list")
    assert [one.organization for one in listed] == ["org-bob", "org-dave", "org-carol"]
    listed = market.query("reputation.list", kind="organization")
    assert [one.organization for one in listed] == ["org-bob", "org-dave", "org-alice", "org-carol"]
    (one,) = market.query("reputation.list", organization="org-carol")
    assert one.account == account_to_text(market.accounts["carol"])
    for arguments in ({"kind": "asset"}, {"organization": "org-nobody"}):
        with pytest.raises(LedgerError):
            market.query("reputation.list", **arguments)
    for arguments in ({}, {"account": "gm1", "organization": "org-bob"}, {"organization": "org-nobody"}):
        with pytest.raises(LedgerError):
            market.query("reputation.score", **arguments)
    with pytest.raises(LedgerError):
        market.query("reputation.evidence", account=listed and one.account, after="00" * 32)


@pytest.mark.parametrize("kind", ["account", "organization"])
def test_a_list_of_too_much_evidence_is_refused(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market()
    for rater in ("bob", "carol", "dave"):
        market.state(rater, "alice", 1)
    monkeypatch.setattr(queries, "LISTED_SUMS_MAX", 3)
    assert market.query("reputation.list", kind=kind)[0].weight_for == 3 * S
    market.state("bob", "alan", 1)
    with pytest.raises(LedgerError) as caught:
        market.query("reputation.list", kind=kind)
    assert caught.value.code == "query.too_expensive"


def test_a_list_of_too_many_accounts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    market = Market()
    market.state("bob", "alice", 1)
    monkeypatch.setattr(queries, "LISTED_ACCOUNTS_MAX", 1)
    assert len(market.query("reputation.list")) == 1
    market.state("bob", "carol", 1)
    with pytest.raises(LedgerError) as caught:
        market.query("reputation.list")
    assert caught.value.code == "query.too_expensive"
    assert len(market.query("reputation.list", organization="org-carol")) == 1

"""What a decision does: refunds, payments, freezes, taking back, and debts."""

from __future__ import annotations

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.assets.reads import ownership
from ledger.modules.assets.records import BOUGHT, OWNERS_MAX
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.disputes.records import RECALL_RETRY_MS
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.records import GRANTS
from ledger.modules.market import operations as market
from ledger.modules.market.records import AUCTIONS
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS, HOUR_MS
from primitives.identifiers import account_id, account_to_text
from tests.unit.disputes_kit import ANSWER_MS, APPEAL_MS, MORE, TERMS, VOTING_MS, WINDOW_MS, Court
from tests.unit.modules_kit import NAMES, SUPPLY_EACH, seed_key

PRICE = TERMS.price
BOND = PRICE // 10


def owners(court: Court, asset: bytes) -> dict[str, int]:
    names = {account_to_text(account): name for name, account in court.accounts.items()}
    return {names[owner.account]: owner.bps for owner in court.query("assets.get", asset=asset.hex()).owners}


# --- grants


def test_a_refund_comes_from_the_escrow_and_ends_the_grant() -> None:
    court = Court()
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    identifier = court.file_refund("bob", grant)
    assert court.query("licenses.grant", grant=grant.hex()).state == "disputed"
    assert court.check("bob", asset).reason == "disputed"
    court.conclude(identifier, uphold=True)
    assert court.query("licenses.grant", grant=grant.hex()).state == "refunded"
    assert (court.balance("bob"), court.balance("alice"), court.owed("alice", asset)) == (SUPPLY_EACH, SUPPLY_EACH, 0)
    assert court.dispute(identifier).refunded == PRICE
    assert court.debts("alice") == []
    court.refused("licenses.not_disputable", "bob", court.claim(Subject("grant", grant), "refund", PRICE))
    court.check_laws()


def test_the_escrow_waits_for_the_decision_and_not_for_its_window() -> None:
    """E5: the deadline of the escrow is gone, nobody else can end it, and the end pays it out once."""
    court = Court(dispute_voting_ms=2 * DAY_MS)
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    identifier = court.file_refund("bob", grant)
    court.advance(WINDOW_MS)
    court.refused("licenses.nothing_in_escrow", "alice", licenses.Claim(grant))
    assert court.owed("alice", asset) == 0
    court.advance(2 * DAY_MS)
    court.advance(APPEAL_MS)
    assert court.dispute(identifier).outcome == "failed"
    assert court.query("licenses.grant", grant=grant.hex()).state == "active"
    assert court.owed("alice", asset) == PRICE - PRICE // 40
    assert court.balance("bob") == SUPPLY_EACH - PRICE
    court.check_laws()


def test_filing_locks_the_disputed_escrow_only() -> None:
    """The attack on a rival: to freeze its sales and its other escrows by filing."""
    court = Court()
    asset = court.register("alice", "A")
    offer = court.offer("alice", asset, TERMS, expires_at_ms=court.now_ms + 5 * DAY_MS)
    mine, other = court.buy("bob", offer, TERMS), court.buy("carol", offer, TERMS)
    court.file_refund("bob", mine)
    court.file_against("dave", asset, "freeze_sales", 10**6)
    court.file_against("erin", asset, "transfer_back", 10**6)
    court.buy("frank", offer, TERMS)
    court.offer("alice", asset, TERMS)
    court.transfer("alice", Thing("share", asset, 100), "grace", 500)
    court.advance(WINDOW_MS)
    assert court.query("licenses.grant", grant=other.hex()).due_ms is None
    assert court.owed("alice", asset) > 0
    court.check_laws()


def test_a_refund_after_the_escrow_settled_takes_bond_balance_and_debt() -> None:
    court = Court()
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    court.advance(WINDOW_MS)
    identifier = court.file_refund("bob", grant)
    court.do("alice", disputes.Answer(identifier, True))
    court.do("alice", Transfer(court.accounts["dave"], court.balance("alice") - 30_000))
    court.conclude(identifier, uphold=True)
    assert court.balance("alice") == 0
    assert court.balance("bob") == SUPPLY_EACH - PRICE + BOND + 30_000
    (debt,) = court.debts("alice")
    assert (debt.amount, debt.owed, debt.asset) == (PRICE - BOND, PRICE - BOND - 30_000, None)
    assert court.query("licenses.grant", grant=grant.hex()).state == "refunded"
    shown = court.query("disputes.get", dispute=identifier.hex())
    assert (shown.refunded, shown.owed) == (0, PRICE - BOND)
    court.check_laws()


def test_a_debt_is_collected_from_what_comes_in_later() -> None:
    """The attack: to move all credits away before the decision."""
    court = Court()
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    court.advance(WINDOW_MS)
    identifier = court.file_refund("bob", grant)
    court.empty("alice")
    court.conclude(identifier, uphold=True)
    (debt,) = court.debts("alice")
    assert [item.debt for item in _credits_of(court, "bob")] == [debt.debt]
    key = bytes.fromhex(debt.debt)
    court.refused("disputes.nothing_to_collect", "carol", disputes.Collect(key))
    before = court.balance("bob")
    court.do("alice", Withdraw(asset))
    earned = PRICE - PRICE // 40
    assert (court.balance("alice"), court.balance("bob")) == (0, before + earned)
    assert court.debts("alice")[0].owed == PRICE - earned
    court.do("dave", Transfer(court.accounts["alice"], 10_000))
    court.do("carol", disputes.Collect(key))
    assert (court.balance("alice"), court.balance("bob")) == (10_000 - PRICE + earned, before + PRICE)
    assert court.debts("alice") == []
    court.refused("disputes.unknown_debt", "carol", disputes.Collect(key))
    court.check_laws()


def _credits_of(court: Court, creditor: str) -> list[object]:
    return list(court.query("disputes.debts", creditor=account_to_text(court.accounts[creditor])))


def test_who_claims_the_price_back_cannot_pass_the_grant_on() -> None:
    """The attack: to sell the license to somebody, and to be paid back for it."""
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=1)
    grant = court.license("alice", asset, "bob", terms)
    court.advance(1)
    thing = Thing("grant", grant)
    pending = court.give_transfer("bob", thing, "carol", 50_000)
    identifier = court.file_refund("bob", grant)
    court.refused("transfers.grant_not_live", "carol", transfers.Accept(pending, 50_000))
    court.advance(DAY_MS)
    court.refused(
        "transfers.grant_not_live", "bob", transfers.Offer(thing, court.accounts["carol"], 5, court.now_ms + 9)
    )
    court.advance(VOTING_MS + APPEAL_MS)
    court.advance(APPEAL_MS)
    assert court.dispute(identifier).outcome == "failed"
    court.transfer("bob", thing, "carol", 50_000)
    court.refused("disputes.not_a_party", "bob", court.claim(Subject("grant", grant), "refund", PRICE))


def test_a_grant_that_is_locked_is_refunded_all_the_same() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=1)
    grant = court.license("alice", asset, "bob", terms)
    court.advance(1)
    pending = court.give_transfer("bob", Thing("grant", grant), "carol", 50_000)
    identifier = court.file_refund("bob", grant)
    court.conclude(identifier, uphold=True)
    court.do("bob", transfers.Withdraw(pending))
    assert court.query("licenses.grant", grant=grant.hex()).state == "refunded"
    court.check_laws()


@pytest.mark.parametrize(
    ("terms", "held", "why"),
    [
        (Terms(rights=("download",), price=5_000), True, "no dispute window"),
        (TERMS, False, "not available"),
    ],
)
def test_what_is_not_refunded_by_dispute(terms: Terms, held: bool, why: str) -> None:
    court = Court()
    asset = court.register("alice", "A", held=held)
    grant = court.license("alice", asset, "bob", terms)
    claim = court.claim(Subject("grant", grant), "refund", terms.price)
    assert why in court.refused("licenses.not_disputable", "bob", claim).message


def test_a_grant_is_in_one_dispute_at_a_time() -> None:
    court = Court()
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    court.file_refund("bob", grant)
    court.refused("licenses.not_disputable", "bob", court.claim(Subject("grant", grant), "refund", PRICE))


def test_a_refunded_edition_can_be_sold_again() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, editions_max=2)
    grant = court.license("alice", asset, "bob", terms)
    court.advance(WINDOW_MS)
    court.conclude(court.file_refund("bob", grant), uphold=True)
    second = court.license("alice", asset, "carol", terms)
    assert court.query("licenses.grant", grant=second.hex()).edition == 2


def test_a_disputed_grant_is_live() -> None:
    """An exclusive grant excludes others while it is disputed, and frees the place when it ends."""
    court = Court()
    asset = court.register("alice", "A")
    exclusive = msgspec.structs.replace(TERMS, exclusivity="exclusive")
    grant = court.license("alice", asset, "bob", exclusive)
    identifier = court.file_refund("bob", grant)
    offer = court.offer("alice", asset, TERMS)
    court.refused("licenses.collision", "carol", court.purchase_operation(offer, TERMS))
    court.conclude(identifier, uphold=True)
    court.buy("carol", offer, TERMS)
    court.check_laws()


def test_the_end_of_a_dispute_runs_all_checks_again() -> None:
    """The owner has got a derivative of which somebody has a license: the exclusive one is none any more, and its price
    returns."""
    court = Court()
    asset = court.register("alice", "A")
    training = Terms(rights=("train-on",), price=1, commercial=True, derivatives="yes")
    trained = court.license("alice", asset, "carol", training)
    derived = court.register("carol", "B", derivations=[assets.Derivation(asset, "train-on", trained)])
    court.license("carol", derived, "dave", Terms(rights=("download",), price=1))
    grant = court.license("alice", asset, "bob", msgspec.structs.replace(TERMS, exclusivity="exclusive"))
    identifier = court.file_refund("bob", grant)
    court.transfer("carol", derived, "alice")
    court.conclude(identifier, uphold=False)
    assert court.query("licenses.grant", grant=grant.hex()).state == "refunded"
    assert court.balance("bob") == SUPPLY_EACH - BOND
    court.check_laws()


def test_who_loses_a_dispute_does_not_get_the_price_back_by_buying_a_share() -> None:
    """The attack: to use a license for weeks, to dispute it, and to become an owner, who cannot hold a license."""
    court = Court()
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    identifier = court.file_refund("bob", grant)
    court.transfer("alice", Thing("share", asset, 100), "bob", 10)
    court.conclude(identifier, uphold=False)
    assert court.query("licenses.grant", grant=grant.hex()).state == "active"
    assert court.balance("bob") == SUPPLY_EACH - 10 - BOND - PRICE
    court.check_laws()


def test_a_term_that_ended_during_the_dispute_is_paid_for() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, term_ms=1_000)
    grant = court.license("alice", asset, "bob", terms)
    court.conclude(court.file_refund("bob", grant), uphold=False)
    assert court.query("licenses.grant", grant=grant.hex()).state == "expired"
    assert court.owed("alice", asset) == PRICE - PRICE // 40


def test_several_owners_owe_a_refund_by_their_shares() -> None:
    """What rounding leaves is the first one's: the parts sum to the price exactly."""
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, price=99_999, dispute_window_ms=1)
    grant = court.license("alice", asset, "bob", terms)
    court.advance(1)
    court.transfer("alice", Thing("share", asset, 3_333), "carol")
    identifier = court.file_refund("bob", grant, 99_999)
    court.conclude(identifier, uphold=True)
    paid = {name: SUPPLY_EACH - court.balance(name) for name in ("alice", "carol")}
    assert paid["alice"] + paid["carol"] == 99_999
    assert abs(paid["carol"] - 99_999 * 3_333 // 10_000) <= 1
    assert court.balance("bob") == SUPPLY_EACH


def test_unpaid_use_is_paid_like_a_price() -> None:
    """Fee, ancestors and all owners get their parts, of a debt too."""
    court = Court()
    share = Terms(
        rights=("download", "train-on"),
        price=0,
        commercial=True,
        derivatives="yes",
        revenue_share_bps=1_000,
        revenue_share_depth=1,
    )
    parent = court.register("carol", "P")
    way = court.license("carol", parent, "alice", share)
    asset = court.register("alice", "A", derivations=[assets.Derivation(parent, "train-on", way)])
    sold = Terms(rights=("download",), price=0, commercial=True)
    grant = court.license("alice", asset, "bob", sold)
    subject = Subject("grant", grant)
    court.refused("disputes.not_a_party", "dave", court.claim(subject, "payment", 40_000))
    court.refused("disputes.amount", "alice", court.claim(subject, "payment", 0))
    identifier = court.file("alice", subject, "payment", 40_000)
    assert court.check("bob", asset).allowed, "a claim for payment takes nothing from the licensee"
    assert court.arbiter_names(identifier) == ["carol", "dave", "erin", "frank", "grace", "heidi"]
    court.do("bob", Transfer(court.accounts["dave"], court.balance("bob") - 20_000))
    court.conclude(identifier, uphold=True)
    assert (court.treasury, court.owed("carol", parent), court.owed("alice", asset)) == (500, 1_950, 17_550)
    (debt,) = court.debts("bob")
    assert (debt.owed, debt.asset, debt.creditor) == (
        20_000,
        asset.hex(),
        account_to_text(court.accounts["alice"]),
    )
    court.do("dave", Transfer(court.accounts["bob"], 20_000))
    court.do("heidi", disputes.Collect(bytes.fromhex(debt.debt)))
    assert (court.treasury, court.owed("carol", parent), court.owed("alice", asset)) == (1_000, 3_900, 35_100)
    assert court.lost("bob") == [identifier.hex()]
    court.check_laws()


def _renewable(court: Court) -> tuple[bytes, bytes, Terms]:
    """Return alice's asset, bob's grant for two days, and the terms."""
    terms = msgspec.structs.replace(TERMS, term_ms=2 * DAY_MS, renewable=True)
    asset = court.register("alice", "A")
    return asset, court.license("alice", asset, "bob", terms), terms


def _renew(court: Court, asset: bytes, grant: bytes, terms: Terms) -> None:
    offer = court.offer("alice", asset, terms)
    court.do("bob", licenses.Renew(grant, offer, licenses.terms_digest(terms), terms.price))


def test_a_refund_of_a_renewal_in_escrow_undoes_the_renewal() -> None:
    """What was paid for before stays: only the disputed escrow returns."""
    court = Court()
    asset, grant, terms = _renewable(court)
    court.advance(WINDOW_MS)
    end_ms = court.query("licenses.grant", grant=grant.hex()).end_ms
    _renew(court, asset, grant, terms)
    identifier = court.file_refund("bob", grant)
    court.conclude(identifier, uphold=True)
    shown = court.query("licenses.grant", grant=grant.hex())
    assert (shown.state, shown.end_ms) == ("active", end_ms)
    assert (court.balance("bob"), court.dispute(identifier).owed) == (SUPPLY_EACH - PRICE, 0)
    court.check_laws()


def test_of_a_renewed_grant_the_last_term_is_refunded() -> None:
    court = Court()
    asset, grant, terms = _renewable(court)
    court.advance(WINDOW_MS)
    _renew(court, asset, grant, terms)
    court.advance(WINDOW_MS)
    identifier = court.file_refund("bob", grant)
    court.refused("licenses.not_renewable", "bob", licenses.Renew(grant, bytes(32), bytes(32), 0))
    court.conclude(identifier, uphold=True)
    assert court.query("licenses.grant", grant=grant.hex()).state == "refunded"
    assert court.balance("bob") == SUPPLY_EACH - PRICE
    court.check_laws()


def test_what_a_revocation_paid_back_is_not_claimed_again() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(
        TERMS, term_ms=4 * DAY_MS, revocation_causes=("breach",), refund_mode="pro-rata", notice_ms=0
    )
    grant = court.license("alice", asset, "bob", terms)
    court.advance(DAY_MS)
    court.do("alice", licenses.Revoke(grant, "breach"))
    subject = Subject("grant", grant)
    court.refused("disputes.amount", "bob", court.claim(subject, "refund", PRICE))
    identifier = court.file_refund("bob", grant, PRICE // 4)
    court.conclude(identifier, uphold=True)
    assert court.balance("bob") == SUPPLY_EACH
    court.check_laws()


def test_a_deposit_for_use_returns_with_a_refund() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(
        TERMS,
        rights=("inference-as-service",),
        term_ms=30 * DAY_MS,
        quota=100,
        quota_unit="calls",
        usage_price=10,
    )
    grant = court.license("alice", asset, "bob", terms)
    court.advance(WINDOW_MS)
    assert court.balance("bob") == SUPPLY_EACH - PRICE - 1_000
    court.conclude(court.file_refund("bob", grant), uphold=True)
    assert court.balance("bob") == SUPPLY_EACH
    court.check_laws()


# --- freezes


def test_a_freeze_stops_sales_and_nothing_else() -> None:
    court = Court()
    asset = court.register("alice", "A")
    terms = msgspec.structs.replace(TERMS, dispute_window_ms=0)
    offer = court.offer("alice", asset, terms, expires_at_ms=court.now_ms + 20 * DAY_MS)
    grant = court.buy("carol", offer, terms)
    pending = court.give_transfer("alice", Thing("share", asset, 100), "dave", 50)
    identifier = court.file("bob", Subject("version", asset, 1), "freeze_sales")
    assert court.conclude(identifier, uphold=True)
    assert court.query("assets.get", asset=asset.hex()).frozen
    assert not court.query("licenses.offer", offer=offer.hex()).open
    later_ms = court.now_ms + 1_000
    court.refused("assets.frozen", "dave", court.purchase_operation(offer, terms))
    court.refused("assets.frozen", "alice", licenses.Offer(asset, terms, later_ms))
    court.refused("assets.frozen", "dave", transfers.Accept(pending, 50))
    for who, thing in (("alice", Thing("share", asset, 10)), ("carol", Thing("grant", grant))):
        court.refused("assets.frozen", who, transfers.Offer(thing, court.accounts["erin"], 5, later_ms))
    court.do("alice", transfers.Withdraw(pending))
    whole = transfers.Offer(Thing("asset", asset), court.accounts["erin"], 5, later_ms)
    court.refused("assets.frozen", "alice", whole)
    # What is wrong can be put right, licenses hold, and giving away is no sale.
    court.add_version("alice", asset, "A2")
    assert court.check("carol", asset).allowed
    court.do("alice", Withdraw(asset))
    court.transfer("alice", asset, "erin")
    court.check_laws()


def test_a_freeze_ends_when_its_claimant_lets_go() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.refused("disputes.not_freezing", "bob", disputes.Lift(identifier))
    court.conclude(identifier, uphold=True)
    court.refused("disputes.not_the_claimant", "alice", disputes.Lift(identifier))
    court.do("bob", disputes.Lift(identifier))
    court.refused("disputes.not_freezing", "bob", disputes.Lift(identifier))
    court.offer("alice", asset, TERMS)


def test_a_freeze_ends_by_a_later_claim_of_an_owner() -> None:
    """Nothing is frozen for ever without a way out: whoever has put it right can have that found."""
    court = Court()
    asset = court.register("alice", "A")
    frozen = court.file_against("bob", asset, "freeze_sales")
    court.conclude(frozen, uphold=True)
    subject = Subject("freeze", frozen)
    court.refused("disputes.not_a_party", "carol", court.claim(subject, "lift"))
    identifier = court.file("alice", subject, "lift")
    court.conclude(identifier, uphold=True)
    assert not court.query("assets.get", asset=asset.hex()).frozen
    assert court.lost("bob") == [], "to have been right at the time is no lost dispute"
    court.offer("alice", asset, TERMS)


def test_a_claim_to_lift_what_was_lifted_meanwhile_changes_nothing() -> None:
    court = Court()
    asset = court.register("alice", "A")
    frozen = court.file_against("bob", asset, "freeze_sales")
    court.conclude(frozen, uphold=True)
    identifier = court.file("alice", Subject("freeze", frozen), "lift")
    court.do("bob", disputes.Lift(frozen))
    court.conclude(identifier, uphold=True)
    assert not court.query("assets.get", asset=asset.hex()).frozen


def test_each_dispute_lifts_its_own_freeze() -> None:
    court = Court()
    asset = court.register("alice", "A")
    first, second = (court.file_against(who, asset, "freeze_sales") for who in ("bob", "carol"))
    court.open_vote(first)
    for identifier in (first, second):
        court.decide(identifier, uphold=True)
    court.advance(APPEAL_MS)
    court.do("bob", disputes.Lift(first))
    assert court.query("assets.get", asset=asset.hex()).frozen
    court.do("carol", disputes.Lift(second))
    assert not court.query("assets.get", asset=asset.hex()).frozen


# --- taking back


def test_a_stolen_registration_comes_back() -> None:
    """The asset, its management and what it earns from then on; what it has earned stays owed to who owned it."""
    court = Court()
    asset = court.register("alice", "A")
    free = Terms(rights=("download",), price=1_000)
    offer = court.offer("alice", asset, free)
    court.buy("carol", offer, free)
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    before = court.balance("bob")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}
    shown = court.query("assets.get", asset=asset.hex())
    assert (shown.manager, shown.transfers) == (account_to_text(court.accounts["bob"]), 1)
    assert court.owed("alice", asset) == 975
    assert court.dispute(identifier).taken_bps == 10_000
    assert court.balance("bob") == before + 7_000
    assert court.debts("alice") == []
    court.refused("licenses.offer_void", "dave", court.purchase_operation(offer, free))
    court.license("bob", asset, "carol", free)
    court.check_laws()


def test_it_reaches_who_got_it_as_a_gift_or_inside_the_organization() -> None:
    """The attack: to move it to a friend, or to sell it to oneself, before the decision."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", asset, "alan", 9_999)
    court.transfer("alan", Thing("share", asset, 4_000), "carol")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}
    court.check_laws()


def test_it_never_reaches_a_later_buyer_who_paid() -> None:
    """Nor whom that one gave it to. It becomes a debt of who sold it."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", asset, "carol", 50_000)
    court.transfer("carol", asset, "dave")
    court.empty("alice")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"dave": 10_000}
    (debt,) = court.debts("alice")
    assert (debt.owed, debt.creditor) == (70_000, account_to_text(court.accounts["bob"]))
    assert court.lost("carol") == court.lost("dave") == []
    court.check_laws()


def test_a_part_that_was_sold_becomes_a_part_of_a_debt() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", Thing("share", asset, 2_500), "carol", 50_000)
    before = court.balance("alice")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 7_500, "carol": 2_500}
    assert court.balance("alice") == before - 17_500
    assert court.dispute(identifier).owed == 17_500
    court.check_laws()


def test_who_sold_it_before_the_filing_answers_for_it() -> None:
    """The owner who paid is no respondent; who sold what was not its own is."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", asset, "carol", 50_000)
    court.transfer("carol", asset, "dave", 50_000)
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    assert [r.account for r in court.dispute(identifier).respondents] == [court.accounts["alice"]]
    assert "dave" not in court.arbiter_names(identifier)
    before = court.balance("alice")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"dave": 10_000}
    assert court.balance("alice") == before - 70_000
    court.check_laws()


def test_who_buys_it_back_is_not_protected() -> None:
    """The attack: to sell it to a friend and to buy it back."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", asset, "carol", 1)
    court.transfer("carol", asset, "alan", 1)
    assert not list(BOUGHT.items(court.view, asset))
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}


def test_who_sold_a_part_answers_for_that_part_alone() -> None:
    """The attack: to sell what was stolen together with a poor friend's share, so that the friend answers for all."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", Thing("share", asset, 1), "carol")
    sale = transfers.Offer(Thing("asset", asset), court.accounts["dave"], 50_000, court.now_ms + HOUR_MS)
    court.do("carol", assets.Consent(asset, assets.action_digest(sale), court.now_ms + HOUR_MS))
    court.do("alice", sale)
    court.do("dave", transfers.Accept(transfers.transfer_id(court.transaction_id, sale.thing), 50_000))
    court.transfer("dave", Thing("share", asset, 5_000), "erin", 1_000)
    identifier = court.file_against("bob", asset, "transfer_back", 100_000)
    against = {one.account: one.bps for one in court.dispute(identifier).respondents}
    assert against == {court.accounts["alice"]: 9_999, court.accounts["carol"]: 1}
    before = court.balance("alice")
    court.conclude(identifier, uphold=True)
    assert court.balance("alice") == before - 99_990
    court.check_laws()


def test_of_many_who_sold_the_least_part_is_counted_to_the_greatest() -> None:
    """Eight are remembered behind one owner's share, and every share has somebody who answers for it."""
    sellers = ("bob", "carol", *MORE, "ivan", "judy", "mallory")
    court = Court((*NAMES, *MORE, "ivan", "judy", "mallory"))
    asset = court.register("alice", "A")
    for index, who in enumerate(sellers):
        court.transfer("alice", Thing("share", asset, 100 + index), who)
        court.transfer(who, Thing("share", asset, 100 + index), "dave", 10)
    (record,) = [row for _, row in BOUGHT.items(court.view, asset)]
    named = {one.account: one.bps for one in record.sources}
    expected = {court.accounts[who]: 100 + index for index, who in enumerate(sellers) if index}
    expected[court.accounts["mallory"]] += 100
    assert named == expected
    assert record.bps == sum(range(100, 109))


@pytest.mark.parametrize("kind", ["asset", "share"])
def test_a_locked_asset_is_taken_back_when_its_lock_ends(kind: str) -> None:
    """No pending sale or gift is concluded meanwhile, and no new one begins: the wait has an end."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.decide(identifier, uphold=True)
    court.advance(APPEAL_MS - 1)
    thing = Thing("asset", asset) if kind == "asset" else Thing("share", asset, 5)
    pending = court.give_transfer("alice", thing, "carol", 900)
    events = court.advance(1)
    assert "RecallWaiting" in [type(event).__name__ for event in events]
    assert court.dispute(identifier).state == "recalling"
    assert court.query("assets.get", asset=asset.hex()).recall == identifier.hex()
    assert court.lost("alice") == [identifier.hex()]
    court.refused("assets.frozen", "carol", transfers.Accept(pending, 900))
    gift = transfers.OfferGift(Thing("share", asset, 1), court.accounts["dave"], court.now_ms + 1)
    court.refused("assets.locked" if kind == "asset" else "assets.frozen", "alice", gift)
    court.advance(RECALL_RETRY_MS)
    court.advance(0)
    if court.dispute(identifier).state == "recalling":
        court.advance(RECALL_RETRY_MS)
    assert court.dispute(identifier).state == "closed"
    assert owners(court, asset) == {"bob": 10_000}
    assert court.query("assets.get", asset=asset.hex()).recall is None
    court.transfer("bob", asset, "carol", 100)
    court.check_laws()


def test_two_who_claim_it_back() -> None:
    """The first gets it, the second a debt of those against whom it was decided; the first owes nothing."""
    court = Court()
    asset = court.register("alice", "A")
    first, second = (court.file_against(who, asset, "transfer_back", 70_000) for who in ("bob", "carol"))
    court.open_vote(first)
    for identifier in (first, second):
        court.decide(identifier, uphold=True)
    before = {name: court.balance(name) for name in ("alice", "bob", "carol")}
    court.advance(APPEAL_MS)
    winner = next(iter(owners(court, asset)))
    other = {"bob": "carol", "carol": "bob"}[winner]
    assert owners(court, asset) == {winner: 10_000}
    assert court.balance("alice") == before["alice"] - 70_000
    assert court.balance(winner) == before[winner] + 7_000
    assert court.balance(other) == before[other] + 77_000
    # A claim against the new owner is another matter.
    third = court.file_against("dave", asset, "transfer_back", 70_000)
    assert [r.account for r in court.dispute(third).respondents] == [court.accounts[winner]]
    court.conclude(third, uphold=True)
    assert owners(court, asset) == {"dave": 10_000}
    court.check_laws()


def test_a_retired_asset_comes_back_too() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.do("alice", assets.Retire(asset))
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 10_000}


def test_everything_ends_without_anybody_doing_anything() -> None:
    """No state without a deadline: a dispute that nobody touches fails, and all it held returns."""
    court = Court()
    asset = court.register("alice", "A")
    grant = court.license("alice", asset, "bob", TERMS)
    court.file_refund("bob", grant)
    court.file_against("carol", asset, "transfer_back", 10**6)
    for time_ms in (ANSWER_MS, VOTING_MS, APPEAL_MS):
        court.advance(time_ms)
    assert court.query("disputes.list") == []
    assert court.balance("carol") == SUPPLY_EACH
    assert court.balance("bob") == SUPPLY_EACH - PRICE
    record = GRANTS.get(court.view, grant)
    assert record is not None
    assert (record.disputed, record.due_ms) == (False, None)
    court.check_laws()


def test_a_listed_or_auctioned_asset_is_frozen_and_taken_back_like_any_other() -> None:
    """The market conveys by the same way as transfers: a bid returns, and the recall waits for the auction's end."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.decide(identifier, uphold=True)
    court.advance(APPEAL_MS - 1)
    thing = Thing("asset", asset)
    court.do("alice", market.OpenAuction(thing, 1_000, 100, court.now_ms + DAY_MS, 0))
    auction = next(key for key, _ in AUCTIONS.items(court.view))
    court.do("carol", market.Bid(auction, 2_000))
    court.advance(1)
    assert court.dispute(identifier).state == "recalling"
    court.advance(2 * DAY_MS)
    court.advance(RECALL_RETRY_MS)
    assert court.dispute(identifier).state == "closed"
    assert owners(court, asset) == {"bob": 10_000}
    assert court.balance("carol") == SUPPLY_EACH
    court.check_laws()


def test_what_was_not_bought_leaves_its_holder_first() -> None:
    """The attack: to buy a little, and to give away what was not bought under its cover."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    court.transfer("alice", Thing("share", asset, 2_500), "carol", 50_000)
    court.transfer("alice", Thing("share", asset, 2_500), "carol")
    court.transfer("carol", Thing("share", asset, 2_500), "dave")
    court.conclude(identifier, uphold=True)
    assert owners(court, asset) == {"bob": 7_500, "carol": 2_500}
    court.check_laws()


def _held(court: Court, asset: bytes, who: str) -> int:
    return next(s.bps for s in ownership(court.view, asset).shares if s.account == court.accounts[who])


def test_an_asset_never_has_more_owners_than_it_may() -> None:
    """Where the claimant would be one too many, all of it becomes a debt."""
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", Thing("share", asset, 1), "carol", 5)
    for index in range(OWNERS_MAX - 2):
        court.do("carol", OpenAccount(seed_key(f"friend {index}").public_key, bytes(16), f"friend {index}"))
        name = f"friend {index}"
        court.accounts[name] = account_id(court.network_id, "org-carol", seed_key(name).public_key, bytes(16))
        court.do("carol", Transfer(court.accounts[name], 100))
        court.transfer("alice", Thing("share", asset, 1), name, 5)
    identifier = court.file_against("bob", asset, "transfer_back", 70_000)
    for name in list(court.accounts):
        if name == "carol" or name.startswith("friend"):
            court.transfer("alice", Thing("share", asset, 1), name)
    court.transfer("alice", Thing("share", asset, _held(court, asset, "alice")), "carol")
    court.transfer("carol", Thing("share", asset, 1), "dave", 5)
    before = ownership(court.view, asset).shares
    assert len(before) == OWNERS_MAX
    court.conclude(identifier, uphold=True)
    assert ownership(court.view, asset).shares == before
    assert court.dispute(identifier).owed == 70_000
    court.check_laws()

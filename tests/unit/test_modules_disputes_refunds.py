"""What a decision about a license does: refunds, from escrow, bond, balance and as a debt."""

from __future__ import annotations

import msgspec
import pytest

from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.operations import Terms
from ledger.modules.royalties.operations import Withdraw
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.identifiers import account_to_text
from tests.unit.disputes_kit import APPEAL_MS, TERMS, VOTING_MS, WINDOW_MS, Court
from tests.unit.modules_kit import SUPPLY_EACH

PRICE = TERMS.price
BOND = PRICE // 10


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

"""Disputes about statements: what is refuted counts no more, and the attestor's bond pays."""

from __future__ import annotations

import pytest

from ledger.modules.attestations import operations as attestations
from ledger.modules.attestations.accreditation import longest_dispute_ms
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.governance.operations import EndAccreditation
from ledger.modules.licenses.operations import Terms
from ledger.modules.reputation.formula import LOST_DISPUTE
from primitives.identifiers import account_to_text
from tests.unit.attestations_kit import BOND, Bench
from tests.unit.disputes_kit import ANSWER_MS, APPEAL_MS, VOTING_MS
from tests.unit.modules_kit import SUPPLY_EACH


def bench(*accredited: str) -> Bench:
    world = Bench()
    world.accredit(*accredited)
    return world


def refutation(world: Bench, who: str, statement: bytes, amount: int = BOND, **fields: object) -> bytes:
    subject = Subject("attestation", statement)
    return world.file(who, subject, "refute", amount, ground="false-statement", **fields)


def test_a_refuted_statement_counts_no_more_and_the_bond_goes_to_the_winner() -> None:
    world = bench("carol", "erin")
    false = world.evaluate("carol")
    world.evaluate("erin")
    dispute = refutation(world, "bob", false)
    assert world.accredited("carol").disputes == 1
    assert world.standing() == (2, 0), "nothing is decided yet"
    record = world.dispute(dispute)
    assert [one.account for one in record.respondents] == [world.accounts["carol"]]
    assert "org-alice" not in record.arbiters, "the asset's owner is a party of its own"
    before = world.balance("bob")
    world.conclude(dispute, uphold=True)
    shown = world.statement(false)
    assert (shown.refuted_by, shown.counts) == (dispute.hex(), False)
    assert world.standing() == (1, 0)
    assert world.balance("bob") == before + BOND + record.claim.bond
    assert (world.accredited("carol").posted, world.accredited("carol").state) == (0, "awaiting-bond")
    assert world.dispute(dispute).owed == BOND
    assert world.lost("carol") == [dispute.hex()]
    world.check_laws()
    # Once the bond is up again it can be said again, and rightly: the false statement is where the chain goes on.
    world.refused("attestations.bond_missing", "carol", world.evaluation(supersedes=false))
    world.do("carol", attestations.PostBond(world.accounts["carol"]))
    world.evaluate("carol", 0, supersedes=false)
    assert world.standing() == (1, 1)
    world.check_laws()


def test_a_rejected_claim_leaves_the_statement_and_costs_the_claimant() -> None:
    world = bench("carol")
    statement = world.evaluate("carol")
    dispute = refutation(world, "bob", statement, BOND // 2)
    world.conclude(dispute, uphold=False)
    assert world.statement(statement).refuted_by is None
    assert world.standing() == (1, 0)
    assert world.balance("carol") == SUPPLY_EACH - BOND + world.dispute(dispute).claim.bond
    assert (world.accredited("carol").posted, world.accredited("carol").disputes) == (BOND, 0)
    world.check_laws()


def test_a_statement_is_false_once() -> None:
    """The attack: friends file claims about it too, none of which costs them anything, and each of which is upheld."""
    world = bench("carol")
    false = world.evaluate("carol", 1)
    account = account_to_text(world.accounts["carol"])
    filed = [refutation(world, who, false, BOND // 4) for who in ("bob", "erin", "frank")]
    for dispute in filed:
        world.decide(dispute, uphold=True)
    world.advance(APPEAL_MS)
    assert [world.dispute(dispute).outcome for dispute in filed] == ["upheld"] * 3
    assert world.query("reputation.score", account=account).weight_against == LOST_DISPUTE
    assert world.accredited("carol").posted == BOND // 4, "each gets what it has claimed of the bond"
    world.check_laws()


def test_a_claim_is_for_what_is_up_at_most_and_not_twice() -> None:
    world = bench("carol")
    statement = world.evaluate("carol")
    wrong = world.claim(Subject("attestation", statement), "refute", BOND + 1, ground="false-statement")
    world.refused("attestations.beyond_the_bond", "bob", wrong)
    unknown = world.claim(Subject("attestation", bytes(32)), "refute", 0, ground="false-statement")
    world.refused("attestations.unknown_statement", "bob", unknown)
    own = world.claim(Subject("attestation", statement), "refute", 0, ground="false-statement")
    world.refused("disputes.same_organization", "carol", own)
    world.refused("disputes.relief", "bob", world.claim(Subject("attestation", statement), "freeze_sales"))
    first, second = refutation(world, "bob", statement, BOND - 1), refutation(world, "dave", statement, BOND)
    world.refused("disputes.open_dispute", "bob", own)
    assert world.accredited("carol").disputes == 2
    world.open_vote(first)
    world.decide(first, uphold=True)
    world.advance(1)
    world.decide(second, uphold=True)
    world.advance(APPEAL_MS)
    # The second one was filed in time, but there is one unit left.
    assert (world.dispute(first).owed, world.dispute(second).owed) == (BOND - 1, 1)
    assert world.statement(statement).refuted_by == first.hex()
    world.refused("attestations.already_refuted", "frank", own)
    world.check_laws()


@pytest.mark.parametrize("uphold", [True, False])
def test_nobody_takes_its_bond_out_before_a_dispute_ends(uphold: bool) -> None:
    """Resigning does not help, and neither does the end of the time for it."""
    world = bench("carol")
    statement = world.evaluate("carol")
    world.do("carol", attestations.Resign())
    world.advance(longest_dispute_ms(world.parameters) - 1)
    dispute = refutation(world, "bob", statement)
    world.advance(1)
    assert world.accredited("carol").bond_until_ms is None
    assert world.balance("carol") == SUPPLY_EACH - BOND
    world.check_laws()
    world.conclude(dispute, uphold=uphold)
    assert world.accredited("carol").posted == 0
    gained = 0 if uphold else world.dispute(dispute).claim.bond
    assert world.balance("carol") == SUPPLY_EACH - (BOND if uphold else 0) + gained
    world.check_laws()


def test_the_bond_stays_as_long_as_the_longest_dispute_takes() -> None:
    world = bench("carol")
    assert longest_dispute_ms(world.parameters) == ANSWER_MS + 2 * VOTING_MS + APPEAL_MS
    world.settle(EndAccreditation(world.accounts["carol"]))
    assert world.accredited("carol").bond_until_ms == world.now_ms + ANSWER_MS + 2 * VOTING_MS + APPEAL_MS


def test_a_review_is_refuted_without_a_bond() -> None:
    world = bench("bob")
    grant = world.license("alice", world.model, "bob", Terms(rights=("download",), price=100_000))
    review = world.review("bob", grant, 0)
    claim = world.claim(Subject("attestation", review), "refute", 1, ground="false-statement")
    world.refused("attestations.beyond_the_bond", "alice", claim)
    dispute = refutation(world, "alice", review, 0)
    world.conclude(dispute, uphold=True)
    assert not world.statement(review).counts
    assert (world.accredited("bob").posted, world.accredited("bob").disputes) == (BOND, 0)
    world.check_laws()


def test_an_older_statement_is_refuted_without_touching_the_newest() -> None:
    world = bench("carol")
    old = world.evaluate("carol", 0)
    world.evaluate("carol", supersedes=old)
    world.conclude(refutation(world, "bob", old, 0), uphold=True)
    assert world.standing() == (1, 0)
    audit = world.audit("carol")
    world.conclude(refutation(world, "bob", audit, 1), uphold=True)
    assert not world.statement(audit).counts
    world.check_laws()


def test_the_attestor_answers_and_appeals_like_any_respondent() -> None:
    world = bench("carol")
    dispute = refutation(world, "bob", world.evaluate("carol"))
    world.do("carol", disputes.Answer(dispute, False))
    world.decide(dispute, uphold=True)
    world.do("carol", disputes.Appeal(dispute, 2 * world.dispute(dispute).claim.bond))
    world.decide(dispute, uphold=False)
    assert world.dispute(dispute).outcome == "rejected"
    assert world.accredited("carol").disputes == 0
    world.check_laws()


@pytest.mark.parametrize("corrected_before", [False, True])
def test_a_review_is_not_saved_by_saying_the_same_again_while_it_is_disputed(corrected_before: bool) -> None:
    world = Bench()
    grant = world.license("alice", world.model, "bob", Terms(rights=("download",), price=4_000_000))
    first = world.review("bob", grant, 0)
    if corrected_before:
        last = world.review("bob", grant, 700_000, supersedes=first)
        dispute = refutation(world, "alice", first, 0)
    else:
        dispute = refutation(world, "alice", first, 0)
        last = world.review("bob", grant, 0, supersedes=first)
    assert world.statement(last).counts
    before = world.query("reputation.score", account=account_to_text(world.accounts["alice"]))
    assert before.weight_against > 0
    world.conclude(dispute, uphold=True)
    assert world.statement(first).refuted_by == dispute.hex()
    after = world.query("reputation.score", account=account_to_text(world.accounts["alice"]))
    assert (after.weight_against > 0) is corrected_before
    world.check_laws()

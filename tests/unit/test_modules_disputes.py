"""Filing, answering, voting and appealing."""

from __future__ import annotations

import msgspec
import pytest

from ledger.errors import LedgerError
from ledger.modules.disputes import operations as disputes
from ledger.modules.disputes.operations import Subject
from ledger.modules.disputes.records import OPEN_MAX, bond_due
from ledger.modules.licenses.records import GRANTS
from ledger.modules.organizations.operations import OpenAccount
from ledger.modules.organizations.quota import usage
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, Account, AccountKey, Organization
from ledger.modules.transfers.operations import Thing
from primitives.identifiers import account_to_text
from tests.unit.disputes_kit import ANSWER_MS, APPEAL_MS, BOND_MIN, EVIDENCE, TERMS, VOTING_MS, Court
from tests.unit.modules_kit import NAMES, SUPPLY_EACH, seed_key


def granted(court: Court) -> tuple[bytes, bytes]:
    """alice's asset and bob's grant, its price in escrow."""
    asset = court.register("alice", "A")
    return asset, court.license("alice", asset, "bob", TERMS)


def test_a_claim_from_filing_to_the_end() -> None:
    court = Court()
    asset, grant = granted(court)
    before = court.balance("bob")
    identifier = court.file_refund("bob", grant)
    assert court.balance("bob") == before - 10_000
    shown = court.query("disputes.get", dispute=identifier.hex())
    assert (shown.state, shown.due_ms, shown.asset, shown.amount) == (
        "answering",
        court.now_ms + ANSWER_MS,
        asset.hex(),
        TERMS.price,
    )
    assert shown.arbiters == ("org-carol", "org-dave", "org-erin", "org-frank", "org-grace", "org-heidi")
    assert [(r.account, r.bps) for r in shown.respondents] == [(account_to_text(court.accounts["alice"]), 10_000)]
    court.do("alice", disputes.Answer(identifier, True, EVIDENCE, "the content is what was promised"))
    assert court.query("disputes.get", dispute=identifier.hex()).answer.bond == 10_000
    for name in ("carol", "dave", "erin"):
        court.do(name, disputes.Vote(identifier, True))
        assert court.dispute(identifier).state == "voting"
    court.do("frank", disputes.Vote(identifier, True))
    assert court.dispute(identifier).state == "decided"
    assert [type(event).__name__ for event in court.events] == ["VoteCast", "Decided"]
    assert court.dispute(identifier).outcome is None
    court.advance(APPEAL_MS)
    shown = court.query("disputes.get", dispute=identifier.hex())
    assert (shown.state, shown.outcome, shown.due_ms, shown.refunded) == ("closed", "upheld", None, TERMS.price)
    assert court.balance("bob") == before + TERMS.price + 10_000
    assert court.balance("alice") == SUPPLY_EACH - 10_000
    assert court.lost("alice") == [identifier.hex()]
    assert court.lost("bob") == []
    court.check_laws()


@pytest.mark.parametrize(
    ("amount", "least"), [(0, 1_000), (9_999, 1_000), (10_000, 1_000), (10_001, 1_001), (99, 1_000)]
)
def test_the_least_bond_is_a_tenth_rounded_up(amount: int, least: int) -> None:
    court = Court()
    asset = court.register("alice", "A")
    assert bond_due(amount, BOND_MIN) == least
    claim = court.claim(Subject("asset", asset), "freeze_sales", amount)
    court.refused("disputes.bond_too_low", "bob", msgspec.structs.replace(claim, bond=least - 1))
    most = max(least, amount)
    court.refused("disputes.bond_too_high", "bob", msgspec.structs.replace(claim, bond=most + 1))
    court.do("bob", msgspec.structs.replace(claim, bond=least))


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
    assert court.balance("bob") == SUPPLY_EACH - TERMS.price
    record = GRANTS.get(court.view, grant)
    assert record is not None
    assert (record.disputed, record.due_ms) == (False, None)
    court.check_laws()


def test_who_cannot_pay_the_bond_files_nothing() -> None:
    court = Court()
    asset = court.register("alice", "A")
    court.empty("bob")
    court.refused("credits.insufficient", "bob", court.claim(Subject("asset", asset), "freeze_sales"))


ALLOWED = {
    ("asset", "infringement", "freeze_sales"),
    ("asset", "infringement", "transfer_back"),
    ("version", "infringement", "freeze_sales"),
    ("version", "wrong-content", "freeze_sales"),
    ("grant", "infringement", "refund"),
    ("grant", "wrong-content", "refund"),
}


def test_each_subject_and_ground_allow_their_relief_only() -> None:
    """A table of all combinations that a licensee can file; what an owner files is tested with payments and freezes."""
    for kind in ("asset", "version", "grant"):
        for ground in ("infringement", "wrong-content", "unpaid", "settled"):
            for relief in ("freeze_sales", "transfer_back", "refund", "lift"):
                court = Court()
                asset, grant = granted(court)
                subject = Subject(kind, grant if kind == "grant" else asset, int(kind == "version"))  # type: ignore[arg-type]
                claim = court.claim(subject, relief, TERMS.price, ground=ground)
                if (kind, ground, relief) in ALLOWED:
                    court.do("bob", claim)
                else:
                    court.refused("disputes.relief", "bob", claim)


def test_a_subject_must_exist_and_be_well_formed() -> None:
    court = Court()
    asset, grant = granted(court)
    for code, subject, relief in (
        ("assets.unknown_asset", Subject("asset", bytes(32)), "freeze_sales"),
        ("assets.unknown_version", Subject("version", asset, 2), "freeze_sales"),
        ("disputes.subject", Subject("version", asset), "freeze_sales"),
        ("disputes.subject", Subject("asset", asset, 1), "freeze_sales"),
        ("licenses.unknown_grant", Subject("grant", bytes(32)), "refund"),
        ("disputes.not_freezing", Subject("freeze", bytes(32)), "lift"),
    ):
        court.refused(code, "bob", court.claim(subject, relief))
    bad = court.claim(Subject("grant", grant), "refund", TERMS.price, evidence="b" + "a" * 58)
    court.refused("disputes.evidence", "bob", bad)
    court.refused("disputes.amount", "bob", court.claim(Subject("grant", grant), "refund", TERMS.price - 1))


def test_nobody_claims_against_the_own_organization() -> None:
    """A claim against oneself would win bonds and spoil or polish one's record."""
    court = Court()
    asset = court.register("alice", "A")
    for who in ("alice", "alan"):
        court.refused("disputes.same_organization", who, court.claim(Subject("asset", asset), "freeze_sales"))
    court.transfer("alice", _share(asset, 1), "bob")
    court.refused("disputes.same_organization", "bob", court.claim(Subject("asset", asset), "freeze_sales"))
    court.do("carol", court.claim(Subject("asset", asset), "freeze_sales"))


def _share(asset: bytes, bps: int) -> Thing:
    return Thing("share", asset, bps)


def test_a_claim_of_a_co_owned_asset_is_against_all_owners() -> None:
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", _share(asset, 2_500), "carol")
    identifier = court.file_against("bob", asset, "freeze_sales")
    found = {respondent.account: respondent.bps for respondent in court.dispute(identifier).respondents}
    assert found == {court.accounts["alice"]: 7_500, court.accounts["carol"]: 2_500}
    assert "carol" not in court.arbiter_names(identifier)
    court.refused("disputes.not_a_respondent", "dave", disputes.Answer(identifier, False))
    court.do("carol", disputes.Answer(identifier, False))
    court.conclude(identifier, uphold=False)
    # Nobody put up a bond against it: both get theirs of the claimant's.
    assert court.balance("alice") == SUPPLY_EACH + 750
    assert court.balance("carol") == SUPPLY_EACH + 250
    assert court.lost("bob") == [identifier.hex()]


def test_who_put_up_a_bond_gets_the_claimants() -> None:
    court = Court()
    asset = court.register("alice", "A")
    court.transfer("alice", _share(asset, 2_500), "carol")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.do("carol", disputes.Answer(identifier, True))
    court.conclude(identifier, uphold=False)
    assert (court.balance("alice"), court.balance("carol")) == (SUPPLY_EACH, SUPPLY_EACH + 1_000)


def test_without_an_arbiter_nothing_is_filed() -> None:
    court = Court(NAMES)
    asset = court.register("alice", "A")
    for who in ("carol", "dave"):
        court.transfer("alice", _share(asset, 1_000), who)
    court.refused("disputes.no_arbiter", "bob", court.claim(Subject("asset", asset), "freeze_sales"))


def test_one_open_dispute_an_organization_and_at_most_eight() -> None:
    """Nobody is buried in claims, and no organization takes all places."""
    court = Court(("alice", "bob", *(f"name{index}" for index in range(OPEN_MAX))))
    asset = court.register("alice", "A")
    other = court.register("alice", "B")
    claim = court.claim(Subject("asset", asset), "freeze_sales")
    version = court.claim(Subject("version", asset, 1), "freeze_sales")
    court.do("name0", claim)
    court.refused("disputes.open_dispute", "name0", claim)
    court.refused("disputes.open_dispute", "name0", version)
    court.do("name0", court.claim(Subject("asset", other), "freeze_sales"))
    for index in range(1, OPEN_MAX):
        court.do(f"name{index}", version)
    court.refused("disputes.too_many_disputes", "bob", claim)
    court.advance(ANSWER_MS)
    court.advance(VOTING_MS)
    court.advance(APPEAL_MS)
    assert court.query("disputes.list") == []
    court.do("bob", claim)
    court.check_laws()


def test_one_account_of_an_organization_files_for_all() -> None:
    court = Court()
    asset = court.register("bob", "B")
    court.file_against("alice", asset, "freeze_sales")
    court.refused("disputes.open_dispute", "alan", court.claim(Subject("asset", asset), "freeze_sales"))


def test_the_times_are_exact_to_the_millisecond() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.refused("disputes.voting_closed", "carol", disputes.Vote(identifier, True))
    court.advance(ANSWER_MS - 1)
    assert court.dispute(identifier).state == "answering"
    # The sweep is behind: the time counts, and not the sweep.
    court.advance(1, limit=0)
    court.refused("disputes.answering_over", "alice", disputes.Answer(identifier, False))
    court.advance(0)
    assert court.dispute(identifier).state == "voting"
    court.refused("disputes.answering_over", "alice", disputes.Answer(identifier, False))
    for name in ("carol", "dave", "erin"):
        court.do(name, disputes.Vote(identifier, True))
    court.advance(VOTING_MS - 1)
    assert court.dispute(identifier).state == "voting"
    court.advance(1, limit=0)
    court.refused("disputes.voting_closed", "frank", disputes.Vote(identifier, True))
    court.refused("disputes.no_appeal", "bob", disputes.Appeal(identifier, 2_000))
    court.advance(0)
    assert court.dispute(identifier).state == "decided"
    court.advance(APPEAL_MS - 1)
    court.advance(1, limit=0)
    court.refused("disputes.no_appeal", "bob", disputes.Appeal(identifier, 2_000))
    court.advance(0)
    assert court.dispute(identifier).state == "closed"


def test_an_appeal_one_millisecond_before_the_end() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.decide(identifier, uphold=False)
    court.advance(APPEAL_MS - 1)
    court.do("bob", disputes.Appeal(identifier, 2_000))
    court.advance(VOTING_MS - 1)
    assert court.dispute(identifier).state == "appealed"
    court.advance(1)
    assert court.dispute(identifier).state == "closed"


@pytest.mark.parametrize(
    ("upholding", "refusing", "outcome"),
    [
        (0, 0, "failed"),
        (3, 0, "failed"),
        (2, 1, "failed"),
        (0, 3, "failed"),
        (2, 2, "failed"),
        (3, 3, "failed"),
        (3, 1, "upheld"),
        (1, 3, "rejected"),
        (3, 2, "upheld"),
        (2, 3, "rejected"),
        (4, 0, "upheld"),
    ],
)
def test_quorum_and_majority_of_six_arbiters(upholding: int, refusing: int, outcome: str) -> None:
    """Three of six are no quorum, four are. A tie is no majority. Without either nobody loses anything."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales", 50_000)
    court.do("alice", disputes.Answer(identifier, True))
    names = court.arbiter_names(identifier)
    assert len(names) == 6
    for index, name in enumerate(names[: upholding + refusing]):
        court.do(name, disputes.Vote(identifier, index < upholding))
    court.advance(VOTING_MS)
    assert court.dispute(identifier).first == outcome
    court.advance(APPEAL_MS)
    assert court.dispute(identifier).outcome == outcome
    gain = {"failed": 0, "upheld": 5_000, "rejected": -5_000}[outcome]
    assert court.balance("bob") == SUPPLY_EACH + gain
    assert court.balance("alice") == SUPPLY_EACH - gain
    assert court.lost("bob") == ([identifier.hex()] if outcome == "rejected" else [])
    assert court.lost("alice") == ([identifier.hex()] if outcome == "upheld" else [])
    assert court.query("assets.get", asset=asset.hex()).frozen == (outcome == "upheld")
    court.check_laws()


def test_it_is_decided_as_soon_as_the_outcome_is_certain() -> None:
    """And not before: the last arbiters can still turn a narrow vote."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.open_vote(identifier)
    names = court.arbiter_names(identifier)
    for name, uphold in zip(names, (True, True, False, True, False), strict=False):
        court.do(name, disputes.Vote(identifier, uphold))
        assert court.dispute(identifier).state == "voting"
    court.do(names[5], disputes.Vote(identifier, False))
    assert (court.dispute(identifier).state, court.dispute(identifier).first) == ("decided", "failed")


def test_one_arbiter_is_enough() -> None:
    court = Court(NAMES)
    asset = court.register("alice", "A")
    court.transfer("alice", _share(asset, 1_000), "carol")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.open_vote(identifier)
    court.do("dave", disputes.Vote(identifier, True))
    assert court.dispute(identifier).first == "upheld"


def test_only_arbiters_vote_and_only_once() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.open_vote(identifier)
    for party in ("alice", "alan", "bob"):
        court.refused("disputes.not_an_arbiter", party, disputes.Vote(identifier, True))
    court.do("carol", OpenAccount(seed_key("helper").public_key, bytes(16), "helper"))
    helper = next(iter(_accounts_of(court, "org-carol") - {court.accounts["carol"]} - set(court.validators)))
    court.refused("organizations.not_vouching", helper, disputes.Vote(identifier, True))
    court.do("carol", disputes.Vote(identifier, True))
    court.refused("disputes.already_voted", "carol", disputes.Vote(identifier, False))
    court.refused("disputes.unknown_dispute", "carol", disputes.Vote(bytes(32), False))


def _accounts_of(court: Court, organization: str) -> set[bytes]:
    return {key for key, record in ACCOUNTS.items(court.view) if record.organization == organization}


def test_who_joins_after_the_filing_does_not_vote() -> None:
    """The attack: to bring votes along."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.open_vote(identifier)
    ORGANIZATIONS.put(court.view, Organization("org-late", "Late"), b"org-late")
    late = bytes([9]) * 32
    ACCOUNTS.put(court.view, Account("org-late", "late", (AccountKey(late, "owner"),), True, court.now_ms), late)
    court.refused("disputes.not_an_arbiter", late, disputes.Vote(identifier, True))
    assert len(court.dispute(identifier).arbiters) == 6


def test_who_buys_in_after_the_filing_does_not_vote() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.transfer("alice", _share(asset, 1), "carol", 10)
    court.open_vote(identifier)
    court.refused("disputes.not_an_arbiter", "carol", disputes.Vote(identifier, False))


def test_an_appeal_turns_the_decision_and_brings_back_the_bonds() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.do("alice", disputes.Answer(identifier, True))
    court.decide(identifier, uphold=False)
    court.refused("disputes.not_the_loser", "alice", disputes.Appeal(identifier, 2_000))
    court.refused("disputes.bond_too_low", "bob", disputes.Appeal(identifier, 1_999))
    court.do("bob", disputes.Appeal(identifier, 2_000, EVIDENCE, "look again"))
    court.refused("disputes.no_appeal", "bob", disputes.Appeal(identifier, 2_000))
    court.decide(identifier, uphold=True)
    shown = court.query("disputes.get", dispute=identifier.hex())
    assert (shown.state, shown.first_outcome, shown.outcome) == ("closed", "rejected", "upheld")
    assert len(shown.votes.refusing) == len(shown.appeal_votes.upholding) == 4
    assert (court.balance("alice"), court.balance("bob")) == (SUPPLY_EACH - 1_000, SUPPLY_EACH + 1_000)
    assert (court.lost("alice"), court.lost("bob")) == ([identifier.hex()], [])
    court.check_laws()


@pytest.mark.parametrize("second", [True, False])
def test_an_appeal_of_the_respondent(second: bool) -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.do("alice", disputes.Answer(identifier, True))
    court.decide(identifier, uphold=True)
    court.refused("disputes.not_the_loser", "bob", disputes.Appeal(identifier, 5_000))
    court.do("alice", disputes.Appeal(identifier, 5_000))
    assert not court.query("assets.get", asset=asset.hex()).frozen
    court.decide(identifier, uphold=second)
    lost = 6_000 if second else -1_000
    assert (court.balance("alice"), court.balance("bob")) == (SUPPLY_EACH - lost, SUPPLY_EACH + lost)
    assert court.query("assets.get", asset=asset.hex()).frozen is second
    court.check_laws()


@pytest.mark.parametrize("first", [True, False])
def test_an_appeal_without_a_majority_leaves_the_first_decision(first: bool) -> None:
    """Else who lost would only have to hope that few vote again. The appeal's bond returns."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.decide(identifier, uphold=first)
    court.do("alice" if first else "bob", disputes.Appeal(identifier, 2_000))
    court.decide(identifier, uphold=not first, count=3)
    court.advance(VOTING_MS)
    assert court.dispute(identifier).outcome == ("upheld" if first else "rejected")
    lost = 0 if first else 1_000
    assert (court.balance("alice"), court.balance("bob")) == (SUPPLY_EACH + lost, SUPPLY_EACH - lost)


def test_a_failed_claim_may_be_appealed_by_the_claimant() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.open_vote(identifier)
    court.advance(VOTING_MS)
    court.refused("disputes.not_the_loser", "alice", disputes.Appeal(identifier, 2_000))
    court.do("bob", disputes.Appeal(identifier, 2_000))
    court.decide(identifier, uphold=True)
    assert court.dispute(identifier).outcome == "upheld"


def test_lists_by_asset_account_and_state() -> None:
    court = Court()
    asset, other = court.register("alice", "A"), court.register("carol", "C")
    first = court.file_against("bob", asset, "freeze_sales")
    second = court.file_against("dave", asset, "freeze_sales")
    third = court.file_against("bob", other, "freeze_sales")
    ids = [item.dispute for item in court.query("disputes.list", asset=asset.hex())]
    assert ids == sorted([first.hex(), second.hex()])
    assert [i.dispute for i in court.query("disputes.list", asset=asset.hex(), after=ids[0])] == ids[1:]
    bob = account_to_text(court.accounts["bob"])
    assert {item.dispute for item in court.query("disputes.list", account=bob)} == {first.hex(), third.hex()}
    opened = [item.dispute for item in court.query("disputes.list")]
    assert set(opened) == {first.hex(), second.hex(), third.hex()}
    pages = [court.query("disputes.list", after=after, limit=1) for after in ("", *opened)]
    assert [item.dispute for page in pages for item in page] == opened
    for time_ms in (ANSWER_MS, VOTING_MS, APPEAL_MS):
        court.advance(time_ms)
    assert court.query("disputes.list") == []
    for arguments in ({"asset": asset.hex(), "account": bob}, {"after": "00" * 32}):
        with pytest.raises(LedgerError):
            court.query("disputes.list", **arguments)
    with pytest.raises(LedgerError):
        court.query("disputes.get", dispute="00" * 32)


def test_a_closed_dispute_takes_up_its_record_only() -> None:
    """Quotas: deadlines and the places of open disputes return."""
    court = Court()
    asset = court.register("alice", "A")
    before = usage(court.view, "org-bob")
    identifier = court.file_against("bob", asset, "freeze_sales")
    assert usage(court.view, "org-bob").deadlines == before.deadlines + 1
    court.conclude(identifier, uphold=True)
    after = usage(court.view, "org-bob")
    # The dispute, its asset, its two parties, who lost, and what that says about them. The sum is on the loser's quota.
    assert (after.deadlines, after.records) == (before.deadlines, before.records + 7)


def test_a_full_quota_keeps_nobody_from_voting_and_appealing() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    court.parameters = msgspec.structs.replace(court.parameters, quota_bytes_per_organization=0)
    court.decide(identifier, uphold=True)
    court.do("alice", disputes.Appeal(identifier, 2_000))
    court.decide(identifier, uphold=True)
    assert court.dispute(identifier).outcome == "upheld"


# --- suspended and removed organizations, frozen accounts


def _set_membership(court: Court, organization: str, membership: str) -> None:
    key = organization.encode("ascii")
    record = ORGANIZATIONS.get(court.view, key)
    assert record is not None
    ORGANIZATIONS.put(court.view, msgspec.structs.replace(record, membership=membership), key)


def test_suspended_organizations_are_arbiters_vote_answer_and_appeal() -> None:
    """They count in the quorum, and their voice stays; they begin no dispute."""
    court = Court()
    asset, other = court.register("alice", "A"), court.register("bob", "B")
    _set_membership(court, "org-carol", "suspended")
    identifier = court.file_against("bob", asset, "freeze_sales")
    assert "org-carol" in court.dispute(identifier).arbiters
    _set_membership(court, "org-alice", "suspended")
    court.refused("organizations.suspended", "alice", court.claim(Subject("asset", other), "freeze_sales"))
    court.do("alice", disputes.Answer(identifier, True))
    assert court.arbiter_names(identifier)[0] == "carol"
    court.decide(identifier, uphold=True)
    assert court.dispute(identifier).votes.upholding[0] == "org-carol"
    court.do("alice", disputes.Appeal(identifier, 2_000))
    court.decide(identifier, uphold=False)
    assert court.dispute(identifier).outcome == "rejected"


def test_a_removed_organization_is_no_arbiter_any_more_and_answers_still() -> None:
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    for organization in ("org-alice", "org-carol"):
        _set_membership(court, organization, "removed")
    court.do("alice", disputes.Answer(identifier, False))
    court.refused("organizations.removed", "carol", disputes.Vote(identifier, True))
    later = court.file_against("dave", asset, "freeze_sales")
    assert "org-carol" not in court.dispute(later).arbiters


def test_an_account_under_recovery_answers_without_a_bond() -> None:
    """Whoever has a stolen key could lose the bond to a friend who claims."""
    court = Court()
    asset = court.register("alice", "A")
    identifier = court.file_against("bob", asset, "freeze_sales")
    alice = court.accounts["alice"]
    record = ACCOUNTS.get(court.view, alice)
    assert record is not None
    ACCOUNTS.put(court.view, msgspec.structs.replace(record, frozen_until_ms=court.now_ms + 1), alice)
    court.refused("organizations.frozen", "alice", disputes.Answer(identifier, True))
    court.do("alice", disputes.Answer(identifier, False))

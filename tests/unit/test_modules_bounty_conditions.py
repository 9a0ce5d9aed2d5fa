"""Bounties with a condition: paid by what accredited evaluators state about an accepted version, at nobody's mercy."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.modules.assets.operations import SetManager
from ledger.modules.assets.takedowns import restore, take_down
from ledger.modules.attestations import operations as attestations
from ledger.modules.contributions import operations as contributions
from ledger.modules.contributions.operations import AwardBounty, CancelBounty, ClaimBounty, Condition
from ledger.modules.contributions.records import EVALUATION_MS
from ledger.parameters import DAY_MS
from tests.unit.attestations_kit import Bench
from tests.unit.contributions_kit import TERMS, TEXT
from tests.unit.modules_kit import SUPPLY_EACH, cid


class Contest(Bench):
    """bob contributes to alice's model; erin, frank, grace and heidi may evaluate on dave's pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.grant = self.license("alice", self.model, "bob", TERMS)
        self.accredit("erin", "frank", "grace", "heidi")

    def condition(self, evaluators: int = 2, **fields: Any) -> Condition:
        base: dict[str, Any] = {
            "metric": "accuracy",
            "bound_ppm": 950_000,
            "dataset": self.dataset,
            "dataset_version": 1,
            "evaluators": evaluators,
        }
        return Condition(**(base | fields))

    def open_bounty(self, who: str = "alice", amount: int = 9_000, evaluators: int = 2, **fields: Any) -> bytes:
        wanted = self.condition(evaluators, **fields)
        operation = contributions.OpenBounty(self.model, amount, self.now_ms + DAY_MS, None, wanted)
        self.do(who, operation)
        return contributions.bounty_id(self.transaction_id, operation)

    def propose(self, label: str, bounty: bytes) -> bytes:
        self.commit("bob", label, "model")
        artifact = self.artifact(label, "model")
        ends_ms = self.now_ms + 2 * DAY_MS
        operation = contributions.Propose(
            self.model, 1, "fine-tune", artifact, self.salt(label), ends_ms, self.grant, bounty=bounty
        )
        self.do("bob", operation)
        return contributions.contribution_id(self.transaction_id, self.model, artifact.cid)

    def accepted(self, label: str, bounty: bytes) -> bytes:
        identifier = self.propose(label, bounty)
        reward = contributions.Reward(bounty=bounty)
        self.do("alice", contributions.Accept(identifier, reward))
        return identifier

    def state(self, who: str, value_ppm: int = 950_000, version: int = 2, **fields: Any) -> bytes:
        return self.evaluate(who, value_ppm, version=version, **fields)


def test_a_bounty_is_paid_as_soon_as_enough_evaluators_state_it_whoever_asks() -> None:
    contest = Contest()
    before = contest.balance("bob")
    bounty = contest.open_bounty()
    identifier = contest.accepted("B", bounty)
    assert contest.balance("bob") == before
    shown = contest.query("contributions.bounty", bounty=bounty.hex())
    assert (shown.named, shown.accepted, shown.condition.evaluators) == (0, 1, 2)
    claim = ClaimBounty(bounty, identifier)
    contest.refused("contributions.condition_unmet", "bob", claim)
    contest.state("erin")
    contest.state("frank", 949_999)
    contest.refused("contributions.condition_unmet", "bob", claim)
    contest.state("grace", 1_000_000)
    assert contest.query("contributions.get", contribution=identifier.hex()).confirmed == 2
    contest.do("carol", claim)
    assert contest.balance("bob") == before + 9_000
    contest.refused("contributions.unknown_bounty", "bob", claim)
    assert contest.query("contributions.get", contribution=identifier.hex()).confirmed is None
    assert [one for one in contest.advance(20 * DAY_MS) if type(one).__name__.startswith("Bounty")] == []
    contest.check_laws()


def test_nothing_is_paid_for_a_version_that_is_taken_down() -> None:
    """The attack: contribute what is another's, have it measured, and claim when the consortium has found out."""
    contest = Contest()
    bounty = contest.open_bounty(evaluators=1)
    identifier = contest.accepted("B", bounty)
    contest.state("erin")
    decided = contest.context(contest.view, b"", b"decision")
    take_down(decided, cid("B"), "infringing", None, bytes(32))
    contest.refused("assets.taken_down", "bob", ClaimBounty(bounty, identifier))
    restore(decided, cid("B"))
    contest.do("bob", ClaimBounty(bounty, identifier))
    other = contest.open_bounty(evaluators=1)
    second = contest.accepted("C", other)
    contest.state("erin", version=3)
    take_down(decided, cid("C"), "malicious", None, bytes(32))
    before = contest.balance("alice")
    contest.advance(DAY_MS)
    contest.advance(EVALUATION_MS)
    assert contest.balance("alice") == before + 9_000
    contest.refused("contributions.unknown_bounty", "bob", ClaimBounty(other, second))
    contest.check_laws()


def test_where_less_is_better_the_bound_is_reached_from_above() -> None:
    contest = Contest()
    bounty = contest.open_bounty(evaluators=1, metric="accuracy-gap", bound_ppm=20_000)
    identifier = contest.accepted("B", bounty)
    contest.state("erin", 20_001, metric="accuracy-gap")
    contest.refused("contributions.condition_unmet", "bob", ClaimBounty(bounty, identifier))
    contest.state("frank", 20_000, metric="accuracy-gap")
    contest.do("bob", ClaimBounty(bounty, identifier))


def test_an_owner_who_waits_after_accepting_cannot_let_it_expire() -> None:
    """Who has the version owes the bounty as long as evaluators may need."""
    contest = Contest()
    bounty = contest.open_bounty(evaluators=1)
    identifier = contest.accepted("B", bounty)
    contest.refused("contributions.bounty_named", "alice", CancelBounty(bounty))
    (closed,) = [one for one in contest.advance(DAY_MS) if type(one).__name__ == "BountyClosed"]
    shown = contest.query("contributions.bounty", bounty=bounty.hex())
    assert closed.until_ms == shown.due_ms == shown.closes_at_ms + EVALUATION_MS
    contest.check_laws()
    contest.now_ms = closed.until_ms - 1
    contest.state("erin")
    contest.do("bob", ClaimBounty(bounty, identifier))
    contest.check_laws()


def test_it_returns_when_nobody_has_confirmed_it_in_time() -> None:
    contest = Contest()
    before = contest.balance("alice")
    bounty = contest.open_bounty(evaluators=1)
    identifier = contest.accepted("B", bounty)
    contest.advance(DAY_MS)
    contest.state("erin", version=2)
    contest.now_ms += EVALUATION_MS
    contest.refused("contributions.bounty_over", "bob", ClaimBounty(bounty, identifier))
    (ended,) = [one for one in contest.advance(0) if type(one).__name__ == "BountyEnded"]
    assert (ended.reason, ended.amount) == ("expired", 9_000)
    assert contest.balance("alice") == before
    contest.check_laws()


def test_it_returns_when_it_closes_if_nothing_was_accepted() -> None:
    contest = Contest()
    before = contest.balance("alice")
    bounty = contest.open_bounty()
    identifier = contest.propose("B", bounty)
    contest.advance(DAY_MS)
    assert contest.balance("alice") == before
    reward = contributions.Reward(bounty=bounty)
    contest.refused("contributions.unknown_bounty", "alice", contributions.Accept(identifier, reward))
    contest.check_laws()


def test_of_several_the_first_to_fulfil_it_has_it() -> None:
    contest = Contest()
    bounty = contest.open_bounty(evaluators=1)
    first, second = contest.accepted("B", bounty), contest.accepted("C", bounty)
    contest.state("erin", version=3)
    contest.refused("contributions.condition_unmet", "bob", ClaimBounty(bounty, first))
    contest.do("bob", ClaimBounty(bounty, second))
    contest.state("erin", version=2)
    contest.refused("contributions.unknown_bounty", "bob", ClaimBounty(bounty, first))


def test_evaluators_of_contributor_and_opener_do_not_count() -> None:
    contest = Contest()
    contest.accredit("bob", "carol")
    bounty = contest.open_bounty("carol", evaluators=1)
    identifier = contest.accepted("B", bounty)
    contest.refused("attestations.interested", "bob", contest.evaluation(950_000, version=2))
    contest.state("carol")
    contest.refused("contributions.condition_unmet", "bob", ClaimBounty(bounty, identifier))
    contest.state("erin")
    contest.do("bob", ClaimBounty(bounty, identifier))


def test_an_owner_silences_no_evaluator_by_naming_him_manager() -> None:
    """A manager has an interest in the asset, and is named without being asked."""
    contest = Contest()
    bounty = contest.open_bounty(evaluators=1)
    identifier = contest.accepted("B", bounty)
    contest.state("erin")
    contest.do("alice", SetManager(contest.model, contest.accounts["erin"]))
    assert contest.query("contributions.get", contribution=identifier.hex()).confirmed == 1
    contest.do("bob", ClaimBounty(bounty, identifier))


def test_who_managed_the_asset_when_it_was_accepted_does_not_count() -> None:
    contest = Contest()
    contest.do("alice", SetManager(contest.model, contest.accounts["erin"]))
    bounty = contest.open_bounty("carol", evaluators=1)
    identifier = contest.propose("B", bounty)
    operation = contributions.Accept(identifier, contributions.Reward(bounty=bounty))
    contest.refused("assets.not_majority_owner", "erin", operation)
    contest.do("alice", SetManager(contest.model, contest.accounts["alice"]))
    contest.do("alice", operation)
    assert contest.query("contributions.get", contribution=identifier.hex()).confirmed == 0


def test_what_is_withdrawn_or_ended_does_not_count() -> None:
    contest = Contest()
    bounty = contest.open_bounty(evaluators=1)
    identifier = contest.accepted("B", bounty)
    first = contest.state("erin")
    contest.state("erin", 100, supersedes=first)
    contest.refused("contributions.condition_unmet", "bob", ClaimBounty(bounty, identifier))
    contest.state("frank")
    contest.do("frank", attestations.Resign())
    contest.refused("contributions.condition_unmet", "bob", ClaimBounty(bounty, identifier))


def test_no_opener_has_a_word_in_a_bounty_with_a_condition() -> None:
    contest = Contest()
    bounty = contest.open_bounty("carol", evaluators=1)
    identifier = contest.propose("B", bounty)
    contest.refused("contributions.by_condition", "carol", AwardBounty(bounty, identifier))
    contest.refused("contributions.not_accepted", "bob", ClaimBounty(bounty, identifier))
    contest.do("alice", contributions.Accept(identifier, contributions.Reward(bounty=bounty)))
    other = contest.open_bounty("carol", evaluators=1)
    contest.refused("contributions.not_accepted", "bob", ClaimBounty(other, identifier))
    operation = contributions.OpenBounty(contest.model, 5, contest.now_ms + DAY_MS)
    contest.do("carol", operation)
    plain = contributions.bounty_id(contest.transaction_id, operation)
    contest.refused("contributions.no_condition", "bob", ClaimBounty(plain, identifier))


def test_a_condition_is_one_that_can_be_fulfilled() -> None:
    contest = Contest()
    opening = contributions.OpenBounty(contest.model, 5, contest.now_ms + DAY_MS, None, contest.condition())

    def refused(code: str, **fields: Any) -> None:
        wanted = contest.condition(**fields)
        contest.refused(code, "carol", msgspec.structs.replace(opening, condition=wanted))

    refused("contributions.not_a_dataset", dataset=contest.model)
    refused("assets.unknown_asset", dataset=bytes(32))
    refused("assets.unknown_version", dataset_version=2)


def test_accredited_evaluators_talk_too() -> None:
    contest = Contest()
    identifier = contest.propose("B", contest.open_bounty())
    contest.do("erin", contributions.Comment(identifier, TEXT))
    contest.refused("contributions.not_a_party", "carol", contributions.Comment(identifier, TEXT))
    assert contest.balance("carol") == SUPPLY_EACH

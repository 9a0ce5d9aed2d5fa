"""Attestations: accreditation with a bond, statements and their chains, what counts of them, and answers."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import InvalidTransaction, LedgerError
from ledger.modules.assets.operations import (
    TOLERANCE_PPM_MAX,
    AddVersion,
    Artifact,
    Metric,
    Provenance,
    Register,
    SetManager,
)
from ledger.modules.attestations import operations as attestations
from ledger.modules.attestations.accreditation import ACCREDITATION_MS_MAX, longest_dispute_ms
from ledger.modules.attestations.reading import confirming, interest, verdicts
from ledger.modules.contributions import operations as contributions
from ledger.modules.fields import PPM
from ledger.modules.governance.operations import (
    EndAccreditation,
    Propose,
    ReinstateAccreditation,
    SuspendAccreditation,
    TakeDown,
    Vote,
)
from ledger.modules.governance.records import proposal_id
from ledger.modules.licenses.operations import Terms
from ledger.modules.organizations import operations as organizations
from ledger.modules.transfers.operations import Thing
from ledger.operations import Operation
from ledger.parameters import DAY_MS
from ledger.transaction import build, decode_transaction
from primitives.identifiers import account_to_text
from tests.unit.attestations_kit import BOND, CLAIMED_PPM, TOLERANCE_PPM, Bench
from tests.unit.contributions_kit import Workshop
from tests.unit.modules_kit import SUPPLY_EACH, cid, seed_key

PAID = Terms(rights=("download",), price=100_000, transferable=True)


def bench(*accredited: str, **parameters: Any) -> Bench:
    world = Bench(**parameters)
    world.accredit(*accredited)
    return world


# --- accreditation


def test_the_consortium_accredits_by_a_vote_and_the_bond_makes_it_active() -> None:
    world = Bench()
    change = world.accreditation("carol", roles=("evaluate",), tier=7)
    world.do("alice", Propose(change, "carol measures well"))
    proposal = proposal_id(world.transaction_id, change)
    shown = world.query("governance.proposal", proposal=proposal.hex()).change
    assert (shown.kind, shown.account) == ("accredit", account_to_text(world.accounts["carol"]))
    assert (shown.roles, shown.tier, shown.bond, shown.until_ms) == (("evaluate",), 7, BOND, change.until_ms)
    for name in ("alice", "bob", "carol", "dave", "erin", "frank"):
        world.do(name, Vote(proposal, True))
    assert world.query("governance.proposal", proposal=proposal.hex()).state == "approved"
    waiting = world.accredited("carol")
    assert (waiting.state, waiting.active, waiting.proposal) == ("awaiting-bond", False, proposal.hex())
    world.refused("attestations.bond_missing", "carol", world.evaluation())
    world.do("carol", attestations.PostBond(world.accounts["carol"]))
    assert world.balance("carol") == SUPPLY_EACH - BOND
    assert (world.accredited("carol").state, world.accredited("carol").posted) == ("active", BOND)
    world.evaluate("carol")
    world.refused("attestations.role", "carol", attestations.Audit(world.model, 1, "passed", cid("report")))
    world.check_laws()


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("attestations.roles", {"roles": ("audit", "audit")}),
        ("attestations.bond_out_of_bounds", {"bond": 999_999}),
        ("attestations.bond_out_of_bounds", {"bond": 10**12 + 1}),
        ("attestations.until", {"until_ms": 0}),
        ("attestations.until", {"until_ms": 2 * ACCREDITATION_MS_MAX + 1_700_000_000_000}),
        ("attestations.invalid_account", {"account": bytes(32)}),
    ],
)
def test_what_no_vote_can_decide_is_refused_when_it_is_proposed(code: str, fields: dict[str, Any]) -> None:
    world = Bench()
    world.refused(code, "alice", Propose(world.accreditation("carol", **fields), ""))
    world.refused("attestations.not_accredited", "alice", Propose(SuspendAccreditation(world.accounts["carol"]), ""))
    world.refused("attestations.not_accredited", "alice", Propose(EndAccreditation(world.accounts["carol"]), ""))


def test_a_validators_account_is_not_accredited() -> None:
    world = Bench()
    change = world.accreditation("carol", account=world.validators[0])
    world.refused("attestations.invalid_account", "alice", Propose(change, ""))


def test_the_bond_is_put_up_once_by_the_own_organization() -> None:
    world = Bench()
    world.settle(world.accreditation("alan"))
    post = attestations.PostBond(world.accounts["alan"])
    world.refused("attestations.another_organization", "bob", post)
    world.refused("attestations.not_accredited", "bob", attestations.PostBond(world.accounts["bob"]))
    world.do("alice", post)  # of the same organization
    world.refused("attestations.bond_is_up", "alan", post)
    # More is asked for: who has paid what is up pays the rest.
    world.settle(world.accreditation("alan", bond=BOND + 7))
    assert world.accredited("alan").state == "awaiting-bond"
    world.refused("attestations.another_payer", "alan", post)
    world.do("alice", post)
    assert world.balance("alice") == SUPPLY_EACH - BOND - 7
    assert world.accredited("alan").active
    world.check_laws()


@pytest.mark.parametrize("how", ["resigned", "ended", "expired"])
def test_however_an_accreditation_ends_the_bond_stays_as_long_as_a_dispute_may_take(how: str) -> None:
    world = Bench()
    world.settle(world.accreditation("carol", until_ms=world.now_ms + DAY_MS))
    world.do("carol", attestations.PostBond(world.accounts["carol"]))
    world.evaluate("carol")
    if how == "resigned":
        world.do("carol", attestations.Resign())
    elif how == "ended":
        world.settle(EndAccreditation(world.accounts["carol"]))
    else:
        world.advance(DAY_MS)
    shown = world.accredited("carol")
    delay_ms = longest_dispute_ms(world.parameters)
    assert (shown.state, shown.active, shown.bond_until_ms) == (how, False, world.now_ms + delay_ms)
    assert world.standing() == (0, 0)
    world.refused("attestations.not_accredited", "carol", world.evaluation())
    world.refused("attestations.not_accredited", "carol", attestations.Resign())
    world.advance(delay_ms - 1)
    assert world.balance("carol") == SUPPLY_EACH - BOND
    world.check_laws()
    world.advance(1)
    assert world.balance("carol") == SUPPLY_EACH
    assert world.accredited("carol").posted == 0
    world.check_laws()


def test_who_resigns_and_is_accredited_again_goes_on_with_the_same_bond() -> None:
    world = bench("carol")
    world.evaluate("carol")
    world.do("carol", attestations.Resign())
    world.settle(world.accreditation("carol", tier=9))
    assert (world.accredited("carol").state, world.accredited("carol").tier) == ("active", 9)
    assert world.standing() == (1, 0)
    world.advance(longest_dispute_ms(world.parameters))
    assert world.accredited("carol").posted == BOND
    world.check_laws()


def test_time_ends_an_accreditation_before_its_deadline_is_swept() -> None:
    world = bench("carol")
    world.evaluate("carol")
    world.settle(world.accreditation("carol", until_ms=world.now_ms + 5))
    world.now_ms += 5
    assert (world.accredited("carol").state, world.accredited("carol").active) == ("expired", False)
    assert world.standing() == (0, 0)
    world.refused("attestations.not_accredited", "carol", world.evaluation(supersedes=bytes(32)))


def test_suspension_stops_statements_and_counts_until_it_ends() -> None:
    world = bench("carol", "erin")
    for name in ("carol", "erin"):
        world.evaluate(name)
    assert world.standing() == (2, 0)
    carol = world.accounts["carol"]
    world.settle(SuspendAccreditation(carol))
    assert (world.standing(), world.accredited("carol").state) == ((1, 0), "suspended")
    world.refused("attestations.accreditation_suspended", "carol", world.evaluation(dataset_version=1))
    world.refused("attestations.already_suspended", "alice", Propose(SuspendAccreditation(carol), ""))
    world.refused("attestations.already_suspended", "alice", Propose(world.accreditation("carol"), ""))
    world.settle(ReinstateAccreditation(carol))
    assert world.standing() == (2, 0)
    world.refused("attestations.not_suspended", "alice", Propose(ReinstateAccreditation(carol), ""))


# --- evaluations


def test_an_evaluation_is_stored_as_it_was_stated() -> None:
    world = bench("carol")
    statement = world.evaluate("carol", 903_000, report=cid("report"), until_ms=world.now_ms + DAY_MS)
    shown = world.statement(statement)
    assert (shown.kind, shown.organization, shown.tier, shown.counts) == ("evaluation", "org-carol", 5, True)
    assert (shown.metric, shown.value_ppm, shown.samples) == ("accuracy", 903_000, 10_000)
    assert (shown.dataset, shown.dataset_version) == (world.dataset.hex(), 1)
    assert (shown.text, shown.until_ms) == (cid("report"), world.now_ms + DAY_MS)
    assert world.query("attestations.statements", asset=world.model.hex()) == [shown]
    assert world.query("attestations.statements", asset=world.model.hex(), version=1) == [shown]
    assert world.query("attestations.statements", account=account_to_text(world.accounts["carol"])) == [shown]
    world.check_laws()


def test_the_latest_statement_about_something_is_found_at_once() -> None:
    world = bench("carol")
    about: dict[str, Any] = {"account": account_to_text(world.accounts["carol"]), "asset": world.model.hex()}
    measured = {**about, "version": 1, "metric": "accuracy", "dataset": world.dataset.hex(), "dataset_version": 1}
    for arguments in (measured, {**about, "version": 1}, {"grant": bytes(32).hex()}, {**about, "version": 2**32}):
        with pytest.raises(LedgerError, match="no such"):
            world.query("attestations.latest", **arguments)
    with pytest.raises(LedgerError, match="no metric"):
        world.query("attestations.latest", **{**measured, "metric": "speed"})
    second = world.evaluate("carol", supersedes=world.evaluate("carol", 0))
    assert world.query("attestations.latest", **measured).statement == second.hex()
    audited = world.audit("carol")
    assert world.query("attestations.latest", **about, version=1).statement == audited.hex()


@pytest.mark.parametrize(
    ("value_ppm", "standing"),
    [
        (CLAIMED_PPM, (1, 0)),
        (CLAIMED_PPM + TOLERANCE_PPM, (1, 0)),
        (CLAIMED_PPM - TOLERANCE_PPM, (1, 0)),
        (CLAIMED_PPM + TOLERANCE_PPM + 1, (0, 1)),
        (CLAIMED_PPM - TOLERANCE_PPM - 1, (0, 1)),
    ],
)
def test_a_claim_is_reproduced_within_its_tolerance_and_contradicted_beyond(
    value_ppm: int, standing: tuple[int, int]
) -> None:
    world = bench("carol")
    world.evaluate("carol", value_ppm)
    assert world.standing() == standing


def test_organizations_count_and_not_accounts() -> None:
    world = Bench()
    world.do("carol", organizations.OpenAccount(seed_key("clara").public_key, bytes(16), "clara"))
    (event,) = world.events
    world.accounts["clara"] = event.account
    world.transfer("carol", world.register("carol", "a gift"), "clara")
    from ledger.modules.credits.operations import Transfer

    world.do("carol", Transfer(world.accounts["clara"], BOND))
    world.accredit("carol", "clara", "erin")
    world.evaluate("carol")
    world.evaluate("erin")
    assert world.standing() == (2, 0)
    # The newest of an organization decides, whichever of its accounts it is from.
    newest = world.evaluate("clara", 0)
    assert world.standing() == (1, 1)
    # And where it does not count, no older one takes its place.
    world.settle(SuspendAccreditation(world.accounts["clara"]))
    assert world.standing() == (1, 0)
    assert not world.statement(newest).counts


def test_who_states_something_anew_supersedes_what_it_said_before() -> None:
    world = bench("carol", "erin")
    first = world.evaluate("carol", 0)
    foreign = world.evaluate("erin")
    for wrong in (None, foreign, bytes(32)):
        world.refused("attestations.supersedes", "carol", world.evaluation(supersedes=wrong))
    second = world.evaluate("carol", supersedes=first)
    assert world.standing() == (2, 0)
    world.refused("attestations.supersedes", "carol", world.evaluation(supersedes=first))  # a chain, and no tree
    assert (world.statement(first).superseded_by, world.statement(first).counts) == (second.hex(), False)
    assert (world.statement(second).supersedes, world.statement(second).counts) == (first.hex(), True)
    assert world.statement(first).value_ppm == 0  # nothing is deleted
    # Another metric, or another data set, is something else.
    world.refused("attestations.supersedes", "carol", world.evaluation(metric="f1-macro", supersedes=second))
    world.evaluate("carol", metric="f1-macro")
    world.check_laws()


def test_a_statement_counts_until_the_time_that_it_states() -> None:
    world = bench("carol")
    statement = world.evaluate("carol", until_ms=world.now_ms + 10)
    assert world.standing() == (1, 0)
    world.now_ms += 10
    assert world.standing() == (0, 0)
    assert not world.statement(statement).counts
    world.refused("attestations.until", "carol", world.evaluation(supersedes=statement, until_ms=world.now_ms))


def test_nobody_evaluates_what_its_organization_has_an_interest_in() -> None:
    world = Bench()
    world.accredit("alan", "bob", "carol", "erin")
    world.refused("attestations.interested", "alan", world.evaluation())  # of the owner's organization
    assert world.evaluate("bob")
    world.transfer("alice", Thing("share", world.model, 1), "bob")
    assert world.standing() == (0, 0), "what was said before counts no more"
    world.refused("attestations.interested", "bob", world.evaluation())


def test_naming_a_critic_creator_or_manager_does_not_silence_it() -> None:
    """Nobody asks those who are named. What they say for the asset does not count, what they say against it does."""
    world = Bench()
    world.accredit("carol", "erin", "frank")
    creators = tuple((world.accounts[name], 2_500) for name in ("alice", "carol", "erin", "frank"))
    claim = Metric("accuracy", CLAIMED_PPM, TOLERANCE_PPM, world.dataset, 1)
    model = world.register("alice", "m", "model", creators=creators, provenance=Provenance(metrics=(claim,)))
    world.model = model
    assert world.evaluate("carol")
    world.audit("carol", "passed")
    assert (world.standing(), verdicts(world.view, model, 1, at_ms=world.now_ms)) == ((0, 0), {})
    assert confirming(world.view, model, 1, "accuracy", world.dataset, 1, 0, at_ms=world.now_ms) == 0
    world.evaluate("erin", 0)
    world.audit("erin", "failed")
    assert (world.standing(), verdicts(world.view, model, 1, at_ms=world.now_ms)) == ((0, 1), {"failed": 1})
    world.accredit("bob")
    contradiction = world.evaluate("bob", 0)
    assert world.standing() == (0, 2)
    world.do("alice", SetManager(model, world.accounts["bob"]))
    assert world.standing() == (0, 2)
    world.evaluate("bob", supersedes=contradiction)
    assert world.standing() == (0, 1)


def test_who_contributed_a_version_states_nothing_about_it() -> None:
    shop = Workshop("model")
    shop.do("alice", shop.accept(shop.propose("B")))
    assert "org-bob" in interest(shop.view, shop.asset, 2).own
    assert "org-bob" not in interest(shop.view, shop.asset, 1).own, "the version before is not its work"


def test_a_value_on_another_data_set_contradicts_nothing() -> None:
    """Of a claim's data set, that is; on one of one's own making any model fails."""
    world = bench("carol")
    odd = world.register("carol", "odd pictures")
    world.evaluate("carol", 0, dataset=odd)
    assert world.standing() == (0, 0)
    world.add_version("dave", world.dataset, "more pictures")
    world.evaluate("carol", 0, dataset_version=2)
    assert world.standing() == (0, 0)


def test_what_is_measured_and_on_what_is_registered_and_not_taken_down() -> None:
    world = bench("carol", "erin")
    world.refused("assets.unknown_asset", "carol", world.evaluation(asset=bytes(32)))
    world.refused("assets.unknown_version", "carol", world.evaluation(version=2))
    world.refused("assets.unknown_asset", "carol", world.evaluation(dataset=bytes(32)))
    world.refused("assets.unknown_version", "carol", world.evaluation(dataset_version=2))
    world.refused("attestations.not_a_dataset", "carol", world.evaluation(dataset=world.model))
    world.refused("attestations.text", "carol", world.evaluation(report="b" + "a" * 58))
    world.evaluate("erin")
    take_down(world, "pictures")
    world.refused("assets.taken_down", "carol", world.evaluation())
    assert world.standing() == (1, 0), "what was measured before stays"
    other = world.register("dave", "other pictures")
    world.evaluate("carol", dataset=other)
    take_down(world, "model")
    world.refused("assets.taken_down", "erin", world.evaluation(dataset=other))
    world.audit("carol", "failed")


def take_down(world: Bench, label: str) -> None:
    from ledger.modules.governance import artifacts

    view = world.view.child()
    context = world.context(view, world.accounts["alice"], b"take-down")
    artifacts.bring_about(context, bytes(32), TakeDown(cid(label), "unlawful"))
    world.view.apply(view)


def test_claims_name_a_version_of_a_data_set_or_nothing() -> None:
    world = Bench()

    def registration(metric: Metric) -> Any:
        return world.registration("bob", "B", "model", provenance=Provenance(metrics=(metric,)))

    world.commit("bob", "B", "model")
    world.refused("assets.metric_dataset", "bob", registration(Metric("accuracy", 1, 0, world.dataset)))
    world.refused("assets.metric_dataset", "bob", registration(Metric("accuracy", 1, 0, None, 1)))
    world.refused("assets.metric_dataset", "bob", registration(Metric("accuracy", 1, 0, world.model, 1)))
    world.refused("assets.unknown_version", "bob", registration(Metric("accuracy", 1, 0, world.dataset, 2)))
    world.refused("assets.unknown_asset", "bob", registration(Metric("accuracy", 1, 0, bytes(32), 1)))
    world.do("bob", registration(Metric("speed", -5)))


@pytest.mark.parametrize("tolerance_ppm", [TOLERANCE_PPM_MAX + 1, PPM, -1])
def test_no_claim_allows_for_so_much_that_everything_reproduces_it(tolerance_ppm: int) -> None:
    artifact, described = Artifact(cid("A"), 1), Provenance(metrics=(Metric("accuracy", 0, tolerance_ppm),))
    operations = (
        Register(artifact, bytes(16), "model", "A", provenance=described),
        AddVersion(bytes(32), artifact, bytes(16), provenance=described),
        contributions.Propose(bytes(32), 1, "fine-tune", artifact, bytes(16), 1, provenance=described),
    )
    for operation in operations:
        with pytest.raises(InvalidTransaction) as caught:
            signed(operation)
        assert caught.value.code == "transaction.malformed"
    widest = Provenance(metrics=(Metric("accuracy", 0, TOLERANCE_PPM_MAX),))
    assert decode_transaction(signed(Register(artifact, bytes(16), "model", "A", provenance=widest))).body.operations


def signed(operation: Operation) -> bytes:
    return build(network_id=bytes(32), sender=bytes(32), key=seed_key("A"), operations=[operation], expires_at_ms=1)


def test_a_bound_is_reached_from_above_where_less_is_better() -> None:
    world = bench("carol")
    world.evaluate("carol", 900_000)
    world.evaluate("carol", 20_000, metric="accuracy-gap")

    def reaching(metric: Any, bound_ppm: int) -> int:
        return confirming(world.view, world.model, 1, metric, world.dataset, 1, bound_ppm, at_ms=world.now_ms)

    assert [reaching("accuracy", bound) for bound in (899_999, 900_000, 900_001)] == [1, 1, 0]
    assert [reaching("accuracy-gap", bound) for bound in (19_999, 20_000, 20_001)] == [0, 1, 1]
    assert reaching("f1-macro", 0) == 0


# --- audits, reviews, answers


def test_audits_are_counted_by_verdict() -> None:
    world = bench("carol", "erin", "frank")
    first = world.audit("carol", "failed")
    world.audit("erin")
    world.audit("frank", "conditional")
    assert verdicts(world.view, world.model, 1, at_ms=world.now_ms) == {"passed": 1, "failed": 1, "conditional": 1}
    world.audit("carol", "passed", supersedes=first)
    assert verdicts(world.view, world.model, 1, at_ms=world.now_ms) == {"passed": 2, "conditional": 1}
    world.settle(SuspendAccreditation(world.accounts["erin"]))
    assert verdicts(world.view, world.model, 1, at_ms=world.now_ms) == {"passed": 1, "conditional": 1}


def test_a_review_needs_a_grant_that_was_paid_for_outside_the_own_organization() -> None:
    world = Bench()
    paid = world.license("alice", world.model, "bob", PAID)
    free = world.license("alice", world.model, "carol", Terms(rights=("download",), price=0))
    windowed = Terms(rights=("download",), price=100_000, dispute_window_ms=DAY_MS)
    waiting = world.license("alice", world.model, "erin", windowed)
    own = world.license("alice", world.model, "alan", PAID)
    review = attestations.Review
    world.refused("attestations.not_licensee", "carol", review(paid, 1, 0))
    world.refused("attestations.not_paid", "carol", review(free, 1, 0))
    world.refused("attestations.not_paid", "erin", review(waiting, 1, 0))
    world.refused("attestations.interested", "alan", review(own, 1, 0))
    world.refused("licenses.unknown_grant", "bob", review(bytes(32), 1, 0))
    world.refused("assets.unknown_version", "bob", review(paid, 2, 0))
    world.refused("attestations.text", "bob", review(paid, 1, 0, "b" + "a" * 58))
    first = world.review("bob", paid, 1_000_000, text=cid("praise"))
    shown = world.statement(first)
    assert (shown.kind, shown.rating_ppm, shown.tier, shown.grant) == ("review", 1_000_000, 0, paid.hex())
    world.refused("attestations.supersedes", "bob", review(paid, 1, 0))
    second = world.review("bob", paid, 0, supersedes=first)
    assert (world.statement(first).counts, world.statement(second).counts) == (False, True)
    assert world.check("bob", world.model).allowed, "the license stays, whatever the rating"
    world.advance(DAY_MS)
    world.review("erin", waiting)
    world.check_laws()


def test_a_grant_that_was_sold_on_is_not_reviewed_twice() -> None:
    world = Bench()
    grant = world.license("alice", world.model, "bob", PAID)
    world.review("bob", grant)
    world.transfer("bob", Thing("grant", grant), "carol", 100)
    world.refused("attestations.already_reviewed", "carol", attestations.Review(grant, 1, 0))
    world.refused("attestations.not_licensee", "bob", attestations.Review(grant, 1, 0))


def test_what_was_sold_within_an_organization_is_not_reviewed_by_it_later() -> None:
    """The owner sells to a colleague, then the asset to somebody else: nothing was paid that did not stay."""
    world = Bench()
    asset = world.register("bob", "B", creators=((world.accounts["erin"], 10_000),))
    world.transfer("bob", asset, "alice")
    grant = world.license("alice", asset, "alan", PAID)
    world.transfer("alice", asset, "carol")
    world.refused("attestations.not_paid", "alan", attestations.Review(grant, 1, 0))


def test_an_owner_or_the_manager_answers_once() -> None:
    world = bench("carol")
    statement = world.evaluate("carol", 0)
    world.do("alice", SetManager(world.model, world.accounts["erin"]))
    answer = attestations.Answer(statement, cid("no"))
    world.refused("attestations.not_concerned", "bob", answer)
    world.refused("attestations.unknown_statement", "alice", attestations.Answer(bytes(32), cid("no")))
    world.refused("attestations.text", "alice", attestations.Answer(statement, "b" + "a" * 58))
    world.do("alice", answer)
    world.refused("attestations.already_answered", "alice", answer)
    world.do("erin", answer, role="operator")
    answers = world.statement(statement).answers
    assert {one.account for one in answers} == {account_to_text(world.accounts[name]) for name in ("alice", "erin")}
    assert {one.text for one in answers} == {cid("no")}
    assert world.statement(statement).counts, "an answer takes nothing away"
    world.check_laws()

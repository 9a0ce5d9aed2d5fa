"""Decisions that wait: parameters, minting, burning and payments from the treasury; objections, and what time does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from epochs_kit import WINDOW, Consortium, key, make_genesis

from ledger import deadlines
from ledger.modules.credits.accounting import balance, supply, total
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import TREASURY
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.governance.kinds import KINDS
from ledger.modules.governance.operations import (
    AdmitOrganization,
    Burn,
    Founding,
    FoundingAccount,
    Mint,
    NamedValue,
    Object,
    Pay,
    Propose,
    RemoveOrganization,
    SetParameters,
    SetQuota,
    SuspendOrganization,
    Vote,
)
from ledger.modules.governance.queries import REASONS
from ledger.modules.governance.records import (
    OPEN_PROPOSALS_MAX,
    PROPOSALS,
    STOOD_MS,
    carries,
    passes,
    stops,
)
from ledger.modules.organizations.operations import AddKey, OpenAccount, Quota, RequestRecovery
from ledger.modules.organizations.quota import usage
from ledger.parameters import (
    DAY_MS,
    DEFAULTS,
    HOUR_MS,
    LEAST_OUTSIDE_DEVELOPMENT,
    LIFETIME_MS_MAX,
    MINUTE_MS,
    Parameters,
    bounds,
    coming_parameters,
    consensus_limits,
    read_parameters,
)
from primitives.identifiers import account_id
from primitives.keys import SigningKey

SPECIFICATION = Path(__file__).resolve().parents[2] / "docs" / "spec" / "governance.md"
DECISION_MS = DEFAULTS["decision_delay_ms"]
PAYMENT_MS = DEFAULTS["payment_delay_ms"]


def setting(**values: int) -> SetParameters:
    return SetParameters(tuple(NamedValue(name, value) for name, value in values.items()))


def shown(world: Consortium, proposal: bytes) -> Any:
    return world.chain.query("governance.proposal", {"proposal": proposal.hex()})


def state_of(world: Consortium, proposal: bytes) -> str:
    return str(shown(world, proposal).state)


def objects(world: Consortium, proposal: bytes, *organizations: str) -> list[str]:
    """Object in one block; return the codes."""
    sent = [world.by(organization, Object(proposal)) for organization in organizations]
    return [receipt.code for receipt in world.execute(*sent).receipts]


def parameters(world: Consortium) -> Parameters:
    return read_parameters(world.chain.view())


def events_of(block: Any) -> list[dict[str, Any]]:
    return [msgspec.msgpack.decode(event) for receipt in block.receipts for event in receipt.events]


def conserved(world: Consortium) -> bool:
    view = world.chain.view()
    return total(view) == supply(view)


# --- the delay


def test_an_approved_change_waits_and_then_takes_effect() -> None:
    world = Consortium()
    proposal = world.approve(setting(fee_bps=300, dispute_bond_min=7))
    waiting = shown(world, proposal)
    assert (waiting.state, waiting.executes_at_ms) == ("waiting", world.now_ms + DECISION_MS)
    assert world.vote(proposal, "org-3") == ["governance.voting_closed"]
    world.execute(step_ms=waiting.executes_at_ms - world.now_ms - 1)
    assert (state_of(world, proposal), parameters(world).fee_bps) == ("waiting", 250)
    last = world.execute(step_ms=1)
    assert (state_of(world, proposal), parameters(world).fee_bps) == ("executed", 300)
    assert parameters(world).dispute_bond_min == 7
    assert shown(world, proposal).executes_at_ms == 0, "only what waits still executes"
    assert [event["type"] for event in events_of(last)] == [
        "governance.parameter_set",
        "governance.parameter_set",
        "governance.proposal_executed",
    ]
    assert usage(world.chain.view(), "org-0").deadlines == 0
    assert world.replayed().head == world.chain.head


def test_a_delay_that_ended_while_the_network_stood_still_begins_anew() -> None:
    """A stop of any length would else end with the block that mints: nobody could object after it."""
    world = Consortium(make_genesis(6))
    proposal = world.approve(setting(fee_bps=0))
    assert objects(world, proposal, "org-5") == [""]
    stopped = world.execute(step_ms=DECISION_MS + STOOD_MS + 1)
    put_off = {"type": "governance.proposal_delayed", "proposal": proposal}
    assert events_of(stopped) == [put_off | {"executes_at_ms": world.now_ms + DECISION_MS}]
    assert (state_of(world, proposal), parameters(world).fee_bps) == ("waiting", 250)
    assert shown(world, proposal).executes_at_ms == world.now_ms + DECISION_MS
    assert usage(world.chain.view(), "org-0").deadlines == 1
    assert objects(world, proposal, "org-4") == [""], "what was objected before counts"
    assert state_of(world, proposal) == "stopped"
    assert usage(world.chain.view(), "org-0").deadlines == 0
    assert world.replayed().head == world.chain.head


def test_a_delay_that_nobody_objects_to_after_a_stop_ends_as_another() -> None:
    """What is late by less, as where much falls due at once, is done when it is swept."""
    world = Consortium()
    proposal, slow = world.approve(setting(fee_bps=300)), world.approve(setting(dispute_bond_min=7))
    world.execute(step_ms=DECISION_MS + STOOD_MS + 1)
    assert {state_of(world, one) for one in (proposal, slow)} == {"waiting"}
    world.execute(step_ms=DECISION_MS + STOOD_MS)
    assert {state_of(world, one) for one in (proposal, slow)} == {"executed"}
    assert (parameters(world).fee_bps, parameters(world).dispute_bond_min) == (300, 7)


def test_a_moved_clock_of_a_development_network_is_no_standstill() -> None:
    world = Consortium(make_genesis(4, development=True))
    proposal = world.approve(setting(fee_bps=300))
    world.execute(step_ms=DECISION_MS + STOOD_MS + 1)
    assert state_of(world, proposal) == "executed"


def test_a_third_of_all_organizations_stops_what_waits() -> None:
    """Also those who approved, and each counts once."""
    world = Consortium(make_genesis(6))
    proposal = world.approve(setting(fee_bps=0))
    assert objects(world, proposal, "org-5", "org-5") == ["", "governance.already_objected"]
    assert (state_of(world, proposal), shown(world, proposal).objections_needed) == ("waiting", 2)
    stopped = world.execute(world.by("org-0", Object(proposal)))
    assert [event["type"] for event in events_of(stopped)] == [
        "governance.objection_raised",
        "governance.proposal_stopped",
    ]
    assert shown(world, proposal).objections == ("org-5", "org-0")
    assert objects(world, proposal, "org-1") == ["governance.not_waiting"]
    world.execute(step_ms=DECISION_MS)
    assert (state_of(world, proposal), parameters(world).fee_bps) == ("stopped", 250)
    assert shown(world, proposal).executes_at_ms == 0
    assert deadlines.next_deadline(world.chain.view()) is None
    assert usage(world.chain.view(), "org-0").deadlines == 0


def test_an_objection_is_of_the_organization_and_in_time() -> None:
    world = Consortium(make_genesis(6))
    proposal, _ = world.propose(setting(fee_bps=0))
    assert objects(world, proposal, "org-1") == ["governance.not_waiting"]
    assert world.code(world.by("org-1", Object(bytes(32)))) == "governance.unknown_proposal"
    assert world.vote(proposal, *world.organizations[:5]) == [""] * 5
    fresh = SigningKey(bytes([7]) * 32)
    world.execute(world.by("org-1", AddKey(fresh.public_key, "operator")))
    operator = world._build(world.accounts["org-1"], fresh, [Object(proposal)])
    assert world.code(operator) == "organizations.key_not_allowed"
    customer = account_id(world.network_id, "org-1", fresh.public_key, bytes(16))
    world.execute(world.by("org-1", OpenAccount(fresh.public_key, bytes(16), "customer")))
    outsider = world._build(customer, fresh, [Object(proposal)])
    assert world.code(outsider) == "governance.not_a_representative"
    assert shown(world, proposal).objections == ()


def test_an_objection_after_the_delay_is_late_even_where_the_sweep_is_behind() -> None:
    world = Consortium(make_genesis(4, deadlines_per_block_max=1))
    first, second = world.approve(setting(fee_bps=0)), world.approve(setting(fee_bps=1))
    ends = shown(world, second).executes_at_ms
    world.now_ms = ends - 100
    assert world.code(world.by("org-1", Object(second))) == "governance.not_waiting"
    assert (state_of(world, first), state_of(world, second)) == ("executed", "waiting")


def test_an_organization_that_left_neither_objects_nor_counts() -> None:
    """G2: what it said before its removal counts neither way, and with fewer organizations fewer objections stop."""
    world = Consortium(make_genesis(4, 7))
    proposal = world.approve(setting(fee_bps=0))
    assert objects(world, proposal, "org-6", "org-0") == ["", ""]
    assert shown(world, proposal).objections_needed == 3
    world.approve(RemoveOrganization("org-6"))
    assert objects(world, proposal, "org-6") == ["organizations.removed"]
    assert state_of(world, proposal) == "waiting", "one of six"
    world.approve(RemoveOrganization("org-5"))
    last = world.by("org-1", Object(proposal))
    assert (world.code(last), state_of(world, proposal)) == ("", "stopped"), "two of five"


def test_objections_that_have_become_enough_stop_it_at_the_end() -> None:
    world = Consortium(make_genesis(4, 7))
    proposal = world.approve(setting(fee_bps=0))
    assert objects(world, proposal, "org-0", "org-1") == ["", ""]
    for name in ("org-6", "org-5"):
        world.organizations = [one for one in world.organizations if one != name]
        expelled, _ = world.propose(RemoveOrganization(name))
        assert set(world.vote(expelled, *world.organizations[:5])) <= {"", "governance.voting_closed"}
    assert state_of(world, proposal) == "waiting"
    world.execute(step_ms=DECISION_MS)
    assert (state_of(world, proposal), parameters(world).fee_bps) == ("stopped", 250)


def test_friends_who_are_let_in_meanwhile_make_it_no_harder_to_stop() -> None:
    """G2: whoever decided has the votes to let friends in at once, and these object to nothing."""
    world = Consortium(make_genesis(4, 7))
    proposal = world.approve(setting(fee_bps=0))
    for name in ("elm", "fir", "oak"):
        first = FoundingAccount(key(name).public_key, bytes(16), "first")
        friend, _ = world.propose(AdmitOrganization(name, Founding(name.title(), (first,))))
        assert set(world.vote(friend, *world.organizations)) <= {"", "governance.voting_closed"}
    told = shown(world, proposal)
    assert (told.organizations, told.objections_needed) == (10, 3)
    assert objects(world, proposal, "org-4", "org-5", "org-6") == [""] * 3
    assert (state_of(world, proposal), shown(world, proposal).objections_needed) == ("stopped", 3)
    later, _ = world.propose(setting(fee_bps=0))
    assert shown(world, later).objections_needed == 4


def test_a_suspended_organization_votes_and_objects() -> None:
    world = Consortium()
    world.approve(SuspendOrganization("org-3"))
    proposal, _ = world.propose(setting(fee_bps=0))
    assert world.vote(proposal, "org-1", "org-2", "org-3") == ["", "", ""]
    assert objects(world, proposal, "org-3", "org-2") == ["", ""]
    assert state_of(world, proposal) == "stopped"


def test_what_waits_takes_a_place_among_the_open_ones() -> None:
    world = Consortium()
    proposals = [world.approve(setting(fee_bps=bps)) for bps in range(OPEN_PROPOSALS_MAX)]
    assert world.propose(setting(fee_bps=9))[1] == "governance.too_many_proposals"
    world.execute(step_ms=DECISION_MS)
    assert {state_of(world, proposal) for proposal in proposals} == {"executed"}
    assert world.propose(setting(fee_bps=9))[1] == ""


def test_a_full_quota_does_not_keep_a_decision_from_waiting() -> None:
    """The last vote may be the proposer's own."""
    world = Consortium()
    proposal, _ = world.propose(setting(fee_bps=0))
    assert world.vote(proposal, "org-1", "org-2") == ["", ""]
    full, _ = world.propose(SetQuota("org-0", Quota(100, 100_000, 10)), by="org-1")
    assert world.vote(full, "org-1", "org-2", "org-3") == ["", "", ""]
    for index in range(9):
        world.execute(world.by("org-0", RequestRecovery(world.accounts["org-0"], key(f"n{index}").public_key)))
    assert world.vote(proposal, "org-0") == [""]
    assert state_of(world, proposal) == "waiting"


# --- thresholds


@pytest.mark.parametrize("count", range(1, 40))
def test_thresholds_are_exact(count: int) -> None:
    """What a third can stop is what two thirds cannot pass without them, and refusing never helps a proposal."""
    for some in range(count + 1):
        assert passes(some, count) == (some > count * 2 / 3)
        assert stops(some, count) == (not passes(count - some, count))
        for others in range(count + 1 - some):
            assert not carries(some, others, count) or some > others
            assert carries(some, others, count) or not carries(some, others + 1, count)
    assert not carries(count // 2, 0, count)
    assert carries(count // 2 + 1, 0, count)


def test_every_kind_of_change_has_a_threshold_and_says_whether_it_waits() -> None:
    kinds = {str(change.__struct_config__.tag): (kind.threshold, kind.delay) for change, kind in KINDS.items()}
    immediate = {tag for tag, decided in kinds.items() if decided == ("all", None)}
    assert {
        "add_validator",
        "remove_validator",
        "rekey_validator",
        "admit_organization",
        "suspend_organization",
        "reinstate_organization",
        "remove_organization",
        "set_quota",
        "recover_account",
        "take_down",
        "restore_artifact",
    } <= immediate
    waiting = {"set_parameters", "mint", "burn"}
    assert {kinds[tag] for tag in waiting} == {("all", "decision_delay_ms")}
    assert kinds["pay"] == ("voters", "payment_delay_ms")
    proposable = Propose.__annotations__["change"]
    assert all(change.__name__ in proposable for change in KINDS)


def treasury_of(world: Consortium, amount: int) -> None:
    """Let the consortium put credits into the treasury."""
    world.approve(Mint(amount))
    world.execute(step_ms=DECISION_MS)
    assert balance(world.chain.view(), TREASURY) == amount


def test_a_payment_is_carried_by_more_than_half_when_the_rest_is_silent() -> None:
    world = Consortium(make_genesis(7))
    treasury_of(world, 500)
    payee = world.accounts["org-6"]
    paid, _ = world.propose(Pay(payee, 200))
    assert shown(world, paid).approvals_needed == 4
    assert world.vote(paid, "org-0", "org-1", "org-2", "org-3") == [""] * 4
    assert state_of(world, paid) == "open", "the others may still refuse"
    world.execute(step_ms=parameters(world).voting_period_ms)
    assert state_of(world, paid) == "waiting"
    world.execute(step_ms=PAYMENT_MS)
    assert (state_of(world, paid), balance(world.chain.view(), payee)) == ("executed", 1_200)
    assert balance(world.chain.view(), TREASURY) == 300
    assert conserved(world)


@pytest.mark.parametrize(
    ("approve", "refuse", "state"),
    [
        (("org-0", "org-1", "org-2"), (), "expired"),
        (("org-0", "org-1", "org-2"), ("org-3",), "expired"),
        (("org-0", "org-1", "org-2", "org-3"), ("org-4", "org-5"), "rejected"),
        (("org-0", "org-1", "org-2", "org-3"), ("org-4",), "waiting"),
    ],
)
def test_a_payment_needs_half_of_all_and_two_thirds_of_those_that_voted(
    approve: tuple[str, ...], refuse: tuple[str, ...], state: str
) -> None:
    world = Consortium(make_genesis(7))
    treasury_of(world, 500)
    proposal, _ = world.propose(Pay(world.accounts["org-6"], 200))
    world.vote(proposal, *approve)
    world.vote(proposal, *refuse, approve=False)
    world.execute(step_ms=parameters(world).voting_period_ms)
    assert state_of(world, proposal) == state
    assert (usage(world.chain.view(), "org-0").deadlines == 1) == (state == "waiting")


def test_a_payment_that_two_thirds_approve_need_not_wait_for_the_rest() -> None:
    world = Consortium()
    treasury_of(world, 500)
    early = world.approve(Pay(world.accounts["org-1"], 1))
    assert state_of(world, early) == "waiting"
    refused, _ = world.propose(Pay(world.accounts["org-1"], 1))
    assert world.vote(refused, "org-1", "org-2", approve=False) == ["", ""]
    assert state_of(world, refused) == "rejected"


# --- what fails at the end


def test_what_has_become_impossible_says_why_and_changes_nothing() -> None:
    world = Consortium()
    treasury_of(world, 500)
    first = world.approve(Pay(world.accounts["org-1"], 400))
    second = world.approve(Pay(world.accounts["org-2"], 400))
    before = balance(world.chain.view(), world.accounts["org-2"])
    block = world.execute(step_ms=PAYMENT_MS)
    assert (state_of(world, first), state_of(world, second)) == ("executed", "failed")
    failed = shown(world, second)
    assert failed.failure == "credits.insufficient"
    assert failed.failure_reason == REASONS["credits.insufficient"]
    assert {"type": "governance.proposal_failed", "proposal": second, "code": "credits.insufficient"} in events_of(
        block
    )
    assert balance(world.chain.view(), world.accounts["org-2"]) == before
    assert conserved(world)
    assert world.replayed().head == world.chain.head


# --- the supply


def test_minting_is_bounded_by_what_an_amount_can_be_in_whichever_order() -> None:
    world = Consortium()
    room = AMOUNT_MAX - supply(world.chain.view())
    assert world.propose(Mint(room + 1))[1] == "governance.supply"
    first = world.approve(Mint(room))
    second = world.approve(Mint(1, world.accounts["org-1"]))
    world.execute(step_ms=DECISION_MS)
    assert (state_of(world, first), state_of(world, second)) == ("executed", "failed")
    assert (shown(world, second).failure, supply(world.chain.view())) == ("governance.supply", AMOUNT_MAX)
    assert conserved(world)
    burned = world.approve(Burn(AMOUNT_MAX - 4_000))
    world.execute(step_ms=DECISION_MS)
    assert (state_of(world, burned), supply(world.chain.view())) == ("executed", 4_000)
    assert conserved(world)
    answer = world.chain.query("credits.supply", {})
    assert (answer.supply, answer.treasury) == (4_000, 0)


def test_credits_are_minted_to_members_and_burned_by_nobody_else() -> None:
    world = Consortium(make_genesis(4, 6))
    assert world.propose(Mint(1, bytes(32)))[1] == "governance.unknown_account"
    world.approve(RemoveOrganization("org-5"))
    world.organizations.remove("org-5")
    assert world.propose(Mint(1, world.accounts["org-5"]))[1] == "governance.unknown_organization"
    given = world.approve(Mint(50, world.accounts["org-4"]))
    assert world.propose(Burn(1, world.accounts["org-4"]))[1] == "governance.not_your_account"
    assert world.propose(Burn(1_001, world.accounts["org-0"]))[1] == "credits.insufficient"
    own = world.approve(Burn(1_000, world.accounts["org-0"]))
    world.execute(step_ms=DECISION_MS)
    assert (state_of(world, given), state_of(world, own)) == ("executed", "executed")
    view = world.chain.view()
    assert (balance(view, world.accounts["org-4"]), balance(view, world.accounts["org-0"])) == (1_050, 0)
    assert conserved(world)


def test_what_was_spent_or_frozen_meanwhile_is_not_burned() -> None:
    world = Consortium()
    spent = world.approve(Burn(1_000, world.accounts["org-0"]))
    world.execute(world.by("org-0", Transfer(world.accounts["org-1"], 1)))
    world.execute(step_ms=DECISION_MS)
    assert (state_of(world, spent), shown(world, spent).failure) == ("failed", "credits.insufficient")
    assert conserved(world)


def test_a_payment_goes_to_an_account_and_from_what_is_there() -> None:
    world = Consortium()
    assert world.propose(Pay(world.accounts["org-1"], 1))[1] == "credits.insufficient"
    treasury_of(world, 10)
    assert world.propose(Pay(bytes(32), 1))[1] == "governance.unknown_account"
    assert world.propose(Pay(world.accounts["org-1"], 11))[1] == "credits.insufficient"


# --- parameters

HOSTILE = [
    ("proposal_bytes_max", 0),
    ("batches_per_proposal_max", 0),
    ("window", 0),
    ("window", 2**63),
    ("lifetime_ms", 0),
    ("escrow_timeout_ms", 0),
    ("voting_period_ms", 0),
    ("dispute_voting_ms", 2**63),
    ("deadlines_per_block_max", 0),
    ("fee_bps", 10_000),
    ("fee_bps", -1),
    ("decision_delay_ms", 0),
    ("payment_delay_ms", 2**64 - 1),
    ("quota_records_per_organization", -(2**63)),
]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
def test_hostile_values_are_refused_at_the_proposal(name: str, value: int) -> None:
    """G5: block size 0, timeout 0, window 0, 2^63: nothing is there to vote on."""
    world = Consortium()
    proposal, code = world.propose(setting(**{name: value}))
    assert code == "governance.parameter_range"
    assert PROPOSALS.get(world.chain.view(), proposal) is None


@pytest.mark.parametrize("name", sorted(bounds(development=True)))
def test_every_parameter_can_be_set_to_its_ends_and_not_beyond(name: str) -> None:
    """G5: on a network that is none for development."""
    world = Consortium()
    low, high = bounds(development=False)[name]
    for value in (low, high):
        assert world.propose(setting(**{name: value}))[1] in ("", "governance.parameter_rules")
    for value in (low - 1, high + 1):
        assert world.propose(setting(**{name: value}))[1] == "governance.parameter_range"


def test_every_parameter_but_the_fixed_ones_can_be_changed() -> None:
    world = Consortium()
    rows = {row.name: row for row in world.chain.query("governance.parameters", {})}
    assert set(rows) == set(Parameters.__struct_fields__)
    assert [name for name, row in rows.items() if not row.changeable] == ["opaque_bundles"]
    for name, row in rows.items():
        assert row.low <= row.default <= row.high
        assert row.value == parameters(world).value(name) == row.coming
    assert rows["recovery_delay_ms"].low == LEAST_OUTSIDE_DEVELOPMENT["recovery_delay_ms"]
    development = Consortium(make_genesis(4, development=True))
    assert development.propose(setting(commitment_age_ms=0))[1] == ""
    assert development.propose(setting(opaque_bundles=1))[1] == "governance.parameter_fixed"


def test_the_specification_has_the_ranges_that_hold() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\d,]+) \| ([\d,]*) \|$", SPECIFICATION.read_text(), re.MULTILINE)
    told = {name: [int(cell.replace(",", "") or 0) for cell in cells] for name, *cells in rows}
    strict = bounds(development=False)
    assert told == {
        name: [low, high, strict[name].low if strict[name].low > low else 0]
        for name, (low, high) in bounds(development=True).items()
    }


def test_a_proposal_names_each_parameter_once_and_none_that_is_not() -> None:
    world = Consortium()
    assert world.propose(setting(gas_limit=1))[1] == "governance.unknown_parameter"
    twice = SetParameters((NamedValue("fee_bps", 1), NamedValue("fee_bps", 2)))
    assert world.propose(twice)[1] == "governance.parameter_repeated"


def test_values_that_do_not_hold_together_are_refused() -> None:
    """G5."""
    world = Consortium(make_genesis(4, commitment_lifetime_ms=MINUTE_MS))
    assert world.propose(setting(commitment_age_ms=MINUTE_MS))[1] == "governance.parameter_rules"
    assert world.propose(setting(commitment_age_ms=MINUTE_MS, commitment_lifetime_ms=HOUR_MS))[1] == ""


def test_no_order_of_decisions_lets_a_rejoin_of_a_longer_lifetime_in() -> None:
    """R5, G5: the lifetime goes up and down again, and the interval after it, within one block: a rejoin that was
    signed in between would still wait in some pool. The interval is refused whatever the lifetime is."""
    world = Consortium(make_genesis(4, lifetime_ms=MINUTE_MS))
    longer, shorter = (world.approve(setting(lifetime_ms=lifetime)) for lifetime in (LIFETIME_MS_MAX, MINUTE_MS))
    interval, code = world.propose(setting(rejoin_interval_ms=MINUTE_MS))
    world.vote(interval, "org-1", "org-2", "org-3")
    world.execute(step_ms=DECISION_MS)
    assert [state_of(world, proposal) for proposal in (longer, shorter)] == ["executed", "executed"]
    assert parameters(world).lifetime_ms == MINUTE_MS
    assert parameters(world).rejoin_interval_ms >= LIFETIME_MS_MAX
    assert code == "governance.parameter_range"


@pytest.mark.parametrize("second_first", [False, True])
def test_two_changes_that_hold_alone_never_leave_the_rules_together(second_first: bool) -> None:
    """G5: whichever takes effect second is judged by what the first has made."""
    world = Consortium(make_genesis(4, commitment_age_ms=10_000, commitment_lifetime_ms=HOUR_MS))
    changes = [setting(commitment_age_ms=30 * MINUTE_MS), setting(commitment_lifetime_ms=10 * MINUTE_MS)]
    proposals = [world.approve(change) for change in (reversed(changes) if second_first else changes)]
    world.execute(step_ms=DECISION_MS)
    assert [state_of(world, proposal) for proposal in proposals] == ["executed", "failed"]
    assert shown(world, proposals[1]).failure == "governance.parameter_rules"
    parameters(world).validate(development=False)
    assert parameters(world).commitment_age_ms < parameters(world).commitment_lifetime_ms


def test_what_runs_keeps_the_time_it_was_given() -> None:
    """A shorter delay and a shorter voting period begin with what begins after them."""
    world = Consortium()
    shorter = world.approve(setting(decision_delay_ms=DAY_MS, voting_period_ms=HOUR_MS))
    other = world.approve(setting(fee_bps=1))
    still_open, _ = world.propose(setting(fee_bps=2))
    closes, ends = shown(world, still_open).closes_at_ms, shown(world, other).executes_at_ms
    world.execute(step_ms=shown(world, shorter).executes_at_ms - world.now_ms)
    assert parameters(world).value("decision_delay_ms") == DAY_MS
    assert (shown(world, still_open).closes_at_ms, shown(world, other).executes_at_ms) == (closes, ends)
    later, _ = world.propose(setting(fee_bps=3))
    assert shown(world, later).closes_at_ms == world.now_ms + HOUR_MS
    world.vote(later, "org-0", "org-1", "org-2")
    assert shown(world, later).executes_at_ms == world.now_ms + DAY_MS


def test_what_consensus_is_built_with_changes_between_epochs() -> None:
    """At one height on all nodes: the first of an epoch, which the change ends the epoch before for."""
    world = Consortium()
    proposal = world.approve(setting(window=16, batches_per_proposal_max=2, fee_bps=0))
    second = world.approve(setting(proposal_bytes_max=65_536))
    world.execute(step_ms=DECISION_MS)
    assert {state_of(world, one) for one in (proposal, second)} == {"executed"}
    assert (parameters(world).window, parameters(world).fee_bps) == (WINDOW, 0)
    coming = coming_parameters(world.chain.view())
    assert (coming.window, coming.batches_per_proposal_max, coming.proposal_bytes_max) == (16, 2, 65_536)
    end = world.chain.height + WINDOW
    assert world.chain.epoch.end == end, "by the window that replicas have now"
    members = world.members()
    world.run_to(end - 1)
    assert parameters(world).window == WINDOW
    world.run_to(end)
    assert (parameters(world).window, world.chain.epoch.number) == (16, 1)
    assert world.members() == members
    genesis = world.genesis.parameters
    assert consensus_limits(world.chain.view(), 0, genesis).window == WINDOW
    assert consensus_limits(world.chain.view(), 1, genesis).proposal_bytes_max == 65_536
    assert world.replayed().head == world.chain.head


def test_a_limit_that_is_set_back_before_the_epoch_ends_stays() -> None:
    world = Consortium()
    world.approve(setting(window=16))
    back = world.approve(setting(window=WINDOW))
    world.execute(step_ms=DECISION_MS)
    assert state_of(world, back) == "executed"
    assert world.chain.epoch.end
    world.run_to(world.chain.epoch.end)
    assert (parameters(world).window, world.chain.epoch.number) == (WINDOW, 1)


def test_parameters_of_a_genesis_that_leaves_the_delays_out_are_what_they_were() -> None:
    """A network keeps its id: what a genesis does not name is not in its bytes."""
    assert b"delay" not in msgspec.msgpack.encode(Parameters()).replace(b"recovery_delay_ms", b"")
    assert Parameters().value("decision_delay_ms") == DECISION_MS
    assert Parameters(decision_delay_ms=5_000).value("decision_delay_ms") == 5_000


def test_a_vote_after_the_change_of_ones_mind_stands() -> None:
    """G2: whoever approved objects, and cannot vote again."""
    world = Consortium()
    proposal, _ = world.propose(setting(fee_bps=0))
    assert world.vote(proposal, "org-0", "org-1") == ["", ""]
    assert world.vote(proposal, "org-0", approve=False) == ["governance.already_voted"]
    assert world.code(world.by("org-0", Vote(proposal, False))) == "governance.already_voted"

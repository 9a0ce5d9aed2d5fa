"""Twins: two instances of one validator under every split, or a sample; and the judge can tell a broken replica."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from consensus.engine import Effect, Execute
from consensus.messages import NULL_PROPOSAL, NewView, ViewChange
from consensus.pbft import batches, entering, leaving, new_view, ordering, view_change
from consensus.pbft.state import State
from consensus.validators import ValidatorSet
from primitives.quorum import quorum
from simulation.twins import (
    Exhaustive,
    Listed,
    Plan,
    Restart,
    Round,
    Sampled,
    Scenario,
    ScenarioError,
    Split,
    TwinsViolation,
    play,
    read_plan,
    read_scenarios,
    run,
    stage,
    write_scenarios,
)
from simulation.twins.campaign import minimize
from simulation.twins.instance import Block
from simulation.twins.laws import Laws, least_quorum
from simulation.twins.scenario import EMPTY_LOG, plain_round

WHOLE = 0b11111


KEPT = Path(__file__).with_name("twins")
"""Schedules that broke a replica once: each is one more test."""


class Slice:
    """Every `step`-th schedule of a plan."""

    def __init__(self, plan: Plan, step: int) -> None:
        self.plan = plan
        self.step = step
        self.text = f"{plan.text} every {step}"
        self.content = ""

    def __len__(self) -> int:
        return (len(self.plan) - 1) // self.step + 1

    def scenario(self, number: int) -> Scenario:
        return self.plan.scenario(number * self.step)


def test_every_schedule_of_one_round_keeps_the_laws() -> None:
    """S16: each validator in turn, every 2-way split, complete: agreement holds and the healed network decides."""
    result = run(Exhaustive(1))
    assert result.complete
    assert result.tally.schedules == 4 * 16
    assert result.violations == ()


def test_a_slice_of_all_schedules_of_three_views_keeps_the_laws() -> None:
    """S16: 193 shares no factor with the number of splits, so all of them occur in all rounds."""
    result = run(Slice(Exhaustive(3), 193))
    assert result.violations == ()
    assert result.tally.schedules == 85
    # The schedules go where they should: into several views, with equivocation that is noticed.
    assert result.tally.equivocating > 50
    assert result.tally.several_views_deciding > 30
    assert result.tally.views > 85


@pytest.mark.parametrize(
    ("plan", "equivocating"), [(Sampled(5, 120), 80), (Sampled(4, 15, replicas=5), 8), (Sampled(3, 8, replicas=7), 4)]
)
def test_sampled_schedules_keep_the_laws(plan: Sampled, equivocating: int) -> None:
    """S1-S5, S8, S14, S16, L2, L7: splits by phase, any order of arrival, old logs; n = 5 can split evenly."""
    result = run(plan)
    assert result.violations == ()
    assert result.complete
    assert result.tally.equivocating >= equivocating


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.json")), ids=lambda path: path.stem)
def test_kept_schedules_keep_the_laws(path: Path) -> None:
    """S4, S5 and whatever else was found: nothing that was wrong once is wrong again."""
    for scenario in read_scenarios(path.read_text()):
        play(scenario)


def test_a_primary_that_says_two_things_commits_one_of_them_and_is_accused() -> None:
    """S1, S16, R8: the copies of the primary of view 0 propose to different sides, which then talk to each other."""
    for split in range(1, 1 << 5, 2):
        if split >> 4:
            continue  # both copies on one side
        outcome = play(Scenario(4, (0,), (plain_round(split), plain_round(WHOLE))))
        assert outcome.decided >= 1
        assert outcome.evidence >= 1


@pytest.mark.parametrize("as_of", [EMPTY_LOG, 0, 1])
@pytest.mark.parametrize("copies", [1, 2])
def test_a_validator_with_an_old_log_breaks_nothing(as_of: int, copies: int) -> None:
    """R5, R6: one that votes without asking anyone, with what its disk held before, counts among the f."""
    masks = range(1, 1 << 3 + copies, 2)
    for first in masks:
        for second in list(masks)[:: 2 * copies - 1]:
            rounds = (plain_round(first), plain_round(second), plain_round(masks[-1]))
            play(Scenario(4, (1,), rounds, copies, restarts=(Restart(2, 1, as_of),)))


def test_schedules_do_not_depend_on_what_was_played_before() -> None:
    """The same schedule has the same events whenever it is played."""
    plan = Sampled(5, 6)
    traces: list[list[str]] = []
    for _ in range(2):
        lines: list[str] = []
        for number in range(len(plan)):
            play(plan.scenario(number), lines.append)
        traces.append(lines)
    assert traces[0] == traces[1]


# --- the judge is judged -------------------------------------------------------------------------------------------


def first_broken(plan: Plan, *laws: str) -> str:
    """Return the first of `laws` that a schedule breaks; any law where none is named."""
    for number in range(len(plan)):
        try:
            play(plan.scenario(number))
        except TwinsViolation as violation:
            law = str(violation).partition(":")[0]
            if not laws or law in laws:
                return law
    return ""


def lower_quorum(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("consensus.validators.quorum", lambda n: quorum(n) - 1)


def forget_what_was_prepared(patch: pytest.MonkeyPatch) -> None:
    """A new view begins with null proposals, and every backup agrees."""
    original = new_view.compute

    def compute(validators: ValidatorSet, changes: list[ViewChange]) -> new_view.Reissue:
        found = original(validators, changes)
        empty = tuple((sequence, NULL_PROPOSAL) for sequence, _ in found.proposals)
        return msgspec.structs.replace(found, proposals=empty)

    patch.setattr(entering, "compute", compute)


def accept_a_second_proposal(patch: pytest.MonkeyPatch) -> None:
    original = ordering.receive_pre_prepare

    def receive(state: State, message: object) -> None:
        slot = state.slots.get(message.sequence)  # type: ignore[attr-defined]  # PrePrepare
        if slot is not None and not slot.decided and slot.own_commit is None:
            slot.pre_prepare = slot.candidate = None
        original(state, message)  # type: ignore[arg-type]

    patch.setattr(ordering, "receive_pre_prepare", receive)


def accuse_the_wrong_one(patch: pytest.MonkeyPatch) -> None:
    original = State.accuse

    def accuse(self: State, first: object, second: object) -> None:
        wrong = (self.own_id + 1) % self.validators.n
        original(self, *(msgspec.structs.replace(m, replica=wrong) for m in (first, second)))  # type: ignore

    patch.setattr(State, "accuse", accuse)


def never_ask_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(view_change, "act_on_view_changes", lambda state: None)
    patch.setattr(leaving, "on_resend", lambda state: None)


def execute_out_of_order(patch: pytest.MonkeyPatch) -> None:
    def deliver(state: State) -> None:
        for sequence in sorted(state.decided):
            proposal = state.decided[sequence]
            if sequence > state.last_delivered and not batches.missing(state, proposal):
                state.last_delivered = sequence
                held = tuple(state.batches[digest] for digest in proposal.batches)
                state.emit(Execute(sequence, proposal, held))

    patch.setattr(ordering, "deliver", deliver)


def hand_over_other_batches(patch: pytest.MonkeyPatch) -> None:
    original = State.emit

    def emit(self: State, effect: Effect) -> None:
        changed = isinstance(effect, Execute) and effect.batches
        original(self, msgspec.structs.replace(effect, batches=effect.batches[1:]) if changed else effect)  # type: ignore

    patch.setattr(State, "emit", emit)


def fall_back_to_an_old_view(patch: pytest.MonkeyPatch) -> None:
    """Only a later view's primary may begin one: here any NewView that comes again begins its view again."""
    original = entering.receive_new_view

    def receive(state: State, message: NewView) -> None:
        if message.view < state.view and message.replica != state.replica_id:
            state.view = message.view
        else:
            original(state, message)

    patch.setattr(entering, "receive_new_view", receive)


def execute_differently_now_and_then(patch: pytest.MonkeyPatch) -> None:
    original = stage.next_block
    made: list[Block] = []

    def next_block(*arguments: Any) -> Block:
        made.append(original(*arguments))
        return msgspec.structs.replace(made[-1], block_hash=bytes(32)) if len(made) % 4 == 0 else made[-1]

    patch.setattr(stage, "next_block", next_block)


@pytest.mark.parametrize(
    ("break_it", "laws"),
    [
        (execute_out_of_order, ("I2",)),
        (hand_over_other_batches, ("I3",)),
        (fall_back_to_an_old_view, ("I7",)),
        (execute_differently_now_and_then, ("I9",)),
        (lower_quorum, ("I1", "I4", "I8")),
        (forget_what_was_prepared, ("I1", "I8")),
        (accept_a_second_proposal, ("I5",)),
        (accuse_the_wrong_one, ("I15",)),
        (never_ask_again, ("I14",)),
    ],
)
def test_twins_catches_a_broken_replica(
    break_it: Callable[[pytest.MonkeyPatch], None], laws: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3, S5, S6, S14, S16: a judge that finds nothing in these finds nothing at all."""
    break_it(monkeypatch)
    assert first_broken(Sampled(3, 60), *laws)


def carry_the_earliest_proposal(patch: pytest.MonkeyPatch) -> None:
    """Of two certificates for a sequence, a new view takes the one that was prepared first."""
    original = new_view.compute

    def compute(validators: ValidatorSet, changes: list[ViewChange]) -> new_view.Reissue:
        found = original(validators, changes)
        certificates = [certificate for change in changes for certificate in change.prepared]
        certificates.sort(key=lambda certificate: -certificate.pre_prepare.view)
        earliest = {c.pre_prepare.sequence: c.pre_prepare.proposal for c in certificates}
        proposals = tuple((sequence, earliest.get(sequence, NULL_PROPOSAL)) for sequence, _ in found.proposals)
        return msgspec.structs.replace(found, proposals=proposals)

    patch.setattr(entering, "compute", compute)


def vote_while_changing_views(patch: pytest.MonkeyPatch) -> None:
    """A replica that asked for the next view still counts votes of the present one, and votes there."""
    original = ordering.receive_vote

    def receive(state: State, message: object) -> None:
        changing, state.changing_view = state.changing_view, False
        try:
            original(state, message)  # type: ignore[arg-type]  # Prepare or Commit
        finally:
            state.changing_view = changing

    patch.setattr(State, "may_vote", property(lambda state: not state.silent))
    patch.setattr(ordering, "receive_vote", receive)


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        ("s04_the_later_of_two_prepared_proposals", carry_the_earliest_proposal),
        ("s05_votes_for_a_view_that_was_given_up", vote_while_changing_views),
    ],
)
def test_a_kept_schedule_still_tells_a_broken_replica(
    name: str, break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """S4, S5: these schedules were made small from what a sample found in the broken replica."""
    (scenario,) = read_scenarios((KEPT / f"{name}.json").read_text())
    break_it(monkeypatch)
    with pytest.raises(TwinsViolation, match="I8"):
        play(scenario)


def test_a_campaign_stops_at_a_violation_and_makes_it_small(monkeypatch: pytest.MonkeyPatch) -> None:
    lower_quorum(monkeypatch)
    result = run(Sampled(5, 100))
    assert result.violations
    found = result.violations[0]
    assert len(found.minimal.rounds) <= 2 < len(found.scenario.rounds)
    assert found.trace[-1].partition(":")[0] == found.violation.partition(":")[0]
    again = read_scenarios(json.dumps(found.document()["minimal"]))
    assert first_broken(Listed(again, "again"))
    monkeypatch.undo()
    assert minimize(found.minimal) == found.minimal  # a schedule that breaks nothing stays as it is
    play(found.minimal)


def test_the_judge_computes_its_own_quorum() -> None:
    """S14: 2f + 1 would not do for n = 5, 6, 8."""
    assert [least_quorum(n) for n in range(4, 12)] == [quorum(n) for n in range(4, 12)]
    assert Laws(5, (0,)).quorum == 4


# --- plans, files, campaigns ----------------------------------------------------------------------------------------


def test_an_exhaustive_plan_has_every_schedule_once() -> None:
    plan = Exhaustive(2)
    scenarios = {plan.scenario(number) for number in range(len(plan))}
    assert len(scenarios) == len(plan) == 4 * 16**2
    assert len(Exhaustive(3)) == 4 * 16**3
    assert len(Exhaustive(1, replicas=5)) == 5 * 32


def test_more_than_one_validator_is_twinned_where_more_may_be_faulty() -> None:
    """S16 with f = 2: four copies of two validators among nine instances."""
    scenario = Scenario(7, (4, 2), (plain_round(0b110011011), plain_round(0b001110101)))
    assert scenario.instances == 9
    assert [scenario.validator(instance) for instance in (6, 7, 8)] == [6, 4, 2]
    assert play(scenario).decided >= 1
    plan = Sampled(2, 40, replicas=7)
    assert {len(plan.scenario(number).twinned) for number in range(len(plan))} == {1, 2}


def test_scenarios_survive_a_file() -> None:
    plan = Sampled(5, 50)
    scenarios = tuple(plan.scenario(number) for number in range(len(plan)))
    assert read_scenarios(write_scenarios(scenarios)) == scenarios
    assert any(scenario.restarts for scenario in scenarios)
    assert any(not round_.plain for scenario in scenarios for round_ in scenario.rounds)


def test_the_example_of_the_guide_can_be_played() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "twins.md").read_text()
    (scenario,) = read_scenarios(guide.partition("```json\n")[2].partition("```")[0])
    assert play(scenario).evidence


def test_either_side_of_a_split_may_be_written() -> None:
    text = '{"format": "guildmark-twins", "version": 1, "scenarios": [{"replicas": 4, "twinned": [2], "rounds": [%s]}]}'
    (left,), (right,) = (read_scenarios(text % f'{{"all": {side}}}') for side in ("[0, 2]", "[1, 3, 4]"))
    assert left == right == Scenario(4, (2,), (plain_round(0b101),))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "other"}, "format"),
        ({"version": 2}, "version 2"),
        ({"more": 1}, "more"),
        ({"scenarios": [{"replicas": 3, "twinned": [0], "rounds": [{"all": [0]}]}]}, "replicas is 3"),
        ({"scenarios": [{"replicas": 4, "twinned": [4], "rounds": [{"all": [0]}]}]}, "no validator 4"),
        ({"scenarios": [{"replicas": 4, "twinned": [0], "rounds": []}]}, "0 rounds"),
        ({"scenarios": [{"replicas": 4, "twinned": [0, 1], "rounds": [{"all": [0]}]}]}, "allowed are 1 to 1"),
        ({"scenarios": [{"replicas": 7, "twinned": [2, 2], "rounds": [{"all": [0]}]}]}, "twice"),
        ({"scenarios": [{"replicas": 4, "twinned": [0], "rounds": [{"all": [5]}]}]}, "none"),
        ({"scenarios": [{"replicas": 4, "twinned": [0], "rounds": [{"all": [1, 1]}]}]}, "twice"),
        ({"scenarios": [{"replicas": 4, "twinned": [0], "rounds": [{"all": [0], "order": [1]}]}]}, "not both"),
        (
            {
                "scenarios": [
                    {
                        "replicas": 4,
                        "twinned": [0],
                        "rounds": [{"all": [0]}, {"all": [0]}],
                        "restarts": [{"round": 1, "instance": 1, "as_of": 0}],
                    }
                ]
            },
            "only twinned",
        ),
    ],
)
def test_a_file_that_holds_no_scenarios_is_refused_with_the_reason(change: dict[str, object], words: str) -> None:
    document = {"format": "guildmark-twins", "version": 1, "scenarios": [], **change}
    with pytest.raises(ScenarioError, match=words):
        read_scenarios(json.dumps(document))


def test_a_plan_is_read_from_text(tmp_path: Path) -> None:
    for text in ("exhaustive:3", "exhaustive:1:n=5", "sampled:5:100", "sampled:5:100:seed=7:n=7"):
        assert read_plan(text).text == text
    file = tmp_path / "one.json"
    file.write_text(write_scenarios([Scenario(4, (3,), (plain_round(1),))]))
    assert read_plan(str(file)).scenario(0).twinned == (3,)
    for text in ("exhaustive", "exhaustive:x", "exhaustive:9", "sampled:5", "sampled:5:9:x=1", str(tmp_path / "none")):
        with pytest.raises(ScenarioError):
            read_plan(text)


def test_a_campaign_goes_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulation.twins.campaign.CHUNK", 8)
    plan = Sampled(1, 20)
    whole = run(plan)
    state = tmp_path / "state.jsonl"

    class Stopped(Exception):
        pass

    def stop(played: int, planned: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        run(plan, state=state, progress=stop)
    with state.open("ab") as file:
        file.write(b'{"chunk": 1, "ta')  # the machine stopped while writing
    seen: list[int] = []
    rest = run(plan, state=state, progress=lambda played, planned: seen.append(played))
    assert seen == [16, 20]
    assert rest.tally == whole.tally
    assert run(plan, state=state).tally == whole.tally
    with pytest.raises(ScenarioError, match="belongs to"):
        run(Sampled(1, 21), state=state)
    state.write_bytes(state.read_bytes() + b"nonsense\n")
    with pytest.raises(ScenarioError, match="no state"):
        run(plan, state=state)


def test_several_workers_find_what_one_finds() -> None:
    plan = Sampled(1, 70, seed=3)
    assert run(plan, workers=2).tally == run(plan).tally


def test_a_round_by_phases_lets_some_commit_what_others_only_prepared() -> None:
    """S5: commits reach one side only; the next views carry what was decided there."""
    whole = Split(WHOLE)
    commit_alone = Round(whole, whole, whole, Split(0b00011), whole)
    for twinned in range(4):
        play(Scenario(4, (twinned,), (commit_alone, plain_round(0b01101), plain_round(0b10011), plain_round(0b11101))))

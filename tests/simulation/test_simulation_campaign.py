"""The campaign around the seeds: what is done stays done, what fails is made shorter, and the command says so."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from guildmark.cli.main import run as guildmark
from guildmark.cli.simulate import simulate
from simulation import campaign, invariants
from simulation.campaign import CampaignMismatch, run_campaign, run_seed
from simulation.faults import Fault, FaultKind, Plan, Planner, Round
from simulation.hostile import Options, Run, replay, run_hostile
from simulation.shrink import shrink


def test_a_plan_replays_its_run_byte_for_byte() -> None:
    run = Run(5, 4)
    result = run.finish()
    plan = run.plan()
    assert result.trace == replay(plan).trace
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_plans_follow_from_the_seed_and_the_size_alone() -> None:
    def rounds(seed: int, n: int) -> list[Round]:
        planner = Planner(seed, n, "hostile")
        return [planner.next_round() for _ in range(50)]

    assert rounds(1, 4) == rounds(1, 4)
    assert len({tuple(rounds(seed, n)) for seed in (1, 2) for n in (4, 7)}) == 4


def test_a_failure_shrinks_to_what_it_needs() -> None:
    """Fails while a crash of node 2 comes before any heal, and member 3 lies."""
    planner = Planner(0, 7, "hostile")
    rounds = [planner.next_round() for _ in range(40)]
    needed = [Round(5, (Fault("heal"), Fault("crash", 2))), Round(7, (Fault("slow"), Fault("heal")))]
    plan = Plan(0, 7, "hostile", (*rounds[:20], needed[0], *rounds[20:], needed[1]), byzantine=(1, 3))

    def fails(shorter: Plan) -> bool:
        faults = [fault for round_ in shorter.rounds for fault in round_.faults]
        crashes = [at for at, fault in enumerate(faults) if fault == Fault("crash", 2)]
        return bool(crashes) and 3 in shorter.byzantine and Fault("heal") in faults[crashes[0] :]

    shortest = shrink(plan, fails, replays_max=500)
    assert [fault for round_ in shortest.rounds for fault in round_.faults] == [Fault("crash", 2), Fault("heal")]
    assert shortest.byzantine == (3,)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that a seed breaks sooner or later: nobody may ever be at block 7."""
    original = invariants.Invariants.after_event

    def never_seven(self: invariants.Invariants) -> None:
        original(self)
        if self.agreed_height == 7:
            raise invariants.InvariantViolated("I0: somebody is at block 7")

    monkeypatch.setattr(invariants.Invariants, "after_event", never_seven)


@pytest.mark.usefixtures("broken")
def test_a_broken_law_is_kept_with_its_shortest_plan() -> None:
    outcome = run_seed(3, 4, replays_max=30)
    assert outcome.violation is not None
    assert outcome.violation.law == "I0: somebody is at block 7"
    assert outcome.violation.faults <= 2, "it takes none to get there"
    assert any(" executed " in line for line in outcome.violation.trace)
    with pytest.raises(invariants.InvariantViolated, match="I0"):
        replay(outcome.violation.plan)


@pytest.mark.usefixtures("broken")
def test_the_command_exits_with_1_and_says_how_to_repeat(tmp_path: Path) -> None:
    arguments = ["--seeds", "3:4", "--workers", "1", "--failures", str(tmp_path), "--json"]
    outcome = CliRunner().invoke(simulate, arguments, standalone_mode=False)
    assert outcome.return_value == 1
    assert json.loads(outcome.stdout)["violations"] == 1
    kept = tmp_path / "n4-seed3.json"
    assert f"--replay {kept}" in outcome.stderr
    again = CliRunner().invoke(simulate, ["--replay", str(kept), "--json"], standalone_mode=False)
    assert again.return_value == 1
    assert json.loads(again.stdout)["violation"].startswith("I0")


def test_the_command_prints_what_was_promised(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "--replicas", "4", "--seeds", "7:8", "--profile", "lan", "--workers", "1", "--json"]
    assert guildmark(arguments) == 0
    shown = json.loads(capsys.readouterr().out)
    for name in (
        "seeds",
        "violations",
        "simulated_seconds",
        "messages",
        "view_changes",
        "faults",
        "seeds_per_second",
    ):
        assert shown[name] >= 0, name
    assert (shown["seeds"], shown["violations"]) == (1, 0)


@pytest.mark.parametrize("seeds", ["5:5", "-1:3", "a:b", "7:3"])
def test_seeds_must_be_a_range(seeds: str) -> None:
    assert guildmark(["simulate", "--seeds", seeds]) == 2


def test_a_replay_of_a_seed_shows_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert guildmark(["simulate", "--replay", "9", "--profile", "lan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2] == f"trace {run_hostile(9, 4, Options(profile='lan')).trace}"


def test_a_campaign_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state.jsonl"
    options = Options(profile="lan")
    first = run_campaign([4], range(2), options, workers=1, state=state)
    state.write_bytes(state.read_bytes()[:-20])  # interrupted while it wrote
    ran: list[int] = []
    work = campaign.run_seed

    def counted(seed: int, n: int, options: Options) -> campaign.Outcome:
        ran.append(seed)
        return work(seed, n, options)

    monkeypatch.setattr(campaign, "run_seed", counted)
    second = run_campaign([4], range(3), options, workers=1, state=state)
    assert len(ran) == 2
    assert 2 in ran
    assert (first.seeds, second.seeds) == (2, 3)
    third = run_campaign([4], range(3), options, workers=1, state=state)
    assert len(ran) == 2
    assert (third.decided, third.messages) == (second.decided, second.messages)
    with pytest.raises(CampaignMismatch):
        run_campaign([4], range(3), Options(), workers=1, state=state)


def test_workers_change_nothing_but_the_time() -> None:
    options = Options(profile="lan")
    alone = run_campaign([4], range(4), options, workers=1)
    together = run_campaign([4], range(4), options, workers=2)
    assert (alone.decided, alone.messages) == (together.decided, together.messages)


@pytest.mark.parametrize("kind", ["crash", "disk-full", "disk-error"])
def test_nothing_of_a_run_outlives_it(kind: FaultKind) -> None:
    """I13: a campaign of thousands of seeds takes the memory of one, whatever befell the disks."""
    rounds = (Round(200, (Fault("crash", 1),)), Round(200, (Fault("restart", 1),)), Round(200, (Fault(kind, 1),)))
    plan = Plan(3, 4, "hostile", rounds)
    run = Run(plan.seed, plan.n, plan=plan)
    assert run.finish().faults[kind] >= 1
    cluster = weakref.ref(run.cluster)
    del run
    gc.collect()
    assert cluster() is None

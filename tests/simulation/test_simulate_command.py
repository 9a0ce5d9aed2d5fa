"""`guildmark simulate` in clumsy hands: what is wrong is said, no foreign file is touched, and it stops when told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from guildmark.cli.main import run as guildmark
from simulation import campaign
from simulation.faults import Plan, PlanError, read_plan
from simulation.hostile import Options
from simulation.twins import ScenarioError
from simulation.twins import read_plan as read_twins
from simulation.twins.campaign import run as play_all
from simulation.twins.scenario import write_scenarios

PLAN: dict[str, Any] = {"seed": 1, "n": 4, "profile": "hostile", "rounds": [{"duration_ms": 10}]}


def with_fault(**fault: object) -> dict[str, Any]:
    return PLAN | {"rounds": [{"duration_ms": 10, "faults": [{"kind": "crash"} | fault]}]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (PLAN | {"n": 0}, "n"),
        (PLAN | {"n": 129}, "n"),
        (PLAN | {"seed": -1}, "seed"),
        (PLAN | {"rouns": []}, "rouns"),
        (PLAN | {"byzantine": [4]}, "byzantine"),
        (PLAN | {"byzantine": [1, 1]}, "byzantine"),
        (PLAN | {"rounds": [{"duration_ms": -1}]}, "duration_ms"),
        (PLAN | {"rounds": [{"duration_ms": 10**12}]}, "duration_ms"),
        (with_fault(node=4), "rounds\\[0\\].faults\\[0\\]"),
        (with_fault(other=-1), "rounds\\[0\\].faults\\[0\\]"),
        (with_fault(amount=-1), "amount"),
        (with_fault(kind="skew", amount=10**12), "amount"),
        (with_fault(nodes=1), "nodes"),
    ],
)
def test_a_plan_that_no_run_can_follow_is_refused(changed: dict[str, Any], said: str) -> None:
    """Rather than run without what was mistyped, or be called a broken law."""
    assert read_plan(json.dumps(PLAN).encode()) == msgspec.convert(PLAN, Plan)
    with pytest.raises(PlanError, match=said):
        read_plan(json.dumps(changed).encode())


@pytest.mark.parametrize(
    "arguments",
    [
        ["--replay", ""],
        ["--replay", "no-such-file"],
        ["--replay", "."],
        ["--replay", "1" * 200],
        ["--replay", "3", "--replicas", "4", "--replicas", "7"],
        ["--replay", "3", "--twins", "sampled:1:1"],
        ["--twins", ""],
        ["--twins", "exhaustive:60"],
        ["--twins", "exhaustive:3:n=64"],
        ["--twins", "exhaustive:1:n=3"],
        ["--twins", "sampled:5:10:n=3"],
        ["--twins", "sampled:5:10:n=129"],
        ["--twins", "sampled:65:10"],
        ["--twins", "sampled:1:1:n=7", "--replicas", "4"],
        ["--twins", "sampled:1:1", "--replicas", "4", "--replicas", "7"],
        ["--twins", "sampled:1:1", "--replicas", "3"],
        ["--twins", "sampled:1:1", "--state", "no/such/directory.jsonl"],
        ["--seeds", "0:1", "--state", "no/such/directory.jsonl"],
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """2, for 1 would say that a law was broken."""
    assert guildmark(["simulate", *arguments]) == 2
    assert capsys.readouterr().err


def test_twins_are_played_at_the_size_that_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["simulate", "--twins", "sampled:1:2", "--replicas", "7", "--seeds", "0:9", "--json"]
    assert guildmark(arguments) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["plan"] == "sampled:1:2:n=7"
    assert "--seeds: without effect" in shown.err


@pytest.mark.parametrize("which", [["--seeds", "0:1"], ["--twins", "sampled:1:1"]])
@pytest.mark.parametrize("content", [b"precious", b"one\nprecious", b"{}\n", b"[1]\nprecious", b"\xff\xfe\n\x00"])
def test_a_foreign_file_is_no_state_and_stays_as_it_is(tmp_path: Path, which: list[str], content: bytes) -> None:
    path = tmp_path / "thesis.tex"
    path.write_bytes(content)
    assert guildmark(["simulate", *which, "--state", str(path)]) == 2
    assert path.read_bytes() == content


def test_a_state_of_seeds_is_none_of_twins_and_the_reverse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twins = ["simulate", "--twins", "sampled:1:1", "--state", str(tmp_path / "twins.jsonl")]
    seeds = ["simulate", "--seeds", "0:1", "--profile", "lan", "--state", str(tmp_path / "seeds.jsonl")]
    (tmp_path / "seeds.jsonl").touch()  # an empty file is a new one
    assert (guildmark(twins), guildmark(seeds)) == (0, 0)
    assert guildmark([*twins[:-1], seeds[-1]]) == 2
    assert guildmark([*seeds[:-1], twins[-1]]) == 2
    assert "something else" in capsys.readouterr().err


def test_twins_of_another_program_or_of_a_changed_file_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, file = tmp_path / "state.jsonl", tmp_path / "found.json"
    file.write_text(write_scenarios([read_twins("exhaustive:1").scenario(3)]))
    play_all(read_twins(str(file)), state=state)
    file.write_text(write_scenarios([read_twins("exhaustive:1").scenario(4)]))
    with pytest.raises(ScenarioError, match="file of schedules"):
        play_all(read_twins(str(file)), state=state)
    file.write_text(write_scenarios([read_twins("exhaustive:1").scenario(3)]))
    play_all(read_twins(str(file)), state=state)
    monkeypatch.setattr("simulation.twins.campaign.source_digest", lambda: "another")
    with pytest.raises(ScenarioError, match="program"):
        play_all(read_twins(str(file)), state=state)


def test_a_failure_that_cannot_be_kept_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = msgspec.convert(PLAN, Plan)

    def fail(seed: int, n: int, options: Options) -> campaign.Outcome:
        return campaign.Outcome(violation=campaign.Violation(seed, n, "I0: broken", plan, 0, []))

    monkeypatch.setattr(campaign, "run_seed", fail)
    (tmp_path / "file").touch()
    arguments = ["simulate", "--seeds", "1:2", "--workers", "1", "--failures", str(tmp_path / "file" / "below")]
    assert guildmark(arguments) == 1
    printed = capsys.readouterr().err.partition("(Not a directory): ")[2]
    assert read_plan(printed.encode()) == plan


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("which", [["--seeds", "0:1"], ["--twins", "sampled:1:1"]])
def test_a_disk_that_is_full_is_named(which: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert guildmark(["simulate", *which, "--profile", "lan", "--state", "/dev/full"]) == 1
    assert "error: /dev/full: No space left" in capsys.readouterr().err


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize(("signal_sent", "ends_with"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_nothing_runs_on_when_a_campaign_is_stopped(tmp_path: Path, signal_sent: int, ends_with: int) -> None:
    """Runs of 64 replicas take minutes, so whoever waited for one would not end in time."""
    state = tmp_path / "state.jsonl"
    command = ["simulate", "--seeds", "0:50", "--replicas", "64", "--workers", "2", "--state", str(state)]
    process = subprocess.Popen(
        [sys.executable, "-m", "guildmark.cli.main", *command], stderr=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        deadline = time.monotonic() + 60
        while len(workers := [pid for pid in descendants(process.pid) if busy(pid)]) < 2:
            assert time.monotonic() < deadline, "no two workers"
            time.sleep(0.05)
        process.send_signal(signal_sent)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == ends_with
    assert "Traceback" not in said
    if signal_sent == signal.SIGINT:
        assert str(state) in said
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline, "a worker is left"
        time.sleep(0.05)


def busy(pid: int) -> bool:
    """Whether a worker has computed for two seconds, which is more than it takes to begin."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    ticks = int(fields[11]) + int(fields[12])
    return b"spawn_main" in command and ticks > 2 * os.sysconf("SC_CLK_TCK")

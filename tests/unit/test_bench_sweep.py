"""Sweeps: which runs follow from a description, what is done again, and that no failure is lost."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from bench_kit import result

from benchmarks.errors import BenchError
from benchmarks.results.reading import read_all
from benchmarks.results.schema import Configuration, write
from benchmarks.sweeps.fanout import LocalFanout, Program
from benchmarks.sweeps.job import Job
from benchmarks.sweeps.specification import (
    Specification,
    cells,
    configure,
    read_configuration,
    read_specification,
)
from benchmarks.sweeps.store import Row, Store
from benchmarks.sweeps.sweep import TABLE, may_run_side_by_side, run_sweep

RUNNER = "bench_kit:run"
SHORT = {"duration_s": 3.0, "rate": 100}


def sweep(specification: Specification, directory: Path, *, workers: int = 1, retry: bool = False) -> tuple[Row, ...]:
    with LocalFanout(workers) as fanout:
        return run_sweep(cells(specification), Store(directory), fanout, retry_failed=retry, runner=RUNNER)


def runs_made(row: Row, directory: Path) -> int:
    return len(list((directory / row.cell.name / "run").glob("ran-*")))


def test_cells_are_the_cross_product_for_each_seed_and_repetition() -> None:
    made = cells(
        Specification({"workload": "licenses"}, {"validators": (4, 7), "rate": (10, "saturate")}, (3, 4), repetitions=2)
    )
    assert len(made) == len({cell.name for cell in made}) == 16
    asked = {(c.configuration.validators, c.configuration.rate, c.configuration.seed, c.repetition) for c in made}
    assert asked == {(n, rate, s, r) for n in (4, 7) for rate in (10.0, "saturate") for s in (3, 4) for r in (1, 2)}
    assert {cell.configuration.workload for cell in made} == {"licenses"}


def test_names_depend_on_the_configuration_and_not_on_the_files_order() -> None:
    one = cells(
        Specification(
            {},
            {
                "validators": (
                    4,
                    7,
                ),
                "rate": (10,),
            },
        )
    )
    other = cells(Specification({}, {"rate": (10,), "validators": (7, 4)}))
    assert {cell.name for cell in one} == {cell.name for cell in other}
    longer = cells(
        Specification(
            {"duration_s": 5},
            {
                "validators": (
                    4,
                    7,
                ),
                "rate": (10,),
            },
        )
    )
    assert not {cell.name for cell in one} & {cell.name for cell in longer}
    # Fields that later revisions add leave the names of earlier results alone.
    (plain,) = cells(Specification({"batch_submit": 100}))
    assert plain.name == "seed-1_run-1_" + hashlib.sha256(b"{}").hexdigest()[:8]


def test_dotted_parameters_go_into_the_tables_of_node_and_genesis() -> None:
    made = configure({"node": {"consensus": {"a": 1}}}, {"node.consensus.b": 2, "genesis.block_bytes_max": 5})
    assert made.node == {"consensus": {"a": 1, "b": 2}}
    assert made.genesis == {"block_bytes_max": 5}


def test_requests_are_filled_as_the_rate_allows_unless_told() -> None:
    rates = (1, 100, 1_000, 9_000, "saturate")
    assert [cell.configuration.batch_submit for cell in cells(Specification({}, {"rate": rates}))] == [
        1,
        5,
        50,
        100,
        100,
    ]
    assert cells(Specification({"workload": "opaque"}))[0].configuration.outstanding == 40_000
    assert cells(Specification({"outstanding": 9}))[0].configuration.outstanding == 9
    assert cells(Specification({"batch_submit": 7, "rate": 100}))[0].configuration.batch_submit == 7


@pytest.mark.parametrize(
    ("specification", "said"),
    [
        (Specification({"seed": 4}), "seeds are listed"),
        (Specification(repetitions=0), "at least one"),
        (Specification(seeds=()), "at least one"),
        (Specification({}, {"rate": ()}), "no values for rate"),
        (Specification({}, {"validator": (4,)}), "validator"),
        (Specification({}, {"workload.size": (4,)}), "workload.size"),
        (Specification({}, {"rate": ("fast",)}), "rate"),
        (Specification(seeds=tuple(range(10_001))), "10001 runs"),
    ],
)
def test_a_description_that_means_nothing_is_refused(specification: Specification, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        cells(specification)


def test_files_are_read_and_unknown_words_in_them_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.toml"
    path.write_text('repetitions = 2\n[base]\nduration_s = 1\n[parameters]\nvalidators = [4]\n"genesis.x" = [1, 2]\n')
    assert len(cells(read_specification(path))) == 4
    path.write_text("repetition = 2\n")
    with pytest.raises(BenchError, match="repetition"):
        read_specification(path)
    path.write_text("[base\n")
    with pytest.raises(BenchError, match=r"sweep\.toml"):
        read_specification(path)
    path.write_text('rate = 500\n[program]\ncheckout = "elsewhere"\n')
    configuration, program = read_configuration(path)
    assert (configuration.rate, program) == (500.0, {"checkout": "elsewhere"})


def test_every_cell_has_its_result_and_nothing_runs_twice(tmp_path: Path) -> None:
    specification = Specification(
        SHORT,
        {
            "validators": (
                4,
                7,
            )
        },
        repetitions=2,
    )
    rows = sweep(specification, tmp_path, workers=2)
    assert [row.state for row in rows] == ["done"] * 4
    assert [runs_made(row, tmp_path) for row in rows] == [1] * 4
    again = sweep(specification, tmp_path)
    assert [row.result for row in again] == [row.result for row in rows]
    assert [runs_made(row, tmp_path) for row in again] == [1] * 4
    assert len(read_all([tmp_path])) == 4


def test_a_larger_sweep_runs_only_what_is_new(tmp_path: Path) -> None:
    first = sweep(Specification(SHORT, {"validators": (4,)}), tmp_path)
    rows = sweep(
        Specification(
            SHORT,
            {
                "validators": (
                    4,
                    7,
                )
            },
        ),
        tmp_path,
    )
    assert first[0].cell.name == rows[0].cell.name
    assert [runs_made(row, tmp_path) for row in rows] == [1, 1]


@pytest.mark.parametrize(
    ("seed", "state", "reason"),
    [
        (900, "failed", "there are no accounts [run.refused]"),
        (901, "failed", "signal 9"),
        (902, "failed", "ValueError: a bug [run.crashed]"),
        (903, "invalid", "the generator missed its rate"),
    ],
)
def test_whatever_a_run_dies_of_is_in_the_table(tmp_path: Path, seed: int, state: str, reason: str) -> None:
    specification = Specification(SHORT, {}, (seed, 1))
    rows = sweep(specification, tmp_path)
    assert [row.state for row in rows] == [state, "done"]
    assert reason in rows[0].reason
    with (tmp_path / TABLE).open() as stream:
        table = list(csv.DictReader(stream))
    assert [line["state"] for line in table] == [state, "done"]
    assert reason in table[0]["reason"]
    assert (table[0]["p50_us"] == "") == (state == "failed")
    # It is shown again, and not run again unless that is asked for.
    (tmp_path / rows[0].cell.name / "trace").touch()
    assert [row.reason for row in sweep(specification, tmp_path)] == [rows[0].reason, ""]
    assert (tmp_path / rows[0].cell.name / "trace").exists()
    sweep(specification, tmp_path, retry=True)
    assert not (tmp_path / rows[0].cell.name / "trace").exists()


def test_what_an_interrupted_run_left_is_removed_and_the_run_made_again(tmp_path: Path) -> None:
    specification = Specification(SHORT)
    (cell,) = cells(specification)
    left = tmp_path / cell.name
    left.mkdir()
    (left / "half-written").touch()
    (tmp_path / f"{cell.name}.partial").write_bytes(b'{"format": 1')
    (row,) = sweep(specification, tmp_path)
    assert row.state == "done"
    assert not (left / "half-written").exists()


def test_a_result_of_another_configuration_is_not_taken(tmp_path: Path) -> None:
    (cell,) = cells(Specification(SHORT))
    (tmp_path / f"{cell.name}.json").write_bytes(write(result(Configuration(seed=77))))
    with pytest.raises(BenchError, match="another configuration"):
        sweep(Specification(SHORT), tmp_path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_no_run_outlives_its_sweep(tmp_path: Path, how: signal.Signals) -> None:
    code = f"""
from pathlib import Path
from benchmarks.results.schema import Configuration
from benchmarks.sweeps.fanout import LocalFanout
from benchmarks.sweeps.job import Job
with LocalFanout() as fanout:
    fanout.submit(Job("waits", Configuration(seed=904), {str(tmp_path)!r}, {RUNNER!r}))
    list(fanout.outcomes())
"""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    sweeping = subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL
    )
    pid = tmp_path / "run" / "pid"
    until(pid.exists)
    sweeping.send_signal(how)
    sweeping.wait(60)
    until(lambda: ended(pid.read_text()))


def ended(pid: str) -> bool:
    """Whether a process is gone, or waits for nothing but somebody to ask for its exit code."""
    try:
        return "State:\tZ" in Path("/proc", pid, "status").read_text()
    except OSError:
        return True


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_another_checkout_runs_its_own_code(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no checkout"):
        Program(checkout=str(tmp_path))
    with pytest.raises(BenchError, match="no interpreter"):
        Program(python="python-of-nowhere")
    sweeps = tmp_path / "benchmarks" / "sweeps"
    sweeps.mkdir(parents=True)
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (sweeps / "__init__.py").touch()
    (sweeps / "job.py").write_text("raise SystemExit('the other checkout')\n")
    with LocalFanout(program=Program(checkout=str(tmp_path))) as fanout:
        fanout.submit(Job("one", Configuration(), str(tmp_path / "one")))
        (outcome,) = fanout.outcomes()
    assert outcome.code == "run.died"
    assert "the other checkout" in outcome.message


def test_another_revision_is_told_only_what_was_chosen(tmp_path: Path) -> None:
    (tmp_path / "benchmarks" / "sweeps").mkdir(parents=True)
    (tmp_path / "benchmarks" / "sweeps" / "job.py").touch()
    job = Job("one", Configuration(rate=500, node={"batching": {"a": 1}}), "somewhere")
    told = msgspec.json.decode(Program(checkout=str(tmp_path)).describe(job))
    assert told["configuration"] == {"rate": 500, "node": {"batching": {"a": 1}}}
    assert msgspec.convert(told, Job) == job == msgspec.json.decode(Program().describe(job), type=Job)


def test_only_virtual_time_may_share_a_machine() -> None:
    assert may_run_side_by_side(cells(Specification({"kind": "simulated"})))
    assert not may_run_side_by_side(cells(Specification({}, {"kind": ("simulated", "real")})))


@pytest.mark.xdist_group("ray")
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs guildmark[ray]")
def test_a_ray_cluster_does_the_same_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.sweeps.ray_fanout import RayFanout

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    before = dict(os.environ)
    specification = Specification(SHORT | {"kind": "simulated"}, {}, (1, 900, 901, 902, 2))
    with RayFanout("local", share=True, workers=1) as fanout:
        rows = run_sweep(cells(specification), Store(tmp_path), fanout, runner=RUNNER)
    assert [row.state for row in rows] == ["done", "failed", "failed", "failed", "done"]
    reasons = [row.reason for row in rows]
    assert reasons[1] == "there are no accounts [run.refused]"
    assert "run.died" in reasons[2]
    assert reasons[3] == "ValueError: a bug [run.crashed]"
    assert rows[0].result == msgspec.structs.replace(result(rows[0].cell.configuration, rate=100.0))
    assert dict(os.environ) == before


def test_ray_that_is_not_there_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.sweeps.ray_fanout import RayFanout

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BenchError, match=r"guildmark\[ray\]"):
        RayFanout("local", share=False)

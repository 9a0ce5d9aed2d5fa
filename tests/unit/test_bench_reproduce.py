"""Repetitions and the gate: what is judged, with which tolerance, and what is only shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from bench_kit import MACHINE, result

from benchmarks.errors import BenchError
from benchmarks.gate import __main__ as gate
from benchmarks.gate.judging import CONFIGURATION, judge, make_baseline, read_baseline
from benchmarks.reproduction.reproducing import lines, machine_facts, reproduce
from benchmarks.results.reading import Stored
from benchmarks.results.schema import Configuration, Result

CONFIG = msgspec.convert({"duration_s": 5.0, "rate": 1_000, "seed": 7}, Configuration)


def again(**figures: float) -> tuple[Result, Result]:
    return result(CONFIG), result(CONFIG, **figures)  # type: ignore[arg-type]


def verdicts(then: Result, now: Result) -> dict[tuple[str, str], bool | None]:
    return {(line.figure, line.unit): line.agrees for line in lines(then, now)}


def test_the_same_configuration_and_seed_run_again(tmp_path: Path) -> None:
    asked: list[tuple[Configuration, Path]] = []

    def run(configuration: Configuration, directory: Path, _: Callable[[str], None]) -> Result:
        asked.append((configuration, directory))
        return result(configuration)

    made = reproduce(Stored(Path("a.json"), result(CONFIG)), tmp_path, lambda _: None, run)
    assert asked == [(CONFIG, tmp_path)]
    assert made.agrees
    assert all(line.ratio == 1 for line in made.lines)


def test_a_slower_machine_agrees_and_a_costlier_program_does_not() -> None:
    slower = verdicts(*again(verify_us=80, cpu_us=300, rate=500, p50_us=40_000))
    assert slower["utilization", ""] is True
    assert slower["CPU per transaction and node", "checks"] is True
    costlier = verdicts(*again(cpu_us=200))
    assert costlier["CPU per transaction and node", "checks"] is False
    cheaper = verdicts(*again(cpu_us=100))
    assert cheaper["CPU per transaction and node", "checks"] is False


def test_times_are_shown_and_not_judged() -> None:
    found = verdicts(*again(p50_us=90_000))
    assert found["median latency", "ms"] is None
    assert found["median latency", "checks"] is None
    assert False not in found.values()


def test_a_simulation_must_give_the_same_again() -> None:
    simulated = msgspec.structs.replace(CONFIG, kind="simulated")
    assert set(verdicts(result(simulated), result(simulated)).values()) == {True}
    assert False in verdicts(result(simulated), result(simulated, p50_us=20_100)).values()


def test_a_new_run_that_does_not_count_does_not_agree(tmp_path: Path) -> None:
    bad = result(CONFIG, errors=("it missed its rate",))
    made = reproduce(Stored(Path("a.json"), result(CONFIG)), tmp_path, lambda _: None, lambda *_: bad)
    assert not made.agrees
    assert made.errors == ("it missed its rate",)


def test_what_differs_in_the_machine_is_named() -> None:
    other = msgspec.structs.replace(MACHINE, cores=8, packages={"pynacl": "1.6.3"})
    found = machine_facts(result(CONFIG), result(CONFIG, machine=other, verify_us=50))
    assert found == (
        ("cores", "2", "8"),
        ("package pynacl", "1.6.2", "1.6.3"),
        ("signature check", "40.0 us", "50.0 us"),
    )


def baseline_file(tmp_path: Path, **figures: float) -> Path:
    path = tmp_path / "baseline.json"
    path.write_bytes(msgspec.json.encode(make_baseline([result(CONFIG, **figures)])))  # type: ignore[arg-type]
    return path


def gate_with(path: Path, *results: Result) -> int:
    waiting = list(results)
    code = gate.main(["--baseline", str(path)], lambda *_: waiting.pop(0))
    assert not waiting
    return code


def test_the_gate_lets_pass_what_is_within_the_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = baseline_file(tmp_path)
    assert gate_with(path, result(CONFIG, cpu_us=190, rate=800)) == 0
    assert "utilization" in capsys.readouterr().out
    # Times of a slower machine are no regression.
    assert gate_with(path, result(CONFIG, verify_us=80, cpu_us=300, rate=500, p50_us=90_000)) == 0


def test_the_gate_stops_what_costs_too_much_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = baseline_file(tmp_path)
    costly, fine = result(CONFIG, cpu_us=230), result(CONFIG)
    assert gate_with(path, costly, costly) == 1
    assert "TOO FAR" in capsys.readouterr().out
    assert gate_with(path, costly, fine) == 0
    assert gate_with(path, result(CONFIG, rate=600), result(CONFIG, rate=600)) == 1


def test_utilization_is_judged_on_as_many_cores_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = msgspec.structs.replace(MACHINE, cores=64)
    assert gate_with(baseline_file(tmp_path), result(CONFIG, machine=many)) == 0
    assert "other number of cores" in capsys.readouterr().out


def test_runs_that_do_not_count_make_no_baseline_and_pass_no_gate(tmp_path: Path) -> None:
    bad = result(CONFIG, errors=("it missed its rate",))
    with pytest.raises(BenchError, match="missed its rate"):
        make_baseline([result(CONFIG), bad])
    with pytest.raises(BenchError, match="missed its rate"):
        judge(make_baseline([result(CONFIG)]), bad)
    assert gate_with(baseline_file(tmp_path), bad, bad) == 1
    assert gate_with(baseline_file(tmp_path), bad, result(CONFIG)) == 0


def test_a_baseline_is_the_median_of_its_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new.json"
    runs = [result(CONFIGURATION, rate=rate) for rate in (900, 1_000, 5_000)]
    assert gate.main(["--record", "--runs", "3", "--baseline", str(path)], lambda *_: runs.pop()) == 0
    made = read_baseline(path)
    assert (made.runs, made.configuration) == (3, CONFIGURATION)
    assert made.figures["utilization"] == pytest.approx(1_000 * 4 * 40 / 2e6)
    assert gate.main(["--baseline", str(tmp_path / "none.json")], lambda *_: runs.pop()) == 1
    assert "record one" in capsys.readouterr().err

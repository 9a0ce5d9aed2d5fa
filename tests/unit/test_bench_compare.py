"""Comparisons: no difference unless the runs show one, and runs that take turns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from bench_kit import MACHINE, result

from benchmarks.comparison.comparing import Side, compare, read_side, read_variant, run_sides
from benchmarks.comparison.figures import cpu_us
from benchmarks.comparison.statistics import RUNS_MIN, judge
from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration, write

TRIALS = 200
RUNS = 8

Draw = Callable[[np.random.Generator], "np.ndarray[tuple[int, int], np.dtype[np.float64]]"]


def drifting(rng: np.random.Generator) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """The machine becomes a third slower while A and B take turns."""
    times = np.linspace(0, 0.3, 2 * RUNS)
    return np.exp(rng.normal(0, 0.03, 2 * RUNS) + times).reshape(RUNS, 2).T


SAME = {
    "even": lambda rng: np.exp(rng.normal(0, 0.05, (2, RUNS))),
    "skewed": lambda rng: 1 + rng.exponential(0.1, (2, RUNS)),
    "heavy-tailed": lambda rng: np.exp(0.05 * rng.standard_t(2, (2, RUNS))),
    "with outliers": lambda rng: np.exp(rng.normal(0, 0.03, (2, RUNS))) * np.where(rng.random((2, RUNS)) < 0.15, 2, 1),
    "coarse": lambda rng: np.round(20 + rng.normal(0, 1, (2, RUNS))),
    "drifting": drifting,
}


@pytest.mark.parametrize("draw", SAME.values(), ids=SAME)
def test_without_a_true_difference_one_in_twenty_comparisons_at_most_shows_one(draw: Draw) -> None:
    rng = np.random.default_rng(7)
    shown = 0
    for trial in range(TRIALS):
        a, b = draw(rng)
        shown += judge(list(a), list(b), seed=trial).different
    assert shown <= TRIALS * 0.05


def test_a_true_difference_beyond_the_noise_is_shown() -> None:
    rng = np.random.default_rng(8)
    shown = 0
    for trial in range(50):
        a, b = np.exp(rng.normal(0, 0.05, (2, RUNS)))
        verdict = judge(list(a), list(1.25 * b), seed=trial)
        shown += verdict.different and verdict.text == "B is higher"
    assert shown >= 45


def test_a_verdict_is_the_same_every_time() -> None:
    a, b = [1.0, 1.1, 0.9, 1.05, 1.02], [1.3, 1.4, 1.25, 1.33, 1.31]
    verdict = judge(a, b)
    assert verdict == judge(a, b)
    assert verdict.different
    assert verdict.low <= verdict.ratio <= verdict.high
    assert judge(b, a).text == "B is lower"


def test_an_effect_below_the_noise_of_a_is_none_even_if_the_interval_leaves_one_out() -> None:
    # B scatters little and lies above all of A, but by less than halves of A are apart.
    a, b = [0.90, 0.93, 0.96, 0.99, 1.02, 1.03, 1.04], [1.05] * 7
    verdict = judge(a, b)
    assert verdict.low > 1
    assert not verdict.different
    assert verdict.text == "no difference"


def test_few_runs_show_nothing() -> None:
    verdict = judge([1.0] * (RUNS_MIN - 1), [2.0] * (RUNS_MIN - 1))
    assert (verdict.different, verdict.enough) == (False, False)
    assert "fewer than 5 runs" in verdict.text
    assert judge([1.0] * RUNS_MIN, [2.0] * RUNS_MIN).different
    assert judge([1.0], [2.0]).floor == 0
    for wrong in ([], [0.0], [-1.0]):
        with pytest.raises(ValueError, match="positive"):
            judge([1.0], wrong)


def side(name: str, cpu: float, *, count: int = 6, verify: float = 40.0, cores: int = 2, kind: str = "real") -> Side:
    machine = msgspec.structs.replace(MACHINE, cores=cores)
    made = [
        result(
            msgspec.convert({"kind": kind, "rate": 500, "seed": seed, "duration_s": 5.0}, Configuration),
            rate=500,
            cpu_us=cpu * (1 + seed / 500),
            verify_us=verify,
            machine=machine,
            seed=seed,
        )
        for seed in range(count)
    ]
    return Side(name, tuple(made))


def test_only_the_figure_that_differs_is_called_different() -> None:
    compared = compare(side("a", 150), side("b", 100))
    assert compared.different
    assert [line.figure for line in compared.lines if line.verdict.different] == ["CPU per transaction and node"]
    assert not compare(side("a", 150), side("b", 150)).different


def test_runs_of_different_machines_are_compared_in_signature_checks() -> None:
    compared = compare(side("here", 150, verify=40), side("there", 300, verify=80, cores=4))
    assert {line.unit for line in compared.lines} == {"checks", "B", ""}
    cpu = next(line for line in compared.lines if line.figure == "CPU per transaction and node")
    assert cpu.verdict.ratio == pytest.approx(1)
    assert any("machines differ" in warning for warning in compared.warnings)
    assert any("not quiet" in warning for warning in compared.warnings)


def test_latency_of_saturated_runs_is_not_judged() -> None:
    saturated = [msgspec.structs.replace(r.configuration, rate="saturate") for r in side("a", 150).results]
    runs = tuple(result(configuration, rate=1_000) for configuration in saturated)
    figures = [line.figure for line in compare(Side("a", runs), Side("b", runs)).lines]
    assert "throughput" in figures
    assert not [figure for figure in figures if "latency" in figure]


def test_costs_of_bundles_are_those_of_a_payload() -> None:
    one = result(Configuration(rate=1_000, workload="opaque"), cpu_us=1_000)
    bundled = msgspec.structs.replace(one, throughput=msgspec.structs.replace(one.throughput, transactions=600))
    assert one.throughput.payloads == 60_000
    assert cpu_us(bundled) == pytest.approx(10)


def test_simulated_and_real_runs_are_not_compared() -> None:
    with pytest.raises(BenchError, match="simulated"):
        compare(side("a", 150), side("b", 150, kind="simulated"))
    # A simulation has no unit: what is measured in it is left out, the rest is there.
    simulated = compare(side("a", 150, kind="simulated"), side("b", 150, kind="simulated"))
    assert "throughput" in [line.figure for line in simulated.lines]


def test_directories_of_results_are_sides(tmp_path: Path) -> None:
    for number, made in enumerate(side("x", 150).results):
        (tmp_path / f"{number}.json").write_bytes(write(made))
    (tmp_path / "bad.json").write_bytes(write(result(Configuration(rate=500, duration_s=5.0), errors=("it missed",))))
    (tmp_path / "other.json").write_text('{"not": "a result"}')
    read = read_side(tmp_path)
    assert len(read.results) == 6
    assert read.left_out == ("bad.json: it missed",)
    assert "left out" in compare(read, read).warnings[0]
    (tmp_path / "more.json").write_bytes(write(result(Configuration(rate=700))))
    with pytest.raises(BenchError, match="more than one configuration"):
        read_side(tmp_path)
    with pytest.raises(BenchError, match="no run of empty counts"):
        compare(Side("empty", ()), read)


def test_sides_take_turns_with_the_same_seeds_and_go_on_where_they_stopped(tmp_path: Path) -> None:
    a, b = tmp_path / "a.toml", tmp_path / "b.toml"
    a.write_text("rate = 100\nduration_s = 3\n")
    b.write_text("rate = 200\nduration_s = 3\nseed = 1\n[program]\npython = 'python3'\n")
    variants = [read_variant(a), read_variant(b)]
    said: list[str] = []
    sides = run_sides(variants[:1] * 2, 2, tmp_path / "out", said.append, runner="bench_kit:run")
    assert [line.split(":")[0] for line in said] == ["A run 1 of 2", "B run 1 of 2", "A run 2 of 2", "B run 2 of 2"]
    assert [[r.configuration.seed for r in s.results] for s in sides] == [[1, 2], [1, 2]]
    again = run_sides(variants[:1] * 2, 2, tmp_path / "out", said.append, runner="bench_kit:gone")
    assert again == sides
    b.write_text("[program]\nrevision = 'main'\n")
    with pytest.raises(BenchError, match="no revision"):
        read_variant(b)


def test_a_run_that_fails_is_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("rate = 100\nduration_s = 3\nseed = 899\n")
    variant = read_variant(path)
    sides = run_sides([variant, variant], 2, tmp_path / "out", lambda _: None, runner="bench_kit:run")
    assert [len(s.results) for s in sides] == [1, 1]
    assert sides[0].left_out == ("run-002: there are no accounts [run.refused]",)

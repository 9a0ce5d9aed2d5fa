"""Workloads in virtual time: the same seed gives the same result, and what work costs decides what a network does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.errors import BenchError
from benchmarks.results.schema import Configuration, Result, VerifyUnit, read, write
from benchmarks.simulated.calibrate import main as calibrate_main
from benchmarks.simulated.calibration import calibrate
from benchmarks.simulated.clock import Time
from benchmarks.simulated.costs import FORMAT, SHAPE, Costs, read_costs, write_costs
from benchmarks.simulated.processors import Charge, Machine, Process, Thread
from benchmarks.simulated.running import run, simulate
from benchmarks.simulated.validate import main as validate_main

UNIT_US = 40.0
COSTS = Costs(
    format=FORMAT,
    source="made up",
    workload="transfers",
    cores=2,
    generator_share=0.0,
    verify_us=UNIT_US,
    sign_us=UNIT_US * SHAPE.sign,
    submission_us=UNIT_US * SHAPE.submission,
    transaction_us=UNIT_US * SHAPE.transaction,
    message_us=UNIT_US * SHAPE.message,
    kib_us=UNIT_US * SHAPE.kib,
    block_us=UNIT_US * SHAPE.block,
    sync_us=300.0,
)


def scaled(costs: Costs, factor: float) -> Costs:
    """The same costs, all CPU `factor` times as much."""
    cpu = ("verify_us", "sign_us", "submission_us", "transaction_us", "message_us", "kib_us", "block_us")
    return msgspec.structs.replace(costs, **{name: getattr(costs, name) * factor for name in cpu})


def measured(costs: Costs = COSTS, **changes: Any) -> Result:
    asked: dict[str, Any] = {
        "kind": "simulated",
        "duration_s": 2.0,
        "warmup_s": 0.5,
        "accounts": 50,
        "rate": 400.0,
        "batch_submit": 10,
        "seed": 3,
    }
    return simulate(Configuration(**(asked | changes)), costs, lambda _: None)


def as_real(result: Result, **changes: Any) -> Result:
    """Take a simulated result for a real one, to calibrate from it."""
    unit = VerifyUnit(COSTS.verify_us, COSTS.verify_us, (), ())
    configuration = msgspec.structs.replace(result.configuration, kind="real")
    machine = msgspec.structs.replace(result.machine, cores=COSTS.cores)
    fields: dict[str, Any] = {"unit": unit, "configuration": configuration, "machine": machine}
    return msgspec.structs.replace(result, **(fields | changes))


def mean_cpu_us(result: Result) -> float:
    return sum(node.cpu_us_per_transaction for node in result.nodes) / len(result.nodes)


def test_a_run_at_a_rate_commits_what_was_offered_and_says_what_it_cost() -> None:
    result = measured()
    assert result.errors == ()
    assert (result.configuration.kind, result.unit, result.calibration) == ("simulated", None, "made up")
    assert result.checks.missing == result.checks.twice == 0
    assert result.checks.found_once == result.checks.acknowledged > 800
    assert result.throughput.transactions_per_s == pytest.approx(400, rel=0.15)
    assert 1_000 < result.end_to_end.p50 < 100_000
    assert result.end_to_end.p50 <= result.end_to_end.p99 <= result.end_to_end.max
    assert sum(second.committed for second in result.series) == result.throughput.transactions
    for node in result.nodes:
        # A signature check at every validator, and some of the rest.
        assert node.cpu_us_per_transaction > COSTS.verify_us + COSTS.transaction_us
        assert node.sent_messages_per_transaction > 0
    assert any(node.consensus is not None for node in result.nodes)
    assert read(write(result)) == result


def test_the_same_seed_is_the_same_run() -> None:
    """X1: but for the moment at which it was made, a simulated result follows from configuration and costs."""
    first, second = (msgspec.structs.replace(measured(latency="wan"), started_at="") for _ in range(2))
    assert write(first) == write(second)
    other = msgspec.structs.replace(measured(latency="wan", seed=4), started_at="")
    assert other.checks.agreed_hash != first.checks.agreed_hash


def test_a_network_whose_work_costs_twice_as_much_commits_half() -> None:
    asked: dict[str, Any] = {"rate": "saturate", "batch_submit": 20, "outstanding": 1_200, "duration_s": 6.0}
    plain, dear = (measured(scaled(COSTS, factor), **asked) for factor in (4.0, 8.0))
    assert plain.errors == dear.errors == ()
    assert dear.throughput.transactions_per_s / plain.throughput.transactions_per_s == pytest.approx(0.5, abs=0.08)
    cores_used = plain.throughput.transactions_per_s * sum(node.cpu_us_per_transaction for node in plain.nodes) / 1e6
    assert 0.85 * COSTS.cores < cores_used <= 1.01 * COSTS.cores


def test_validators_on_machines_of_their_own_do_not_wait_for_each_other() -> None:
    asked: dict[str, Any] = {"rate": "saturate", "batch_submit": 50, "outstanding": 1_500}
    shared, apart = (measured(scaled(COSTS, 4.0), latency=latency, **asked) for latency in ("", "lan"))
    assert apart.throughput.transactions_per_s > 1.4 * shared.throughput.transactions_per_s


def test_sixteen_validators_on_three_continents() -> None:
    result = measured(validators=16, latency="wan", rate=100.0, duration_s=1.0)
    assert result.errors == ()
    assert len(result.nodes) == 16
    assert result.checks.found_once == result.checks.acknowledged > 0
    assert result.end_to_end.p50 > 150_000


@pytest.mark.parametrize("name", ["licenses", "market", "mixed"])
def test_trade_is_set_up_in_virtual_time_too(name: str) -> None:
    result = measured(workload=name, rate=100.0, duration_s=1.0)
    assert result.errors == ()
    assert result.refused == {}
    assert result.throughput.transactions > 50


def test_bundles_are_ordered_and_no_client_s_signature_is_paid_for() -> None:
    asked: dict[str, Any] = {"workload": "opaque", "rate": 4_000.0, "batch_submit": 50, "payload_bytes": 512}
    result = measured(msgspec.structs.replace(COSTS, workload="opaque"), **asked)
    assert result.errors == ()
    throughput = result.throughput
    assert throughput.payloads == 50 * throughput.transactions
    assert throughput.payloads_per_s == pytest.approx(4_000, rel=0.3)
    assert (throughput.utilization, throughput.operations) == (0.0, throughput.transactions)
    assert result.warnings == ()


def test_a_killed_validator_returns_and_nothing_is_lost() -> None:
    result = measured(faults="0.3:kill:1,1.0:restart:1", duration_s=3.0)
    assert result.errors == ()
    assert [mark.text for mark in result.marks] == ["kill 1", "restart 1"]
    assert [node.alive for node in result.nodes] == [True, False, True, True]
    # What it had taken when it died was acknowledged, and may be lost with its memory.
    assert set(result.refused) <= {"connection.lost", "node.lost"}
    assert result.checks.missing == 0


def test_a_paused_validator_catches_up() -> None:
    result = measured(faults="0.3:pause:2,1.0:resume:2")
    assert result.errors == ()
    assert result.checks.missing == 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"latency": "moon"}, "latency.unknown"),
        ({"attach": ("http://127.0.0.1:1",)}, "simulation.attach"),
        ({"validators": 129}, "simulation.validators"),
        ({"genesis": {"window": 1}}, "simulation.genesis"),
        ({"node": {"consensus": {"turn_ms": 1}}}, "simulation.node"),
        ({"faults": "1:explode:0"}, "faults.malformed"),
    ],
)
def test_what_cannot_be_simulated_is_refused_by_name(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(BenchError) as caught:
        measured(**changes)
    assert caught.value.code == code


def test_run_reads_the_calibration_that_the_configuration_names(tmp_path: Path) -> None:
    write_costs(COSTS, tmp_path / "costs.json")
    asked = Configuration(
        kind="simulated", duration_s=0.5, warmup_s=0.0, rate=50.0, batch_submit=1, accounts=10, calibration="costs.json"
    )
    heard: list[str] = []
    result = run(asked, tmp_path, heard.append)
    assert result.calibration == "made up"
    assert heard
    assert read((tmp_path / "result.json").read_bytes()) == result
    real = as_real(result)
    (tmp_path / "real.json").write_bytes(write(real))
    again = msgspec.structs.replace(asked, calibration="real.json")
    assert run(again, tmp_path, heard.append).calibration.startswith("real.json: ")
    (tmp_path / "costs.json").write_text("{}")
    for bad, code in ((asked, "calibration.malformed"), (Configuration(kind="simulated"), "simulation.calibration")):
        with pytest.raises(BenchError) as caught:
            run(bad, tmp_path, lambda _: None)
        assert caught.value.code == code


# --- calibration


def test_a_calibration_brings_back_the_total_that_it_came_from() -> None:
    """A simulation with other costs than the shape's stands in for a real run."""
    real = as_real(measured(scaled(COSTS, 2.5), rate=300.0))
    real = msgspec.structs.replace(real, unit=VerifyUnit(100.0, 100.0, (), ()))
    costs = calibrate(real)
    assert costs.verify_us == 100.0
    again = measured(costs, rate=300.0)
    assert mean_cpu_us(again) == pytest.approx(mean_cpu_us(real), rel=0.1)


def test_several_results_tell_apart_what_a_transaction_and_a_block_cost() -> None:
    truth = msgspec.structs.replace(COSTS, block_us=3 * COSTS.block_us, transaction_us=1.5 * COSTS.transaction_us)
    reals = [as_real(measured(truth, rate=rate, batch_submit=size)) for rate, size in ((40.0, 1), (800.0, 100))]
    one, both = calibrate(reals[1]), calibrate(*reals)
    assert abs(both.block_us / truth.block_us - 1) < abs(one.block_us / truth.block_us - 1)
    assert both.block_us == pytest.approx(truth.block_us, rel=0.35)
    assert both.transaction_us == pytest.approx(truth.transaction_us, rel=0.35)
    assert both.source.endswith("and 1 more")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda real: msgspec.structs.replace(real, unit=None),
        lambda real: msgspec.structs.replace(real, errors=("the generator missed its rate",)),
        lambda real: msgspec.structs.replace(
            real, configuration=msgspec.structs.replace(real.configuration, kind="simulated")
        ),
        lambda real: msgspec.structs.replace(
            real, configuration=msgspec.structs.replace(real.configuration, faults="1:kill:0")
        ),
        lambda real: msgspec.structs.replace(real, unit=VerifyUnit(10_000.0, 10_000.0, (), ())),
    ],
)
def test_results_that_cannot_calibrate(spoil: Callable[[Result], Result]) -> None:
    real = as_real(measured(duration_s=0.5, warmup_s=0.0))
    with pytest.raises(BenchError) as caught:
        calibrate(spoil(real))
    assert caught.value.code == "calibration.unusable"


def test_the_commands_calibrate_and_state_the_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for n in (4, 7):
        path = tmp_path / f"real{n}.json"
        path.write_bytes(write(as_real(measured(validators=n, duration_s=1.0))))
        paths.append(str(path))
    costs = tmp_path / "costs.json"
    assert calibrate_main([paths[0], "--output", str(costs)]) == 0
    assert read_costs(costs).source.startswith("real4.json: ")
    output = tmp_path / "validation"
    assert validate_main([*paths, "--seconds", "1", "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "(calibrated from it)" in shown
    cases = msgspec.json.decode((output / "validation.json").read_bytes())["cases"]
    assert read((output / "simulated-real7.json").read_bytes()).configuration.kind == "simulated"
    assert [(case["validators"], case["calibrated_from_it"]) for case in cases] == [(4, True), (7, False)]
    for case in cases:
        errors = {figure["name"]: figure["error"] for figure in case["figures"]}
        assert abs(errors["transactions/s"]) < 0.05
        assert abs(errors["CPU us/transaction"]) < 0.15
    assert calibrate_main([str(tmp_path / "nothing.json"), "--output", str(costs)]) == 1


# --- processors


def test_threads_of_one_process_take_turns_and_processes_share_the_cores() -> None:
    """Three pieces of 10 ms on two cores: two threads of one process, one at a time, beside another process."""
    time = Time(1)
    machine = Machine(time, 2)
    first, second = Process(machine, 1.0), Process(machine, 1.0)
    ended: dict[str, int] = {}

    def piece(name: str) -> Callable[[], Charge]:
        return lambda: Charge(10_000.0, 0.0, lambda: ended.__setitem__(name, time.now_us))

    Thread(time, first).post(piece("loop"))
    Thread(time, first).post(piece("executor"))
    Thread(time, second).post(piece("other"))
    time.run_until(100_000)
    assert ended["other"] == 10_000
    assert max(ended["loop"], ended["executor"]) == 20_000
    assert min(ended["loop"], ended["executor"]) >= 19_000, "slices alternate"
    assert (first.cpu_us, second.cpu_us) == (20_000.0, 10_000.0)


def test_a_thread_without_the_lock_computes_beside_its_process() -> None:
    time = Time(1)
    process = Process(Machine(time, 2), 1.0)
    ended: list[int] = []
    for thread in (Thread(time, process), Thread(time, process, lockless=True)):
        thread.post(lambda: Charge(5_000.0, 0.0, lambda: ended.append(time.now_us)))
    time.run_until(100_000)
    assert ended == [5_000, 5_000]


def test_a_disk_is_waited_for_without_a_core() -> None:
    time = Time(1)
    process = Process(Machine(time, 1), 1.0)
    ended: list[tuple[str, int]] = []
    disk, loop = Thread(time, process), Thread(time, process)
    for _ in range(2):
        disk.post(lambda: Charge(0.0, 400.0, lambda: ended.append(("disk", time.now_us))))
    loop.post(lambda: Charge(500.0, 0.0, lambda: ended.append(("loop", time.now_us))))
    time.run_until(10_000)
    assert ended == [("disk", 400), ("loop", 500), ("disk", 900)], "the second write began when the core was free"


def test_a_paused_process_does_nothing_until_it_goes_on() -> None:
    time = Time(1)
    process = Process(Machine(time, 1), 2.0)
    ended: list[int] = []
    process.pause()
    Thread(time, process).post(lambda: Charge(1_000.0, 0.0, lambda: ended.append(time.now_us)))
    time.run_until(5_000)
    assert ended == []
    process.resume()
    time.run_until(10_000)
    assert ended == [7_000], "with the slowdown it takes twice as long"
    assert process.cpu_us == pytest.approx(1_000)

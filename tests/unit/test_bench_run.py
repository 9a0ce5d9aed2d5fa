"""The parts of a measurement: schedule, distributions, the unit, faults, and accounts that follow from a seed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import msgspec
import numpy
import pytest

from benchmarks.errors import BenchError
from benchmarks.generator.bundles import Bundles
from benchmarks.generator.plan import Plan
from benchmarks.generator.schedule import due_times
from benchmarks.measurement.histogram import distribution
from benchmarks.measurement.verify_unit import judge, measure_unit
from benchmarks.results.schema import Configuration, VerifyUnit
from benchmarks.running.costs import cpu_between
from benchmarks.running.faults import Fault, parse_faults
from benchmarks.running.sampling import Sample
from benchmarks.workloads.accounts import Accounts
from benchmarks.workloads.choosing import workload
from benchmarks.workloads.workload import Facts
from ledger.opaque import decode_bundle

NETWORK = bytes(32)


def test_a_schedule_keeps_its_rate_and_follows_from_its_seed() -> None:
    found = due_times("poisson", 200.0, 50.0, 7)
    assert numpy.array_equal(found, due_times("poisson", 200.0, 50.0, 7))
    assert not numpy.array_equal(found[:100], due_times("poisson", 200.0, 50.0, 8)[:100])
    assert (numpy.diff(found) >= 0).all()
    assert found[-1] < 50_000_000_000
    # 10,000 expected; five standard deviations of a Poisson number are 500.
    assert abs(len(found) - 10_000) < 500
    gaps = numpy.diff(found) / 1e9 * 200.0
    assert abs(float(gaps.std()) - 1.0) < 0.1


def test_a_uniform_schedule_has_equal_gaps() -> None:
    found = due_times("uniform", 10.0, 2.0, 1)
    assert found.tolist() == [50_000_000 + 100_000_000 * at for at in range(20)]


def test_a_distribution_keeps_counts_and_its_largest_value() -> None:
    found = distribution([1_000] * 98 + [50_000, 1_234_567])
    assert found is not None
    assert (found.count, found.max) == (100, 1_234_567)
    assert abs(found.p50 - 1_000) <= 1
    assert abs(found.p99 - 50_000) <= 50
    assert found.p999 <= found.max
    assert found.histogram
    assert distribution([]) is None


def unit(before_us: float, after_us: float) -> VerifyUnit:
    return VerifyUnit(before_us, after_us, (before_us,), (after_us,))


@pytest.mark.parametrize(
    ("before_us", "after_us", "warnings", "errors"),
    [(40.0, 41.9, 0, 0), (40.0, 43.0, 1, 0), (43.0, 40.0, 1, 0), (40.0, 46.5, 0, 1), (47.0, 40.0, 0, 1)],
)
def test_a_unit_that_moves_is_flagged_and_then_fails_the_run(
    before_us: float, after_us: float, warnings: int, errors: int
) -> None:
    found = judge(unit(before_us, after_us))
    assert (len(found[0]), len(found[1])) == (warnings, errors)


def test_the_unit_is_measured_on_all_cores_at_once() -> None:
    figure, samples = measure_unit(sample_s=0.02, samples=2)
    assert len(samples) == 2
    assert 1.0 < figure < 100_000.0


def test_faults_are_read_in_order_and_refused_where_they_make_no_sense() -> None:
    assert parse_faults("1.5:kill:0, 3:restart:0", 4, 10.0) == (Fault(1.5, "kill", 0), Fault(3.0, "restart", 0))
    assert parse_faults("", 4, 10.0) == ()
    for wrong in ("1:explode:0", "kill:0", "1:kill:4", "11:kill:0", "3:kill:0,1:restart:0", "1:kill"):
        with pytest.raises(BenchError, match=r"faults\.malformed"):
            parse_faults(wrong, 4, 10.0)


def test_processor_time_counts_from_beginning_to_end_and_over_a_restart() -> None:
    second = 1_000_000_000
    samples = [Sample(0, 1.0, 0), Sample(2 * second, 2.0, 0), Sample(4 * second, 0.5, 0), Sample(6 * second, 1.5, 0)]
    # Half of the first second of work, nothing over the restart, all of the last.
    assert cpu_between(samples, second, 6 * second) == pytest.approx(0.5 + 1.0)


def test_accounts_follow_from_the_seed_and_belong_to_all_organizations() -> None:
    first, again = (Accounts(NETWORK, 3, 8, ["a", "b"]) for _ in range(2))
    assert [first[at].account for at in range(8)] == [again[at].account for at in range(8)]
    assert [first[at].organization for at in range(4)] == ["a", "b", "a", "b"]
    assert Accounts(NETWORK, 4, 8, ["a", "b"])[0].account != first[0].account
    assert len({first[at].account for at in range(8)}) == 8


def test_a_transfer_follows_from_seed_and_index_and_never_goes_to_its_sender() -> None:
    transfers = workload("transfers")
    accounts = Accounts(NETWORK, 1, 5, ["a"])
    transfers.load(Facts(NETWORK, (), (), accounts, 0), {})
    for index in range(200):
        sender, (operation,) = transfers.operations(index, random.Random(index))
        assert operation.recipient != sender.account  # type: ignore[attr-defined]  # a transfer
        assert (sender, (operation,)) == transfers.operations(index, random.Random(index))


def test_an_unknown_workload_is_refused() -> None:
    with pytest.raises(BenchError, match=r"workload\.unknown"):
        workload("juggling")


def test_a_bundle_made_by_patching_is_the_ledgers_own() -> None:
    configuration = Configuration(workload="opaque", payload_bytes=64, batch_submit=10, seed=5)
    plan = Plan(configuration, NETWORK, 120_000, (), bytes(16), (), b"\x80", 1.0, 0, False)
    bundles = Bundles(plan, 3)
    salts = set()
    for request in range(3):
        (made,) = msgspec.msgpack.decode(bytes(bundles.body(request)), type=list[bytes])
        decoded = decode_bundle(made)
        assert decoded.id == bytes(bundles.identities[request])
        assert len(decoded.body.payload) == 640
        assert decoded.body.network_id == NETWORK
        assert abs(decoded.body.expires_at_ms - time.time() * 1000 - 60_000) < 10_000
        salts.add(decoded.body.salt)
    assert len(salts) == 3


def test_a_workload_file_is_read_and_its_mistakes_are_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("operations = 2\nprice = 3\n[weights]\npurchase = 1\ntransfer = 9\n")
    made = workload(str(path))
    assert made.name == "mine"
    accounts = Accounts(NETWORK, 1, 20, ["a"])
    state = {"assets": [bytes(32)] * 4, "offers": [bytes([at]) * 32 for at in range(4)], "offers_expire_at_ms": 9}
    made.load(Facts(NETWORK, (), (), accounts, 0), state)
    kinds = []
    for index in range(300):
        sender, operations = made.operations(index, random.Random(index))
        assert len(operations) == 2
        kinds.append(type(operations[0]).__name__)
        if kinds[-1] == "Purchase":
            assert sender.account not in {accounts[at].account for at in range(4)}  # an owner may not buy
            assert len({operation.offer for operation in operations}) == 2  # type: ignore[attr-defined]
    assert 10 <= kinds.count("Purchase") <= 60
    for wrong in (
        "[weights]\njuggling = 1",
        "[weights]\npurchase = 0",
        "price = 3",
        "[weights]\npurchase = 1\n[x]",
        "]",
    ):
        path.write_text(wrong)
        with pytest.raises(BenchError, match=r"workload\.malformed"):
            workload(str(path))

"""`guildmark bench run` on real processes. No absolute times: only what must hold however slow the machine is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.results.schema import Result, read
from benchmarks.running import real
from guildmark.cli.main import run
from guildmark.testing.clusters import TestCluster

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]

SMALL = ["--validators", "4", "--duration", "2", "--warmup", "0.5", "--accounts", "50"]


def measure(tmp_path: Path, *arguments: str) -> tuple[int, Result]:
    out = tmp_path / "out.json"
    code = run(["bench", "run", *SMALL, *arguments, "--json", str(out)])
    assert isinstance(code, int)
    return code, read(out.read_bytes())


def without_drift(result: Result) -> list[str]:
    """What else is wrong: on a machine that does other things too, the unit is none."""
    of_unit = ("signature check moved", "a utilization above 1")
    return [error for error in result.errors if not any(what in error for what in of_unit)]


@pytest.mark.timeout(240)
def test_a_run_at_a_rate_commits_what_it_was_promised(tmp_path: Path) -> None:
    code, result = measure(tmp_path, "--rate", "50")
    assert without_drift(result) == []
    assert code == (0 if result.valid else 1)
    assert result.checks.acknowledged == result.checks.found_once > 0
    assert (result.checks.missing, result.checks.twice) == (0, 0)
    assert result.throughput.transactions > 0
    assert result.throughput.utilization > 0
    assert result.unit is not None
    assert result.unit.us > 0
    latency = result.end_to_end
    assert 0 < latency.p50 <= latency.p99 <= latency.max
    assert len(result.nodes) == 4
    for node in result.nodes:
        assert node.alive
        assert node.cpu_us_per_transaction > 0
        assert node.sent_bytes_per_transaction > 0
        assert node.rss_max_bytes > 0
        assert node.lateness is not None
        assert node.events_dropped == 0
    assert any(node.consensus is not None for node in result.nodes)
    assert len(result.series) == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {
        "transactions.parquet",
        "summary.txt",
        "result.json",
    }


@pytest.fixture
def known_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measuring the unit takes ten seconds, and says nothing about what these tests are about."""
    monkeypatch.setattr(real, "measure_unit", lambda: (20.0, (20.0,)))


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("known_unit")
def test_opaque_bundles_are_ordered_and_counted_by_payload(tmp_path: Path) -> None:
    code, result = measure(
        tmp_path, "--workload", "opaque", "--rate", "1000", "--batch-submit", "50", "--payload", "64"
    )
    assert result.errors == ()
    assert code == 0
    throughput = result.throughput
    assert throughput.payloads == 50 * throughput.transactions > 0
    assert throughput.utilization == 0
    assert result.checks.acknowledged == result.checks.found_once > 0


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("known_unit")
def test_a_saturated_run_with_a_killed_validator_loses_nothing_that_others_took(tmp_path: Path) -> None:
    code, result = measure(
        tmp_path, "--rate", "saturate", "--outstanding", "400", "--batch-submit", "20", "--faults", "0.5:kill:3"
    )
    assert result.errors == ()
    assert code == 0
    assert [mark.text for mark in result.marks] == ["kill 3"]
    assert [node.alive for node in result.nodes] == [True, True, True, False]
    assert result.checks.missing == 0
    assert result.checks.agreed_height > 0
    assert result.throughput.transactions > 0


@pytest.mark.timeout(240)
def test_a_running_network_is_measured_from_outside(guildmark_cluster: TestCluster, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    urls = [part for url in guildmark_cluster.urls for part in ("--attach", url)]
    sponsor = ["--wallet", str(guildmark_cluster.wallet.directory), "--account", guildmark_cluster.accounts[0]]
    load = ["--workload", "mixed", "--rate", "40", "--duration", "2", "--warmup", "0.5", "--accounts", "20"]
    assert run(["bench", "run", *urls, *sponsor, *load, "--json", str(out)]) == 0
    result = read(out.read_bytes())
    assert result.checks.acknowledged == result.checks.found_once > 0
    assert result.configuration.attach == tuple(guildmark_cluster.urls)
    assert result.unit is None
    assert result.nodes == ()
    assert any("attached" in warning for warning in result.warnings)

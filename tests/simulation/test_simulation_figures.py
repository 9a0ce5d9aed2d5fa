"""The figures of liveness that are promised, on a few seeds; `benchmarks/consensus_figures.py` measures many."""

from __future__ import annotations

import pytest

from simulation import figures
from simulation.figures import NODE_DEFAULTS, Figure
from simulation.latency import measured_regions, timeouts, wide_area


def held(figure: Figure) -> None:
    assert figure.holds, f"seed {figure.seed}, n = {figure.n}: {figure.name} {figure.value} {figure.unit}"


@pytest.mark.parametrize("seed", range(3))
def test_ten_minutes_without_a_quorum_cost_less_than_twenty_seconds_more(seed: int) -> None:
    """L8"""
    held(figures.after_no_quorum(seed))


@pytest.mark.parametrize("n", [4, 7])
@pytest.mark.parametrize("seed", range(12))
def test_work_of_a_killed_primary_commits_within_three_timeouts(seed: int, n: int) -> None:
    """L1: killed 0 to 11 ms after the work was submitted: before, while and after it was ordered."""
    held(figures.after_a_primary_dies(seed, n))


def test_work_of_a_killed_primary_commits_within_three_timeouts_across_continents() -> None:
    """L1"""
    engine = timeouts("wan")
    cluster = figures.running(1, 4, engine, wide_area(4))
    dead = cluster.primary()
    cluster.nodes[dead].crash()
    others = [index for index in range(4) if index != dead]
    identifier = cluster.submit_transfer(others[0])
    assert figures.commit_ms(cluster, identifier, others, 3 * engine.suspicion_timeout_ms) is not None


@pytest.mark.parametrize("n", [4, 7, 10])
def test_f_dead_primaries_in_a_row_cost_f_views(n: int) -> None:
    """L2"""
    held(figures.views_over_dead_primaries(1, n))


def test_views_that_last_a_tenth_of_a_second_stop_nobody() -> None:
    """L5: the long run has a thousand."""
    for figure in figures.forced_view_changes(1, views=150):
        held(figure)


def test_three_dead_primaries_of_ten_leave_seven_tenths_of_the_decisions() -> None:
    """L2, L5"""
    held(figures.share_with_dead_primaries(1, every_ms=500))


def test_the_measured_latencies_are_whole_and_far_apart() -> None:
    data = measured_regions()
    assert len(data.regions) == len(data.round_trip_ms) == 10
    assert {len(row) for row in data.round_trip_ms} == {10}
    for index, row in enumerate(data.round_trip_ms):
        assert row[index] == 0
        assert all(abs(row[other] - data.round_trip_ms[other][index]) <= 8 for other in range(10))
    links = wide_area(13)
    assert len(set(links.places)) == 10
    assert links.delay(0, 10).least_ms == 1, "nodes beyond ten share a region"
    assert min(wide_area(4).delay(a, b).least_ms for a in range(4) for b in range(4) if a != b) >= 40
    assert NODE_DEFAULTS.suspicion_timeout_ms < timeouts("wan").suspicion_timeout_ms

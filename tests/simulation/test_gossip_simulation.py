"""Gossip in simulated networks with churn and losses: everybody receives every block, over few links, about once.

`benchmarks/gossip_figures.py` measures many seeds.
"""

from __future__ import annotations

import pytest

from benchmarks import gossip_figures
from p2p.gossip.configuration import GossipConfiguration
from simulation.gossip import COPIES_MAX, HOPS_MEDIAN_MAX, GossipPlan, run


@pytest.mark.parametrize("seed", [1, 2])
def test_two_hundred_observers_receive_every_block(seed: int) -> None:
    outcome = run(seed, GossipPlan(blocks=25))
    assert outcome.incomplete == ()
    assert outcome.missed == 0
    assert outcome.hops_median <= HOPS_MEDIAN_MAX
    assert outcome.copies <= COPIES_MAX
    assert outcome.asymmetric == 0
    assert outcome.named == 0
    assert outcome.view_most <= GossipConfiguration().active_max
    assert outcome.holds


@pytest.mark.parametrize("seed", [3])
def test_what_a_validator_sends_does_not_grow_with_the_observers(seed: int) -> None:
    few, many = (run(seed, GossipPlan(observers=observers, blocks=20)) for observers in (30, 120))
    fan_out = GossipConfiguration().active_max
    for outcome in (few, many):
        assert outcome.missed == 0
        assert outcome.validator_pushes_most <= fan_out * 1.25, "the fan-out, and now and then an answer to a pull"
    assert many.validator_pushes <= few.validator_pushes * 2 < few.validator_pushes * 4


def test_a_seed_is_a_run() -> None:
    plan = GossipPlan(observers=20, blocks=5, warm_up_ms=5_000, settle_ms=5_000)
    assert run(7, plan) == run(7, plan)
    assert run(7, plan) != run(8, plan)


def test_the_figures_are_a_table_with_the_limits_below() -> None:
    plan = GossipPlan(observers=20, blocks=5, warm_up_ms=5_000, settle_ms=5_000)
    head, rule, row, limits = gossip_figures.table(gossip_figures.summarize([run(7, plan)])).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == limits.count("|")
    assert row.startswith("| 20 | 1 | 0 |")
    assert str(HOPS_MEDIAN_MAX) in limits


def test_without_losses_and_churn_a_node_receives_each_block_once_but_for_the_first() -> None:
    plan = GossipPlan(observers=60, blocks=40, churn=0.0, loss=0.0)
    outcome = run(4, plan)
    assert outcome.missed == 0
    assert outcome.copies <= 1.1


def test_observers_that_announce_and_never_send_keep_nobody_from_the_blocks() -> None:
    """N8: a third of the observers withholds; the others pull from those who do not, and pay a little time."""
    outcome = run(1, GossipPlan(observers=60, blocks=25, withholding=0.33))
    assert outcome.missed == 0
    assert outcome.hops_median <= HOPS_MEDIAN_MAX
    assert outcome.copies <= COPIES_MAX

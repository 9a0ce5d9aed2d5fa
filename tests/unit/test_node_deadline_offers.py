"""Offers of empty batches for deadlines that fall due while nobody proposes anything."""

from __future__ import annotations

import pytest
from node_core_kit import Clock

from node.deadline_offers import REPEAT_MS, STAGGER_MS, WAIT_MS_MAX, DeadlineOffers

NOW_MS = 1_700_000_000_000


class Watch:
    def __init__(self, index: int | None = 0) -> None:
        self.clock = Clock(NOW_MS)
        self.times: list[int] = []
        self.offers = DeadlineOffers(self.clock, index, lambda: self.times.append(self.clock.now_ms() - NOW_MS))


@pytest.mark.parametrize(
    ("index", "due_ms", "offset_ms", "offered_ms"),
    [
        (0, 1_000, 0, 1_001),
        (3, 1_000, 0, 1_001 + 3 * STAGGER_MS),
        (0, -5_000, 0, 1),
        (0, 10_000, 4_000, 6_001),
        (0, 3 * WAIT_MS_MAX + 7, 0, 3 * WAIT_MS_MAX + 8),
    ],
)
def test_an_offer_comes_when_block_time_would_reach_the_deadline(
    index: int, due_ms: int, offset_ms: int, offered_ms: int
) -> None:
    watch = Watch(index)
    watch.offers.plan(NOW_MS + due_ms, offset_ms)
    watch.clock.advance(offered_ms - 1)
    before = list(watch.times)
    watch.clock.advance(1)
    assert (before, watch.times) == ([], [offered_ms])


def test_it_is_repeated_until_a_block_plans_anew() -> None:
    watch = Watch()
    watch.offers.plan(NOW_MS + 100, 0)
    watch.clock.advance(101 + 3 * (REPEAT_MS + 1))
    assert len(watch.times) == 4
    watch.offers.plan(None, 0)
    watch.clock.advance(10 * REPEAT_MS)
    assert len(watch.times) == 4


def test_a_new_plan_replaces_the_old_one() -> None:
    watch = Watch()
    watch.offers.plan(NOW_MS + 100, 0)
    watch.offers.plan(NOW_MS + 5_000, 0)
    watch.clock.advance(4_999)
    assert watch.times == []
    assert watch.clock.timers == 1


def test_a_block_that_comes_of_the_offer_at_once_has_the_last_word() -> None:
    watch = Watch()

    def offer() -> None:
        watch.times.append(0)
        offers.plan(None, 0)

    offers = DeadlineOffers(watch.clock, 0, offer)
    offers.plan(NOW_MS + 10, 0)
    watch.clock.advance(10 * REPEAT_MS)
    assert (len(watch.times), watch.clock.timers) == (1, 0)


def test_a_clock_that_is_set_forward_is_noticed_within_a_minute() -> None:
    """X4"""
    watch = Watch()
    hour_ms = 3_600_000
    watch.offers.plan(NOW_MS + hour_ms, 0)
    watch.clock.set_by_ms = hour_ms
    watch.clock.advance(WAIT_MS_MAX + 1)
    assert len(watch.times) == 1


@pytest.mark.parametrize("stop", [True, False])
def test_a_follower_and_a_stopped_node_offer_nothing(stop: bool) -> None:
    watch = Watch(0 if stop else None)
    watch.offers.plan(NOW_MS + 10, 0)
    if stop:
        watch.offers.stop()
        watch.offers.plan(NOW_MS + 10, 0)
    watch.clock.advance(10 * REPEAT_MS)
    assert (watch.times, watch.clock.timers) == ([], 0)

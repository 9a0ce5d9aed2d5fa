"""Turns: what a primary that censors, crawls or hides behind progress costs the others."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from consensus_harness import FAST, World

from consensus.messages import Batch, Message

TURN_MS = 1_000
TURNS = msgspec.structs.replace(FAST, turn_ms=TURN_MS)
JUST_UNDER_T_MS = FAST.suspicion_timeout_ms * 8 // 10


class SlowLinks(World):
    """Holds some messages back for a time."""

    held_back: Callable[[int, Message], int]

    def transmit(self, sender: int, receiver: int, message: Message) -> None:
        delay_ms = self.held_back(sender, message)
        if delay_ms == 0:
            super().transmit(sender, receiver, message)
        else:
            self.after(delay_ms, lambda: super(SlowLinks, self).transmit(sender, receiver, message))


@pytest.mark.parametrize(("n", "censors"), [(4, {0}), (7, {0, 1}), (10, {0, 1, 2})])
def test_one_authors_batch_is_ordered_after_at_most_f_turns(n: int, censors: set[int]) -> None:
    """L4: the first f primaries never see a batch of the last replica, and order everything else at full speed."""
    author = n - 1
    world = World(n, configuration=TURNS)
    world.filter = lambda sender, receiver, message: (
        not (receiver in censors and isinstance(message, Batch) and message.author == author)
    )
    world.submit(author, b"unwanted")
    views: list[int] = []
    for number in range(len(censors) * TURN_MS // 20 + 50):
        world.submit(number % (n - 1), b"%d" % number)
        world.run(20)
        others = [host for host in world.hosts if host.id not in censors]
        if all(b"unwanted" in host.ledger.items for host in others):
            views = [host.replica.status().view for host in others]
            break
        assert world.hosts[author].ledger.height > 0 or number < 25
    assert set(views) == {len(censors)}


def executed_within(turns: int, *, crawling: bool) -> tuple[int, int]:
    """Return the items executed in so many turns under a steady load, and the view at the end."""
    world = SlowLinks(4, configuration=TURNS)

    def held_back(sender: int, message: Message) -> int:
        return JUST_UNDER_T_MS if crawling and sender == 0 and message.kind == "pre-prepare" else 0

    world.held_back = held_back
    for number in range(turns * TURN_MS // 10):
        world.submit(1 + number % 3, b"%d" % number)
        world.run(10)
    return len(world.hosts[3].ledger.items), max(world.views())


def test_a_primary_that_crawls_costs_its_own_turn_at_most() -> None:
    """L5: its proposals come just before the others would suspect it; over n turns most of the load is done."""
    healthy, _ = executed_within(4, crawling=False)
    crawled, view = executed_within(4, crawling=True)
    assert view >= 3
    assert crawled >= healthy * 6 // 10


def test_a_flooding_author_starves_nobody_and_moves_nobody() -> None:
    """L5: replica 3 fills its quota again and again; the others' batches are decided as they come, in one view."""
    world = World(4)
    waited_ms: list[int] = []
    for number in range(20):
        for burst in range(40):
            world.submit(3, b"flood %d %d" % (number, burst))
        item = b"%d" % number
        world.submit(number % 3, item)
        before = world.now_ms
        assert world.run(2_000, world.all_have(item))
        waited_ms.append(world.now_ms - before)
    assert max(waited_ms) <= FAST.suspicion_timeout_ms
    assert world.views() == [0] * 4

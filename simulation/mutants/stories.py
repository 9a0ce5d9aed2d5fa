"""Seeded stories about progress: each puts the network into one kind of trouble and says how soon it must be out of it.

A mistake about timers or repair breaks no promise; it shows only where nothing happens although it could.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from consensus.messages import Checkpoint, Commit, Message, NewView, Prepare, PrePrepare, ViewChange
from simulation.byzantine.mixtures import always
from simulation.mutants.arena import FAST, Arena
from simulation.mutants.judge import Violation
from simulation.mutants.schedules import make_peace


def long_cut(seed: int) -> None:
    """L8: ten minutes without a quorum, then within 20 s; here 5 s, at a cap of 1.6 s."""
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.split({0, 1}, {2, 3})
    for host in arena.hosts:
        host.offer(b"%d" % host.index)
    arena.run(60_000)
    make_peace(arena, limit_ms=5_000)


def slow_links(seed: int) -> None:
    """Delays near T: a view is long enough only when T has doubled."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, suspicion_timeout_ms=60, suspicion_timeout_cap_ms=4_000))
    arena.delay_ms = (100, 120)
    arena.start()
    arena.run(500)
    for host in arena.hosts:
        host.offer(b"%d" % host.index)
    _demand(arena, 20_000, [b"%d" % index for index in range(4)])


def lost_view_changes(seed: int) -> None:
    """L9: the first ViewChanges are all lost, for longer than any of them is repeated by a timer."""
    chance = random.Random(seed)
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.run(200)
    arena.hosts[0].crash()
    arena.passes = lambda _sender, _receiver, message: not isinstance(message, ViewChange)
    arena.hosts[1].offer(b"item")
    arena.run(chance.randint(500, 3_000))
    arena.passes = lambda _sender, _receiver, _message: True
    _demand(arena, 3_000, [b"item"], {1, 2, 3})


def dead_primaries(seed: int) -> None:
    """L2: f primaries in a row are dead; the view after them must begin."""
    arena = Arena(7, seed, FAST)
    arena.start()
    arena.run(200)
    for index in (0, 1):
        arena.hosts[index].crash()
    arena.hosts[2].offer(b"item")
    _demand(arena, 4_000, [b"item"], set(range(2, 7)))


def silent_primary(seed: int) -> None:
    """L3: the primary is there, and proposes nothing."""
    arena = Arena(4, seed, FAST, liars=[0], draw=always("silence"))
    arena.start()
    arena.hosts[2].offer(b"item")
    _demand(arena, 2_000, [b"item"], {1, 2, 3})


def one_far_wish(seed: int) -> None:
    """L7: one is alone in a view change; it follows the others' blocks, and votes again with them."""
    chance = random.Random(seed)
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.run(200)
    lonely = chance.randrange(1, 4)
    ahead: Callable[[int, int, Message], bool] = lambda _sender, receiver, message: (  # noqa: E731
        receiver != lonely or not isinstance(message, PrePrepare | Prepare | Commit)
    )
    arena.passes = ahead
    for number in range(6):
        arena.hosts[0].offer(b"%d" % number)
        arena.run(150)
    arena.passes = lambda _sender, _receiver, _message: True
    _demand(arena, 3_000, [b"%d" % number for number in range(6)])


def laggard(seed: int) -> None:
    """L6: far beyond the window, and then there is no traffic."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, window=8))
    arena.start()
    arena.run(100)
    arena.split({0, 1, 2}, {3})
    for number in range(30):
        arena.hosts[number % 3].offer(b"%d" % number)
        arena.run(40)
    arena.cut = set()
    _demand(arena, 3_000, [b"%d" % number for number in range(30)])


def lost_votes(seed: int) -> None:
    """Every vote is lost once: only what is asked for by Status comes again."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, suspicion_timeout_ms=1_500))
    lost: set[tuple[int, int, bytes]] = set()

    def passes(sender: int, receiver: int, message: Message) -> bool:
        if not isinstance(message, PrePrepare | Prepare | Commit):
            return True
        key = (sender, receiver, message.signature)
        first = key not in lost
        lost.add(key)
        return not first

    arena.passes = passes
    arena.start()
    arena.run(100)
    arena.hosts[1].offer(b"item")
    _demand(arena, 1_200, [b"item"])


def lost_new_view(seed: int) -> None:
    """A NewView is lost to one replica, once; it must not need another view change."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, suspicion_timeout_ms=400))
    seen: set[bytes] = set()

    def passes(_sender: int, receiver: int, message: Message) -> bool:
        if not isinstance(message, NewView) or receiver != 3 or message.signature in seen:
            return True
        seen.add(message.signature)
        return False

    arena.passes = passes
    arena.start()
    arena.run(100)
    arena.hosts[0].crash()
    arena.hosts[1].offer(b"item")
    _demand(arena, 1_400, [b"item"], {1, 2, 3})


def shown_to_some(seed: int) -> None:
    """An author shows its batch to one other only, and is gone: at T / 2 that one passes it on."""
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.run(100)
    arena.passes = lambda sender, receiver, _message: sender != 3 or receiver == 2
    arena.hosts[3].offer(b"item")
    arena.run(20)
    arena.hosts[3].crash()
    _demand(arena, 150, [b"item"], {0, 1, 2})


def turns(seed: int) -> None:
    """L5: a view with work in it lasts its turn and no longer, however well it goes."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, turn_ms=300))
    arena.start()
    for number in range(40):
        arena.hosts[number % 4].offer(b"%d" % number)
        arena.run(50)
    views = [host.replica.status().view for host in arena.hosts]
    if min(views) < 4:
        raise Violation(f"L5: after 2 s of load and turns of 300 ms the views are {views}")
    _demand(arena, 3_000, [b"%d" % number for number in range(40)])


def wishes_apart(seed: int) -> None:
    """f have gone one view further than the rest: a quorum asks for this view or a higher one, which must be enough
    to give the view up whose primary is dead."""
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.run(200)
    arena.hosts[1].crash()

    def passes(_sender: int, _receiver: int, message: Message) -> bool:
        if isinstance(message, PrePrepare):
            return message.view > 0
        # That replica 3 asked for view 1 nobody hears, only that it asks for view 2.
        return not isinstance(message, ViewChange) or (message.replica, message.new_view) != (3, 1)

    arena.passes = passes
    arena.hosts[3].offer(b"item")
    _demand(arena, 3_000, [b"item"], {0, 2, 3})


def views_that_fail(seed: int) -> None:
    """L8: for a minute every NewView is lost, so that one view after the other fails; then within 5 s."""
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.run(200)
    arena.passes = lambda _sender, _receiver, message: not isinstance(message, NewView)
    arena.hosts[0].crash()
    arena.hosts[1].offer(b"item")
    arena.run(60_000)
    arena.passes = lambda _sender, _receiver, _message: True
    _demand(arena, 5_000, [b"item"], {1, 2, 3})


def two_certificates(seed: int) -> None:
    """S4: one proposal is prepared at one replica, another for its sequence at two in the next view, which begins
    without the first. The view after that must begin with the later one, whoever's ViewChange is read first."""
    arena = Arena(4, seed, FAST)
    first = seed % 2
    holder, later = (first + 3) % 4, (first, (first + 1) % 4)
    alone: set[int] = set()

    def passes(sender: int, receiver: int, message: Message) -> bool:
        view = getattr(message, "view", first)
        if alone & {sender, receiver}:
            return False
        if isinstance(message, PrePrepare | Prepare | Commit) and view < first:
            return False
        if isinstance(message, Prepare) and view <= first + 1:
            return receiver == holder if view == first else receiver in later
        if isinstance(message, ViewChange) and message.new_view == first + 2:
            return message.replica != first
        return not (isinstance(message, Commit) and view <= first + 1)

    arena.start()
    arena.run(200)
    arena.passes = passes
    arena.hosts[2].offer(b"item")
    arena.run(300 * first + random.Random(seed).randint(30, 120))
    alone.add(holder)
    arena.run(400 + 400 * first)
    alone.clear()
    _demand(arena, 8_000, [b"item"])


def misdirected_status(seed: int) -> None:
    """R6: a liar passes on what others told it of its own positions. That is no claim about whoever hears it."""
    arena = Arena(4, seed, FAST, liars=[1], draw=always("misdirected status"))
    arena.start()
    arena.split({0, 1, 2}, {3})  # 3 promises little, the liar much
    for number in range(6):
        arena.hosts[1].offer(b"%d" % number)
        arena.run(40)
    arena.hosts[3].crash()
    arena.run(100)
    arena.cut = {(0, 3), (2, 3)}  # at first only the liar reaches it
    arena.start(3)
    arena.run(200)
    make_peace(arena, lies_on=True)


def lost_checkpoints(seed: int) -> None:
    """All seals of a block are lost, and no further block comes."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, suspicion_timeout_ms=1_500))
    arena.start()
    arena.run(100)
    arena.passes = lambda _sender, _receiver, message: not isinstance(message, Checkpoint)
    arena.hosts[1].offer(b"item")
    arena.run(300)
    arena.passes = lambda _sender, _receiver, _message: True
    _demand(arena, 1_000, [b"item"])


def unseen_view_change(seed: int) -> None:
    """A NewView names a ViewChange that one replica has never seen; whoever sent it is gone."""
    arena = Arena(4, seed, msgspec.structs.replace(FAST, suspicion_timeout_ms=400))
    arena.passes = lambda sender, receiver, message: (
        not isinstance(message, ViewChange) or message.replica != 2 or receiver != 3 or sender == 1
    )
    arena.start()
    arena.run(100)
    arena.hosts[0].crash()
    arena.hosts[1].offer(b"item")
    _demand(arena, 1_400, [b"item"], {1, 2, 3})


def lost_log(seed: int) -> None:
    """R5: who has an old log, or none, hears first of one that saw nothing since, and stays silent until a quorum has
    spoken."""
    arena = Arena(4, seed, FAST)
    arena.start()
    arena.hosts[3].offer(b"first")
    arena.run(400)
    old = list(arena.hosts[3].records) if seed % 2 else []
    arena.split({0, 2, 3}, {1})
    for number in range(4):
        arena.hosts[3].offer(b"%d" % number)
        arena.run(40)
    lost = arena.hosts[3]
    lost.crash()
    lost.records, lost.lost = old, True
    arena.cut |= {(0, 3), (2, 3)}
    arena.run(50)  # what was under way to it is lost
    arena.cut -= {(1, 3), (3, 1)}
    arena.start(3)
    arena.run(20)
    lost.offer(b"another")
    arena.run(200)
    arena.cut = set()
    arena.hosts[0].offer(b"item")
    _demand(arena, 3_000, [b"item"], {0, 1, 2})


def _demand(arena: Arena, limit_ms: int, items: list[bytes], among: set[int] | None = None) -> None:
    hosts = [host for host in arena.correct if among is None or host.index in among]

    def rested() -> bool:
        heights = {host.height for host in hosts}
        return (
            len(heights) == 1
            and all(host.height in host.certificates for host in hosts)
            and all(set(items) <= host.items() for host in hosts)
        )

    if not arena.run(limit_ms, rested):
        states = [(host.replica.status().view, host.height) for host in hosts]
        raise Violation(f"I14: not at rest after {limit_ms} ms: (view, height) {states}")


STORIES: Final[Mapping[str, Callable[[int], None]]] = {
    story.__name__.replace("_", "-"): story
    for story in (
        long_cut,
        slow_links,
        lost_view_changes,
        dead_primaries,
        silent_primary,
        one_far_wish,
        laggard,
        lost_votes,
        lost_new_view,
        shown_to_some,
        turns,
        wishes_apart,
        views_that_fail,
        two_certificates,
        misdirected_status,
        lost_log,
        lost_checkpoints,
        unseen_view_change,
    )
}
"""Name -> story; a story raises Violation when its seed ends badly."""

"""What is asked of whom next."""

from __future__ import annotations

from node.swarm import (
    ENDGAME_AFTER_MS,
    PATIENCE_MAX_MS,
    PATIENCE_PER_BLOCK_MS,
    WANTED_MAX,
    Swarm,
)
from node.swarm_holders import HINT_BYTES_MAX
from node.swarm_news import INTERESTS_PER_PEER_MAX, NEWS_BLOCKS_MAX, NEWS_PERIOD_MS, SwarmNews
from node.swarm_sources import (
    ANSWER_TIMEOUT_MS,
    CHOKE_MAX_MS,
    CHOKE_MIN_MS,
    REST_MS,
    WINDOW_MAX,
    WINDOW_MIN,
    WINDOW_START,
    Sources,
)


def swarm(leaves: int = 8, *, me: str = "me", in_flight_max: int = 64) -> Swarm:
    """A swarm that holds the root and wants its leaves."""
    made = Swarm(me, Sources(in_flight_max))
    for position in range(leaves):
        made.want(f"leaf-{position}", leaf=True, place=("root", position))
    return made


def field(*positions: int) -> bytes:
    return sum(1 << position for position in positions).to_bytes(2, "little")


def test_rarest_first() -> None:
    made = swarm(4, in_flight_max=2)
    made.holds_some("a", "root", field(0, 1, 2, 3))
    made.holds_some("b", "root", field(0, 1, 3))
    made.holds_some("c", "root", field(0, 3))
    first, second = made.next_requests(0)
    assert first == ("a", "leaf-2")  # held by one
    assert second[1] == "leaf-1"  # held by two


def test_inner_blocks_come_before_leaves() -> None:
    made = swarm(4, in_flight_max=1)
    made.want("inner", leaf=False, place=("root", 4))
    made.holds_all("a")
    assert made.next_requests(0) == [("a", "inner")]


def test_nobody_is_asked_for_what_it_did_not_say_to_hold() -> None:
    made = swarm(8)
    assert made.next_requests(0) == []
    assert not made.has_source(0)
    made.holds_some("a", "root", field(5))
    assert made.has_source(0)
    assert made.next_requests(0) == [("a", "leaf-5")]
    made.holds_some("a", "root", b"\xff" * 100)  # bits beyond the links mean nothing
    assert {name for _, name in made.next_requests(1)} <= {f"leaf-{n}" for n in range(8)}


def test_of_those_that_fetch_each_block_has_one_first_taker() -> None:
    names = ["n0", "n1", "n2", "n3"]
    taken: dict[str, list[str]] = {}
    for me in names:
        made = swarm(16, me=me)
        made.holds_all("origin")
        for peer in names:
            if peer != me:
                made.holders.takes_part(peer)
        for _ in range(8):
            for peer, name in made.next_requests(0):
                taken.setdefault(name, []).append(me)
                made.arrived(peer, name, 0)
                made.received(peer, name)
    assert sorted(taken) == sorted(f"leaf-{n}" for n in range(16))
    assert all(len(takers) == 1 for takers in taken.values())


def test_patience_ends_altogether() -> None:
    """M2: those that shall take a block first never do; the waiting has one bound for the whole fetch."""
    made = swarm(16)
    made.holds_all("origin")
    for n in range(7):
        made.holders.takes_part(f"silent-{n}")
    now_ms, idle_ms = 0, 0
    while len(made):
        requests = made.next_requests(now_ms)
        for peer, name in requests:
            made.arrived(peer, name, now_ms)
            made.received(peer, name)
        if not requests:
            now_ms += 50
            idle_ms += 50
        assert idle_ms <= PATIENCE_MAX_MS + 50
    assert idle_ms > 0


def test_who_hands_blocks_on_is_waited_for_longer() -> None:
    made = swarm(2)
    made._patience_ms = 0
    made.holds_some("taker", "root", field(0))
    ((peer, name),) = made.next_requests(0)
    made.arrived(peer, name, 0)
    made.received(peer, name)
    assert made._patience_ms == PATIENCE_PER_BLOCK_MS


def test_who_fetches_is_asked_before_who_has_all() -> None:
    made = swarm(4)
    made.holds_all("origin")
    made.holds_some("taker", "root", field(0, 1, 2, 3))
    assert {peer for peer, _ in made.next_requests(0)} == {"taker"}


def test_a_window_grows_with_answers_and_shrinks_for_the_busy() -> None:
    made = swarm(100)
    made.holds_all("a")
    assert len(made.next_requests(0)) == WINDOW_START
    for _ in range(8):
        for name in [name for name, block in made._blocks.items() if block.asked]:
            made.arrived("a", name, 0)
            made.received("a", name)
        asked = made.next_requests(0)
    assert len(asked) == WINDOW_MAX
    made.busy("a", asked[0][1], 1)
    assert made.next_requests(1) == []
    for _, name in asked[1:]:
        made.busy("a", name, 1)
    assert len(made.next_requests(1 + REST_MS)) == WINDOW_MIN


def test_a_peer_that_lets_us_wait_is_choked_and_its_blocks_are_asked_elsewhere() -> None:
    """M2."""
    made = swarm(4)
    made.holds_all("a")
    asked = made.next_requests(0)
    assert made.expired(ANSWER_TIMEOUT_MS - 1) == []
    assert sorted(made.expired(ANSWER_TIMEOUT_MS)) == sorted(asked)
    made.holds_all("b")
    now_ms = ANSWER_TIMEOUT_MS
    assert {peer for peer, _ in made.next_requests(now_ms)} == {"b"}
    assert made._sources.choked("a", now_ms + CHOKE_MIN_MS - 1)
    assert not made._sources.choked("a", now_ms + CHOKE_MIN_MS)


def test_a_slow_peer_that_serves_is_not_late() -> None:
    made = swarm(4)
    made.holds_all("a")
    asked = made.next_requests(0)
    made.arrived("a", asked[0][1], ANSWER_TIMEOUT_MS - 1)
    made.received("a", asked[0][1])
    assert made.expired(2 * ANSWER_TIMEOUT_MS - 2) == []
    assert len(made.expired(2 * ANSWER_TIMEOUT_MS - 1)) == 3


def test_chokes_double_up_to_a_bound_and_are_forgotten_by_serving() -> None:
    sources = Sources(8)
    now_ms = 0
    for strike in range(12):
        sources.late("a", now_ms)
        rest_ms = min(CHOKE_MAX_MS, CHOKE_MIN_MS << strike)
        assert sources.free("a", now_ms + rest_ms - 1) == 0
        now_ms += rest_ms
        assert sources.free("a", now_ms) == WINDOW_MIN
    sources.served("a", now_ms)
    sources.late("a", now_ms)
    assert sources.free("a", now_ms + CHOKE_MIN_MS) == WINDOW_MIN


def test_what_a_peer_does_not_hold_after_all_is_asked_elsewhere_until_it_says_so_anew() -> None:
    made = swarm(1)
    made.holds_all("a")
    assert made.next_requests(0) == [("a", "leaf-0")]
    made.failed("a", "leaf-0")
    assert made.next_requests(0) == []
    assert not made.has_source(0)
    made.holds_all("a")
    assert made.next_requests(0) == [("a", "leaf-0")]


def test_a_liar_is_asked_for_nothing_more_whatever_it_says() -> None:
    """M1."""
    made = swarm(8)
    made.holds_all("liar")
    made.next_requests(0)
    made.lied("liar")
    assert made.under_way == 0
    made.holds_all("liar")
    made.holds_some("liar", "root", field(1))
    made.holders.takes_part("liar")
    assert made.next_requests(1) == []


def test_at_the_end_late_blocks_are_asked_of_a_second_holder_and_no_third() -> None:
    made = swarm(2)
    made.holds_all("a")
    assert len(made.next_requests(0)) == 2
    made.holds_all("b")
    made.holds_all("c")
    assert made.next_requests(ENDGAME_AFTER_MS - 1) == []
    again = made.next_requests(ENDGAME_AFTER_MS)
    assert sorted(name for _, name in again) == ["leaf-0", "leaf-1"]
    assert all(peer != "a" for peer, _ in again)
    assert made.next_requests(3 * ENDGAME_AFTER_MS) == []
    made.arrived(again[0][0], again[0][1], 3 * ENDGAME_AFTER_MS)
    made.received(*again[0])
    assert not made.awaits("a", again[0][1])  # the second copy is not waited for
    made.stop()
    assert made._sources.in_flight == 0


def test_a_peer_that_went_away_owes_nothing() -> None:
    made = swarm(4)
    made.holds_all("a")
    made.holds_some("b", "root", field(0))
    made.next_requests(0)
    made.gone("a")
    made.gone("b")
    assert (made.under_way, made._sources.in_flight) == (0, 0)
    assert made.next_requests(1) == []


def test_what_is_remembered_is_bounded() -> None:
    made = swarm(0)
    for n in range(WANTED_MAX):
        assert made.want(f"leaf-{n}", leaf=True, place=("root", n))
    assert not made.want("one more", leaf=True, place=None)
    assert made.want("leaf-0", leaf=True, place=None)
    for n in range(2_000):
        made.holds_some("a", f"inner-{n}", bytes(1_024))
    assert made.holders._hint_bytes["a"] <= HINT_BYTES_MAX
    for n in range(300):
        made.holds_all(f"p{n}")
        made.holders.takes_part(f"q{n}")
    assert len(made.holders.complete) == len(made.holders.takers) == 256


def test_news_gather_and_go_to_those_who_fetch() -> None:
    news = SwarmNews()
    news.came("root", "inner")
    assert news.due(0) == []  # nobody fetches
    news.interested("a", "root")
    news.interested("b", "other")
    news.came("root", "inner")
    news.came("root", "inner")
    assert news.due(0) == [("root", ["a"], ["inner"])]
    news.came("root", "inner")
    assert news.due(NEWS_PERIOD_MS - 1) == []
    assert news.due(NEWS_PERIOD_MS) == [("root", ["a"], ["inner"])]
    for n in range(NEWS_BLOCKS_MAX + 1):
        news.came("root", f"inner-{n}")
    ((_, _, first),) = news.due(2 * NEWS_PERIOD_MS)
    ((_, _, second),) = news.due(3 * NEWS_PERIOD_MS)
    assert (len(first), len(second)) == (NEWS_BLOCKS_MAX, 1)
    news.came("root", "inner")
    news.satisfied("a", "root")
    assert news.due(4 * NEWS_PERIOD_MS) == []


def test_the_interests_of_a_peer_are_bounded_and_end_with_it() -> None:
    news = SwarmNews()
    for n in range(INTERESTS_PER_PEER_MAX + 1):
        news.interested("a", f"root-{n}")
    assert news.hearers("root-0") == set()
    assert news.hearers("root-1") == {"a"}
    news.gone("a")
    assert news._hearers == {}
    assert news._interests == {}

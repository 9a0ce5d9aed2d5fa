"""Who is asked for what, and what follows from the answers."""

from __future__ import annotations

import random

import pytest

from p2p import fetching
from p2p.fetching import Failure, Fetcher, FetchOptions

A, B, C = "node-a", "node-b", "node-c"


def make(**options: int) -> Fetcher[int]:
    return Fetcher(FetchOptions(**options))


def asked(requests: list[tuple[str, list[int]]]) -> dict[int, str]:
    return {item: peer for peer, items in requests for item in items}


def test_ids_are_spread_over_their_holders_in_order() -> None:
    fetcher = make()
    for item in range(6):
        assert fetcher.want(item, [A, B, C])
    requests = fetcher.next_requests(0)
    assert sorted(asked(requests)) == list(range(6))
    assert {peer: len(items) for peer, items in requests} == {A: 2, B: 2, C: 2}
    assert fetcher.next_requests(0) == []


def test_no_more_is_asked_than_the_bounds_allow() -> None:
    fetcher = make(in_flight_max=5, in_flight_per_peer_max=3, ids_per_request_max=2)
    for item in range(20):
        fetcher.want(item, [A, B])
    requests = fetcher.next_requests(0)
    assert len(asked(requests)) == 5
    assert max(len(items) for _, items in requests) == 2
    assert all(score.in_flight <= 3 for score in fetcher.scores().values())
    fetcher.received(requests[0][0], requests[0][1][0])
    assert len(asked(fetcher.next_requests(0))) == 1


def test_only_holders_are_asked() -> None:
    fetcher = make()
    fetcher.want(1, [A])
    fetcher.want(2, [B])
    fetcher.want(3, [])
    assert asked(fetcher.next_requests(0)) == {1: A, 2: B}
    assert fetcher.stuck() == [3]
    fetcher.want(3, [C])
    assert asked(fetcher.next_requests(0)) == {3: C}


def test_a_peer_that_serves_a_wrong_piece_is_named_and_never_asked_for_it_again() -> None:
    """M1: another peer is tried, and the liar comes last for everything else."""
    fetcher = make()
    fetcher.want(1, [A, B])
    assert asked(fetcher.next_requests(0)) == {1: A}
    fetcher.failed(A, 1, Failure.WRONG)
    assert asked(fetcher.next_requests(0)) == {1: B}
    fetcher.failed(B, 1, Failure.LATE)
    fetcher.want(1, [A])
    assert asked(fetcher.next_requests(0)) == {1: B}
    assert fetcher.scores()[A].failures == {Failure.WRONG: 1}
    fetcher.want(2, [A, B])
    assert asked(fetcher.next_requests(0)) == {2: B}


def test_a_late_answer_is_asked_for_elsewhere_and_still_welcome() -> None:
    fetcher = make(timeout_ms=100)
    fetcher.want(1, [A, B])
    fetcher.next_requests(1_000)
    assert fetcher.next_deadline_ms() == 1_100
    assert fetcher.expired(1_099) == []
    assert fetcher.expired(1_100) == [(A, 1)]
    assert asked(fetcher.next_requests(1_100)) == {1: B}
    assert fetcher.received(A, 1)
    assert not fetcher.received(B, 1)
    assert len(fetcher) == 0
    assert fetcher.in_flight() == 0
    assert fetcher.next_deadline_ms() is None


def test_a_peer_is_asked_for_one_piece_a_bounded_number_of_times() -> None:
    fetcher = make(timeout_ms=10)
    fetcher.want(1, [A])
    for attempt in range(fetching.ATTEMPTS_PER_PEER_MAX):
        assert asked(fetcher.next_requests(attempt * 10)) == {1: A}
        assert fetcher.expired(attempt * 10 + 10) == [(A, 1)]
    assert fetcher.next_requests(1_000) == []
    assert fetcher.stuck() == [1]
    fetcher.want(1, [A])
    assert asked(fetcher.next_requests(2_000)) == {1: A}


def test_a_peer_that_lacks_a_piece_is_not_asked_for_it_until_it_is_named_again() -> None:
    fetcher = make()
    fetcher.want(1, [A])
    fetcher.next_requests(0)
    fetcher.failed(A, 1, Failure.MISSING)
    assert fetcher.stuck() == [1]
    fetcher.want(1, [A])
    assert asked(fetcher.next_requests(0)) == {1: A}


def test_what_a_departed_peer_was_asked_for_is_asked_elsewhere() -> None:
    fetcher = make()
    for item in range(4):
        fetcher.want(item, [A, B])
    fetcher.next_requests(0)
    fetcher.peer_gone(A)
    assert set(asked(fetcher.next_requests(0)).values()) == {B}
    assert fetcher.in_flight() == 4
    assert fetcher.scores()[A].in_flight == 0


def test_the_number_of_wanted_ids_and_of_known_peers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "WANTED_MAX", 2)
    monkeypatch.setattr(fetching, "PEERS_MAX", 4)
    fetcher = make()
    assert fetcher.want(1, [])
    assert fetcher.want(2, [])
    assert not fetcher.want(3, [A])
    fetcher.want(1, [f"peer-{number}" for number in range(100)])
    fetcher.next_requests(0)
    assert len(fetcher.scores()) <= 5


def test_everything_arrives_while_one_honest_holder_is_left() -> None:
    """Liars, sleepers and peers without the piece, under 30 seeds: the fetch ends, and nobody innocent is named."""
    for seed in range(30):
        chance = random.Random(seed)
        peers = [f"peer-{number}" for number in range(5)]
        behavior = dict(zip(peers, ["honest", "liar", "silent", "empty", "honest"], strict=True))
        fetcher = make(in_flight_max=16, in_flight_per_peer_max=4, timeout_ms=50)
        for item in range(200):
            fetcher.want(item, [*chance.sample(peers[:4], 3), "peer-4"])
        now_ms = 0
        while len(fetcher) and now_ms < 100_000:
            for peer, items in fetcher.next_requests(now_ms):
                for item in items:
                    if behavior[peer] == "honest":
                        assert fetcher.received(peer, item)
                    elif behavior[peer] == "liar":
                        fetcher.failed(peer, item, Failure.WRONG)
                    elif behavior[peer] == "empty":
                        fetcher.failed(peer, item, Failure.MISSING)
            now_ms += 10
            fetcher.expired(now_ms)
        assert len(fetcher) == 0, seed
        named = {peer for peer, score in fetcher.scores().items() if score.failures[Failure.WRONG]}
        assert named <= {"peer-1"}

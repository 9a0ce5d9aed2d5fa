"""The pool refuses rather than drops, and batches close themselves."""

from __future__ import annotations

import random

import pytest
from node_core_kit import Clock

from node.batcher import RETRY_MS, Batcher, BatchLimits
from node.pool import Entry, Pool, PoolLimits


def entry(size_bytes: int = 10, sender: bytes = b"alice", expires_at_ms: int = 10_000) -> Entry:
    return Entry(bytes(size_bytes), sender, expires_at_ms)


def filled(count: int, limits: PoolLimits | None = None) -> Pool:
    """A pool with `count` fresh transactions of one byte each, its number."""
    pool = Pool(limits or PoolLimits())
    for index in range(count):
        assert pool.add(bytes([index]), Entry(bytes([index]), bytes([index]), 10_000)) == ""
    return pool


@pytest.mark.parametrize(
    ("limits", "added", "code"),
    [
        (PoolLimits(transactions_max=8), [entry(sender=bytes([i])) for i in range(8)], "pool.full"),
        (PoolLimits(bytes_max=100), [entry(91, b"bob")], "pool.full"),
        (PoolLimits(transactions_max=8), [entry(), entry()], "pool.sender_full"),
    ],
)
def test_a_full_pool_refuses_and_keeps_what_it_took(limits: PoolLimits, added: list[Entry], code: str) -> None:
    pool = Pool(limits)
    for index, one in enumerate(added):
        assert pool.add(b"%d" % index, one) == ""
    assert pool.add(b"new", entry()) == code
    assert len(pool) == len(added)
    assert pool.add(b"0", entry()) == "", "one that is known is no new one"


def test_transactions_leave_in_order_of_arrival() -> None:
    pool = filled(5)
    assert pool.take(2, 1_000) == (b"\x00", b"\x01")
    assert pool.take(10, 2) == (b"\x02", b"\x03")
    assert (pool.fresh, pool.in_flight, len(pool)) == (1, 4, 5)


def test_a_transaction_larger_than_a_batch_still_leaves() -> None:
    pool = Pool(PoolLimits())
    pool.add(b"big", entry(1_000))
    pool.add(b"small", entry(1))
    assert [len(data) for data in pool.take(10, 100)] == [1_000]


def test_what_comes_back_leaves_first_again() -> None:
    pool = filled(4)
    pool.take(2, 1_000)
    pool.put_back([b"\x00", b"\x01", b"unknown"])
    assert (pool.fresh, pool.in_flight) == (4, 0)
    assert pool.take(10, 1_000) == (b"\x00", b"\x01", b"\x02", b"\x03")


def test_a_parked_transaction_waits_for_nothing_but_its_end() -> None:
    pool = filled(2)
    pool.take(1, 1_000)
    pool.park(b"\x00")
    pool.park(b"\x01")
    assert (pool.fresh, pool.in_flight, len(pool)) == (0, 0, 2)
    assert b"\x00" in pool
    assert sorted(pool.expire(10_000)) == [b"\x00", b"\x01"]


@pytest.mark.parametrize(("time_ms", "gone"), [(1_999, 0), (2_000, 1), (2_499, 1), (2_500, 2), (9_000, 3)])
def test_what_block_time_has_overtaken_expires(time_ms: int, gone: int) -> None:
    """A7: an expiry is judged by block time, to the millisecond."""
    pool = Pool(PoolLimits())
    for at_ms in (2_000, 2_500, 3_000):
        pool.add(b"%d" % at_ms, entry(expires_at_ms=at_ms))
    assert len(pool.expire(time_ms)) == gone
    assert len(pool) == 3 - gone


def test_the_books_are_right_after_any_history() -> None:
    chance = random.Random(4)
    pool = Pool(PoolLimits(transactions_max=40))
    model: dict[bytes, tuple[Entry, str]] = {}
    for step in range(3_000):
        identifier = b"%d" % chance.randrange(60)
        match chance.randrange(5):
            case 0:
                one = entry(chance.randrange(1, 9), b"%d" % chance.randrange(9), step + chance.randrange(4_000))
                if identifier not in model and pool.add(identifier, one) == "":
                    model[identifier] = (one, "fresh")
            case 1:
                taken = pool.take(chance.randrange(4), 20)
                fresh = [known for known, (_, place) in model.items() if place == "fresh"]
                assert len(taken) <= len(fresh)
                model = {known: (one, one.place) for known, (one, _) in model.items()}
            case 2:
                pool.remove(identifier)
                model.pop(identifier, None)
            case 3:
                chance.choice((pool.park, lambda known: pool.put_back([known])))(identifier)
                model = {known: (one, one.place) for known, (one, _) in model.items()}
            case _:
                for gone in pool.expire(step):
                    assert model.pop(gone)[0].expires_at_ms <= step
        entries = [one for one, _ in model.values()]
        assert len(pool) == len(entries)
        assert pool.size_bytes == sum(len(one.data) for one in entries)
        assert pool.in_flight == sum(one.place == "in_flight" for one in entries)
        assert pool.fresh == sum(one.place == "fresh" for one in entries)
        assert pool.fresh_bytes == sum(len(one.data) for one in entries if one.place == "fresh")


def batcher(pool: Pool, limits: BatchLimits, clock: Clock | None = None) -> tuple[Batcher, list[tuple[bytes, ...]]]:
    closed: list[tuple[bytes, ...]] = []
    return Batcher(clock or Clock(), pool, limits, closed.append), closed


def test_an_idle_node_closes_a_batch_at_once() -> None:
    made, closed = batcher(filled(1), BatchLimits())
    made.poll()
    assert closed == [(b"\x00",)]


def test_a_busy_node_gathers_until_a_batch_is_full_or_the_way_is_free() -> None:
    pool = filled(1)
    made, closed = batcher(pool, BatchLimits(transactions_max=3))
    made.poll()
    for index in (1, 2):
        pool.add(bytes([index]), entry(1, bytes([index])))
        made.poll()
    assert len(closed) == 1
    pool.remove(b"\x00")
    made.poll()
    assert [len(batch) for batch in closed] == [1, 2]
    for index in range(3, 6):
        pool.add(bytes([index]), entry(1, bytes([index])))
    made.poll()
    assert [len(batch) for batch in closed] == [1, 2, 3], "full, though the second is under way"


@pytest.mark.parametrize("transactions_max", [2, 50])
def test_a_batch_is_closed_whatever_the_limits_but_no_more_than_may_be_in_flight(transactions_max: int) -> None:
    pool = filled(20)
    made, closed = batcher(pool, BatchLimits(transactions_max=transactions_max, in_flight_max=6))
    made.poll()
    assert sum(map(len, closed)) == (6 if transactions_max == 2 else 20)


def test_a_batch_is_full_by_bytes_too() -> None:
    pool = Pool(PoolLimits())
    for index in range(6):
        pool.add(bytes([index]), entry(40, bytes([index])))
    made, closed = batcher(pool, BatchLimits(bytes_max=100))
    made.poll()
    assert [len(batch) for batch in closed] == [2, 2], "the rest is less than a batch"


def test_nothing_is_closed_while_it_would_come_back() -> None:
    clock, pool = Clock(), filled(3)
    made, closed = batcher(pool, BatchLimits(), clock)
    made.pause()
    made.pause()
    made.poll()
    clock.advance(RETRY_MS - 1)
    assert not closed
    clock.advance(1)
    assert closed == [(b"\x00", b"\x01", b"\x02")]


def test_a_stopped_batcher_is_silent() -> None:
    clock, pool = Clock(), filled(3)
    made, closed = batcher(pool, BatchLimits(), clock)
    made.pause()
    made.stop()
    clock.advance(10 * RETRY_MS)
    made.poll()
    assert not closed

"""The queue of deadlines: ordered by time, kind and subject; entered, cancelled and taken once."""

from __future__ import annotations

from ledger.deadlines import cancel, due, next_deadline, schedule, take
from ledger.state.store import MemoryStore
from ledger.state.view import StateView


def test_deadlines_come_in_order_of_time_kind_and_subject() -> None:
    view = StateView(MemoryStore())
    entered = [
        (300, "a.x", b"1"),
        (256, "b.x", b""),
        (255, "b.x", b"2"),
        (255, "a.x", b"9"),
        (255, "b.x", b"1"),
        (2**62, "a.x", b""),
    ]
    for at_ms, kind, subject in entered:
        schedule(view, at_ms, kind, subject)
    found = due(view, 10**6, 10)
    assert [(item.at_ms, item.kind, item.subject) for item in found] == sorted(entered)[:-1]
    assert [item.at_ms for item in due(view, 255, 10)] == [255, 255, 255]
    assert len(due(view, 10**6, 2)) == 2
    assert due(view, 254, 10) == []
    assert next_deadline(view) == 255
    assert len({item.id for item in found}) == 5


def test_a_deadline_is_taken_once_and_not_after_it_was_cancelled() -> None:
    view = StateView(MemoryStore())
    schedule(view, 5, "a.x", b"1")
    schedule(view, 5, "a.x", b"1")
    schedule(view, 5, "a.x", b"2")
    first, second = due(view, 5, 10)
    assert take(view, first)
    assert not take(view, first)
    cancel(view, 5, "a.x", b"2")
    cancel(view, 5, "a.x", b"2")
    assert not take(view, second)
    assert next_deadline(view) is None
    assert all(value is None for value in view.changes().values())


def test_a_subject_cannot_run_into_the_kind() -> None:
    view = StateView(MemoryStore())
    schedule(view, 5, "a.x", b"y")
    schedule(view, 5, "a.xy", b"")
    assert [(item.kind, item.subject) for item in due(view, 5, 10)] == [("a.x", b"y"), ("a.xy", b"")]

"""What liars and a general restart can do to a replica that was started, and waits to be told that its log is whole."""

from __future__ import annotations

from consensus_kit import Solo, of, signed

from consensus.engine import Outdated
from consensus.messages import Status


def status(replica: int, seen: int = 0, *, to: int = 1) -> Status:
    return signed(Status(0, replica, 0, 0, 0, None, (), 0, seen, to, bytes(64)))


def test_what_was_told_to_another_counts_for_nothing() -> None:
    """S8, L8, R6: replica 0 has signed up to a huge position, is told so by all, and passes that on in their names.

    With its own claim that would be f + 1, and with one validator silent for the epoch the liar could stop the network.
    """
    solo = Solo(1, gated=True)
    assert of(solo.receive(status(2, seen=2**40, to=0), status(3, seen=2**40, to=0), sender=0), Outdated) == []
    assert of(solo.receive(status(0, seen=2**40)), Outdated) == []
    solo.receive(status(2, to=0), status(3, to=0), sender=0)
    assert "waits for the Status of 2 more" in solo.replica.status().silent_because, "nor does it open the gate"
    solo.receive(status(2), status(3))
    assert not solo.replica.status().outdated

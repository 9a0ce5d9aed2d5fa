"""The judges at the network know what a node's disk holds."""

from __future__ import annotations

from node.journal import DAMAGED_FILE_NAME, FILE_NAME
from simulation.wire_laws import DurableLog


def test_a_damaged_log_that_was_put_aside_is_not_the_log() -> None:
    log = DurableLog()
    log.on_durable(FILE_NAME, b"promise", False)
    log.on_durable(DAMAGED_FILE_NAME, b"an older one", True)
    assert log.holds(b"promise")
    log.on_durable(FILE_NAME, b"rewritten", True)
    assert not log.holds(b"promise")

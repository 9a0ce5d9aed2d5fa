"""Certificates of blocks: stability, pruning, synchronization, divergence."""

from __future__ import annotations

import msgspec
import pytest
from consensus_harness import FAST, World
from consensus_kit import (
    Solo,
    batch,
    certificate,
    checkpoint,
    commit,
    of,
    pre_prepare,
    prepare,
    proposal,
    sent,
    settle,
    signed,
)

from consensus.engine import BatchClosed, Certified, Diverged, EvidenceFound, Execute, Synchronized, SyncNeeded
from consensus.messages import Status
from consensus.pbft.state import LATE_PERIODS_MAX

A, B = batch(2, 1, b"a"), batch(3, 1, b"b")
X = proposal(0, A)
GOOD, WRONG = b"\x01" * 32, b"\x02" * 32


def decided(solo: Solo) -> None:
    solo.receive(A, pre_prepare(0, 1, X), prepare(2, 0, 1, X), commit(0, 0, 1, X), commit(2, 0, 1, X))


def status(replica: int, stable_height: int, block_hash: bytes = GOOD) -> Status:
    stable = certificate(stable_height, block_hash) if stable_height else None
    return signed(Status(0, replica, 0, 0, stable_height, stable, (), 0, 0, 1, bytes(64)))


def test_an_executed_block_is_signed_and_a_quorum_makes_its_certificate() -> None:
    solo = Solo(1)
    decided(solo)
    (own,) = sent(solo.executed(1, GOOD), "checkpoint")
    assert (own.sequence, own.block_hash) == (1, GOOD)
    assert of(solo.receive(checkpoint(0, 1, GOOD)), Certified) == []
    (found,) = of(solo.receive(checkpoint(2, 1, GOOD)), Certified)
    assert found.certificate == certificate(1, GOOD)
    state = solo.replica.status()
    assert (state.low_watermark, state.high_watermark) == (1, 17)


def test_a_certificate_prunes_votes_and_executed_batches() -> None:
    solo = Solo(1)
    for sequence in range(1, 30):
        settle(solo, sequence, proposal(0, batch(2, sequence, b"x")), batch(2, sequence, b"x"))
    state = solo.replica._state
    assert state.low == 29
    kept = (state.slots, state.prepared, state.decided, state.checkpoints, state.blocks, state.batches)
    assert [len(table) for table in kept] == [0] * 6
    assert len(state.in_flight) <= FAST.window


def test_a_wrong_hash_of_f_replicas_makes_nothing_stable() -> None:
    """S13."""
    solo = Solo(1)
    decided(solo)
    solo.executed(1, GOOD)
    assert of(solo.receive(checkpoint(0, 1, WRONG), checkpoint(2, 1, GOOD)), Certified) == []
    assert len(of(solo.receive(checkpoint(3, 1, GOOD)), Certified)) == 1


def test_a_replica_whose_own_block_differs_stops_voting_and_says_so() -> None:
    """S13: the local node diverged."""
    solo = Solo(1)
    decided(solo)
    solo.executed(1, WRONG)
    effects = solo.receive(*(checkpoint(replica, 1, GOOD) for replica in (0, 2, 3)))
    (found,) = of(effects, Diverged)
    assert (found.certificate.block_hash, found.own_block_hash) == (GOOD, WRONG)
    assert not solo.replica.status().voting
    assert "differs" in solo.replica.status().silent_because
    solo.receive(B, pre_prepare(0, 2, proposal(0, B)))
    assert solo.expire("suspicion") == []
    assert of(solo.step(BatchClosed((b"mine",))), Execute) == []
    solo.step(Synchronized(certificate(1, GOOD)))
    assert solo.replica.status().voting


def test_two_checkpoints_of_one_replica_for_one_sequence_are_evidence() -> None:
    solo = Solo(1)
    effects = solo.receive(checkpoint(3, 1, GOOD), checkpoint(3, 1, WRONG))
    assert [found.evidence.culprit for found in of(effects, EvidenceFound)] == [3]


def test_a_certificate_that_comes_before_the_block_settles_it_when_executed() -> None:
    solo = Solo(1)
    decided(solo)
    assert of(solo.receive(status(2, 1), status(3, 1)), Certified) == []
    assert len(of(solo.executed(1, GOOD), Certified)) == 1
    assert solo.replica.status().stable_checkpoint == 1


def test_a_certified_height_that_does_not_come_by_itself_is_synchronized() -> None:
    """L6: even when the traffic has stopped."""
    solo = Solo(1)
    assert of(solo.receive(status(2, 3)), SyncNeeded) == []  # within the window: its votes may be on their way
    assert of(solo.expire("status"), SyncNeeded) == []
    (needed,) = of(solo.expire("status"), SyncNeeded)
    assert (needed.certificate.height, needed.holders) == (3, (2,))
    solo.step(Synchronized(certificate(3, GOOD)))
    assert of(solo.expire("status"), SyncNeeded) == []
    assert solo.replica.status().last_executed == 3


def test_a_replica_whose_decisions_come_late_waits_for_them() -> None:
    """L6: fetched blocks would cost it the signatures again, and it would fall behind by catching up."""
    solo = Solo(1)
    solo.receive(status(2, 3))
    solo.expire("status")
    decided(solo)
    assert of(solo.expire("status"), SyncNeeded) == []
    assert solo.replica.status().last_decided == 1
    (needed,) = of(solo.expire("status"), SyncNeeded)  # nothing came since
    assert needed.certificate.height == 3


def test_a_replica_that_is_given_a_decision_now_and_then_does_not_wait_for_ever() -> None:
    """L6: a primary that lets it have one batch a period does not decide how far behind it is."""
    solo = Solo(1)
    solo.receive(status(2, 15))
    assert solo.replica.status().highest_certified == 15
    asked = []
    for period in range(1, LATE_PERIODS_MAX + 3):
        held = batch(2, period, b"item")
        content = proposal(0, held)
        solo.receive(held, pre_prepare(0, period, content), prepare(2, 0, period, content))
        solo.receive(commit(0, 0, period, content), commit(2, 0, period, content))
        assert solo.replica.status().last_decided == period
        asked.append(bool(of(solo.expire("status"), SyncNeeded)))
    assert asked == [False] * LATE_PERIODS_MAX + [True] * 2


def test_a_height_beyond_the_window_is_synchronized_at_once() -> None:
    """L6."""
    solo = Solo(1)
    (needed,) = of(solo.receive(status(3, 500)), SyncNeeded)
    assert needed.holders == (3,)
    assert solo.replica.status().low_watermark == 500


@pytest.mark.parametrize("liar", [certificate(500, GOOD, (3,)), certificate(2**60, GOOD, (2, 3))])
def test_a_height_without_a_quorum_moves_nobody(liar: object) -> None:
    """L13."""
    solo = Solo(1)
    lie = signed(msgspec.structs.replace(status(3, 0), stable=liar, last_executed=2**60))
    assert of(solo.receive(lie), SyncNeeded) == []
    assert solo.refusals == {"bad_certificate": 1}
    assert solo.replica.status().low_watermark == 0


def test_a_sequence_that_came_by_synchronization_and_by_votes_executes_once() -> None:
    """S15."""
    solo = Solo(1)
    solo.receive(A, pre_prepare(0, 1, X), prepare(2, 0, 1, X), commit(0, 0, 1, X))
    solo.step(Synchronized(certificate(1, GOOD), ((2, 1),)))
    assert of(solo.receive(commit(2, 0, 1, X)), Execute) == []
    decided(solo)
    assert solo.replica.status().last_decided == 1
    assert solo.executed(1, GOOD) == []
    assert solo.replica.status().batches_waiting == 0


def test_batches_in_synchronized_blocks_wait_no_longer_even_when_they_come_later() -> None:
    solo = Solo(1)
    solo.receive(A)
    solo.step(Synchronized(certificate(1, GOOD), ((2, 1), (3, 1))))
    solo.receive(B)
    assert solo.replica.status().batches_waiting == 0


def test_a_replica_that_was_away_catches_up_when_traffic_has_stopped() -> None:
    """L6."""
    world = World(4)
    world.hosts[3].crash()
    for number in range(60):
        world.submit(number % 3, b"%d" % number)
        world.run(15)
    assert world.run(2_000, lambda: world.all_certified([0, 1, 2]))
    assert world.hosts[0].ledger.height > FAST.window
    world.hosts[3].start()
    assert world.run(2_000, world.all_certified)
    assert world.hosts[3].replica.status().voting


def test_a_slow_executor_keeps_its_place_within_the_window() -> None:
    """L11."""
    world = World(4)
    world.slow_ms[2] = 60
    world.hosts[3].crash()
    for number in range(30):
        world.submit(number % 2, b"%d" % number)
        world.run(20)
    assert world.run(5_000, world.all_have(*(b"%d" % n for n in range(30)), among=[0, 1, 2]))

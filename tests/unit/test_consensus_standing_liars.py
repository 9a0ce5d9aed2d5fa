"""What liars and a general restart can do to a replica that was started, and waits to be told that its log is whole."""

from __future__ import annotations

import msgspec
from consensus_kit import Solo, batch, certificate, of, pre_prepare, prepare, proposal, signed, view_change

from consensus.engine import CertificateShown, Outdated, Send, Synchronized
from consensus.messages import Status
from consensus.pbft.records import LastPosition, encode_record
from consensus.pbft.standing import CLAIM_PERIODS

A = batch(3, 1, b"a")
BLOCK = b"\x01" * 32


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


def test_a_claim_holds_the_gate_shut_however_long_the_replica_was_alone_before() -> None:
    """R6: links may come up long after the start; the periods count from the claim, which is said with its proof."""
    solo = Solo(1, gated=True)
    for _ in range(3 * CLAIM_PERIODS):
        solo.expire("status")
    solo.receive(status(0, seen=6), status(2), status(3))
    assert not solo.replica.status().voting
    for _ in range(CLAIM_PERIODS):
        solo.receive(status(0), status(0, seen=6))  # taken back and said again, it counts from the first time
        solo.expire("status")
    assert solo.replica.status().voting


def test_after_a_restart_of_all_the_logs_tell_what_others_promised() -> None:
    """L12, R6: power failed at one site, and one of the validators returns with an old copy of its log."""
    before = Solo(1)
    proposed = proposal(0, A)
    vote = signed(msgspec.structs.replace(prepare(2, 0, 1, proposed), position=7))
    before.receive(A, pre_prepare(0, 1, proposed), vote)
    change = signed(msgspec.structs.replace(view_change(0, 1), position=9))
    before.receive(change, view_change(3, 1))
    for records in (before.records, before.replica.retained_records()):
        again = Solo(1, records=records)
        told = {send.to[0]: send.message.highest_position_seen for send in of(again.expire("status"), Send)}
        assert (told[2], told[3]) == (7, 1)
    assert told[0] == 9, "a truncated log has the positions themselves"


def test_a_certificate_with_our_own_signature_tells_what_the_log_forgot() -> None:
    """R6: nobody else remembers our votes, but the block that we signed is not in our ledger."""
    solo = Solo(1, gated=True, records=[encode_record(LastPosition(5, 0))])
    assert of(solo.step(CertificateShown(certificate(3, BLOCK, (0, 2, 3)), None)), Outdated) == []
    assert of(solo.step(CertificateShown(certificate(4, BLOCK, (0, 1, 3)), None)), Outdated) == [Outdated(5, 6)]
    solo.receive(status(0), status(2), status(3))
    assert not solo.replica.status().voting


def test_an_empty_log_beside_a_ledger_with_our_signature_is_none() -> None:
    """R7: the log of an earlier epoch was restored, which looks as if the present epoch had just begun."""
    stable = certificate(3, BLOCK, (0, 1, 3))
    solo = Solo(1, gated=True, last_executed=3, last_block=(BLOCK, 0), stable=stable)
    assert of(solo.effects, Outdated) == [Outdated(0, 1)]
    others = certificate(3, BLOCK, (0, 2, 3))
    solo = Solo(1, gated=True, last_executed=3, last_block=(BLOCK, 0), stable=others)
    assert of(solo.effects, Outdated) == []


def test_a_checkpoint_in_the_log_is_no_reason_for_doubt() -> None:
    """R7: only the ledger was lost, and the log has every promise of the epoch."""
    before = Solo(1)
    before.executed(1, BLOCK)
    solo = Solo(1, gated=True, records=before.records, last_executed=0)
    assert of(solo.step(CertificateShown(certificate(1, BLOCK, (0, 1, 3)), None)), Outdated) == []
    solo.step(Synchronized(certificate(1, BLOCK, (0, 1, 3))))
    solo.receive(status(0), status(2))
    assert solo.replica.proven

"""Batches: authorship, quotas, fetching, fair filling; and the numbers of executed ones."""

from __future__ import annotations

import msgspec
import pytest
from consensus_harness import FAST
from consensus_kit import Solo, batch, certificate, of, pre_prepare, prepare, proposal, sent, settle, signed

from consensus.engine import BatchClosed, BatchesReleased, Broadcast, EvidenceFound, Persist, Synchronized
from consensus.messages import BatchRequest
from consensus.pbft.batches import WAITING_PER_AUTHOR_MAX, split
from consensus.pbft.numbers import NUMBERS_ABOVE_MAX, FinishedNumbers


def test_a_closed_batch_is_signed_made_durable_and_spread_with_rising_number_and_position() -> None:
    solo = Solo(1)
    numbers, positions = [], []
    for _ in range(3):
        effects = solo.step(BatchClosed((b"x",)))
        assert [type(effect) for effect in effects[:2]] == [Persist, Broadcast]
        (made,) = sent(effects, "batch")
        numbers.append(made.number)
        positions.append(made.position)
    assert numbers == [1, 2, 3]
    assert positions == sorted(set(positions))


def test_items_that_fill_more_than_a_batch_become_several() -> None:
    assert list(split((b"aa", b"bb", b"cc"), 4)) == [(b"aa", b"bb"), (b"cc",)]
    assert list(split((), 4)) == [()]
    solo = Solo(1, configuration=msgspec.structs.replace(FAST, proposal_bytes_max=64 * 1024))
    made = sent(solo.step(BatchClosed(tuple(bytes(40_000) for _ in range(3)))), "batch")
    assert [len(part.items) for part in made] == [1, 1, 1]


def test_two_batches_with_one_number_are_evidence_and_the_second_is_not_pooled() -> None:
    solo = Solo(1)
    effects = solo.receive(batch(2, 1, b"a"), batch(2, 1, b"b"))
    assert [found.evidence.culprit for found in of(effects, EvidenceFound)] == [2]
    assert solo.replica.status().batches_waiting == 1


def test_a_batch_that_only_we_were_shown_in_a_proposal_waits_again_when_others_decided_another() -> None:
    """S1, L4: else an equivocating primary strands it for as long as its view lasts."""
    solo = Solo(1)
    shown = batch(2, 1, b"a")
    solo.receive(shown, pre_prepare(0, 1, proposal(0, shown)))
    assert solo.replica.status().batches_waiting == 0
    solo.step(Synchronized(certificate(1, b"\x01" * 32)))
    assert solo.replica.status().batches_waiting == 1
    assert "suspicion" in solo.replica.status().running_timers


def test_an_author_over_its_quota_is_refused_until_some_are_decided_but_named_batches_are_held() -> None:
    """L5: a flooding author moves nobody and starves nobody."""
    solo = Solo(1)
    for number in range(1, WAITING_PER_AUTHOR_MAX + 3):
        solo.receive(batch(2, number, b"x"))
    assert solo.refusals == {"author_over_quota": 2}
    assert solo.replica.status().batches_waiting == WAITING_PER_AUTHOR_MAX
    refused = batch(2, WAITING_PER_AUTHOR_MAX + 2, b"x")
    solo.receive(pre_prepare(0, 1, proposal(0, refused)))
    assert len(sent(solo.receive(refused), "prepare")) == 1
    assert solo.receive(batch(3, 1, b"y")) != []


def test_own_items_over_the_quota_are_handed_back() -> None:
    solo = Solo(1)
    for _ in range(WAITING_PER_AUTHOR_MAX):
        solo.step(BatchClosed((b"x",)))
    assert of(solo.step(BatchClosed((b"y", b"z"))), BatchesReleased) == [BatchesReleased((b"y", b"z"))]
    assert solo.replica.status().own_batches_waiting == WAITING_PER_AUTHOR_MAX


@pytest.mark.parametrize("number", [0, 2**63 - 1])
def test_hostile_numbers_take_one_place(number: int) -> None:
    """L10, N11."""
    solo = Solo(1)
    solo.receive(batch(2, 5_000, b"a"), batch(2, number, b"b"))
    assert len(solo.replica._state.numbers[2]) <= 2
    assert solo.replica.status().batches_waiting <= 2


def test_a_batch_that_nobody_signed_is_not_held() -> None:
    solo = Solo(1)
    solo.receive(signed(batch(2, 1, b"a"), key=3))
    assert solo.replica._state.batches == {}
    assert solo.refusals == {"bad_signature": 1}


def test_missing_batches_are_asked_of_the_primary_and_then_of_those_who_prepared() -> None:
    solo = Solo(1)
    missing = batch(3, 1, b"a")
    content = proposal(0, missing)
    first = [effect for effect in solo.receive(pre_prepare(0, 1, content)) if sent([effect], "batch-request")]
    assert [effect.to for effect in first] == [(0,)]  # type: ignore[union-attr]  # sends
    solo.receive(prepare(2, 0, 1, content))
    again = [effect for effect in solo.expire("status") if sent([effect], "batch-request")]
    assert [effect.to for effect in again] == [(2,)]  # type: ignore[union-attr]


def test_a_request_is_answered_with_what_is_held_to_its_sender_only() -> None:
    solo = Solo(1)
    held = batch(3, 1, b"a")
    solo.receive(held)
    request = BatchRequest(0, (held.digest, bytes(32)))
    (answer,) = solo.receive(request, sender=2)
    assert (answer.message, answer.to) == (held, (2,))  # type: ignore[union-attr]  # a Send
    assert solo.receive(request) == []
    assert solo.receive(msgspec.structs.replace(request, epoch=1), sender=2) == []


def test_an_executed_batch_that_comes_again_is_not_pooled() -> None:
    solo = Solo(1)
    again = batch(3, 1, b"a")
    settle(solo, 1, proposal(0, again), again)
    solo.receive(again)
    assert solo.replica.status().batches_waiting == 0


def test_finished_numbers_need_little_memory_whatever_their_order() -> None:
    numbers = FinishedNumbers()
    for number in (2, 3, 1, 5, 1):
        numbers.add(number)
    assert (numbers.floor, numbers.above) == (3, {5})
    assert [number in numbers for number in (0, 3, 4, 5, 6)] == [True, True, False, True, False]
    for number in range(10, 10 + 2 * NUMBERS_ABOVE_MAX, 2):
        numbers.add(number)
    assert len(numbers.above) <= NUMBERS_ABOVE_MAX

"""Batches: who authored them, which are held, which wait to be ordered. Spec: "Batches"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from consensus.engine import EvidenceFound
from consensus.errors import Refusal
from consensus.evidence import Evidence
from consensus.messages import Batch, BatchRequest, Proposal, verify_signed
from consensus.pbft.records import HeldBatch
from consensus.pbft.state import State
from primitives.list_root import list_root

WAITING_PER_AUTHOR_MAX: Final = 256
"""Undecided batches that an author may have here; more are refused until some are decided."""
NUMBERS_REMEMBERED: Final = 4_096
"""Batch numbers remembered for each author; older ones are refused."""
REQUEST_DIGESTS_MAX: Final = 64
"""Batches asked for in one request, and served for one."""


def author_batch(state: State, items: tuple[bytes, ...]) -> None:
    """Sign, keep and spread a batch of our own."""
    assert state.replica_id is not None
    state.own_number += 1
    batch: Batch = state.sign(
        Batch(
            state.validators.epoch,
            state.replica_id,
            state.next_position(),
            state.own_number,
            list_root(items),
            items,
            bytes(64),
        )
    )
    state.persist(HeldBatch(batch))
    hold(state, batch)
    state.broadcast(batch)


def receive_batch(state: State, batch: Batch) -> None:
    """Take a batch from its author or from anyone who passed it on."""
    digest = batch.digest
    if digest in state.batches:
        return
    wanted = digest in wanted_digests(state)
    numbers = state.numbers.setdefault(batch.author, {})
    known = numbers.get(batch.number)
    if not wanted and (known == digest or digest in state.finished):
        return
    if known is None and not wanted:
        if numbers and batch.number <= max(numbers) - NUMBERS_REMEMBERED:
            raise Refusal("stale_batch", batch.author)
        if len(state.waiting.get(batch.author, ())) >= WAITING_PER_AUTHOR_MAX:
            raise Refusal("author_over_quota", batch.author)
    verify_signed(state.validators, state.verifier, batch)
    if known not in (None, digest) and (other := state.batches.get(known or b"")) is not None:
        state.emit(EvidenceFound(Evidence(other, batch)))
        if not wanted:
            raise Refusal("two_batches_with_one_number", batch.author)
    state.persist(HeldBatch(batch))
    hold(state, batch)


def hold(state: State, batch: Batch) -> None:
    """Record that a durable batch is here."""
    digest = batch.digest
    state.batches[digest] = batch
    state.requested.discard(digest)
    numbers = state.numbers.setdefault(batch.author, {})
    numbers.setdefault(batch.number, digest)
    while len(numbers) > NUMBERS_REMEMBERED:
        del numbers[min(numbers)]
    if digest not in state.proposed_in_view and digest not in state.finished:
        state.waiting.setdefault(batch.author, []).append(digest)


def wanted_digests(state: State) -> set[bytes]:
    """Return the digests that accepted or candidate proposals name and that are not held."""
    return {digest for proposal in open_proposals(state) for digest in missing(state, proposal)}


def open_proposals(state: State) -> Iterator[Proposal]:
    """Yield the proposals above the stable checkpoint that may still have to be handed over or shown."""
    for slot in state.slots.values():
        if slot.candidate is not None:
            yield slot.candidate.proposal
        if slot.pre_prepare is not None:
            yield slot.pre_prepare.proposal
    yield from state.decided.values()
    for certificate in state.prepared.values():
        yield certificate.pre_prepare.proposal


def missing(state: State, proposal: Proposal) -> list[bytes]:
    """Return the proposal's batches that are not held."""
    return [digest for digest in proposal.batches if digest not in state.batches]


def request_missing(state: State, digests: list[bytes], holders: list[int]) -> None:
    """Ask `holders` for batches that were not asked for since the last Status period."""
    digests = [digest for digest in digests if digest not in state.requested]
    state.requested.update(digests)
    for start in range(0, len(digests), REQUEST_DIGESTS_MAX):
        part = tuple(digests[start : start + REQUEST_DIGESTS_MAX])
        state.send(BatchRequest(state.validators.epoch, part), *holders)


def serve_request(state: State, request: BatchRequest, sender: int | None) -> None:
    """Answer a request with the batches that are here."""
    if sender is None:
        return
    for digest in request.digests[:REQUEST_DIGESTS_MAX]:
        batch = state.batches.get(digest)
        if batch is not None:
            state.send(batch, sender)


def fill_proposal(state: State) -> tuple[bytes, ...]:
    """Take waiting batches in rounds over the authors, so that none crowds out the others, within the limits."""
    taken: list[bytes] = []
    room = state.configuration.proposal_bytes_max
    queues = {author: list(queue) for author, queue in sorted(state.waiting.items()) if queue}
    while queues and len(taken) < state.configuration.batches_per_proposal_max:
        for author in sorted(queues):
            digest = queues[author].pop(0)
            size = sum(map(len, state.batches[digest].items))
            if size > room:
                del queues[author]
                continue
            room -= size
            taken.append(digest)
            if not queues[author]:
                del queues[author]
            if len(taken) == state.configuration.batches_per_proposal_max:
                break
    return tuple(taken)


def mark_in_flight(state: State, proposal: Proposal) -> None:
    """The batches of a proposal that this view accepted wait no longer."""
    named = set(proposal.batches)
    state.proposed_in_view |= named
    for queue in state.waiting.values():
        queue[:] = [digest for digest in queue if digest not in named]


def return_undecided(state: State) -> None:
    """A new view begins: what no sequence has decided waits again, oldest first."""
    decided = {digest for proposal in state.decided.values() for digest in proposal.batches}
    state.proposed_in_view = set()
    state.waiting = {}
    for digest, batch in sorted(state.batches.items(), key=lambda held: (held[1].author, held[1].number)):
        if digest not in decided and digest not in state.finished:
            state.waiting.setdefault(batch.author, []).append(digest)


def finish(state: State, sequence: int, proposal: Proposal) -> None:
    """The batches of an executed sequence are done with here."""
    for digest in proposal.batches:
        state.finished[digest] = sequence
    mark_in_flight(state, proposal)


def finish_numbers(state: State, sequence: int, executed: tuple[tuple[int, int], ...]) -> None:
    """The same for (author, number) pairs that synchronization executed."""
    for author, number in executed:
        digest = state.numbers.get(author, {}).get(number)
        if digest is not None:
            state.finished[digest] = sequence
            queue = state.waiting.get(author, [])
            queue[:] = [waiting for waiting in queue if waiting != digest]


def prune(state: State) -> None:
    """Forget executed batches below the stable checkpoint, and after a window also that they existed.

    A batch can be executed and yet be named again above the checkpoint, by a primary that did not know: it stays.
    """
    floor = state.low - state.configuration.window
    named = {digest for proposal in open_proposals(state) for digest in proposal.batches}
    for digest, sequence in list(state.finished.items()):
        if sequence <= min(state.low, state.last_executed) and digest not in named:
            state.batches.pop(digest, None)
        if sequence <= floor:
            del state.finished[digest]

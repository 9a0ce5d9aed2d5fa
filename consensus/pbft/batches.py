"""Batches: who authored them, which are held, which wait to be ordered. Spec: "Batches"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from consensus.engine import BatchesReleased, BatchHeld
from consensus.errors import Refusal
from consensus.messages import BATCH_BYTES_MAX, ITEMS_PER_BATCH_MAX, Batch, BatchRequest, Proposal
from consensus.pbft.numbers import FinishedNumbers
from consensus.pbft.records import Finished, HeldBatch
from consensus.pbft.state import State
from primitives.list_root import list_root

WAITING_PER_AUTHOR_MAX: Final = 256
"""Undecided batches that an author may have here; more are refused until some are decided."""
WAITING_BYTES_PER_AUTHOR_MAX: Final = 32 * 1024 * 1024
"""Bytes of items in them."""
NUMBERS_REMEMBERED: Final = 4_096
"""Batch numbers remembered for each author, to notice two batches with one number; older ones are refused."""
REQUEST_DIGESTS_MAX: Final = 64
"""Batches asked for in one request, and served for one."""
ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes of items sent in answer to one request; the rest is asked for again."""
FORWARD_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of waiting batches that are shown to everyone when the primary leaves them waiting."""


def author_batches(state: State, items: tuple[bytes, ...]) -> None:
    """Sign, keep and spread items of our own, as one batch or, where they are too many, as several.

    What does not fit the author's quota is handed back: the pool keeps it until earlier batches are decided.
    """
    for part in split(items, batch_bytes_max(state)):
        if state.silent or over_quota(state, state.own_id):
            state.emit(BatchesReleased(part))
            continue
        state.own_number += 1
        root = list_root(part)
        epoch = state.validators.epoch
        batch: Batch = state.sign(
            Batch(epoch, state.own_id, state.next_position(), state.own_number, root, part, bytes(64))
        )
        state.persist(HeldBatch(batch))
        hold(state, batch)
        state.broadcast(batch)
        state.emit(BatchHeld(batch, True))


def batch_bytes_max(state: State) -> int:
    """Return the size that a batch may have so that a proposal can carry it."""
    return min(BATCH_BYTES_MAX, state.configuration.proposal_bytes_max)


def split(items: tuple[bytes, ...], size_bytes_max: int) -> Iterator[tuple[bytes, ...]]:
    """Cut `items`, in order, into parts that a batch may hold. No items make one empty batch: it asks for a block."""
    part: list[bytes] = []
    size = 0
    for item in items:
        if part and (size + len(item) > size_bytes_max or len(part) == ITEMS_PER_BATCH_MAX):
            yield tuple(part)
            part, size = [], 0
        part.append(item)
        size += len(item)
    if part or not items:
        yield tuple(part)


def over_quota(state: State, author: int) -> bool:
    queue = state.waiting.get(author, ())
    size = sum(state.batch_bytes[digest] for digest in queue)
    return len(queue) >= WAITING_PER_AUTHOR_MAX or size >= WAITING_BYTES_PER_AUTHOR_MAX


def receive_batch(state: State, batch: Batch) -> bool:
    """Take a batch from its author or from anyone who passed it on. Tell whether it is new here."""
    digest = batch.digest
    if digest in state.batches:
        return False
    wanted = digest in wanted_digests(state)
    numbers = state.numbers.setdefault(batch.author, {})
    known = numbers.get(batch.number)
    if not wanted:
        if batch.number in state.finished.get(batch.author, ()) or known == digest:
            return False
        if sum(map(len, batch.items)) > batch_bytes_max(state):
            raise Refusal("batch_too_large", batch.author)
        if numbers and batch.number <= max(numbers) - NUMBERS_REMEMBERED:
            raise Refusal("stale_batch", batch.author)
        if over_quota(state, batch.author):
            raise Refusal("author_over_quota", batch.author)
    state.verify(batch)
    if known is not None and known != digest:
        if (other := state.batches.get(known)) is not None:
            state.accuse(other, batch)
        if not wanted:
            raise Refusal("two_batches_with_one_number", batch.author)
    state.persist(HeldBatch(batch))
    hold(state, batch)
    state.emit(BatchHeld(batch, False))
    return True


def hold(state: State, batch: Batch) -> None:
    """Record that a durable batch is here."""
    digest = batch.digest
    if digest in state.batches:
        return
    state.batches[digest] = batch
    state.batch_bytes[digest] = sum(map(len, batch.items))
    state.requested.discard(digest)
    numbers = state.numbers.setdefault(batch.author, {})
    numbers.setdefault(batch.number, digest)
    while len(numbers) > NUMBERS_REMEMBERED:
        del numbers[min(numbers)]
    if digest not in state.in_flight and batch.number not in state.finished.get(batch.author, ()):
        state.waiting.setdefault(batch.author, []).append(digest)


def wanted_digests(state: State) -> set[bytes]:
    """Return the digests that accepted or candidate proposals name and that are not held."""
    return {digest for proposal in open_proposals(state) for digest in missing(state, proposal)}


def open_proposals(state: State) -> Iterator[Proposal]:
    """Yield the proposals that may still have to be handed over or shown."""
    for slot in state.slots.values():
        yield from slot.open_proposals
    yield from state.decided.values()
    for certificate in state.prepared.values():
        yield certificate.pre_prepare.proposal


def missing(state: State, proposal: Proposal) -> list[bytes]:
    """Return the proposal's batches that are not held."""
    return [digest for digest in proposal.batches if digest not in state.batches]


def request_missing(state: State, digests: Sequence[bytes], holders: Iterable[int]) -> None:
    """Ask `holders` for batches that were not asked for since the last Status period."""
    digests = [digest for digest in digests if digest not in state.requested]
    state.requested.update(digests)
    for start in range(0, len(digests), REQUEST_DIGESTS_MAX):
        part = tuple(digests[start : start + REQUEST_DIGESTS_MAX])
        state.send(BatchRequest(state.validators.epoch, part), *sorted(holders))


def retry_missing(state: State) -> None:
    """A Status period has passed: ask those who prepared the proposal, or everyone where nobody is known to have."""
    state.requested.clear()
    for sequence in sorted(state.slots):
        slot = state.slots[sequence]
        if slot.candidate is not None and (lacking := missing(state, slot.candidate.proposal)):
            request_missing(state, lacking, set(slot.prepares) or set(state.others))
    for sequence in sorted(state.decided):
        if lacking := missing(state, state.decided[sequence]):
            request_missing(state, lacking, state.others)


def serve_request(state: State, request: BatchRequest, sender: int | None) -> None:
    """Answer a request with the batches that are here, within a bound."""
    room = ANSWER_BYTES_MAX
    for digest in request.digests[:REQUEST_DIGESTS_MAX]:
        room -= state.batch_bytes.get(digest, 0)
        if sender is None or room < 0:
            return
        if (batch := state.batches.get(digest)) is not None:
            state.send(batch, sender)


def fill_proposal(state: State, sequence: int, size_bytes_max: int) -> tuple[bytes, ...]:
    """Take waiting batches in rounds over the authors, so that none crowds out the others, within the limits.

    Which author comes first moves with the sequence: with more authors than places all get their turn.
    """
    n = state.validators.n
    queues = {
        author: iter(state.waiting[author])
        for author in sorted(state.waiting, key=lambda author: (author - sequence) % n)
        if state.waiting[author]
    }
    taken: list[bytes] = []
    while queues:
        for author in list(queues):
            digest = next(queues[author], None)
            if digest is None or state.batch_bytes[digest] > size_bytes_max:
                del queues[author]
                continue
            size_bytes_max -= state.batch_bytes[digest]
            taken.append(digest)
            if len(taken) == state.configuration.batches_per_proposal_max:
                return tuple(taken)
    return tuple(taken)


def mark_in_flight(state: State, sequence: int, proposal: Proposal) -> None:
    """The batches of a proposal of this view wait no longer."""
    for digest in proposal.batches:
        state.in_flight[digest] = sequence
    stop_waiting(state, set(proposal.batches))


def stop_waiting(state: State, digests: set[bytes]) -> None:
    for author in list(state.waiting):
        state.waiting[author] = [digest for digest in state.waiting[author] if digest not in digests]
        if not state.waiting[author]:
            del state.waiting[author]


def return_undecided(state: State) -> None:
    """A new view begins: what no sequence has decided waits again, oldest first."""
    decided = {digest for proposal in state.decided.values() for digest in proposal.batches}
    named = {digest for proposal in open_proposals(state) for digest in proposal.batches}
    state.in_flight = {}
    state.waiting = {}
    for digest, batch in sorted(state.batches.items(), key=lambda held: (held[1].author, held[1].number, held[0])):
        if batch.number not in state.finished.get(batch.author, ()):
            if digest not in decided:
                state.waiting.setdefault(batch.author, []).append(digest)
        elif digest not in state.executed_at and digest not in named:
            forget(state, digest)  # its author's other batch of this number was executed


def undecided_items(state: State, authors: frozenset[int]) -> tuple[bytes, ...]:
    """Return the items of held batches of `authors` that no block here has executed."""
    open_batches = [
        batch
        for batch in state.batches.values()
        if batch.author in authors and batch.number not in state.finished.get(batch.author, ())
    ]
    open_batches.sort(key=lambda batch: (batch.author, batch.number))
    return tuple(item for batch in open_batches for item in batch.items)


def finish(state: State, sequence: int, proposal: Proposal) -> tuple[tuple[int, int], ...]:
    """The batches of an executed sequence are done with here. Return their (author, number) pairs."""
    held = [state.batches[digest] for digest in proposal.batches if digest in state.batches]
    pairs = tuple((batch.author, batch.number) for batch in held)
    finish_numbers(state, sequence, pairs)
    state.executed_at.update({batch.digest: sequence for batch in held})
    stop_waiting(state, set(proposal.batches))
    return pairs


def return_passed_over(state: State, sequence: int) -> None:
    """Sequences up to `sequence` are executed here: what this view proposed for them and no block has, waits again.

    A primary that shows one replica another proposal than the others would else strand its batches for a whole view.
    """
    slot = state.slots.get(sequence)
    named = [digest for proposal in (() if slot is None else slot.open_proposals) for digest in proposal.batches]
    for digest in named if slot is not None else list(state.in_flight):
        batch = state.batches.get(digest)
        if batch is None or state.in_flight.get(digest, sequence + 1) > sequence:
            continue
        if batch.number not in state.finished.get(batch.author, ()):
            del state.in_flight[digest]
            state.waiting.setdefault(batch.author, []).append(digest)


def finish_numbers(state: State, sequence: int, pairs: Iterable[tuple[int, int]]) -> None:
    """The same for (author, number) pairs, held here or not."""
    done: set[bytes] = set()
    for author, number in pairs:
        state.finished.setdefault(author, FinishedNumbers()).add(number)
        digest = state.numbers.get(author, {}).get(number)
        if digest is not None:
            done.add(digest)
            if digest in state.batches:
                state.executed_at[digest] = sequence
    stop_waiting(state, done)


def persist_finished(state: State, sequence: int, pairs: tuple[tuple[int, int], ...]) -> None:
    if pairs:
        state.persist(Finished(sequence, pairs))


def prune(state: State) -> None:
    """Forget executed batches below the stable checkpoint.

    A batch can be executed and yet be named again above the checkpoint, by a primary that did not know: it stays.
    """
    floor = min(state.low, state.last_executed)
    named = {digest for proposal in open_proposals(state) for digest in proposal.batches}
    for digest in [digest for digest, sequence in state.executed_at.items() if sequence <= floor]:
        if digest not in named:
            forget(state, digest)
    forgotten = state.low - state.configuration.window
    for digest in [digest for digest, sequence in state.in_flight.items() if sequence <= forgotten]:
        del state.in_flight[digest]


def forget(state: State, digest: bytes) -> None:
    del state.batches[digest]
    del state.batch_bytes[digest]
    state.executed_at.pop(digest, None)

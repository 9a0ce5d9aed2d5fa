"""Lies by conduct: silence, favor, censorship, repetition, junk, small changes, noise."""

from __future__ import annotations

from typing import Any

import msgspec

from consensus.messages import (
    Batch,
    BatchRequest,
    Message,
    Prepare,
    PrePrepare,
    Signed,
    Status,
    ViewChangeRequest,
)
from primitives.list_root import list_root
from simulation.byzantine.liar import Behavior, Liar, Saying, well_formed
from simulation.byzantine.voting import NO_SIGNATURE

replace: Any = msgspec.structs.replace


class Silence(Behavior):
    """Says nothing. With a chance below 1, loses what it pleases."""

    name = "silence"

    def say(self, _liar: Liar, _receiver: int, _message: Signed) -> list[Saying]:
        return []


class Favor(Behavior):
    """Speaks to one half only."""

    name = "favor"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        return [(receiver, message, 0)] if liar.side(receiver) == 0 else []


class Delay(Behavior):
    """Answers late."""

    name = "delay"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        return [(receiver, message, liar.chance.randint(1, 400))]


class Censorship(Behavior):
    """As primary, proposes its own batches only, and leaves the others' waiting."""

    name = "censorship"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, PrePrepare) or message.replica != liar.index:
            return [(receiver, message, 0)]
        own = {said.digest for said in liar.conspiracy.said if isinstance(said, Batch)}
        kept = tuple(digest for digest in message.proposal.batches if digest in own)
        if kept == message.proposal.batches:
            return [(receiver, message, 0)]
        return [(receiver, liar.sign(replace(message, proposal=replace(message.proposal, batches=kept))), 0)]


class Withholding(Behavior):
    """Shows its batches to one other only, so that few hold what is proposed."""

    name = "withholding"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if isinstance(message, Batch) and receiver != liar.others[message.position % len(liar.others)]:
            return []
        return [(receiver, message, 0)]


class Replay(Behavior):
    """What was said once is said again, its own words and others'."""

    name = "replay"

    def speak(self, liar: Liar) -> list[Saying]:
        kept = [*liar.conspiracy.said, *liar.conspiracy.heard]
        return [
            (liar.chance.choice(liar.others), message, 0)
            for message in liar.chance.sample(kept, min(len(kept), liar.chance.randint(1, 12)))
        ]

    def say(self, _liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        return [(receiver, message, later) for later in (0, 0, 1, 30)]


class MisdirectedStatus(Behavior):
    """Others' Status messages are passed on to those whom they were not meant for, and claims added to them."""

    name = "misdirected status"

    def speak(self, liar: Liar) -> list[Saying]:
        newest = {heard.replica: heard for heard in liar.conspiracy.heard if isinstance(heard, Status)}
        return liar.to_all(*(newest[replica] for replica in sorted(newest)))

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, Status) or message.replica != liar.index:
            return [(receiver, message, 0)]
        return [(receiver, liar.sign(replace(message, highest_position_seen=liar.position + 1_000)), 0)]


class JunkBatches(Behavior):
    """Batches of rubbish, proposed like any other: items that no ledger can read."""

    name = "junk batches"

    def speak(self, liar: Liar) -> list[Saying]:
        chance = liar.chance
        items = tuple(chance.randbytes(chance.randint(0, 60)) for _ in range(chance.randint(0, 3)))
        number = chance.choice([chance.randint(1, 2_000), 10**9])
        return liar.to_all(
            liar.sign(Batch(liar.epoch, liar.index, liar.position, number, list_root(items), items, NO_SIGNATURE))
        )


class Mutation(Behavior):
    """Small changes to valid messages, signed again: after Winter et al., "Randomized Testing of Byzantine Fault
    Tolerant Algorithms" (ByzzFuzz, OOPSLA 2023). They reach deeper than random bytes."""

    name = "mutation"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if message.replica != liar.index:
            return [(receiver, message, 0)]
        if liar.chance.random() < 0.2:
            return [(receiver, liar.chance.choice(liar.conspiracy.said), 0)]
        changed: Any = liar.sign(mutate(liar, message))
        return [(receiver, changed if well_formed(changed) is not None else message, 0)]


def mutate(liar: Liar, message: Any) -> Any:
    """Return `message` with one field a little different, or in another's name."""
    chance = liar.chance
    fields = [name for name in message.__struct_fields__ if name not in ("signature", "epoch", "position")]
    field = chance.choice(fields)
    value = getattr(message, field)
    if field == "replica":
        value = chance.randrange(liar.n)
    elif isinstance(value, bool) or value is None:
        return message
    elif isinstance(value, int):
        value = min(max(0, value + chance.choice([-2, -1, 1, 2, 1_000, 2**40])), 2**63 - 1)
    elif isinstance(value, bytes):
        value = chance.randbytes(len(value))
    elif isinstance(value, tuple):
        value = value[:-1] if chance.random() < 0.5 else value[1:]
    elif isinstance(message, PrePrepare):
        proposal = message.proposal
        batches = chance.choice([proposal.batches, proposal.batches[:-1], proposal.batches * 2])
        moved = max(0, proposal.timestamp_ms + chance.choice([-5, 0, 5, 100_000]))
        proposer = chance.choice([proposal.proposer, chance.randrange(liar.n)])
        value = replace(proposal, batches=batches, timestamp_ms=moved, proposer=proposer)
    return replace(message, **{field: value})


class FarSequences(Behavior):
    """Proposes and votes far ahead and far behind: beyond the watermarks, out of turn."""

    name = "far sequences"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        if not isinstance(message, PrePrepare):
            return []
        step = liar.chance.choice([1, 2, 8, 9, 16, 17, 30, 300])
        said: list[Signed] = [
            liar.sign(
                Prepare(
                    message.epoch,
                    liar.index,
                    liar.position,
                    message.view,
                    message.sequence + step,
                    message.digest,
                    NO_SIGNATURE,
                )
            )
        ]
        if message.replica == liar.index:
            bare = replace(message.proposal, batches=())
            said += [
                liar.sign(replace(message, sequence=message.sequence + ahead, proposal=bare))
                for ahead in range(1, 1 + step)
                if ahead < 20
            ]
        return liar.to_all(*said)


class Noise(Behavior):
    """Payloads that are no messages, and one too large for its channel."""

    name = "noise"

    def __init__(self, chance: float = 1.0, payload_bytes_max: int = 2_000) -> None:
        super().__init__(chance)
        self.payload_bytes_max = payload_bytes_max

    def speak(self, liar: Liar) -> list[Saying]:
        size = liar.chance.choice([0, 1, 40, 400, self.payload_bytes_max])
        return [(receiver, liar.chance.randbytes(size), 0) for receiver in liar.others]


class Begging(Behavior):
    """Asks for everything over and over: batches and ViewChanges, and with an empty Status for all that was said."""

    name = "begging"

    def speak(self, liar: Liar) -> list[Saying]:
        known = tuple(said.digest for said in liar.conspiracy.heard if isinstance(said, Batch))[:64]
        asked = tuple(vc.digest for changes in liar.conspiracy.view_changes.values() for vc in changes.values())
        bare = Status(
            epoch=liar.epoch,
            replica=liar.index,
            view=0,
            asked_view=0,
            last_executed=0,
            stable=None,
            slots=(),
            last_position=liar.position,
            highest_position_seen=0,
            receiver=0,
            signature=NO_SIGNATURE,
        )
        requests: list[Message] = [BatchRequest(liar.epoch, known), ViewChangeRequest(liar.epoch, asked[:64])]
        asking = [(receiver, request, 0) for request in requests for receiver in liar.others]
        return asking + [(receiver, liar.sign(replace(bare, receiver=receiver)), 0) for receiver in liar.others]

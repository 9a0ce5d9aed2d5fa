"""Lies about the order: two stories for two halves, votes too many or too early, votes in others' names."""

from __future__ import annotations

from typing import Any

import msgspec

from consensus.messages import (
    NULL_PROPOSAL,
    Batch,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Proposal,
    Signed,
    Status,
    ViewChange,
    proposal_digest,
)
from primitives.list_root import list_root
from simulation.byzantine.liar import Behavior, Liar, Saying

NO_SIGNATURE = bytes(64)
replace: Any = msgspec.structs.replace


def vote(liar: Liar, kind: type[Prepare | Commit], signer: int, like: PrePrepare, digest: bytes) -> Any:
    """Return a vote in `signer`'s name, signed by the liar."""
    place = (like.view, like.sequence)
    return liar.sign(kind(like.epoch, signer, liar.position, *place, digest, NO_SIGNATURE))


class Equivocation(Behavior):
    """Half of the others hear another story: another proposal and its votes, another ViewChange, another block."""

    name = "equivocation"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if message.replica != liar.index or liar.side(receiver) == 0:
            return [(receiver, message, 0)]
        other = self._other(liar, message)
        return [(receiver, message if other is None else liar.sign(other), 0)]

    def _other(self, liar: Liar, message: Signed) -> Signed | None:
        result: Signed | None = None
        match message:
            case PrePrepare():
                result = replace(message, proposal=liar.conspiracy.alternative(message))
            case Prepare() | Commit():
                known = liar.conspiracy.alternatives.get((message.epoch, message.view, message.sequence))
                if known is not None:
                    result = replace(message, digest=proposal_digest(known))
            case Checkpoint():
                result = replace(message, block_hash=liar.conspiracy.wrong_hash(message.sequence))
            case Batch():
                items = (*message.items, b"for some only")
                result = replace(message, items=items, items_root=list_root(items))
            case ViewChange():
                result = replace(message, prepared=message.prepared[:-1])
            case NewView(pre_prepares=reissued) if reissued:
                emptied = liar.sign(replace(reissued[-1], proposal=NULL_PROPOSAL))
                result = replace(message, pre_prepares=(*reissued[:-1], emptied))
        return result


class FalseProposals(Behavior):
    """As primary, proposes what no proposal may be: of another time, of another's making, with a batch twice."""

    name = "false proposals"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, PrePrepare) or message.replica != liar.index:
            return [(receiver, message, 0)]
        proposal = message.proposal
        match message.sequence % 4:  # everyone is told the same
            case 0:
                changed = replace(proposal, timestamp_ms=proposal.timestamp_ms + 100_000)
            case 1:
                changed = replace(proposal, proposer=liar.others[0])
            case 2:
                changed = replace(proposal, batches=proposal.batches * 2)
            case _:
                changed = replace(proposal, timestamp_ms=max(0, proposal.timestamp_ms - 100_000))
        return [(receiver, liar.sign(replace(message, proposal=changed)), 0)]


class EagerVotes(Behavior):
    """Votes for whatever is proposed, in every phase at once, and for the alternative too: each half gets its own."""

    name = "eager votes"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        if not isinstance(message, PrePrepare):
            return []
        known = liar.conspiracy.alternatives.get((message.epoch, message.view, message.sequence))
        sayings: list[Saying] = []
        for receiver in liar.others:
            told = known if known is not None and liar.side(receiver) else message.proposal
            digest = proposal_digest(told)
            if message.replica != liar.index:
                sayings.append((receiver, vote(liar, Prepare, liar.index, message, digest), 0))
            sayings.append((receiver, vote(liar, Commit, liar.index, message, digest), 1))
        return sayings


class ForgedVotes(Behavior):
    """Votes, checkpoints and ViewChanges in the name of everyone else. The signatures are the liar's."""

    name = "forged votes"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        forged: list[Signed] = []
        names = [replica for replica in range(liar.n) if replica != liar.index]
        match message:
            case PrePrepare():
                digest = message.digest
                forged += [vote(liar, Prepare, name, message, digest) for name in names if name != message.replica]
                forged += [vote(liar, Commit, name, message, digest) for name in names]
            case Checkpoint(replica=liar.index):
                forged += [liar.sign(replace(message, replica=name)) for name in names]
            case ViewChange():
                bare = replace(message, prepared=(), position=liar.position)
                forged += [liar.sign(replace(bare, replica=name)) for name in names]
        return liar.to_all(*forged)


class ForgedAuthority(Behavior):
    """Proposals, NewViews, batches and Status in the names of those entitled to them; and votes of elsewhere."""

    name = "forged authority"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        forged: list[Signed] = []
        match message:
            case PrePrepare(proposal=proposal, sequence=sequence) if message.replica != liar.index:
                moved = replace(proposal, timestamp_ms=proposal.timestamp_ms + 1)
                forged.append(replace(message, proposal=moved))
                forged.append(replace(message, proposal=moved, sequence=message.sequence + 1))
                usurped = replace(proposal, proposer=liar.index, batches=())
                forged.append(
                    replace(
                        message, replica=liar.index, position=liar.position, proposal=usurped, sequence=sequence + 1
                    )
                )
            case NewView() if message.replica != liar.index:
                forged.append(replace(message, position=message.position + 1))
            case Batch() if message.replica != liar.index:
                items = (b"never offered by %d" % message.replica,)
                forged.append(replace(message, number=message.number + 1, items=items, items_root=list_root(items)))
            case Status() if message.replica != liar.index:
                high = max(message.highest_position_seen, liar.position) + 1_000
                return [
                    (target, liar.sign(replace(message, replica=name, receiver=target, highest_position_seen=high)), 0)
                    for target in liar.others
                    for name in liar.others
                    if name != target
                ]
        return liar.to_all(*(liar.sign(one) for one in forged))


class OtherWorlds(Behavior):
    """Valid signatures over the same words in another epoch, or another network: they count for nothing here."""

    name = "other worlds"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        if not isinstance(message, PrePrepare):
            return []
        prepared = replace(vote(liar, Prepare, liar.index, message, message.digest), epoch=message.epoch + 1)
        committed = replace(vote(liar, Commit, liar.index, message, message.digest), epoch=message.epoch + 1)
        elsewhere = bytes(32)
        return liar.to_all(
            liar.sign(prepared),
            liar.sign(committed),
            liar.sign(replace(prepared, epoch=message.epoch), elsewhere),
            liar.sign(replace(committed, epoch=message.epoch), elsewhere),
        )

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if message.replica != liar.index or liar.side(receiver) == 0:
            return [(receiver, message, 0)]
        return [(receiver, liar.sign(replace(message, epoch=message.epoch + 1)), 0)]


class CrossedVotes(Behavior):
    """A prepare's signature under a commit and the other way round: one kind must never stand for another."""

    name = "crossed votes"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        crossed: Signed
        if isinstance(message, Prepare):
            crossed = Commit(*(getattr(message, field) for field in message.__struct_fields__))
        elif isinstance(message, Commit):
            crossed = Prepare(*(getattr(message, field) for field in message.__struct_fields__))
        else:
            return []
        return liar.to_all(crossed)


class StolenContents(Behavior):
    """Others' signed messages with one field changed and the signature kept: it must cover every field."""

    name = "stolen contents"

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        changed: Signed | None = None
        match message:
            case Prepare() | Commit():
                changed = replace(message, sequence=message.sequence + 1)
                known = liar.conspiracy.alternatives.get((message.epoch, message.view, message.sequence))
                if known is not None:
                    return liar.to_all(changed, replace(message, digest=proposal_digest(known)))
            case PrePrepare(proposal=proposal):
                changed = replace(message, proposal=Proposal(proposal.proposer, proposal.timestamp_ms + 2, ()))
            case Batch():
                items = (*message.items, b"smuggled in")
                changed = replace(message, items=items, items_root=list_root(items))
            case ViewChange() if message.prepared:
                changed = replace(message, prepared=())
            case Checkpoint():
                changed = replace(message, block_hash=liar.conspiracy.wrong_hash(message.sequence))
        if changed is None or message.replica == liar.index:
            return []
        return liar.to_all(changed)


class WrongBlocks(Behavior):
    """Checkpoints of a block that nobody has; all conspirators name the same one."""

    name = "wrong blocks"

    def say(self, liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        if not isinstance(message, Checkpoint) or message.replica != liar.index:
            return [(receiver, message, 0)]
        wrong = liar.conspiracy.wrong_hash(message.sequence)
        return [(receiver, liar.sign(replace(message, block_hash=wrong)), 0)]

    def hear(self, liar: Liar, message: Signed) -> list[Saying]:
        if not isinstance(message, Checkpoint) or message.replica in liar.conspiracy.members:
            return []
        sequence = message.sequence + liar.chance.choice([0, 1, 1, 40])
        wrong = liar.conspiracy.wrong_hash(sequence)
        return liar.to_all(liar.sign(replace(message, replica=liar.index, sequence=sequence, block_hash=wrong)))

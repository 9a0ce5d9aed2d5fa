"""Words for transcripts: messages and effects as a reader of the protocol would say them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from story_forge import WRONG_BLOCK

from consensus import engine
from consensus.evidence import Evidence
from consensus.messages import (
    NULL_PROPOSAL,
    Batch,
    BatchRequest,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Proposal,
    Status,
    ViewChange,
    proposal_digest,
)
from primitives.finality import FinalityCertificate


def numbers(values: Iterable[int]) -> str:
    return ",".join(map(str, sorted(values)))


class Words:
    """Names digests after what they stand for: a batch after its items, a proposal after its batches."""

    def __init__(self) -> None:
        self.batches: dict[bytes, str] = {}
        self.proposals: dict[bytes, str] = {proposal_digest(NULL_PROPOSAL): "null"}

    def learn(self, message: Message) -> None:
        """Remember the names of what a message holds."""
        if isinstance(message, Batch) and message.items:
            self.batches[message.digest] = b"+".join(message.items).decode()
        elif isinstance(message, PrePrepare):
            self.learn_proposal(message.proposal)
        elif isinstance(message, NewView):
            for pre_prepare in message.pre_prepares:
                self.learn_proposal(pre_prepare.proposal)

    def learn_proposal(self, proposal: Proposal) -> None:
        digest = proposal_digest(proposal)
        if digest in self.proposals:
            return
        name = "[" + " ".join(self.batch(batch) for batch in proposal.batches) + "]"
        while name in self.proposals.values():
            name += "'"  # the same batches, yet another proposal
        self.proposals[digest] = name

    def batch(self, digest: bytes) -> str:
        return self.batches.get(digest, "?")

    def proposal(self, digest: bytes) -> str:
        return self.proposals.get(digest, "?")

    def message(self, message: Message) -> str:
        self.learn(message)
        match message:
            case Batch():
                return f"batch {self.batch(message.digest)}"
            case PrePrepare() | Prepare() | Commit():
                name = self.proposal(message.digest)
                return f"{message.kind} view={message.view} sequence={message.sequence} {name}"
            case Checkpoint():
                return f"checkpoint {message.sequence}" + (" (wrong)" if message.block_hash == WRONG_BLOCK else "")
            case ViewChange():
                return f"view-change to {message.new_view}" + self.claims(message)
            case NewView():
                named = numbers(replica for replica, _ in message.view_changes)
                again = [f"{p.sequence} {self.proposal(p.digest)}" for p in message.pre_prepares]
                return f"new-view {message.view} from {named}" + (", again " + ", ".join(again) if again else "")
            case Status():
                return f"status view={message.view} executed={message.last_executed}" + self.stable(message.stable)
            case BatchRequest():
                return "batch-request " + " ".join(map(self.batch, message.digests))
        return message.kind

    def claims(self, message: ViewChange) -> str:
        proved = [
            f"prepared {p.pre_prepare.sequence} {self.proposal(p.pre_prepare.digest)} in view {p.pre_prepare.view}"
            for p in message.prepared
        ]
        return ", ".join([self.stable(message.stable), *proved]) if proved else self.stable(message.stable)

    def stable(self, certificate: FinalityCertificate | None) -> str:
        return "" if certificate is None else f", stable {certificate.height}"

    def evidence(self, evidence: Evidence) -> str:
        words = [self.message(m) for m in (evidence.first, evidence.second)]
        return f"evidence against {evidence.culprit}: {' / '.join(sorted(words))}"

    def effect(self, effect: engine.Effect, own_id: int) -> str | None:
        """Say what an effect does; None for what a story leaves out: records, timers, Status."""
        match effect:
            case engine.Send(message=message) | engine.Broadcast(message=message):
                return self.sent(effect, message, own_id)
            case engine.Execute(sequence=sequence, proposal=proposal):
                return f"executes {sequence} {self.proposal(proposal_digest(proposal))}"
            case engine.Certified(certificate=certificate):
                return f"certified {certificate.height}"
            case engine.SyncNeeded(certificate=certificate, holders=holders):
                return f"needs the blocks up to {certificate.height}, held by {numbers(holders) or 'anyone'}"
            case engine.Diverged(certificate=certificate):
                return f"diverged at {certificate.height}"
            case engine.Outdated(position=position, promised=promised):
                return f"outdated: its log ends at {position}, it signed {promised}"
            case engine.EvidenceFound(evidence=evidence):
                return self.evidence(evidence)
            case engine.BatchesReleased(items=items):
                return f"gives back {b'+'.join(items).decode()}"
        return None

    def sent(self, effect: engine.Send | engine.Broadcast, message: Any, own_id: int) -> str | None:
        if isinstance(message, Status):
            return None
        whose = getattr(message, "replica", own_id)
        relayed = "" if whose == own_id else f"passes on {whose}'s "
        to = f" -> {numbers(effect.to)}" if isinstance(effect, engine.Send) else ""
        return relayed + self.message(message) + to

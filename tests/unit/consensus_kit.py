"""Signed messages made by hand, for replicas that are tested one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from consensus_harness import FAST, KEYS, NETWORK_ID, START_MS, build_replica

from consensus import engine
from consensus.messages import (
    Batch,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    S,
    ViewChange,
    proposal_digest,
    sign,
)
from consensus.pbft.configuration import Configuration
from consensus.pbft.replica import Replica
from primitives.finality import FinalityCertificate, finality_statement
from primitives.list_root import list_root

NO_SIGNATURE = bytes(64)


def signed(message: S, key: int | None = None, network_id: bytes = NETWORK_ID) -> S:
    """Sign with the key of `message.replica`, or of another replica, for forgeries."""
    return sign(network_id, KEYS[message.replica if key is None else key], message)


def batch(author: int, number: int, *items: bytes, position: int = 1, epoch: int = 0) -> Batch:
    return signed(Batch(epoch, author, position, number, list_root(items), items, NO_SIGNATURE))


def proposal(proposer: int | None, *batches: Batch, at_ms: int = START_MS) -> Proposal:
    return Proposal(proposer, at_ms, tuple(batch.digest for batch in batches))


def pre_prepare(view: int, sequence: int, content: Proposal, n: int = 4, replica: int | None = None) -> PrePrepare:
    return signed(PrePrepare(0, view % n if replica is None else replica, 1, view, sequence, content, NO_SIGNATURE))


def prepare(replica: int, view: int, sequence: int, content: Proposal) -> Prepare:
    return signed(Prepare(0, replica, 1, view, sequence, proposal_digest(content), NO_SIGNATURE))


def commit(replica: int, view: int, sequence: int, content: Proposal) -> Commit:
    return signed(Commit(0, replica, 1, view, sequence, proposal_digest(content), NO_SIGNATURE))


def checkpoint(replica: int, sequence: int, block_hash: bytes, epoch_end: int = 0) -> Checkpoint:
    return signed(Checkpoint(0, replica, sequence, block_hash, epoch_end, NO_SIGNATURE))


def certificate(
    height: int, block_hash: bytes, signers: Iterable[int] = (0, 1, 2), epoch_end: int = 0
) -> FinalityCertificate:
    statement = finality_statement(NETWORK_ID, 0, height, block_hash, epoch_end)
    signatures = tuple((r, KEYS[r].sign(statement)) for r in sorted(signers))
    return FinalityCertificate(0, height, block_hash, epoch_end, signatures)


def prepared(view: int, sequence: int, content: Proposal, backups: Sequence[int], n: int = 4) -> PreparedCertificate:
    votes = tuple(prepare(replica, view, sequence, content) for replica in backups)
    return PreparedCertificate(pre_prepare(view, sequence, content, n), votes)


def view_change(
    replica: int, new_view: int, *certificates: PreparedCertificate, stable: FinalityCertificate | None = None
) -> ViewChange:
    return signed(ViewChange(0, replica, 1, new_view, stable, certificates, NO_SIGNATURE))


def new_view(view: int, changes: Sequence[ViewChange], *reissues: PrePrepare, n: int = 4) -> NewView:
    named = tuple((change.replica, change.digest) for change in changes)
    return signed(NewView(0, view % n, 1, view, named, reissues, NO_SIGNATURE))


class Solo:
    """One replica, fed by hand; `effects` are those of the last step."""

    def __init__(self, replica_id: int = 1, n: int = 4, configuration: Configuration = FAST, **recovered: Any) -> None:
        self.replica: Replica = build_replica(n, replica_id, configuration, **recovered)
        self.now_ms = START_MS
        self.records: list[bytes] = []
        self.effects: list[engine.Effect] = []
        self.take(self.replica.start(self.now_ms))

    def take(self, effects: list[engine.Effect]) -> list[engine.Effect]:
        self.effects = effects
        self.records += [effect.record for effect in effects if isinstance(effect, engine.Persist)]
        return effects

    def step(self, event: engine.Event) -> list[engine.Effect]:
        return self.take(self.replica.step(event, self.now_ms))

    def receive(self, *messages: Message, sender: int | None = None) -> list[engine.Effect]:
        found: list[engine.Effect] = []
        for message in messages:
            origin = None if sender is None else engine.ReplicaId(sender)
            found += self.step(engine.MessageReceived(message, origin))
        return found

    def expire(self, timer: engine.TimerKind) -> list[engine.Effect]:
        return self.step(engine.TimerExpired(timer))

    def executed(self, sequence: int, block_hash: bytes) -> list[engine.Effect]:
        return self.step(engine.BlockExecuted(sequence, block_hash))

    @property
    def refusals(self) -> dict[str, int]:
        return dict(self.replica.refusals)


def sent(effects: Iterable[engine.Effect], kind: str) -> list[Any]:
    """Return the messages of `kind` among the effects, in order."""
    messages = [e.message for e in effects if isinstance(e, engine.Send | engine.Broadcast)]
    return [message for message in messages if message.kind == kind]


def of(effects: Iterable[engine.Effect], kind: type[Any]) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def settle(solo: Solo, sequence: int, content: Proposal, *batches: Batch, view: int = 0) -> bytes:
    """Let `solo` (a backup of four) decide, execute and certify `content`; return the block's hash."""
    block_hash = sequence.to_bytes(32, "big")
    others = [replica for replica in range(4) if replica not in (view % 4, solo.replica.status().replica_id)]
    solo.receive(*batches, pre_prepare(view, sequence, content))
    solo.receive(*(prepare(replica, view, sequence, content) for replica in others))
    solo.receive(*(commit(replica, view, sequence, content) for replica in [view % 4, *others]))
    solo.executed(sequence, block_hash)
    solo.receive(*(checkpoint(replica, sequence, block_hash) for replica in [view % 4, *others]))
    return block_hash

"""What the deciding parts are told at their birth, and what they tell of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from consensus.engine import EngineStatus
from consensus.evidence import Evidence
from consensus.pbft.configuration import Configuration as EngineConfiguration
from ledger.chain import ExecutedBlock
from node.batcher import BatchLimits
from node.block_ranges import SignaturePolicy
from node.pool import PoolLimits
from node.sync_progress import SyncProgress


class CoreConfiguration(msgspec.Struct, frozen=True):
    """Local settings of the deciding parts; `node.configuration` has the ranges."""

    engine: EngineConfiguration = EngineConfiguration()
    batches: BatchLimits = BatchLimits()
    pool: PoolLimits = PoolLimits()
    sync_signatures: SignaturePolicy = "verify"


class Listener(Protocol):
    """Who wants to hear of blocks. Called on the deciding thread; must not block or raise."""

    def on_executed(self, block: ExecutedBlock) -> None: ...

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        """Everything up to `height` is final; `blocks` are those newly so that this node executed since it started."""
        ...

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        """These left the pool without a receipt: expired or marked."""
        ...

    def on_evidence(self, evidence: Evidence) -> None:
        """A member signed two messages that contradict each other."""
        ...


class CoreStatus(msgspec.Struct, frozen=True):
    """The node's condition in values and words."""

    height: int
    block_hash: bytes
    state_root: bytes
    block_time_ms: int
    clock_offset_ms: int
    certified_height: int
    pool_transactions: int
    pool_bytes: int
    sync: SyncProgress
    diverged: bool
    engine: EngineStatus
    contradictions: dict[int, int]
    """Replica -> how often it was caught contradicting itself."""
    refused_payloads: int
    """Peers' payloads that were no messages."""
    messages_dropped: int
    """Outgoing messages given up because the disk was too slow to make their records durable."""
    why: tuple[str, ...]
    """Why nothing is committed, where something should be; empty otherwise."""


def explain(
    engine: EngineStatus,
    replicas: Sequence[str],
    connected: Sequence[str],
    sync: SyncProgress,
    standing: Iterable[str] = (),
) -> Iterator[str]:
    """Say in words what a node waits for; `replicas` are node ids in order of index, `standing` what the epoch adds."""
    missing = [
        f"{index} ({node})"
        for index, node in enumerate(replicas)
        if index != engine.replica_id and node not in set(connected)
    ]
    if missing:
        yield f"not connected to replica {', '.join(missing)}"
    yield from sync.sentences()
    if engine.silent_because:
        yield f"this replica is silent: {engine.silent_because}"
    yield from standing
    yield from engine.missing

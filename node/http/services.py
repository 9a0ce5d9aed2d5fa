"""What the API wants of a node. Declared here by the consumer; `node/services.py` fulfils it over the running node.

All methods are called on the event loop and return soon or await: nothing here blocks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from consensus.engine import EngineStatus
from ledger.certificates.subjects import Subject
from ledger.search.reader import SearchAnswer
from ledger.search.request import Search
from node.explanation import Explanation
from node.sync_progress import SyncProgress
from primitives.finality import FinalityCertificate

TransactionStateName = Literal["unknown", "pending", "executed", "committed", "rejected", "expired"]


class Submitted(msgspec.Struct, frozen=True):
    """What became of one submission."""

    id: str
    """64 hex digits; empty when the bytes were no transaction."""
    code: str = ""
    """Why it was refused; empty when it was taken."""
    message: str = ""
    known: bool = False
    """It had been taken, or had executed, before."""


class TransactionState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transaction's life as this node knows it. Absent members are unknown yet."""

    id: str
    state: TransactionStateName
    height: int | None = None
    block_hash: str | None = None
    code: str = ""
    message: str = ""
    events: tuple[Any, ...] = ()


class QueryAnswer(msgspec.Struct, frozen=True):
    """A query's result and the executed height that it describes."""

    height: int
    block_time_ms: int
    result: Any


class PeerStatus(msgspec.Struct, frozen=True):
    node_id: str
    address: str
    connected: bool


class GossipSummary(msgspec.Struct, frozen=True):
    """How blocks reach nodes that do not vote, as this node takes part in it."""

    neighbors: tuple[str, ...] = ()
    """Node ids of its active view."""
    brings_blocks: bool = False
    """Whether a block came this way within the last seconds."""


class NodeStatus(msgspec.Struct, frozen=True):
    network_id: str
    network_name: str
    development: bool
    node_id: str
    role: str
    """What the ledger says that the node is: `validator`, `candidate`, `observer` or `unregistered`."""
    version: str
    height: int
    certified_height: int
    block_hash: str
    state_root: str
    block_time_ms: int
    clock_offset_ms: int
    epoch: int
    view: int | None
    """None where the node has no part in consensus."""
    primary_node_id: str | None
    ready: bool
    why: tuple[str, ...]
    """Sentences: what keeps the node from being ready, or from committing."""
    peers: tuple[PeerStatus, ...]
    validators: int
    sync: SyncProgress
    """How catching up with the others goes."""
    gossip: GossipSummary


class BlockSummary(msgspec.Struct, frozen=True):
    """A certified block, as waiters and event streams hear of it."""

    height: int
    block_hash: str
    transactions: tuple[str, ...]
    """Ids in the order of the block, rejected ones included; empty where nobody asks for them."""
    count: int = 0
    """How many there are."""


class ExecutedIds(msgspec.Struct, frozen=True, array_like=True):
    """What a block executed, for who compares whole chains."""

    height: int
    block_hash: bytes
    state_root: bytes
    ids: bytes
    """32 bytes a transaction, in the order of the block."""
    refused: tuple[tuple[int, str], ...]
    """(position, code) of those whose receipt is a refusal."""


class BlockUpload(msgspec.Struct, frozen=True):
    """An uploaded block was accepted."""

    new: bool
    complete: bool


ArtifactState: TypeAlias = Literal["complete", "fetching", "waiting", "refused", "taken_down"]
"""fetching: blocks come, or are asked for. waiting: nobody connected says to hold more of it, or others come first.
refused: its bytes contradict its registration, nobody can ever hold it. taken_down: by decision of the consortium."""


class ArtifactStatus(msgspec.Struct, frozen=True):
    root: str
    size_bytes: int
    blocks_held: int
    complete: bool
    state: ArtifactState
    holders: tuple[str, ...]
    """Ids of the validators' nodes that signed `held`."""
    held_quorum: bool


class ArtifactMissing(msgspec.Struct, frozen=True):
    complete: bool
    blocks_held: int
    missing: tuple[str, ...]
    """The first blocks that may come next, 1,024 at most, parents before children."""


class ArtifactService(Protocol):
    """Artifacts of registered versions. All raise `Problem`s' sources: ArtifactError, or `UnknownArtifact`."""

    async def store(self, root: str, cid: str, data: bytes) -> BlockUpload: ...

    async def read(self, root: str, cid: str) -> bytes: ...

    async def status(self, root: str) -> ArtifactStatus: ...

    async def missing(self, root: str) -> ArtifactMissing: ...

    async def owner_asset(self, root: str) -> str:
        """Return the asset (hex) whose version has this root."""
        ...


class CertificateService(Protocol):
    """What others check without this node. All raise LedgerError."""

    async def light_block(self, height: int | None) -> bytes:
        """Return the encoded LightBlock of a height, or of the highest certified one."""
        ...

    async def epoch_end(self, epoch: int) -> bytes:
        """Return the encoded LightBlock of an epoch's last block."""
        ...

    async def certificate(self, subject: Subject, since: int | None, height: int | None) -> bytes:
        """Return a certificate of `subject` at a height or the head, from the genesis on or `since` a block."""
        ...


class UnknownArtifact(Exception):
    """No executed block registers a version with this root."""


class Services(Protocol):
    """The node behind the API."""

    @property
    def network_id(self) -> bytes: ...

    @property
    def genesis(self) -> bytes:
        """The genesis file's bytes."""
        ...

    @property
    def artifacts(self) -> ArtifactService: ...

    @property
    def certificates(self) -> CertificateService: ...

    def height(self) -> int:
        """The height executed and readable here."""
        ...

    def certified_height(self) -> int: ...

    def now_ms(self) -> int:
        """The local wall clock, Unix milliseconds."""
        ...

    def keeps_artifacts(self) -> bool:
        """Whether this node takes and serves the bytes of artifacts; observers do not."""
        ...

    def readiness(self) -> tuple[str, ...]:
        """Why the node is not ready to serve; empty when it is."""
        ...

    def engine_status(self) -> EngineStatus: ...

    def explanation(self) -> Explanation:
        """Whether blocks are committed, and if not, why."""
        ...

    def metrics(self) -> bytes:
        """The Prometheus text exposition."""
        ...

    async def status(self) -> NodeStatus: ...

    async def submit(self, data: bytes) -> Submitted: ...

    async def submit_many(self, transactions: list[bytes]) -> list[Submitted]: ...

    async def submit_codes(self, transactions: list[bytes]) -> list[str]:
        """Return of each why it was refused; empty when it was taken, or is known."""
        ...

    async def transaction(self, identifier: bytes) -> TransactionState: ...

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        """Raises LedgerError."""
        ...

    async def search(self, search: Search) -> SearchAnswer:
        """Search assets, at the height that the search has followed the chain to. Raises LedgerError."""
        ...

    async def block_certificate(self, height: int) -> FinalityCertificate | None: ...

    async def executed_ids(self, first: int, count: int) -> list[ExecutedIds]:
        """Return what blocks `first` and following executed; fewer than `count` at the head."""
        ...

    async def prove(self, key: bytes, height: int | None = None) -> bytes:
        """Return the encoded StateProof after block `height`; at the head without one."""
        ...

    async def prove_records(self, keys: Sequence[bytes], height: int | None) -> tuple[int, list[bytes | None], bytes]:
        """Return the height, the keys' values there (None: no record), and the encoded BatchProof of all."""
        ...

"""The API's wants, fulfilled over the running node: reads go to the ledger's owner, submissions to the core."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any, Final

import structlog

from consensus.engine import EngineStatus
from consensus.evidence import Evidence
from ledger.chain import ExecutedBlock, TransactionStatus
from ledger.errors import LedgerError
from ledger.queries import event_values
from ledger.search.reader import SearchAnswer
from ledger.search.request import Search
from node.artifact_shelf import ArtifactShelf
from node.certificate_desk import CertificateDesk
from node.core import Admission, NodeCore
from node.explanation import Explanation
from node.http.services import (
    BlockSummary,
    ExecutedIds,
    NodeStatus,
    QueryAnswer,
    Submitted,
    TransactionState,
)
from node.http.waiters import Waiters
from node.metrics import NodeMetrics
from node.ports import Clock, ExecutorPort
from node.search_desk import SearchDesk
from node.status import StatusReporter
from primitives.codec import encode
from primitives.finality import FinalityCertificate

DROPPED_MAX: Final = 100_000
"""Ids remembered that left the pool without a receipt; an older one is `unknown` again."""
log: Final = structlog.get_logger("node.services")


EXPENSIVE_WAITING_MAX: Final = 64
"""Expensive questions that wait for their turn; a further one is answered with `executor.busy`."""


class LedgerReads:
    """Questions to the ledger's owner, awaited."""

    def __init__(self, executor: ExecutorPort) -> None:
        self._executor = executor
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def ask_expensively(self, method: str, *arguments: Any) -> Any:
        """Call a method that may take the ledger's owner tens of milliseconds: proofs of past states, certificates.

        One at a time: clients that ask for many get in each other's way, and a block waits for one of them at most.
        Raises LedgerError.
        """
        if self._waiting >= EXPENSIVE_WAITING_MAX:
            raise LedgerError("executor.busy", f"{EXPENSIVE_WAITING_MAX} proofs and certificates wait; try again")
        self._waiting += 1
        try:
            async with self._turn:
                return await self.ask(method, *arguments)
        finally:
            self._waiting -= 1

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method of `ChainService`. Raises LedgerError."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def answer(result: Any, error: BaseException | None) -> None:
            if future.done():
                return  # who asked has gone
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._executor.call(method, arguments, answer)
        return await future

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        """Answer a named query. Raises LedgerError."""
        height, block_time_ms, result = await self.ask("query", name, arguments)
        return QueryAnswer(height, block_time_ms, result)


class NodeServices:
    """`node.http.services.Services` over one node; also tells the API's waiters of blocks."""

    def __init__(
        self,
        *,
        network_id: bytes,
        genesis: bytes,
        core: NodeCore,
        reads: LedgerReads,
        shelf: ArtifactShelf,
        status: StatusReporter,
        metrics: NodeMetrics,
        clock: Clock,
        search: SearchDesk,
    ) -> None:
        self.network_id = network_id
        self.genesis = genesis
        self.artifacts = shelf
        self.certificates = CertificateDesk(core, reads)
        self.waiters: Waiters | None = None
        """Set once the API exists."""
        self._core = core
        self._reads = reads
        self._status = status
        self._metrics = metrics
        self._clock = clock
        self._search = search
        self._dropped: OrderedDict[bytes, int] = OrderedDict()
        """Id -> the height at which it left the pool without a receipt."""
        self._dropped_lately: deque[tuple[int, str]] = deque(maxlen=DROPPED_MAX)
        """(height, id) whose waiters hear of it when that height is certified."""

    # --- what the node does (core's listener)

    def on_executed(self, block: ExecutedBlock) -> None:
        if self.waiters is not None:
            self.waiters.on_executed(block.header.height)

    def on_certified(self, height: int, blocks: Sequence[ExecutedBlock]) -> None:
        self._status.on_certified()
        if self.waiters is None:
            return
        for block in blocks:
            if self.waiters.listening:
                self.waiters.on_certified(_summary(block, with_ids=self.waiters.wants_ids))
        while self._dropped_lately and self._dropped_lately[0][0] <= height:
            self.waiters.wake(self._dropped_lately.popleft()[1])

    def on_dropped(self, identifiers: Sequence[bytes]) -> None:
        height = self._core.head.header.height
        for identifier in identifiers:
            self._dropped[identifier] = height
            self._dropped_lately.append((height, identifier.hex()))
        while len(self._dropped) > DROPPED_MAX:
            self._dropped.popitem(last=False)

    def on_evidence(self, evidence: Evidence) -> None:
        log.error(
            "a member contradicts itself",
            replica=evidence.culprit,
            first=type(evidence.first).__name__,
            evidence=encode(evidence).hex(),
        )

    # --- values at hand

    def height(self) -> int:
        return self._core.head.header.height

    def certified_height(self) -> int:
        return self._core.certified_height

    def now_ms(self) -> int:
        return self._clock.now_ms()

    def keeps_artifacts(self) -> bool:
        return self._core.epochs.keeps_artifacts

    def readiness(self) -> tuple[str, ...]:
        return self._status.readiness()

    def engine_status(self) -> EngineStatus:
        return self._core.engine_status()

    def explanation(self) -> Explanation:
        return self._status.explanation()

    def metrics(self) -> bytes:
        return self._metrics.exposition()

    async def status(self) -> NodeStatus:
        return self._status.status()

    # --- transactions

    async def submit(self, data: bytes) -> Submitted:
        return (await self.submit_many([data]))[0]

    async def submit_many(self, transactions: list[bytes]) -> list[Submitted]:
        return [
            Submitted(admission.id.hex(), admission.code, admission.message, admission.known)
            for admission in await self._submit(transactions)
        ]

    async def submit_codes(self, transactions: list[bytes]) -> list[str]:
        return [admission.code for admission in await self._submit(transactions)]

    async def _submit(self, transactions: list[bytes]) -> list[Admission]:
        if refusal := self._status.space.suspended or self._status.space.refusal:
            raise LedgerError("storage.full", refusal)
        future: asyncio.Future[list[Admission]] = asyncio.get_running_loop().create_future()

        def done(admissions: list[Admission]) -> None:
            if not future.done():
                future.set_result(admissions)

        self._status.on_submitted()
        self._core.submit(transactions, done)
        return await future

    async def transaction(self, identifier: bytes) -> TransactionState:
        # Asked first: a transaction that executes between the two questions is then pending, never unknown.
        pending = self._core.is_pending(identifier)
        status, certified = await self._reads.ask("transaction", identifier)
        text = identifier.hex()
        if status.receipt is not None:
            return await self._executed(text, status, certified)
        if pending:
            return TransactionState(text, "pending")
        dropped_at = self._dropped.get(identifier)
        if dropped_at is not None and dropped_at <= certified:
            return TransactionState(
                text, "expired", code="transaction.expired", message="no block has executed it in time"
            )
        return TransactionState(text, "unknown" if dropped_at is None else "pending")

    async def _executed(self, text: str, status: TransactionStatus, certified: int) -> TransactionState:
        assert status.receipt is not None
        assert status.height is not None
        receipt = status.receipt
        block_hash = await self._reads.ask("block_hash", status.height)
        final = "rejected" if receipt.code else "committed"
        return TransactionState(
            id=text,
            state=final if status.height <= certified else "executed",  # type: ignore[arg-type]  # both are names of it
            height=status.height,
            block_hash=block_hash.hex(),
            code=receipt.code,
            message=status.message,
            events=event_values(receipt.events),
        )

    # --- reads

    async def query(self, name: str, arguments: dict[str, str | int]) -> QueryAnswer:
        return await self._reads.query(name, arguments)

    async def search(self, search: Search) -> SearchAnswer:
        return await self._search.search(search)

    async def block_certificate(self, height: int) -> FinalityCertificate | None:
        found: FinalityCertificate | None = await self._reads.ask("certificate", height)
        return found

    async def executed_ids(self, first: int, count: int) -> list[ExecutedIds]:
        return [ExecutedIds(*fields) for fields in await self._reads.ask("executed_ids", first, count)]

    async def prove(self, key: bytes, height: int | None = None) -> bytes:
        return bytes(await self._reads.ask_expensively("prove", key, height))

    async def prove_records(self, keys: Sequence[bytes], height: int | None) -> tuple[int, list[bytes | None], bytes]:
        found: tuple[int, list[bytes | None], bytes] = await self._reads.ask_expensively("prove_records", keys, height)
        return found


def _summary(block: ExecutedBlock, *, with_ids: bool) -> BlockSummary:
    ids: tuple[str, ...] = ()
    if with_ids:
        ids = tuple(outcome.id.hex() for outcome in block.outcomes if outcome.receipt is not None and outcome.id)
    return BlockSummary(block.header.height, block.block_hash.hex(), ids, block.transactions_executed)

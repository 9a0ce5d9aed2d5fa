"""Verification of a whole chain by doing it again: every block is executed in a store of its own, and what comes of it
is compared with what was kept.

Nothing of the examined store is believed: the chain begins with the genesis file, a header must be what executing its
body leads to, receipts and places of transactions what execution left, a certificate what a quorum of the epoch's
validators signed, and at the end the state must be the same record for record, indexes included.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from typing import Any, Final

import msgspec

from ledger.archive import Archive
from ledger.block import Block, BlockBatch, Header, Mark, block_hash
from ledger.chain import Chain
from ledger.errors import InvalidBlock, LedgerError, StorageError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import Genesis
from ledger.operations import Registry
from ledger.ports import EvidenceJudge
from ledger.state.records import STATE_PREFIX
from ledger.state.store import Store
from ledger.transaction import signature_holds

BLOCKS_AHEAD_MAX: Final = 16
"""Blocks whose signatures are being checked while earlier ones execute."""

Progress = Callable[[int, int], None]
"""(height reached, height of the head)"""


class Verified(msgspec.Struct, frozen=True):
    """What a verification has seen, all of it sound."""

    network_id: bytes
    height: int
    block_hash: bytes
    state_root: bytes
    certified_height: int
    blocks: int
    transactions: int
    certificates: int
    records: int
    """Of the state."""


class Difference(LedgerError):
    """The examined store does not hold what execution leads to. `code` is `verification.` and what differs."""

    def __init__(self, what: str, height: int, message: str) -> None:
        super().__init__(f"verification.{what}", f"block {height}: {message}")
        self.height = height


class Verification:
    """One examined store, and the scratch store in which its chain is executed again."""

    def __init__(
        self,
        source: Store,
        scratch: Store,
        genesis: Genesis,
        *,
        registry: Registry | None = None,
        judge: EvidenceJudge | None = None,
        workers: int = 1,
        signatures_from: int = 1,
    ) -> None:
        """Prepare to verify.

        Args:
            scratch: an empty store.
            workers: threads that check signatures of transactions.
            signatures_from: height from which on these are checked; below it the validators' certificates vouch for
                them. Everything else is compared from the genesis on.

        Raises:
            StorageError: `storage.foreign`, `storage.format`, `storage.damaged`.
        """
        self._source = source
        self._archive = Archive(source)
        self._chain = Chain.open(scratch, genesis, registry, judge=judge)
        self._scratch = scratch
        self._workers = workers
        self._signatures_from = signatures_from
        if not self._archive.check_network(self._chain.network_id):
            raise StorageError("storage.failed", "the store holds no chain")

    def run(self, progress: Progress = lambda _reached, _head: None) -> Verified:
        """Execute everything again and compare.

        Raises:
            Difference: the first one. StorageError: the examined store cannot be read there, or the scratch store not
                written.
        """
        head = self._archive.height()
        transactions = certificates = 0
        self._compare_block(0)
        for height, block, verdicts in self._blocks(head):
            transactions += self._execute(height, block, verdicts)
            self._compare_block(height)
            certificates += self._check_certificate(height)
            progress(height, head)
        return Verified(
            network_id=self._chain.network_id,
            height=head,
            block_hash=self._chain.head_hash,
            state_root=self._chain.head.state_root,
            certified_height=self._check_certified(head),
            blocks=head,
            transactions=transactions,
            certificates=certificates,
            records=self._compare_state(head),
        )

    def _blocks(self, head: int) -> Iterator[tuple[int, Block, list[bytes]]]:
        """Yield each block with the verdicts on its signatures, which threads find while earlier blocks execute."""
        ahead: deque[tuple[int, Block, list[Future[bytes]]]] = deque()
        with ThreadPoolExecutor(self._workers, thread_name_prefix="signatures") as threads:
            for height in range(1, head + 1):
                block = self._block(height)
                check = _check if height >= self._signatures_from else _believe
                ahead.append((height, block, [threads.submit(check, batch) for batch in block.batches]))
                if len(ahead) >= BLOCKS_AHEAD_MAX:
                    yield _checked(*ahead.popleft())
            while ahead:
                yield _checked(*ahead.popleft())

    def _block(self, height: int) -> Block:
        try:
            block = self._archive.block(height)
        except InvalidBlock as error:
            raise Difference("block", height, error.message) from error
        if block is None:
            raise Difference("block", height, "it is missing")
        return block

    def _execute(self, height: int, block: Block, verdicts: list[bytes]) -> int:
        chain, header = self._chain, block.header
        # A block's time is at least its parent's + 1 ms, so taking the offset off again leads to the same time.
        offset_ms = chain.registry.clock_offset_ms(chain.view())
        proposal = DecidedProposal(header.proposer, header.timestamp_ms - offset_ms)
        batches = [
            DecidedBatch(batch.author, batch.number, batch.transactions, verified)
            for batch, verified in zip(block.batches, verdicts, strict=True)
        ]
        executed = chain.execute(height, proposal, batches)
        if executed.header != header:
            raise Difference("header", height, _differing(header, executed.header))
        return executed.transactions_executed

    def _compare_block(self, height: int) -> None:
        """Compare all that is kept of a block beside its certificate."""
        again = self._chain.archive
        number = height.to_bytes(8, "big")
        for prefix, what in ((b"h", "header"), (b"b", "block"), (b"r", "results")):
            kept = self._source.get(prefix + number)
            if kept is None:
                raise Difference(what, height, f"its {what} is missing")
            if kept != self._scratch.get(prefix + number):
                raise Difference(what, height, f"another {what} is kept than executing it leads to")
        results = again.results(height)
        assert results is not None
        for receipt in results.receipts[results.swept :]:
            if self._archive.location(receipt.id) != again.location(receipt.id):
                raise Difference("location", height, f"transaction {receipt.id.hex()} is not found where it executed")

    def _check_certificate(self, height: int) -> int:
        certificate = self._archive.certificate(height)
        if certificate is None:
            return 0
        try:
            self._chain.add_certificate(certificate, sync=False)
        except InvalidBlock as error:
            raise Difference("certificate", height, error.message) from error
        return 1

    def _check_certified(self, head: int) -> int:
        certified = self._archive.certified_height()
        if certified > head or (certified > 0 and self._archive.certificate(certified) is None):
            raise Difference("certificate", certified, "it is said to be certified, and no certificate is there")
        return certified

    def _compare_state(self, head: int) -> int:
        count = 0
        pairs = zip_longest(self._source.iterate(STATE_PREFIX), self._scratch.iterate(STATE_PREFIX))
        for kept, again in pairs:
            if kept != again:
                key = min(record[0] for record in (kept, again) if record is not None)[len(STATE_PREFIX) :]
                raise Difference("state", head, f"the state's record {key.hex()} is not what the blocks lead to")
            count += 1
        return count


def _checked(height: int, block: Block, found: list[Future[bytes]]) -> tuple[int, Block, list[bytes]]:
    return height, block, [verdicts.result() for verdicts in found]


def _check(batch: BlockBatch) -> bytes:
    return bytes([signature_holds(data) for data in batch.transactions])


def _believe(batch: BlockBatch) -> bytes:
    """What the block says of its signatures; the header commits to that, and validators to the header."""
    return bytes([mark != Mark.BAD_SIGNATURE for mark in batch.marks])


def _differing(kept: Header, again: Header) -> str:
    names: list[Any] = [name for name in Header.__struct_fields__ if getattr(kept, name) != getattr(again, name)]
    found = ", ".join(names)
    return f"it is kept as {block_hash(kept).hex()} and executes to {block_hash(again).hex()}: {found} differ"

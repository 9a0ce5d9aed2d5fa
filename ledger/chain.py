"""The chain: one owner of a store, its state tree and the ids against replay. Synchronous, for one thread.

Here is what changes them: executing a block and writing it, alone or in a group, and keeping its certificate. A block
is written in one synced batch; what is in memory follows only after that, and a block that does not match what is
expected of it leaves no trace anywhere. How a chain begins is in `founding` and `resuming`; what is asked of it is
answered by `admission`, `proving` and `queries` from what it hands them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from ledger import deadlines, epochs
from ledger.admission import admission_error
from ledger.archive import Archive, block_records, founding_records
from ledger.block import Block, BlockResults, Header, Receipt, block_hash, decode_block
from ledger.errors import InvalidBlock, LedgerError, StorageError
from ledger.execution import BlockExecutor, DecidedBatch, DecidedProposal, Outcome
from ledger.following import Following
from ledger.founding import founding_block
from ledger.genesis import Genesis
from ledger.genesis import network_id as network_id_of
from ledger.headers import next_header
from ledger.modules.module import ArtifactRecord, ChainFacts
from ledger.opaque import DecodedBundle
from ledger.operations import Registry, default_registry
from ledger.ports import EvidenceJudge, StateFollower
from ledger.proving import Prover, Window
from ledger.pruning import Pruner, Retention, Windows
from ledger.queries import answer
from ledger.replay import ReplayIds
from ledger.resuming import replay_ids, stored_tree
from ledger.state.batch_proofs import BatchProof
from ledger.state.grouped import GroupedStore
from ledger.state.history import StateHistory
from ledger.state.indexes import committed
from ledger.state.proofs import StateProof
from ledger.state.records import STATE_PREFIX, StateRecords
from ledger.state.store import LevelStore, Store
from ledger.state.tree import PendingUpdate, StateTree
from ledger.state.view import StateView
from ledger.transaction import DecodedTransaction
from ledger.validators import ValidatorRecord, validator_set
from primitives.digest import Digest
from primitives.finality import FinalityCertificate, verify_certificate


class ExecutedBlock(msgspec.Struct, frozen=True):
    """What the node learns from a block that it executed."""

    header: Header
    block_hash: Digest
    receipts: tuple[Receipt, ...]
    outcomes: tuple[Outcome, ...]
    """One a transaction, in order of the batches."""
    transactions_executed: int
    next_deadline_ms: int | None
    """Block time at which the next deadline falls due."""
    artifact_changes: tuple[ArtifactRecord, ...]
    """Versions that the block registered."""
    membership_changed: bool = False
    """The nodes of the network may be others than before (the current set, approved changes of it, what modules name):
    the node renews its peers."""
    next_validators: tuple[ValidatorRecord, ...] = ()
    """With an epoch's last block, the one of height `header.epoch_end`: the set of the next epoch; else empty."""


class TransactionStatus(msgspec.Struct, frozen=True):
    """What the chain knows of a transaction id. Whether the block is certified is a matter of `certified_height`."""

    state: Literal["unknown", "executed"]
    height: int | None = None
    receipt: Receipt | None = None
    message: str = ""
    """For people; not part of the chain."""


class Chain:
    """A chain over a store. Made by `open`."""

    def __init__(
        self,
        store: Store,
        genesis: Genesis,
        registry: Registry,
        judge: EvidenceJudge | None = None,
        retention: Retention | None = None,
    ) -> None:
        self.genesis = genesis
        self.network_id: Digest = network_id_of(genesis)
        self.registry = registry
        self._compact = store.compact_later if isinstance(store, LevelStore) else None
        self._store = GroupedStore(store)
        self.archive = Archive(self._store)
        self._retention = Retention() if retention is None else retention
        self._set_state(StateTree(), 0, 0)
        self._replay = ReplayIds()
        self._facts = ChainFacts(self.archive.block_hash, judge)
        self._following = Following()
        self._is_ahead = False
        """Whether the store lacks blocks up to the head, because a group was not written."""
        self.head: Header
        self.head_hash: Digest
        self.certified_height = 0
        self.oldest_block = 0
        """The lowest height whose body and results are here; one above the head where none is."""
        self.oldest_state = 0
        """The lowest height at which records can be read and proven."""

    @classmethod
    def open(
        cls,
        store: Store,
        genesis: Genesis,
        registry: Registry | None = None,
        *,
        judge: EvidenceJudge | None = None,
        follower: StateFollower | None = None,
        retention: Retention | None = None,
    ) -> Chain:
        """Open the chain in `store`, or begin one there. All nodes of a network need a `judge`, or none.

        A `follower` hears of the head that was found, and of every block before anybody else does. Without a
        `retention` all blocks are kept, and a past of the state of `HISTORY_BLOCKS_DEFAULT` blocks.

        The tree and the replay ids are rebuilt and the indexes audited, some 5 to 10 us a record; the tree's root must
        be the head's.

        Raises:
            StorageError: `storage.foreign`, `storage.format`, `storage.damaged`, or a failure of the store.
        """
        chain = cls(store, genesis, registry or default_registry(), judge, retention)
        if chain.archive.check_network(chain.network_id):
            chain._resume()
        else:
            chain._begin()
        chain._following.begin(follower, chain.head, chain.head_hash, chain._state, chain.archive.past)
        return chain

    # --- beginning and resuming

    def _begin(self) -> None:
        first = founding_block(self.genesis, self.network_id, self.registry, self._state, self._tree)
        self._write(*first, founding=True)

    def _resume(self) -> None:
        height = self.archive.height()
        header = self.archive.present_header(height)
        tree, records = stored_tree(self._store, header, self.registry.indexes)
        self._set_state(tree, records, height)
        self.head = header
        self.head_hash = block_hash(header)
        self.certified_height = min(self.archive.certified_height(), height)
        self.oldest_block = self.archive.oldest_block()
        self.oldest_state = self.archive.oldest_state()
        self._replay = replay_ids(self.archive, header)

    def _set_state(self, tree: StateTree, records: int, height: int) -> None:
        """Go on from the stored state of block `height`, which has this tree and so many records."""
        self._tree = tree
        self._state = StateRecords(self._store, tree, self._retention.record_cache_bytes)
        self._history = StateHistory(self._store, tree, self._state, records, height)
        self._pruner = Pruner(self.archive, self._history, self._retention)

    # --- blocks

    @property
    def height(self) -> int:
        return self.head.height

    def execute(
        self,
        height: int,
        proposal: DecidedProposal,
        batches: Sequence[DecidedBatch],
        expected_hash: bytes | None = None,
    ) -> ExecutedBlock:
        """Execute what was decided for `height` and make it the head.

        Raises:
            InvalidBlock: `block.height`, or `block.mismatch` when the result has another hash than `expected_hash`;
                nothing has changed then.
            StorageError: the store failed; the chain is still at its old head, and must be opened again.
        """
        if height != self.height + 1:
            raise InvalidBlock("block.height", f"the next height is {self.height + 1}, not {height}")
        executor = BlockExecutor(
            registry=self.registry,
            state=self._state,
            replay=self._replay,
            network_id=self.network_id,
            height=height,
            parent_time_ms=self.head.timestamp_ms,
            proposal=proposal,
            facts=self._facts,
        )
        executed = executor.run(batches)
        changes = executed.view.changes()
        pending = self._tree.update(committed(changes))
        header = next_header(self.head, self.head_hash, proposal, executed, pending.root)
        hashed = block_hash(header)
        if expected_hash is not None and hashed != expected_hash:
            raise InvalidBlock(
                "block.mismatch", f"block {height} executes to {hashed.hex()}, expected {expected_hash.hex()}"
            )
        results = BlockResults(
            executed.swept, tuple(executed.receipts), tuple(executed.messages), executed.expire_at_ms
        )
        next_deadline_ms = deadlines.next_deadline(executed.view)  # nothing is read behind the write: reads may fail
        self._write(Block(header, tuple(executed.batches)), results, executed.view, pending)
        self._replay.add(executed.ids, executed.expire_at_ms, header.timestamp_ms)
        return ExecutedBlock(
            header=header,
            block_hash=hashed,
            receipts=results.receipts,
            outcomes=tuple(executed.outcomes),
            transactions_executed=len(executed.ids),
            next_deadline_ms=next_deadline_ms,
            artifact_changes=tuple(executed.artifacts),
            membership_changed=epochs.touched(changes, self.registry.names_nodes),
            next_validators=() if executed.closed.next_set is None else executed.closed.next_set.validators,
        )

    def replay(
        self, block: bytes | Block, expected_hash: bytes | None = None, verified: Sequence[bytes] = ()
    ) -> ExecutedBlock:
        """Execute a block that was executed elsewhere (a peer's, or a file's), encoded or not, and require the same
        result.

        The block must be what its own header says, and the header the one of `expected_hash` (a certificate's).
        `verified` is, for each batch, that of `DecidedBatch`.

        Raises:
            InvalidBlock: `block.malformed`, `block.height`, or `block.mismatch`; nothing has changed then.
        """
        if not isinstance(block, Block):
            block = decode_block(block)
        header = block.header
        if expected_hash is not None and block_hash(header) != expected_hash:
            raise InvalidBlock("block.mismatch", f"not the block {expected_hash.hex()}")
        # A block's time is at least its parent's + 1 ms, so taking the offset off again leads to the same time.
        proposal = DecidedProposal(header.proposer, header.timestamp_ms - self.registry.clock_offset_ms(self._state))
        batches = [
            DecidedBatch(batch.author, batch.number, batch.transactions, known_good)
            for batch, known_good in zip(block.batches, verified or [b""] * len(block.batches), strict=True)
        ]
        return self.execute(header.height, proposal, batches, block_hash(header))

    def _write(
        self, block: Block, results: BlockResults, view: StateView, pending: PendingUpdate, *, founding: bool = False
    ) -> None:
        _require_written(not self._is_ahead)
        changes = view.changes()
        batch = founding_records(self.network_id) if founding else {}
        undo = self._history.undo(block.header.height, committed(changes), pending)
        if not founding:
            batch.update(undo.entries)
        batch.update((STATE_PREFIX + key, value) for key, value in changes.items())
        before = Windows(self.oldest_block, self.oldest_state)
        dropped, windows = self._pruner.step(block.header, self.certified_height, before)
        # Behind all that may meet damage: what is noted will be told, even if this block is begun again.
        batch.update(block_records(block, results, self._following.note(changes)))
        batch.update(dropped)
        self._store.write_batch(batch, sync=True)
        self.oldest_block, self.oldest_state = windows.oldest_block, windows.oldest_state
        self._tree.commit(pending)
        self._history.commit(undo)
        self._state.written(changes)
        self.head = block.header
        self.head_hash = block_hash(block.header)
        if self._compact is not None and (ranges := self._pruner.to_compact(windows)):
            self._compact(ranges)
        self._following.written(self.head, self.head_hash, self._state)

    @contextmanager
    def group(self) -> Iterator[None]:
        """Write the blocks and certificates of this context in one synced batch, at its end.

        For blocks that others have executed before: what is lost before the end is fetched again. Nobody may be told of
        a block before the context has ended. What a refusal leaves of the context is written too.

        Raises:
            StorageError: at the end; the chain must be opened again, at the block before the group, and writes nothing
                any more until then. The same goes for whatever else ends the context.
        """
        refusal: InvalidBlock | None = None
        before = self.head
        try:
            with self._following.held_back(), self._store.group():
                try:
                    yield
                except InvalidBlock as error:
                    refusal = error
        except BaseException:
            self._is_ahead = self.head is not before
            raise
        self._following.written(self.head, self.head_hash, self._state)
        if refusal is not None:
            raise refusal

    def header(self, height: int) -> Header | None:
        return self.archive.header(height)

    def block(self, height: int) -> Block | None:
        """Return the block with its batches, or None above the head."""
        data = self.encoded_block(height)
        return None if data is None else decode_block(data)

    def encoded_block(self, height: int) -> bytes | None:
        """Return the block as peers fetch it and `replay` takes it."""
        if self.oldest_block <= height <= self.height:
            return self.archive.present_block(height)
        return None

    # --- epochs and certificates

    @property
    def epoch(self) -> epochs.Epoch:
        """The epoch of the next block: its number, its base, and its end as soon as that is known."""
        return epochs.current_epoch(self._state)

    def validators(self, epoch: int) -> tuple[ValidatorRecord, ...]:
        """Return the set of `epoch` in order of index; empty when the chain knows of no such epoch."""
        members = validator_set(self._state, epoch)
        return () if members is None else members.validators

    def candidates(self) -> tuple[ValidatorRecord, ...]:
        """Return whom approved changes bring into the set, by order of approval: peers, but not yet validators."""
        pending = epochs.pending_changes(self._state)
        return tuple(change.record for _, change in sorted(pending.items()) if change.record is not None)

    def add_certificate(self, certificate: FinalityCertificate, *, sync: bool = False) -> None:
        """Keep the certificate of an executed block; everything below it is thereby certified too.

        Raises:
            InvalidBlock: `certificate.height` (not executed yet), `certificate.epoch`, `certificate.block` (another
                block than ours), `certificate.epoch_end`, `certificate.signatures`.
        """
        _require_written(not self._is_ahead)
        header = self.archive.header(certificate.height)
        if header is None:
            raise InvalidBlock("certificate.height", f"block {certificate.height} has not been executed here")
        if certificate.epoch != header.epoch:
            raise InvalidBlock("certificate.epoch", f"block {header.height} belongs to epoch {header.epoch}")
        if certificate.block_hash != block_hash(header):
            raise InvalidBlock("certificate.block", f"the certificate is for another block {header.height} than ours")
        if certificate.epoch_end != header.epoch_end:
            raise InvalidBlock(
                "certificate.epoch_end", f"block {header.height} says {header.epoch_end} of its epoch's end"
            )
        keys = [validator.signing_key for validator in self.validators(header.epoch)]
        reason = verify_certificate(self.network_id, keys, certificate)
        if reason is not None:
            raise InvalidBlock("certificate.signatures", reason)
        self.certified_height = max(self.certified_height, header.height)
        self.archive.write_certificate(certificate, self.certified_height, sync=sync)

    def certificate(self, height: int) -> FinalityCertificate | None:
        return self.archive.certificate(height)

    # --- transactions and reads

    def transaction_status(self, transaction_id: bytes) -> TransactionStatus:
        found = self.archive.receipt(transaction_id)
        return TransactionStatus("unknown") if found is None else TransactionStatus("executed", *found)

    def admission_error(self, transaction: DecodedTransaction | DecodedBundle, now_ms: int) -> LedgerError | None:
        """Say why a transaction or bundle would not execute if it were ordered now; None when nothing is against it.

        `now_ms` is the local clock; a development network's offset is added. The signature is not checked.
        """
        return admission_error(
            transaction,
            max(self.head.timestamp_ms + 1, now_ms + self.registry.clock_offset_ms(self._state)),
            network_id=self.network_id,
            registry=self.registry,
            state=self._state,
            replay=self._replay,
        )

    def prove(self, key: bytes, height: int | None = None) -> StateProof:
        """Prove the record of `key` after block `height` (the head's without one), or its absence. Raises as
        `ledger.proving.Prover`."""
        return self._prover().prove(key, height)

    def prove_many(self, keys: Sequence[bytes], height: int | None = None) -> BatchProof:
        """Prove the records of `keys` after block `height`, or their absence, with one proof. Raises as `prove`."""
        return self._prover().prove_many(keys, height)

    def record_at(self, key: bytes, height: int | None = None) -> bytes | None:
        """Return the record of `key` after block `height`; None where there was none. Raises as `prove`."""
        return self._prover().record_at(key, height)

    def _prover(self) -> Prover:
        return Prover(self._tree, self._state, self._history, self.archive, Window(self.oldest_state, self.height))

    def view(self) -> StateView:
        """Return a view over the head's state. Whatever is written to it is lost."""
        return StateView(self._state)

    def query(self, name: str, arguments: dict[str, Any]) -> Any:
        """Answer a named query with values made for JSON.

        Raises:
            LedgerError: `query.unknown`, `query.argument`, `query.not_found`.
        """
        return answer(self, name, arguments)


def _require_written(written: bool) -> None:
    """Refuse to write on top of blocks that never reached the store."""
    if not written:
        raise StorageError("storage.failed", "blocks were not written; the ledger must be opened again")

"""Execution of a block: a pure function of the state, the registry, the parent's time and what was decided.

First the deadlines that fell due, then the transactions of each batch in order. Each transaction runs in a view of its
own over the block's: it changes the state as a whole or, but for its receipt, not at all. No clock is read here: block
time is `max(parent + 1 ms, proposal's timestamp + development offset)`. Last, an epoch that ends here gives way to the
next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ledger import deadlines, epochs
from ledger.block import CODE_CHARACTERS_MAX, BlockBatch, Mark, Receipt
from ledger.errors import InvalidTransaction, OperationError
from ledger.modules.module import ArtifactRecord, ChainFacts, Context, Standing
from ledger.opaque import decode_bundle, is_bundle
from ledger.operations import Registry
from ledger.parameters import read_parameters
from ledger.replay import ReplayIds
from ledger.state.view import Readable, StateView
from ledger.transaction import DecodedTransaction, decode_transaction, transaction_id
from primitives.codec import encode
from primitives.digest import Digest
from primitives.identifiers import AccountId


class DecidedProposal(msgspec.Struct, frozen=True):
    """What consensus decided about a block besides its batches."""

    proposer: int | None
    """None for the null proposal."""
    timestamp_ms: int


class DecidedBatch(msgspec.Struct, frozen=True):
    author: int
    number: int
    transactions: Sequence[bytes]
    verified: bytes = b""
    """One byte a transaction, not 0 where its signature is known to be good; empty where nothing is known."""


class Outcome(NamedTuple):
    """What became of one transaction of a block."""

    id: Digest | None
    """None when the bytes are no signed transaction at all."""
    mark: Mark
    receipt: int | None
    """Index in the block's receipts, when it executed."""


class Executed:
    """The result of a block before anything is written."""

    __slots__ = (
        "artifacts",
        "batches",
        "closed",
        "expire_at_ms",
        "ids",
        "messages",
        "outcomes",
        "receipts",
        "rests",
        "swept",
        "time_ms",
        "view",
    )

    def __init__(self, view: StateView, time_ms: int) -> None:
        self.view = view
        self.time_ms = time_ms
        self.batches: list[BlockBatch] = []
        self.rests: list[list[bytes]] = []
        """Of each batch what `transactions_root` covers beside the ids: signatures, and what did not execute."""
        self.receipts: list[Receipt] = []
        self.messages: list[str] = []
        self.outcomes: list[Outcome] = []
        self.ids: list[Digest] = []
        """Of what executed."""
        self.expire_at_ms = 0
        """When the last of these expires."""
        self.artifacts: list[ArtifactRecord] = []
        self.swept = 0
        self.closed: epochs.ClosedBlock

    def record(self, identifier: bytes, code: str, message: str, context: Context | None) -> int:
        """Add a receipt and return its index; without a context nothing else remains."""
        assert len(code) <= CODE_CHARACTERS_MAX
        events = () if context is None else tuple([encode(event) for event in context.events])
        self.receipts.append(Receipt(identifier, code, events))
        self.messages.append(message)
        if context is not None and context.artifacts:
            self.artifacts.extend(context.artifacts)
        return len(self.receipts) - 1


class BlockExecutor:
    """The surroundings of one block's execution."""

    __slots__ = (
        "_executed",
        "_facts",
        "_fresh",
        "_height",
        "_network_id",
        "_parameters",
        "_registry",
        "_replay",
    )

    def __init__(
        self,
        *,
        registry: Registry,
        state: Readable,
        replay: ReplayIds,
        network_id: bytes,
        height: int,
        parent_time_ms: int,
        proposal: DecidedProposal,
        facts: ChainFacts,
    ) -> None:
        view = StateView(state)
        time_ms = max(parent_time_ms + 1, proposal.timestamp_ms + registry.clock_offset_ms(view))
        self._registry = registry
        self._replay = replay
        self._network_id = network_id
        self._height = height
        self._parameters = read_parameters(view)
        self._facts = facts
        self._executed = Executed(view, time_ms)
        self._fresh: set[bytes] = set()
        """Ids executed in this block."""

    def run(self, batches: Sequence[DecidedBatch]) -> Executed:
        """Execute the block. Called once."""
        executed = self._executed
        self._sweep()
        executed.view.forget_order()
        for batch in batches:
            verified = batch.verified or bytes(len(batch.transactions))
            rest: list[bytes] = []
            marks = bytes(
                [
                    self._transaction(data, known_good, rest)
                    for data, known_good in zip(batch.transactions, verified, strict=True)
                ]
            )
            executed.batches.append(BlockBatch(batch.author, batch.number, tuple(batch.transactions), marks))
            executed.rests.append(rest)
        executed.closed = epochs.close_block(executed.view, self._height)
        return executed

    def _context(self, view: StateView, sender: bytes, signer: bytes, identifier: bytes) -> Context:
        return Context(
            view=view,
            network_id=self._network_id,
            height=self._height,
            block_time_ms=self._executed.time_ms,
            parameters=self._parameters,
            sender=AccountId(sender),
            signer=signer,
            transaction_id=identifier,
            facts=self._facts,
        )

    def _sweep(self) -> None:
        executed = self._executed
        for deadline in deadlines.due(executed.view, executed.time_ms, self._parameters.deadlines_per_block_max):
            view = executed.view.child()
            if not deadlines.take(view, deadline):
                continue
            context = self._context(view, b"", b"", deadline.id)
            self._registry.deadlines[deadline.kind](context, deadline.subject)
            executed.view.apply(view)
            executed.record(deadline.id, "", "", context)
        executed.swept = len(executed.receipts)

    def _transaction(self, data: bytes, known_good: int, rest: list[bytes]) -> Mark:
        executed = self._executed
        if self._parameters.opaque_bundles is True and is_bundle(data):
            mark = self._bundle(data)
            rest.append(data if mark else b"")
            return mark
        try:
            transaction = decode_transaction(data, self._registry)
        except InvalidTransaction:
            executed.outcomes.append(Outcome(_id_of(data), Mark.MALFORMED, None))
            rest.append(data)
            return Mark.MALFORMED
        mark, standing = self._judge(transaction, known_good)
        if mark is not Mark.EXECUTED:
            executed.outcomes.append(Outcome(transaction.id, mark, None))
            rest.append(data)
            return mark
        assert standing is not None
        rest.append(transaction.signature)
        self._enter(transaction.id, transaction.body.expires_at_ms)
        executed.outcomes.append(Outcome(transaction.id, mark, self._apply(transaction, standing)))
        return mark

    def _bundle(self, data: bytes) -> Mark:
        """A bundle executes by being there: nothing but its id and its receipt remains of it."""
        executed = self._executed
        try:
            bundle = decode_bundle(data)
        except InvalidTransaction:
            executed.outcomes.append(Outcome(None, Mark.MALFORMED, None))
            return Mark.MALFORMED
        mark = self._judge_common(bundle.id, bundle.body.network_id, bundle.body.expires_at_ms)
        receipt = None
        if mark is Mark.EXECUTED:
            self._enter(bundle.id, bundle.body.expires_at_ms)
            receipt = executed.record(bundle.id, "", "", None)
        executed.outcomes.append(Outcome(bundle.id, mark, receipt))
        return mark

    def _enter(self, identifier: Digest, expires_at_ms: int) -> None:
        """Note that it executes here, whatever comes of that, and never again."""
        self._fresh.add(identifier)
        self._executed.ids.append(identifier)
        self._executed.expire_at_ms = max(self._executed.expire_at_ms, expires_at_ms)

    def _judge(self, transaction: DecodedTransaction, known_good: int) -> tuple[Mark, Standing | None]:
        """Say whether `transaction` executes in this block, cheapest questions first, and what its signer is."""
        body = transaction.body
        mark = self._judge_common(transaction.id, body.network_id, body.expires_at_ms)
        if mark is not Mark.EXECUTED:
            return mark, None
        standing = self._registry.standing(self._executed.view, body.sender, body.signer)
        if standing is None:
            return Mark.UNKNOWN_SIGNER, None
        if not known_good and not transaction.verify():
            return Mark.BAD_SIGNATURE, None
        return Mark.EXECUTED, standing

    def _judge_common(self, identifier: bytes, network_id: bytes, expires_at_ms: int) -> Mark:
        """Ask what is asked of transactions and bundles alike."""
        if network_id != self._network_id:
            return Mark.FOREIGN
        mark = lifetime_mark(expires_at_ms, self._executed.time_ms, self._parameters.lifetime_ms)
        if mark is Mark.EXECUTED and (identifier in self._fresh or identifier in self._replay):
            return Mark.DUPLICATE
        return mark

    def _apply(self, transaction: DecodedTransaction, standing: Standing) -> int:
        """Run all operations, or none. Return the receipt's index."""
        executed, registry = self._executed, self._registry
        body, view = transaction.body, executed.view
        context = self._context(view, body.sender, body.signer, transaction.id)
        view.set_savepoint()
        try:
            for operation in body.operations:
                registry.require_permitted(standing, operation, executed.time_ms)
            for operation in body.operations:
                registry.handlers[type(operation)](context, operation)
        except OperationError as error:
            view.roll_back()
            return executed.record(transaction.id, error.code, error.message, None)
        view.release()
        return executed.record(transaction.id, "", "", context)


def lifetime_mark(expires_at_ms: int, time_ms: int, lifetime_ms: int) -> Mark:
    """Tell whether a transaction may execute at `time_ms`: EXECUTED, EXPIRED or TOO_EARLY."""
    if expires_at_ms <= time_ms:
        return Mark.EXPIRED
    return Mark.EXECUTED if expires_at_ms <= time_ms + lifetime_ms else Mark.TOO_EARLY


def _id_of(data: bytes) -> Digest | None:
    try:
        return transaction_id(data)
    except InvalidTransaction:
        return None

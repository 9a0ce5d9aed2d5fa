"""The ledger behind messages: what the rest of the node may ask the chain's only owner. Arguments and results are
values, so that the owner can be a thread or a process."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

from ledger import deadlines, epochs
from ledger.block import Block, Header, block_hash, decode_block, transactions_root
from ledger.chain import Chain, ExecutedBlock, TransactionStatus
from ledger.errors import InvalidBlock, InvalidTransaction, LedgerError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.modules.organizations.accounts import account
from ledger.opaque import decode_bundle, is_bundle
from ledger.transaction import decode_transaction, transaction_id
from node.chain_certificates import ChainCertificates
from node.membership import (
    Membership,
    OwnStanding,
    engine_membership,
    evidence_settled,
    membership,
    own_standing,
    registered_peers,
)
from node.pool import NOBODY
from node.ports import RegisteredPeer
from node.wire import ANSWER_BYTES_MAX, BLOCKS_PER_ANSWER_MAX, HEADERS_PER_ANSWER_MAX
from primitives.codec import CodecError, decode, encode
from primitives.finality import FinalityCertificate, verify_certificate


class Verdict(msgspec.Struct, frozen=True):
    """What the ledger says of a submitted transaction, its signature aside."""

    id: bytes
    code: str = ""
    """Empty: it may be taken."""
    message: str = ""
    sender: bytes = b""
    organization: str = ""
    """The sender's."""
    expires_at_ms: int = 0
    known: bool = False
    """It has executed already."""
    signed: bool = True
    """False for an opaque bundle: there is no signature to check."""


class Head(msgspec.Struct, frozen=True):
    """Where the chain stands."""

    header: Header
    block_hash: bytes
    certified_height: int
    clock_offset_ms: int
    next_deadline_ms: int | None = None
    """Block time at which the next deadline falls due."""


class Opening(msgspec.Struct, frozen=True):
    """What consensus starts from: the chain's head and the epoch that follows from it."""

    head: Head
    membership: Membership
    stable: FinalityCertificate | None
    """The certificate of the highest certified block, where it belongs to that epoch."""


class BlockResult(msgspec.Struct, frozen=True):
    """An executed block and what the deciding parts need beside it."""

    block: ExecutedBlock
    clock_offset_ms: int
    batches: tuple[tuple[int, int], ...]
    """(author, number)"""


class KnownBlock(msgspec.Struct, frozen=True):
    """The block of a decision that synchronization had executed before."""

    height: int
    block_hash: bytes
    epoch_end: int


class BlocksTaken(msgspec.Struct, frozen=True):
    """What became of blocks that a peer sent."""

    results: tuple[BlockResult, ...]
    """Those that were executed, in order: they are the chain's, whatever followed them."""
    refusal: InvalidBlock | None = None
    """Why the next one was not, or the certificate."""


class ChainService(ChainCertificates):
    """Belongs to the executor. Every method may raise LedgerError, which travels back as the answer."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    # --- for the deciding parts

    def head(self) -> Head:
        chain = self._chain
        deadline_ms = deadlines.next_deadline(chain.view())
        return Head(chain.head, chain.head_hash, chain.certified_height, _clock_offset_ms(self._chain), deadline_ms)

    def opening(self) -> Opening:
        head, members = self.head(), engine_membership(self._chain)
        stable = self._chain.certificate(head.certified_height)
        own = stable is not None and stable.epoch == members.epoch
        return Opening(head, members, stable if own else None)

    def membership(self, epoch: int) -> Membership:
        """Return the validators of an epoch that has begun."""
        return membership(self._chain, epoch)

    def peers(self, epoch: int) -> tuple[RegisteredPeer, ...]:
        """Return the nodes of the network, while consensus is in `epoch`."""
        return registered_peers(self._chain, epoch)

    def standing(self, node_id: str, signing_key: bytes) -> OwnStanding:
        return own_standing(self._chain, node_id, signing_key)

    def evidence_settled(self, epoch: int, culprit: int, evidence: bytes) -> bool:
        return evidence_settled(self._chain, epoch, culprit, evidence)

    def head_certificate(self, epoch: int, height: int) -> FinalityCertificate | None:
        """Return the highest certificate of `epoch`, if it is above `height`; of its last block once it has ended."""
        top = epochs.last_height(self._chain.view(), epoch)
        top = self._chain.certified_height if top is None else min(top, self._chain.certified_height)
        found = self._chain.certificate(top) if top > height else None
        return found if found is not None and found.epoch == epoch else None

    def execute(
        self,
        height: int,
        proposal: DecidedProposal,
        batches: Sequence[DecidedBatch],
    ) -> BlockResult | KnownBlock:
        """Execute a decision, unless synchronization was faster."""
        known = self._chain.header(height)
        if known is not None:
            return KnownBlock(height, block_hash(known), known.epoch_end)
        block = self._chain.execute(height, proposal, batches)
        return self._result(block, [(batch.author, batch.number) for batch in batches])

    def add_certificate(self, certificate: FinalityCertificate, durably: bool) -> int:
        """Keep a certificate, and `durably` before the answer; return the certified height."""
        self._chain.add_certificate(certificate, sync=durably)
        return self._chain.certified_height

    def admit(self, transactions: Sequence[bytes], now_ms: int) -> list[Verdict]:
        """Judge submitted bytes: shape, network, account, role, lifetime, seen before."""
        return [self._admit(data, now_ms) for data in transactions]

    def _admit(self, data: bytes, now_ms: int) -> Verdict:
        if is_bundle(data):
            return self._admit_bundle(data, now_ms)
        try:
            transaction = decode_transaction(data)
        except InvalidTransaction as error:
            return Verdict(b"", error.code, error.message)
        refusal = self._chain.admission_error(transaction, now_ms)
        if refusal is not None:
            return _refused(self._chain, transaction.id, refusal)
        body = transaction.body
        sender = account(self._chain.view(), body.sender)
        return Verdict(
            transaction.id,
            sender=body.sender,
            organization="" if sender is None else sender.organization,
            expires_at_ms=body.expires_at_ms,
        )

    def _admit_bundle(self, data: bytes, now_ms: int) -> Verdict:
        try:
            bundle = decode_bundle(data)
        except InvalidTransaction as error:
            return Verdict(b"", error.code, error.message)
        refusal = self._chain.admission_error(bundle, now_ms)
        if refusal is not None:
            return _refused(self._chain, bundle.id, refusal)
        return Verdict(bundle.id, sender=NOBODY, expires_at_ms=bundle.body.expires_at_ms, signed=False)

    # --- synchronization

    def blocks(self, first: int, last: int) -> tuple[list[bytes], list[bytes], FinalityCertificate | None]:
        """Return certified blocks from `first` on for a peer, the headers up to the next certificate, and that."""
        top = min(last, first + BLOCKS_PER_ANSWER_MAX - 1, self._chain.certified_height)
        beginning = self._chain.header(first)
        if beginning is not None:  # one answer, one epoch: the asker learns the next validators from its last block
            top = min(top, epochs.last_height(self._chain.view(), beginning.epoch) or top)
        blocks: list[bytes] = []
        room = ANSWER_BYTES_MAX
        for height in range(first, top + 1):
            encoded = self._chain.encoded_block(height)
            if encoded is None or (blocks and len(encoded) > room):
                break
            room -= len(encoded)
            blocks.append(encoded)
        reached = first + len(blocks) - 1
        headers: list[bytes] = []
        while blocks and reached <= self._chain.certified_height and len(headers) <= HEADERS_PER_ANSWER_MAX:
            certificate = self._chain.certificate(reached)
            if certificate is not None:
                return blocks, headers, certificate
            reached += 1
            if (header := self._chain.header(reached)) is not None:
                headers.append(encode(header))
        return [], [], None

    def take_blocks(
        self, blocks: Sequence[bytes], trail: Sequence[bytes], certificate: FinalityCertificate
    ) -> BlocksTaken:
        """Check a peer's blocks, and the headers behind them, against the certificate; execute those above the head.

        The refusal's code is `sync.diverged` when the fault is this node's own: a certified block executes to another
        result here. With any other the peer lied: it was asked for what follows our head, which never falls.
        """
        results: list[BlockResult] = []
        try:
            decoded = [decode_block(data) for data in blocks]
            headers = [block.header for block in decoded] + [_decode_header(data) for data in trail]
            hashes = [block_hash(header) for header in headers]
            self._check_range(headers, hashes, certificate)
            for data, block, hashed in zip(blocks, decoded, hashes, strict=False):
                if block.header.height > self._chain.height:
                    _check_body(block)
                    results.append(self._replay(data, block, hashed))
            if self._chain.height >= certificate.height:
                self._chain.add_certificate(certificate, sync=True)
        except InvalidBlock as refusal:
            if refusal.code == "certificate.block":
                refusal = InvalidBlock("sync.diverged", refusal.message)
            return BlocksTaken(tuple(results), refusal)
        return BlocksTaken(tuple(results))

    def _replay(self, data: bytes, block: Block, hashed: bytes) -> BlockResult:
        try:
            executed = self._chain.replay(data, expected_hash=hashed)
        except InvalidBlock as error:
            if error.code == "block.mismatch":
                raise InvalidBlock("sync.diverged", error.message) from error
            raise
        return self._result(executed, [(batch.author, batch.number) for batch in block.batches])

    def _check_range(
        self, headers: Sequence[Header], hashes: Sequence[bytes], certificate: FinalityCertificate
    ) -> None:
        if not headers or certificate.height != headers[-1].height or certificate.block_hash != hashes[-1]:
            raise InvalidBlock("sync.certificate", "the certificate is not that of the last header")
        if any(header.epoch != certificate.epoch for header in headers):
            raise InvalidBlock("sync.epoch", "one answer must not go beyond the end of an epoch")
        keys = [validator.signing_key for validator in self._chain.validators(certificate.epoch)]
        if not keys:
            raise InvalidBlock("sync.epoch", f"no validator set of epoch {certificate.epoch} is known")
        reason = verify_certificate(self._chain.network_id, keys, certificate)
        if reason is not None:
            raise InvalidBlock("sync.certificate", reason)
        self._check_history(certificate)
        for (parent, child), parent_hash in zip(pairwise(headers), hashes, strict=False):
            if child.height != parent.height + 1 or child.parent_hash != parent_hash:
                raise InvalidBlock("sync.broken_chain", f"block {child.height} does not follow block {parent.height}")
        if headers[0].height > self._chain.height + 1:
            raise InvalidBlock("sync.gap", f"block {headers[0].height} does not follow our head {self._chain.height}")

    def _check_history(self, certificate: FinalityCertificate) -> None:
        """Refuse another past than ours, which validators of an ended epoch may sign long after: that is no divergence.

        Raises:
            InvalidBlock: `sync.forked`.
        """
        height = certificate.height
        end = epochs.last_height(self._chain.view(), certificate.epoch)
        if end is not None and height > end:
            raise InvalidBlock("sync.forked", f"epoch {certificate.epoch} ended with block {end}")
        known = self._chain.header(height) if height <= self._chain.certified_height else None
        if known is not None and block_hash(known) != certificate.block_hash:
            raise InvalidBlock("sync.forked", f"another block {height} is certified here")

    def _result(self, block: ExecutedBlock, batches: Sequence[tuple[int, int]]) -> BlockResult:
        return BlockResult(block, _clock_offset_ms(self._chain), tuple(batches))

    # --- for the API

    def transaction(self, identifier: bytes) -> tuple[TransactionStatus, int]:
        """Return what the chain knows of a transaction, and the certified height."""
        return self._chain.transaction_status(identifier), self._chain.certified_height

    def query(self, name: str, arguments: dict[str, Any]) -> tuple[int, int, Any]:
        """Answer a named query: (height, block time, result)."""
        result = self._chain.query(name, arguments)
        return self._chain.height, self._chain.head.timestamp_ms, result

    def certificate(self, height: int) -> FinalityCertificate | None:
        return self._chain.certificate(height)

    def block_hash(self, height: int) -> bytes | None:
        header = self._chain.header(height)
        return None if header is None else block_hash(header)

    def executed_ids(
        self, first: int, count: int
    ) -> list[tuple[int, bytes, bytes, bytes, tuple[tuple[int, str], ...]]]:
        """Return (height, block hash, state root, ids, refusals) of up to `count` blocks; receipts of deadlines are
        no transactions."""
        if first < self._chain.oldest_block:
            raise LedgerError("block.pruned", f"the oldest block kept here is {self._chain.oldest_block}")
        found = []
        for height in range(first, min(first + count - 1, self._chain.height) + 1):
            header, results = self._chain.header(height), self._chain.archive.results(height)
            assert header is not None
            assert results is not None
            receipts = results.receipts[results.swept :]
            refused = tuple((at, receipt.code) for at, receipt in enumerate(receipts) if receipt.code)
            ids = b"".join(receipt.id for receipt in receipts)
            found.append((height, bytes(block_hash(header)), header.state_root, ids, refused))
        return found

    def prove(self, key: bytes) -> bytes:
        return self._chain.prove(key).encode()


def _refused(chain: Chain, identifier: bytes, refusal: LedgerError) -> Verdict:
    """What executed once, however long ago, would not execute now either: it is known, which is no error.

    So a transaction is looked up on disk only when something is against it.
    """
    if chain.archive.location(identifier) is not None:
        return Verdict(identifier, known=True)
    return Verdict(identifier, refusal.code, refusal.message)


def _decode_header(data: bytes) -> Header:
    """Raises InvalidBlock `block.malformed`."""
    try:
        return decode(data, Header)
    except CodecError as error:
        raise InvalidBlock("block.malformed", str(error)) from error


def _check_body(block: Block) -> None:
    """Require that the batches are those of the header: then whatever differs later is not the sender's doing.

    Raises:
        InvalidBlock: `sync.body`.
    """
    try:
        ids = [
            transaction_id(data)
            for batch in block.batches
            for data, mark in zip(batch.transactions, batch.marks, strict=True)
            if not mark
        ]
        root = transactions_root(ids, block.batches)
    except (CodecError, InvalidTransaction) as error:
        raise InvalidBlock("sync.body", f"block {block.header.height}: {error}") from error
    if root != block.header.transactions_root:
        raise InvalidBlock("sync.body", f"the batches are not those of block {block.header.height}")


def _clock_offset_ms(chain: Chain) -> int:
    return chain.registry.clock_offset_ms(chain.view())

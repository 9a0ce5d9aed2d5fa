"""The ledger behind messages: what the rest of the node may ask the chain's only owner. Arguments and results are
values, so that the owner can be a thread or a process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ledger import deadlines, epochs
from ledger.block import Header, block_hash
from ledger.chain import Chain, ExecutedBlock, TransactionStatus
from ledger.errors import Damage, InvalidBlock, InvalidTransaction, LedgerError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.modules.organizations.accounts import account
from ledger.opaque import decode_bundle, is_bundle
from ledger.parameters import DEFAULTS, read_parameters
from ledger.pruning import block_pruned
from ledger.transaction import decode_transaction
from node.block_ranges import CheckedBlock
from node.chain_certificates import ChainCertificates
from node.chain_mending import ChainMending
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
from node.search_building import SearchBuilding
from node.snapshot_taking import SnapshotCommands, SnapshotTaker
from node.wire import ANSWER_BYTES_MAX, BLOCKS_PER_ANSWER_MAX, HEADERS_PER_ANSWER_MAX
from primitives.codec import encode
from primitives.finality import FinalityCertificate

CERTIFICATES_AHEAD_MAX: Final = 64
"""Certificates above the head that came with blocks below them; beyond, the highest goes. Ranges come in order and few
lie between a range and its certificate."""


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
    lifetime_ms: int = DEFAULTS["lifetime_ms"]
    """How far ahead of block time a transaction of the next block may expire."""


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
    lifetime_ms: int = DEFAULTS["lifetime_ms"]
    """As the head's."""


class KnownBlock(msgspec.Struct, frozen=True):
    """The block of a decision that synchronization had executed before."""

    height: int
    block_hash: bytes
    epoch_end: int


class ServedBlocks(msgspec.Struct, frozen=True):
    """What a peer gets that asked for blocks."""

    blocks: tuple[bytes, ...]
    headers: tuple[bytes, ...]
    """Those behind the blocks, up to the certified one."""
    certificate: FinalityCertificate | None
    oldest: int
    """The lowest height whose block is here."""
    newest: int
    """The highest certified one."""


class BlocksTaken(msgspec.Struct, frozen=True):
    """What became of blocks that a peer sent."""

    results: tuple[BlockResult, ...]
    """Those that were executed, in order: they are the chain's, whatever followed them."""
    refusal: InvalidBlock | None = None
    """Why the next one was not, or the certificate."""


class ChainService(ChainCertificates, SnapshotCommands, SearchBuilding, ChainMending):
    """Belongs to the executor. Every method may raise LedgerError, which travels back as the answer."""

    def __init__(self, chain: Chain, taker: SnapshotTaker | None = None) -> None:
        self._chain = chain
        self._taker = taker
        self._ahead: dict[int, FinalityCertificate] = {}
        """Certificates that came with blocks below them, by height, until the head gets there."""

    # --- for the deciding parts

    def head(self) -> Head:
        chain = self._chain
        deadline_ms = deadlines.next_deadline(chain.view())
        offset_ms, lifetime_ms = _clock_offset_ms(chain), read_parameters(chain.view()).lifetime_ms
        return Head(chain.head, chain.head_hash, chain.certified_height, offset_ms, deadline_ms, lifetime_ms)

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
        if self._taker is not None:
            self._taker.on_head()
        return self._result(block, [(batch.author, batch.number) for batch in batches])

    def add_certificate(self, certificate: FinalityCertificate, durably: bool) -> int:
        """Keep a certificate, and `durably` before the answer; return the certified height."""
        self._chain.add_certificate(certificate, sync=durably)
        if self._taker is not None:
            self._taker.on_certified()
        return self._chain.certified_height

    def admit(self, transactions: Sequence[bytes], now_ms: int) -> list[Verdict]:
        """Judge submitted bytes: shape, network, account, role, lifetime, seen before."""
        return [self._admit(data, now_ms) for data in transactions]

    def _admit(self, data: bytes, now_ms: int) -> Verdict:
        if is_bundle(data):
            return _admit_bundle(self._chain, data, now_ms)
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

    def serve(self, first: int, last: int) -> ServedBlocks:
        """Return what `blocks` does, and which blocks there are for peers at all."""
        blocks, headers, certificate = self.blocks(first, last)
        oldest, newest = self._chain.oldest_block, self._chain.certified_height
        return ServedBlocks(tuple(blocks), tuple(headers), certificate, oldest, newest)

    def take_blocks(self, blocks: Sequence[CheckedBlock], certificate: FinalityCertificate) -> BlocksTaken:
        """Execute those of a peer's certified blocks that are above the head, and write all of them with one sync.

        The certificate is kept when the head has reached it, with these blocks or with later ones: a node whose ranges
        happen to end between its peer's certificates, and that kept none of them, could in the end serve nobody.

        The refusal's code is `sync.diverged` when the fault is this node's own: a certified block executes to another
        result here. With `sync.forked` the peer lied, and with `sync.gap` these blocks do not follow our head.
        """
        results: list[BlockResult] = []
        try:
            with self._chain.group():
                self._check_history(certificate)
                try:
                    for checked in blocks:
                        if checked.block.header.height > self._chain.height:
                            results.append(self._replay(checked))  # noqa: PERF401 - those before a refusal count
                    self._keep_certificates(certificate)
                except Damage:
                    if not results:
                        raise
                    # Blocks that are executed stay so, and are told of; the next request meets the damage with nothing
                    # behind it, and can begin again when that is mended.
                    self._ahead[certificate.height] = certificate
            if self._taker is not None:  # behind the group: its blocks are in the store
                self._taker.on_head()
                self._taker.on_certified()
        except InvalidBlock as refusal:
            if refusal.code in ("certificate.block", "block.mismatch"):
                refusal = InvalidBlock("sync.diverged", refusal.message)
            return BlocksTaken(tuple(results), refusal)
        return BlocksTaken(tuple(results))

    def _replay(self, checked: CheckedBlock) -> BlockResult:
        block = checked.block
        if block.header.height != self._chain.height + 1:
            head = self._chain.height
            raise InvalidBlock("sync.gap", f"block {block.header.height} does not follow our head {head}")
        executed = self._chain.replay(block, verified=checked.verified)
        return self._result(executed, [(batch.author, batch.number) for batch in block.batches])

    def _keep_certificates(self, certificate: FinalityCertificate) -> None:
        """Keep those that the head has reached; note one that lies ahead. The nearest count most."""
        head = self._chain.height
        for height in sorted(height for height in self._ahead if height <= head):
            kept = self._ahead.pop(height)
            if height != certificate.height and self._chain.certificate(height) is None:
                self._chain.add_certificate(kept)
        if certificate.height <= head:
            self._chain.add_certificate(certificate, sync=True)
        elif len(self._ahead) < CERTIFICATES_AHEAD_MAX or certificate.height < max(self._ahead):
            self._ahead[certificate.height] = certificate
            if len(self._ahead) > CERTIFICATES_AHEAD_MAX:
                del self._ahead[max(self._ahead)]

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
        lifetime_ms = read_parameters(self._chain.view()).lifetime_ms
        return BlockResult(block, _clock_offset_ms(self._chain), tuple(batches), lifetime_ms)

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
            raise block_pruned(self._chain.oldest_block)
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

    def prove(self, key: bytes, height: int | None = None) -> bytes:
        """Return the encoded proof of a record after block `height`; at the head without one."""
        return self._chain.prove(key, height).encode()

    def prove_records(self, keys: Sequence[bytes], height: int | None) -> tuple[int, list[bytes | None], bytes]:
        """Return the height, each key's value there, None where it has none, and one encoded proof of all of them."""
        at = self._chain.height if height is None else height
        proof = self._chain.prove_many(keys, at).encode()
        return at, [self._chain.record_at(key, at) for key in keys], proof


def _admit_bundle(chain: Chain, data: bytes, now_ms: int) -> Verdict:
    try:
        bundle = decode_bundle(data)
    except InvalidTransaction as error:
        return Verdict(b"", error.code, error.message)
    refusal = chain.admission_error(bundle, now_ms)
    if refusal is not None:
        return _refused(chain, bundle.id, refusal)
    return Verdict(bundle.id, sender=NOBODY, expires_at_ms=bundle.body.expires_at_ms, signed=False)


def _refused(chain: Chain, identifier: bytes, refusal: LedgerError) -> Verdict:
    """What executed once, however long ago, would not execute now either: it is known, which is no error.

    So a transaction is looked up on disk only when something is against it.
    """
    if chain.archive.location(identifier) is not None:
        return Verdict(identifier, known=True)
    return Verdict(identifier, refusal.code, refusal.message)


def _clock_offset_ms(chain: Chain) -> int:
    return chain.registry.clock_offset_ms(chain.view())

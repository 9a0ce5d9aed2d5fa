"""Ranges of blocks that a peer sent, checked against a finality certificate: a pure computation, for any thread.

Whoever passes here has sent certified blocks, whole and in order. Whether they follow our head, and execute to what
their headers say, is found by executing them; what is wrong then is no longer the sender's doing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import msgspec

from ledger.block import Block, BlockBatch, Header, Mark, block_hash, decode_block, transactions_root
from ledger.errors import InvalidBlock, InvalidTransaction
from ledger.opaque import is_bundle
from ledger.transaction import signature_holds, transaction_id
from primitives.codec import CodecError, decode
from primitives.finality import FinalityCertificate, verify_certificate

SignaturePolicy: TypeAlias = Literal["verify", "certified"]
"""What is done about the signatures of transactions that certified blocks executed: each is verified, or a quorum is
taken at its word that it has verified them."""


class Trust(msgspec.Struct, frozen=True):
    """Against what a range is checked."""

    network_id: bytes
    epoch: int
    keys: tuple[bytes, ...]
    """Of the epoch's validators, in order of index."""
    signatures: SignaturePolicy = "verify"


class CheckedBlock(msgspec.Struct, frozen=True):
    """A certified block."""

    block: Block
    hash: bytes
    size_bytes: int
    verified: tuple[bytes, ...]
    """Of each batch one byte a transaction: 1 where its signature need not be looked at again."""


class CheckedRange(msgspec.Struct, frozen=True):
    """Certified blocks in order of height, with no gaps."""

    blocks: tuple[CheckedBlock, ...]
    certificate: FinalityCertificate
    """Of the last of them, or of a block above it."""

    size_bytes: int
    """Of the blocks as they came."""

    @property
    def first(self) -> int:
        return self.blocks[0].block.header.height

    @property
    def last(self) -> int:
        return self.blocks[-1].block.header.height


def check_range(
    trust: Trust,
    first: int,
    last: int,
    blocks: Sequence[bytes],
    trail: Sequence[bytes],
    certificate: FinalityCertificate,
) -> CheckedRange:
    """Check blocks that were asked for as `first` to `last`, and the headers `trail` from there to the certificate.

    There may be fewer of them than were asked for. Each signature is verified here, unless the policy of `trust` says
    otherwise; of a transaction that did not execute, execution finds out again why.

    Raises:
        InvalidBlock: `block.malformed`, `sync.range`, `sync.certificate`, `sync.epoch`, `sync.broken_chain` and
            `sync.body` are the sender's fault. `sync.diverged`, a bad signature on what a quorum executed, is not: then
            more validators are faulty than may be, or this node is.
    """
    decoded = [decode_block(data) for data in blocks]
    headers = [block.header for block in decoded] + [_decode_header(data) for data in trail]
    hashes = [block_hash(header) for header in headers]
    _check_certificate(trust, headers, hashes, certificate)
    for (parent, child), parent_hash in zip(pairwise(headers), hashes, strict=False):
        if child.height != parent.height + 1 or child.parent_hash != parent_hash:
            raise InvalidBlock("sync.broken_chain", f"block {child.height} does not follow block {parent.height}")
    if not decoded or decoded[0].header.height != first or decoded[-1].header.height > last:
        raise InvalidBlock("sync.range", f"these are not blocks {first} to {last}")
    checked = []
    for data, block, hashed in zip(blocks, decoded, hashes, strict=False):
        _check_body(block)
        verified = tuple([_verified(block, batch, trust.signatures) for batch in block.batches])
        checked.append(CheckedBlock(block, hashed, len(data), verified))
    return CheckedRange(tuple(checked), certificate, sum(map(len, blocks)))


def _check_certificate(
    trust: Trust, headers: Sequence[Header], hashes: Sequence[bytes], certificate: FinalityCertificate
) -> None:
    if not headers or certificate.height != headers[-1].height or certificate.block_hash != hashes[-1]:
        raise InvalidBlock("sync.certificate", "the certificate is not that of the last header")
    if certificate.epoch != trust.epoch or any(header.epoch != trust.epoch for header in headers):
        raise InvalidBlock("sync.epoch", f"not all of it belongs to epoch {trust.epoch}")
    reason = verify_certificate(trust.network_id, trust.keys, certificate)
    if reason is not None:
        raise InvalidBlock("sync.certificate", reason)


def _decode_header(data: bytes) -> Header:
    try:
        return decode(data, Header)
    except CodecError as error:
        raise InvalidBlock("block.malformed", str(error)) from error


def _check_body(block: Block) -> None:
    """Require that the batches are those of the header: then whatever differs later is not the sender's doing."""
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


def _verified(block: Block, batch: BlockBatch, policy: SignaturePolicy) -> bytes:
    """Return what the executor need not verify: what executed. Of anything else it asks again why it did not."""
    executed = [mark == Mark.EXECUTED for mark in batch.marks]
    if policy == "verify":
        for data, of_interest in zip(batch.transactions, executed, strict=True):
            if of_interest and not is_bundle(data) and not signature_holds(data):
                raise InvalidBlock(
                    "sync.diverged",
                    f"block {block.header.height} is certified and executes transaction {transaction_id(data).hex()}, "
                    "whose signature is bad",
                )
    return bytes(executed)

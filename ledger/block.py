"""Blocks: the header that validators certify, the batches it orders, and the receipts of what they did.

The header's roots commit to every byte of the body and of the receipts:

    transactions root = H("transactions-root", ids root || signatures root)
    ids root          = list root of the ids of the executed transactions, in order
    signatures root   = list root, a leaf a batch: [author, number, marks, rest]; `rest` holds for each transaction what
                        its id does not cover: the signature when it executed, nothing of an opaque bundle that did,
                        all its bytes when it did not
    receipts root     = list root of the encoded receipts, deadlines first

So the ids of a block can be shown to somebody who replays nothing with one further hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, Final, Literal

import msgspec

from ledger.errors import InvalidBlock
from ledger.opaque import is_bundle
from ledger.transaction import TRANSACTION_BYTES_MAX, SignedTransaction
from primitives.codec import CodecError, decode, encode
from primitives.digest import Digest, tagged_hash
from primitives.finality import Bytes32, Natural
from primitives.list_root import list_root

VERSION: Final = 1
CODE_CHARACTERS_MAX: Final = 64
BATCHES_MAX: Final = 1_024
"""Batches in a block; the parameter `batches_per_proposal_max` cannot exceed it."""


class Mark(IntEnum):
    """What became of a transaction in a block. All but EXECUTED leave no receipt and no id behind."""

    EXECUTED = 0
    EXPIRED = 1
    TOO_EARLY = 2
    DUPLICATE = 3
    BAD_SIGNATURE = 4
    MALFORMED = 5
    FOREIGN = 6
    UNKNOWN_SIGNER = 7

    @property
    def code(self) -> str:
        """The stable error code that users see; empty for EXECUTED."""
        return _MARK_CODES[self]


_MARK_CODES: Final = {
    Mark.EXECUTED: "",
    Mark.EXPIRED: "transaction.expired",
    Mark.TOO_EARLY: "transaction.expiry_too_far",
    Mark.DUPLICATE: "transaction.duplicate",
    Mark.BAD_SIGNATURE: "transaction.bad_signature",
    Mark.MALFORMED: "transaction.malformed",
    Mark.FOREIGN: "transaction.wrong_network",
    Mark.UNKNOWN_SIGNER: "transaction.unknown_signer",
}


class Header(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    network_id: Bytes32
    height: Natural
    parent_hash: Bytes32
    """Zero for the genesis block."""
    epoch: Natural
    proposer: Natural | None
    """Index in the epoch's validator set; None for the genesis block and for null proposals."""
    timestamp_ms: Natural
    """Block time (Unix ms): above the parent's by at least 1."""
    transactions_root: Bytes32
    receipts_root: Bytes32
    state_root: Bytes32
    """After this block."""
    validator_set_hash: Bytes32
    next_validator_set_hash: Bytes32
    epoch_end: Natural
    """Height at which the epoch ends; 0 until it is known."""


class BlockBatch(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A decided batch and what became of each of its transactions."""

    author: Natural
    number: Natural
    transactions: tuple[Annotated[bytes, msgspec.Meta(max_length=TRANSACTION_BYTES_MAX)], ...]
    """Signed transactions, or bundles where the network allows them."""
    marks: bytes
    """One `Mark` a transaction."""


class Block(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    header: Header
    batches: Annotated[tuple[BlockBatch, ...], msgspec.Meta(max_length=BATCHES_MAX)]


class Receipt(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a transaction that executed, or a deadline that fell due, did. The error's message is not part of the
    chain."""

    id: Bytes32
    """Transaction id, or the tagged hash of the deadline."""
    code: Annotated[str, msgspec.Meta(max_length=CODE_CHARACTERS_MAX)]
    """Empty on success; else nothing but this receipt remains of the transaction."""
    events: tuple[bytes, ...]
    """Each the MessagePack of one event."""

    @property
    def succeeded(self) -> bool:
        return not self.code


class BlockResults(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A block's receipts as they are stored, with what is known locally only."""

    swept: Natural
    """So many of the receipts, the first ones, belong to deadlines."""
    receipts: tuple[Receipt, ...]
    messages: tuple[str, ...]
    """One a receipt: for people, not part of the chain."""
    expire_at_ms: Natural
    """When the last of the executed transactions expires: until then their ids are held against replays."""


def block_hash(header: Header) -> Digest:
    """Return the hash that validators certify."""
    return tagged_hash("block-header", encode(header))


def transactions_root(
    ids: Sequence[bytes], batches: Sequence[BlockBatch], rests: Sequence[list[bytes]] | None = None
) -> Digest:
    """Return the root over a block's body; `ids` are those of the executed transactions, in order.

    `rests` holds what else of each batch is covered, where the caller has it at hand: the signatures of executed
    transactions, nothing of executed bundles, and the whole of the others.
    """
    return transactions_root_of(list_root(ids), rest_root(batches, rests))


def rest_root(batches: Sequence[BlockBatch], rests: Sequence[list[bytes]] | None = None) -> Digest:
    """Return the signatures root: what the transactions root covers beside the ids."""
    if rests is None:
        rests = [_rest(batch) for batch in batches]
    leaves = [
        encode((batch.author, batch.number, batch.marks, rest)) for batch, rest in zip(batches, rests, strict=True)
    ]
    return list_root(leaves)


def transactions_root_of(ids_root: bytes, signatures_root: bytes) -> Digest:
    """Return the transactions root over its two halves."""
    return tagged_hash("transactions-root", ids_root + signatures_root)


def _rest(batch: BlockBatch) -> list[bytes]:
    return [
        data if mark else b"" if is_bundle(data) else decode(data, SignedTransaction).signature
        for data, mark in zip(batch.transactions, batch.marks, strict=True)
    ]


def receipts_root(receipts: Sequence[Receipt]) -> Digest:
    return list_root([encode(receipt) for receipt in receipts])


def encode_block(block: Block) -> bytes:
    return encode(block)


def decode_block(data: bytes) -> Block:
    """Read a block. Its roots are not checked here: executing it does that.

    Raises:
        InvalidBlock: `block.malformed`.
    """
    try:
        block = decode(data, Block)
    except CodecError as error:
        raise InvalidBlock("block.malformed", str(error)) from error
    for batch in block.batches:
        if len(batch.marks) != len(batch.transactions):
            raise InvalidBlock("block.malformed", "a batch has one mark a transaction")
    return block

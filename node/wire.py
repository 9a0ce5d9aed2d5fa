"""Which payloads travel on which channel: the engine's messages, and those of block synchronization."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from consensus.messages import Batch, BatchRequest, Message
from ledger.mending import RECORDS_TOLD_MAX
from ledger.transaction import TRANSACTION_BYTES_MAX
from p2p.channels import Channel
from primitives.codec import CodecError, decode_union, encode
from primitives.finality import FinalityCertificate, Natural

BLOCKS_PER_ANSWER_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 2 * 1024 * 1024
"""Bytes of blocks in one answer; a single larger block travels alone. Larger answers would make peers wait for each
other: while one of them sends, the next is checked, and the one before executes."""
HEADERS_PER_ANSWER_MAX: Final = 4_096
"""Headers from the last block to the certificate. Not every height has one of its own; gaps stay within the window."""
HEADER_BYTES_MAX: Final = 1_024
OFFER_TRANSACTIONS_MAX: Final = 256
OFFER_BYTES_MAX: Final = 1024 * 1024
"""Bytes of transactions in one offer; a single larger one is not possible."""


STORE_KEY_BYTES_MAX: Final = 1_024

StoreKey = Annotated[bytes, msgspec.Meta(max_length=STORE_KEY_BYTES_MAX)]


class _Sync(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class BlocksRequest(_Sync, frozen=True, tag="blocks-request"):
    """Please send blocks from `first` on, at most to `last`."""

    request: Natural
    first: Natural
    last: Natural


class BlocksAnswer(_Sync, frozen=True, tag="blocks-answer"):
    """Blocks in order, the headers that follow them up to a certified one, and its certificate.

    None of them where there is nothing certified to send. `oldest` and `newest` say which certified blocks the sender
    has at all, so that nobody asks it for others.
    """

    request: Natural
    blocks: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BLOCKS_PER_ANSWER_MAX)]
    headers: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=HEADER_BYTES_MAX)], ...],
        msgspec.Meta(max_length=HEADERS_PER_ANSWER_MAX),
    ]
    certificate: FinalityCertificate | None
    oldest: Natural
    newest: Natural


class HeadRequest(_Sync, frozen=True, tag="head-request"):
    """What is certified beyond `height`? The asker knows the validators of `epoch` and of none after it."""

    epoch: Natural
    height: Natural


class HeadAnswer(_Sync, frozen=True, tag="head-answer"):
    """The highest certificate of the epoch that was asked about: of its last block, once it has ended."""

    certificate: FinalityCertificate


class TransactionsOffer(_Sync, frozen=True, tag="transactions-offer"):
    """Transactions of a node that cannot put them into batches itself."""

    transactions: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=TRANSACTION_BYTES_MAX)], ...],
        msgspec.Meta(min_length=1, max_length=OFFER_TRANSACTIONS_MAX),
    ]


class RecordsRequest(_Sync, frozen=True, tag="records-request"):
    """Which records has your store from `first` to below `behind`? The asker cannot read its own."""

    request: Natural
    height: Natural
    """Of the asker's head: records of the state are wanted as they were after this block, where that is known."""
    first: StoreKey
    behind: StoreKey


class RecordsAnswer(_Sync, frozen=True, tag="records-answer"):
    """Records in order of key, from the first one on as many as fit; none where there are none."""

    request: Natural
    records: Annotated[tuple[tuple[StoreKey, bytes], ...], msgspec.Meta(max_length=RECORDS_TOLD_MAX)]


SyncMessage: TypeAlias = (
    BlocksRequest | BlocksAnswer | HeadRequest | HeadAnswer | TransactionsOffer | RecordsRequest | RecordsAnswer
)


def channel_of(message: Message) -> Channel:
    """Bulk data must not delay votes."""
    return Channel.BATCHES if isinstance(message, Batch | BatchRequest) else Channel.CONSENSUS


def encode_sync(message: SyncMessage) -> bytes:
    return encode(message)


def decode_sync(data: bytes) -> SyncMessage:
    """Raises CodecError."""
    message: SyncMessage = decode_union(data, SyncMessage)
    return message


__all__ = [
    "ANSWER_BYTES_MAX",
    "BLOCKS_PER_ANSWER_MAX",
    "HEADERS_PER_ANSWER_MAX",
    "OFFER_BYTES_MAX",
    "OFFER_TRANSACTIONS_MAX",
    "BlocksAnswer",
    "BlocksRequest",
    "CodecError",
    "HeadAnswer",
    "HeadRequest",
    "RecordsAnswer",
    "RecordsRequest",
    "TransactionsOffer",
    "channel_of",
    "decode_sync",
    "encode_sync",
]

"""Which payloads travel on which channel: the engine's messages, and those of block synchronization."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from consensus.messages import Batch, BatchRequest, Message
from p2p.channels import Channel
from primitives.codec import CodecError, decode_union, encode
from primitives.finality import FinalityCertificate, Natural

BLOCKS_PER_ANSWER_MAX: Final = 64
ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bytes of blocks in one answer; a single larger block travels alone."""
HEADERS_PER_ANSWER_MAX: Final = 4_096
"""Headers from the last block to the certificate. Not every height has one of its own; gaps stay within the window."""
HEADER_BYTES_MAX: Final = 1_024


class _Sync(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class BlocksRequest(_Sync, frozen=True, tag="blocks-request"):
    """Please send blocks from `first` on, at most to `last`."""

    request: Natural
    first: Natural
    last: Natural


class BlocksAnswer(_Sync, frozen=True, tag="blocks-answer"):
    """Blocks in order, the headers that follow them up to a certified one, and its certificate.

    Nothing where there is nothing certified to send.
    """

    request: Natural
    blocks: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BLOCKS_PER_ANSWER_MAX)]
    headers: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=HEADER_BYTES_MAX)], ...],
        msgspec.Meta(max_length=HEADERS_PER_ANSWER_MAX),
    ]
    certificate: FinalityCertificate | None


SyncMessage: TypeAlias = BlocksRequest | BlocksAnswer


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
    "BlocksAnswer",
    "BlocksRequest",
    "CodecError",
    "channel_of",
    "decode_sync",
    "encode_sync",
]

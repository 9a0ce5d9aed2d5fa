"""What nodes say to each other about the blocks of artifacts, on the channel CHUNKS."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec

from artifacts.chunk_store import BLOCK_BYTES_MAX
from artifacts.cid import CID_TEXT_LENGTH
from primitives.codec import decode_union, encode

CidText = Annotated[str, msgspec.Meta(min_length=CID_TEXT_LENGTH, max_length=CID_TEXT_LENGTH)]


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An array whose first item is the tag."""


class Want(_Message, frozen=True, tag=1):
    """Send me this block of this artifact."""

    root: CidText
    cid: CidText


class Found(_Message, frozen=True, tag=2):
    """The block that you wanted."""

    root: CidText
    cid: CidText
    data: Annotated[bytes, msgspec.Meta(max_length=BLOCK_BYTES_MAX)]


class Missing(_Message, frozen=True, tag=3):
    """I do not hold it, or am too busy; ask somebody else."""

    root: CidText
    cid: CidText


class Complete(_Message, frozen=True, tag=4):
    """I hold all of this artifact."""

    root: CidText


ChunkMessage: TypeAlias = Want | Found | Missing | Complete


def encode_chunk_message(message: ChunkMessage) -> bytes:
    return encode(message)


def decode_chunk_message(payload: bytes) -> ChunkMessage:
    """Read a message of the channel.

    Raises:
        CodecError: not a canonical message.
    """
    message: ChunkMessage = decode_union(payload, ChunkMessage)
    return message

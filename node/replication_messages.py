"""What nodes say to each other about the blocks of artifacts, on the channel CHUNKS."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from artifacts.chunk_store import BLOCK_BYTES_MAX
from artifacts.cid import CID_TEXT_LENGTH
from artifacts.dag_pb import LINKS_MAX
from primitives.codec import decode_union, encode

INTEREST_BLOCKS_MAX: Final = 64
"""Inner blocks asked about in one message."""
LINK_BYTES_MAX: Final = LINKS_MAX // 8
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
    """I do not hold it; ask somebody else."""

    root: CidText
    cid: CidText


class Complete(_Message, frozen=True, tag=4):
    """I hold all of this artifact."""

    root: CidText


class Busy(_Message, frozen=True, tag=5):
    """I may hold it, but serve as much as I can; ask again later, or somebody else."""

    root: CidText
    cid: CidText


class Interest(_Message, frozen=True, tag=6):
    """I fetch this artifact: tell me what you hold of it, of these inner blocks too, and what comes to you."""

    root: CidText
    inner: Annotated[tuple[CidText, ...], msgspec.Meta(max_length=INTEREST_BLOCKS_MAX)]


class Holds(_Message, frozen=True, tag=7):
    """I hold this inner block, and those of its links whose bit is set, lowest bit of the first byte first."""

    root: CidText
    inner: CidText
    links: Annotated[bytes, msgspec.Meta(max_length=LINK_BYTES_MAX)]


ChunkMessage: TypeAlias = Want | Found | Missing | Complete | Busy | Interest | Holds


def encode_chunk_message(message: ChunkMessage) -> bytes:
    return encode(message)


def decode_chunk_message(payload: bytes) -> ChunkMessage:
    """Read a message of the channel.

    Raises:
        CodecError: not a canonical message.
    """
    message: ChunkMessage = decode_union(payload, ChunkMessage)
    return message

"""What nodes say to each other about snapshots, on the channel SNAPSHOTS."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from ledger.snapshot.format import PIECE_BYTES_MAX
from primitives.codec import decode_union, encode
from primitives.finality import Bytes32, Natural

OFFERED_MAX: Final = 16
"""Snapshots in one offer; a node keeps fewer."""
PIECE_NAME_MAX: Final = 80


class _Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """An array whose first item is the tag."""


class OffersRequest(_Message, frozen=True, tag=1):
    """Which snapshots do you have?"""


class Offered(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    height: Natural
    block_hash: Bytes32


class Offers(_Message, frozen=True, tag=2):
    """These. Nothing of it is believed: the manifest shows it."""

    snapshots: Annotated[tuple[Offered, ...], msgspec.Meta(max_length=OFFERED_MAX)]


class PieceRequest(_Message, frozen=True, tag=3):
    """Send me this piece of the snapshot of `height`."""

    request: Natural
    height: Natural
    name: Annotated[str, msgspec.Meta(max_length=PIECE_NAME_MAX)]


class PieceAnswer(_Message, frozen=True, tag=4):
    """The piece; None where I do not have it, or am too busy."""

    request: Natural
    data: Annotated[bytes, msgspec.Meta(max_length=PIECE_BYTES_MAX)] | None


SnapshotMessage: TypeAlias = OffersRequest | Offers | PieceRequest | PieceAnswer


def encode_snapshot_message(message: SnapshotMessage) -> bytes:
    return encode(message)


def decode_snapshot_message(payload: bytes) -> SnapshotMessage:
    """Read a message of the channel.

    Raises:
        CodecError: not a canonical message.
    """
    message: SnapshotMessage = decode_union(payload, SnapshotMessage)
    return message

"""What a snapshot is made of.

    manifest   magic, then [header, finality certificate, [[prefix, subtree hash], ...]]
    chunk      [key, value, key, value, ...]: all records of one subtree of the state's tree, rising by sha256(key)
    handoffs   [[header, finality certificate, next validator set], ...] of the last blocks of epochs, rising
    history    [[header, ids, rest root], ...] of the blocks from the snapshot's downwards, falling

A chunk is named by the hash of the subtree's top node, which is what it must lead to: one set of records has one
encoding, and one name. The subtrees of a manifest cover the tree, and fold up to the header's state root; hand-offs
lead from the genesis to the set that signed the header; each block of the history is the parent of the one before it.
So every byte is on the way to a hash that somebody vouched for, and nothing has to be believed of who sends it.

All of it is canonical MessagePack. `prefix` is the path from the root to the subtree, a hexadecimal digit a level.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec

from ledger.block import Header
from ledger.errors import LedgerError
from ledger.validators import ValidatorSet
from primitives.codec import CodecError, decode, encode
from primitives.finality import Bytes32, FinalityCertificate

MAGIC: Final = b"guildmark snapshot 1\n"
"""Of a manifest; also the version: another format has another last digit."""
CHUNK_BYTES_TARGET: Final = 1024 * 1024
"""Keys, values and `RECORD_OVERHEAD_BYTES` of a subtree that becomes one chunk; a larger one is split by its next
digit, as deep as it takes, so that keys made to collide in their first digits do not make a chunk large. Part of the
format: all nodes cut alike, and their chunks are the same."""
RECORD_OVERHEAD_BYTES: Final = 10
"""What a record counts beside key and value: at most what MessagePack takes for it."""
PIECE_BYTES_MAX: Final = 6 * 1024 * 1024
"""The largest piece of any kind: manifest, chunk, hand-offs or history. A larger record cannot be taken;
none arises, for a transaction has 64 KiB."""
CHUNKS_MAX: Final = 60_000
"""Chunks of a snapshot, some 30 GB of records; a larger state cannot be taken."""
PREFIX_MAX: Final = 64
HANDOFFS_PER_PIECE: Final = 16
"""Ends of epochs in one piece; the last has what is left."""
HISTORY_BYTES_TARGET: Final = 1024 * 1024
"""At which a piece of history ends; a block is never divided."""

T = TypeVar("T")


class InvalidSnapshot(LedgerError):
    """A snapshot, or a piece of one, that does not hold. The code begins with `snapshot.`."""


class Subtree(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A chunk as the manifest names it."""

    prefix: Annotated[str, msgspec.Meta(max_length=PREFIX_MAX, pattern="^[0-9a-f]*$")]
    hash: Bytes32
    """Of the subtree's top node: a branch, or the leaf of its only record."""


class Manifest(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    header: Header
    finality: FinalityCertificate
    subtrees: Annotated[tuple[Subtree, ...], msgspec.Meta(min_length=1, max_length=CHUNKS_MAX)]
    """Rising by prefix; none is below another."""


class Handoff(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of an epoch, where its validators name those of the next."""

    header: Header
    finality: FinalityCertificate
    members: ValidatorSet


class PastBlock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Of a block what remains when its body is not kept: who executed, and under which header."""

    header: Header
    ids: bytes
    """Of the executed transactions, in order, 32 bytes each."""
    rest_root: Bytes32
    """What else the header's transactions root covers; see `ledger/block.py`."""


def encode_manifest(manifest: Manifest) -> bytes:
    return MAGIC + encode(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest; nothing of it is proven by that.

    Raises:
        InvalidSnapshot: `snapshot.malformed`.
    """
    if not data.startswith(MAGIC):
        raise InvalidSnapshot("snapshot.malformed", "not the manifest of a snapshot of this version")
    manifest: Manifest = read(data[len(MAGIC) :], Manifest)
    return manifest


def read(data: bytes, expected: Any) -> Any:
    """Read a piece strictly. Raises InvalidSnapshot `snapshot.malformed`."""
    if len(data) > PIECE_BYTES_MAX:
        raise InvalidSnapshot("snapshot.malformed", f"a piece has at most {PIECE_BYTES_MAX} bytes")
    try:
        return decode(data, expected)
    except CodecError as error:
        raise InvalidSnapshot("snapshot.malformed", str(error)) from error

"""What the vote log holds: everything that a replica promised, in the order in which it did."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from consensus.errors import ConsensusError
from consensus.messages import Batch, Checkpoint, Commit, NewView, Prepare, PreparedCertificate, PrePrepare, ViewChange
from primitives.codec import CodecError, decode_union, encode


class _Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class HeldBatch(_Record, frozen=True, tag="batch"):
    batch: Batch


class Accepted(_Record, frozen=True, tag="accepted"):
    pre_prepare: PrePrepare
    prepare: Prepare | None
    """None in the primary, whose pre-prepare is its vote."""


class Prepared(_Record, frozen=True, tag="prepared"):
    certificate: PreparedCertificate
    commit: Commit | None
    """None where the certificate was made in an earlier view and the log has been truncated since."""


class AskedForView(_Record, frozen=True, tag="view-change"):
    view_change: ViewChange


class EnteredView(_Record, frozen=True, tag="new-view"):
    new_view: NewView
    view_changes: tuple[ViewChange, ...]


class SignedCheckpoint(_Record, frozen=True, tag="checkpoint"):
    checkpoint: Checkpoint


class Finished(_Record, frozen=True, tag="finished"):
    """Batches that a block executed: no promise, but it spares ordering them again after a restart."""

    sequence: int
    batches: tuple[tuple[int, int], ...]
    """(author, number)."""


class FinishedBefore(_Record, frozen=True, tag="finished-before"):
    """What a truncated log says of an author's executed batches."""

    author: int
    floor: int
    above: tuple[int, ...]


class LastPosition(_Record, frozen=True, tag="position"):
    """Never forgotten: a position or a batch number used twice would be taken for a second promise."""

    position: int
    own_number: int


class SeenPositions(_Record, frozen=True, tag="seen"):
    """How far the others' promises were known here: after a restart of all, nobody else could tell them."""

    positions: tuple[tuple[int, int], ...]
    """(replica, position)"""


Record: TypeAlias = (
    HeldBatch
    | Accepted
    | Prepared
    | AskedForView
    | EnteredView
    | SignedCheckpoint
    | Finished
    | FinishedBefore
    | LastPosition
    | SeenPositions
)


def encode_record(record: Record) -> bytes:
    return encode(record)


def decode_record(data: bytes) -> Record:
    """Raises ConsensusError when `data` is no record."""
    try:
        record: Record = decode_union(data, Record)
    except CodecError as error:
        raise ConsensusError(f"the vote log holds bytes that are no record: {error}") from error
    return record

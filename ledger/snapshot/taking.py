"""Taking a snapshot of a chain that goes on meanwhile.

The store's own snapshot holds still what is read here, in small steps that whoever drives them can spread out. What is
written is checked on the way: its chunks must lead to the header's state root.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledger import epochs
from ledger.archive import Archive
from ledger.block import Header
from ledger.errors import StorageError
from ledger.snapshot.buckets import Buckets
from ledger.snapshot.format import (
    HANDOFFS_PER_PIECE,
    HISTORY_BYTES_TARGET,
    Handoff,
    InvalidSnapshot,
    Manifest,
    PastBlock,
    Subtree,
    encode_manifest,
)
from ledger.snapshot.shelf import MANIFEST, Draft, chunk_name, handoffs_name, history_name
from ledger.snapshot.subtrees import root_above
from ledger.snapshot.verification import ends_history, history_size
from ledger.state.indexes import is_index_key
from ledger.state.records import STATE_PREFIX
from ledger.state.store import Store, StoreSnapshot
from ledger.validators import validator_set
from primitives.codec import encode
from primitives.finality import FinalityCertificate


class HeldState:
    """A chain's store as it was when `header` was the head."""

    def __init__(self, header: Header, store: Store) -> None:
        self.header = header
        self.store: StoreSnapshot = store.snapshot()
        self.archive = Archive(self.store)  # type: ignore[arg-type]  # it is only read from

    def get(self, key: bytes) -> bytes | None:
        """Return a record of the state."""
        return self.store.get(STATE_PREFIX + key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield records of the state, as `ledger.state.view.Readable`."""
        cut = len(STATE_PREFIX)
        for key, value in self.store.iterate(STATE_PREFIX + prefix, STATE_PREFIX + start if start else b""):
            yield key[cut:], value

    def close(self) -> None:
        self.store.close()


class Taking:
    """One snapshot in the making."""

    def __init__(self, held: HeldState, finality: FinalityCertificate, draft: Draft) -> None:
        self._held = held
        self._finality = finality
        self._draft = draft
        self.records = 0
        """Read so far."""
        self.chunks = 0
        """Written so far."""

    def steps(self) -> Iterator[None]:
        """Write all pieces, the manifest last; each step is a few milliseconds at most, but for a chunk's.

        Raises:
            StorageError: `storage.damaged` when the records do not make the root, `storage.failed`.
            InvalidSnapshot: `snapshot.too_large`; `snapshot.incomplete` when this chain lacks a block or certificate.
        """
        yield from self._write_handoffs()
        yield from self._write_history()
        subtrees: list[Subtree] = []
        buckets = Buckets("", self._draft.path.joinpath("buckets"))
        try:
            yield from buckets.fill(self._records())
            for subtree, data in buckets.chunks():
                self._draft.write(chunk_name(subtree.hash), data)
                subtrees.append(subtree)
                self.chunks += 1
                yield
        finally:
            buckets.close()
        header = self._held.header
        if root_above(subtrees) != header.state_root:
            raise StorageError("storage.damaged", f"the records of block {header.height} do not make its state root")
        self._draft.write(MANIFEST, encode_manifest(Manifest(header, self._finality, tuple(subtrees))))

    def _records(self) -> Iterator[tuple[bytes, bytes]]:
        for record in self._held.iterate(b""):
            if not is_index_key(record[0]):
                self.records += 1
                yield record

    def _write_handoffs(self) -> Iterator[None]:
        epoch = self._held.header.epoch
        for first in range(0, epoch, HANDOFFS_PER_PIECE):
            handoffs = [self._handoff(number) for number in range(first, min(first + HANDOFFS_PER_PIECE, epoch))]
            self._draft.write(handoffs_name(first), encode(handoffs))
            yield

    def _handoff(self, epoch: int) -> Handoff:
        held = self._held
        height = epochs.last_height(held, epoch)
        assert height is not None, "the head is of a later epoch"
        header, finality = held.archive.header(height), held.archive.certificate(height)
        members = validator_set(held, epoch + 1)
        if header is None or finality is None or members is None:
            raise InvalidSnapshot("snapshot.incomplete", f"the last block of epoch {epoch} is not certified here")
        return Handoff(header, finality, members)

    def _write_history(self) -> Iterator[None]:
        piece: list[PastBlock] = []
        size, complete, height = 0, False, self._held.header.height
        while not complete:
            block = self._past_block(height)
            piece.append(block)
            size += history_size(block)
            complete = ends_history(self._held.header, block.header)
            if complete or size >= HISTORY_BYTES_TARGET:
                self._draft.write(history_name(piece[0].header.height), encode(piece))
                piece, size = [], 0
            height -= 1
            yield

    def _past_block(self, height: int) -> PastBlock:
        archive = self._held.archive
        header, executed, rest = archive.header(height), archive.executed_ids(height), archive.signatures_root(height)
        if header is None or executed is None or rest is None:
            raise InvalidSnapshot(
                "snapshot.incomplete", f"block {height} is not here, of which a newcomer needs a part"
            )
        return PastBlock(header, b"".join(executed.ids), rest)

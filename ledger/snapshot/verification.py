"""Checking a snapshot from the hash of the genesis on, piece by piece in the order in which they depend on each other:
hand-offs, manifest, then chunks (`subtrees.open_chunk`) and history in any order. Pure; nothing is believed."""

from __future__ import annotations

from ledger.block import Header, block_hash, transactions_root_of
from ledger.genesis import Genesis
from ledger.modules.validators.handlers import RECENT_BLOCKS
from ledger.parameters import LIFETIME_MS_MAX
from ledger.snapshot.format import (
    HANDOFFS_PER_PIECE,
    HISTORY_BYTES_TARGET,
    Handoff,
    InvalidSnapshot,
    Manifest,
    PastBlock,
    read,
)
from ledger.snapshot.subtrees import root_above
from ledger.validators import ValidatorSet, genesis_set
from primitives.codec import encode
from primitives.digest import DIGEST_BYTES
from primitives.finality import FinalityCertificate, verify_certificate
from primitives.list_root import list_root


class Handoffs:
    """From the genesis set to that of an epoch."""

    def __init__(self, network_id: bytes, genesis: Genesis) -> None:
        self.epoch = 0
        """The epoch that is reached, whose set is `members`."""
        self.members: ValidatorSet = genesis_set(network_id, genesis.validators)
        self._piece_members = self.members
        """The set of the epoch with which `piece` begins."""
        self._network_id = network_id

    @property
    def piece(self) -> int:
        """The epoch with which the piece begins that holds the end of `epoch`."""
        return self.epoch - self.epoch % HANDOFFS_PER_PIECE

    def take(self, data: bytes, until: int) -> tuple[Handoff, ...]:
        """Take what is new of the piece `piece`, as far as epoch `until`, and return that.

        All of the piece is checked, what is known and what lies behind `until` too: it will be handed on as it is, and
        whoever gets it has to find it good from its first byte to its last.

        Raises:
            InvalidSnapshot: `snapshot.malformed`, `snapshot.signatures`, `snapshot.handoff`, also where nothing is new;
                nothing of the piece is kept then.
        """
        handoffs: tuple[Handoff, ...] = read(data, tuple[Handoff, ...])
        first, members = self.piece, self._piece_members
        if not 1 <= len(handoffs) <= HANDOFFS_PER_PIECE:
            raise InvalidSnapshot("snapshot.malformed", f"1 to {HANDOFFS_PER_PIECE} hand-offs, not {len(handoffs)}")
        end = min(first + len(handoffs), until)
        if end <= self.epoch:
            raise InvalidSnapshot("snapshot.handoff", f"nothing of how epoch {self.epoch} ended")
        for epoch, handoff in enumerate(handoffs, first):
            header = handoff.header
            if header.epoch != epoch or header.epoch_end != header.height:
                raise InvalidSnapshot("snapshot.handoff", f"block {header.height} does not end epoch {epoch}")
            check_block(header, handoff.finality, self._network_id, members)
            if header.next_validator_set_hash != handoff.members.hash():
                raise InvalidSnapshot("snapshot.handoff", f"block {header.height} names another next set")
            members = handoff.members
        fresh = handoffs[self.epoch - first : end - first]
        self.epoch, self.members = end, fresh[-1].members
        if self.epoch == self.piece:
            self._piece_members = self.members
        return fresh


def check_block(header: Header, finality: FinalityCertificate, network_id: bytes, members: ValidatorSet) -> bytes:
    """Check that a quorum of `members` certified `header`; return its hash. Raises InvalidSnapshot
    `snapshot.handoff` for a block of others, `snapshot.signatures`."""
    if header.network_id != network_id or header.validator_set_hash != members.hash():
        raise InvalidSnapshot("snapshot.handoff", f"block {header.height} is not of this network and validator set")
    hashed = block_hash(header)
    if (finality.epoch, finality.height, finality.block_hash, finality.epoch_end) != (
        header.epoch,
        header.height,
        hashed,
        header.epoch_end,
    ):
        raise InvalidSnapshot("snapshot.signatures", f"the certificate is not that of block {header.height}")
    reason = verify_certificate(network_id, members.signing_keys(), finality)
    if reason is not None:
        raise InvalidSnapshot("snapshot.signatures", f"block {header.height}: {reason}")
    return hashed


def check_manifest(manifest: Manifest, network_id: bytes, handoffs: Handoffs) -> None:
    """Check that the block is certified, and that the subtrees make its state.

    Raises:
        InvalidSnapshot: `snapshot.handoff`, also when the hand-offs have not come to the block's epoch;
            `snapshot.signatures`, `snapshot.cover`, `snapshot.root`.
    """
    if manifest.header.epoch != handoffs.epoch:
        raise InvalidSnapshot(
            "snapshot.handoff", f"the block is of epoch {manifest.header.epoch}, the hand-offs lead to {handoffs.epoch}"
        )
    check_block(manifest.header, manifest.finality, network_id, handoffs.members)
    root = root_above(manifest.subtrees)
    if root != manifest.header.state_root:
        raise InvalidSnapshot(
            "snapshot.root", f"the subtrees make the root {root.hex()}, not {manifest.header.state_root.hex()}"
        )


class History:
    """From the snapshot's block downwards, as far as whoever goes on from there must know blocks."""

    def __init__(self, header: Header) -> None:
        self._top = header
        self._expected: bytes = block_hash(header)
        self.next_height = header.height
        """Of the block with which the next piece begins."""
        self.complete = False

    def take(self, data: bytes) -> tuple[PastBlock, ...]:
        """Take the next piece.

        It must end where all nodes end it: of a shorter or longer one the rest would be in no other node's pieces.

        Raises:
            InvalidSnapshot: `snapshot.malformed`, `snapshot.history`; nothing of the piece is kept then.
        """
        blocks: tuple[PastBlock, ...] = read(data, tuple[PastBlock, ...])
        expected, next_height = self._expected, self.next_height
        size, ended, complete = 0, False, self.complete
        for block in blocks:
            header = block.header
            if ended or complete:
                raise InvalidSnapshot("snapshot.history", f"block {header.height} is no part of this piece")
            if block_hash(header) != expected:
                raise InvalidSnapshot("snapshot.history", f"not block {next_height} of this chain")
            if transactions_root_of(list_root(split_ids(block.ids)), block.rest_root) != header.transactions_root:
                raise InvalidSnapshot("snapshot.history", f"block {header.height} executed other transactions")
            expected, next_height = header.parent_hash, header.height - 1
            size += history_size(block)
            complete = ends_history(self._top, header)
            ended = complete or size >= HISTORY_BYTES_TARGET
        if not ended:
            raise InvalidSnapshot("snapshot.history", f"the piece ends too early, before block {next_height}")
        self._expected, self.next_height, self.complete = expected, next_height, complete
        return blocks


def history_size(block: PastBlock) -> int:
    """Return what a block counts towards `HISTORY_BYTES_TARGET`."""
    return len(block.ids) + len(encode(block.header))


def ends_history(top: Header, header: Header) -> bool:
    """Tell whether `header` is the last block of the history of the block `top`.

    What expires after `top` executed after the first block that is a lifetime older, and handlers ask for the hashes of
    the last `RECENT_BLOCKS`. Block time rises by a millisecond at least, which bounds the blocks of a history.
    """
    old = header.timestamp_ms < top.timestamp_ms - LIFETIME_MS_MAX and header.height <= top.height - RECENT_BLOCKS
    return old or header.height == 0


def split_ids(ids: bytes) -> list[bytes]:
    """Return the ids that lie in `ids` one after the other.

    Raises:
        InvalidSnapshot: `snapshot.malformed`.
    """
    if len(ids) % DIGEST_BYTES:
        raise InvalidSnapshot("snapshot.malformed", f"ids have {DIGEST_BYTES} bytes each")
    return [ids[at : at + DIGEST_BYTES] for at in range(0, len(ids), DIGEST_BYTES)]

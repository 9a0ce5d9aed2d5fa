"""The protocol's messages: frozen values, one class each, with a signed canonical form.

A signature covers the message's domain, the network id and every field but the signature itself, so a message of one
kind, epoch or network can never stand for another. `Checkpoint` is signed as a finality statement, because a quorum of
them is a block's certificate. Every signed message but `Checkpoint` and `Status` carries the signer's log position.

`decode_message` checks types, bounds and canonical form; `validate_basic` what needs no state; signatures and
acceptance are the replica's. Spec: docs/spec/consensus.md, "Messages".
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from consensus.errors import ConsensusError, Refusal
from consensus.ports import Signer, Verifier
from consensus.validators import ValidatorSet
from primitives.codec import CodecError, decode_union, encode
from primitives.digest import Digest, domain, tagged_hash
from primitives.finality import (
    VALIDATORS_MAX,
    Bytes32,
    Bytes64,
    FinalityCertificate,
    Natural,
    finality_statement,
)
from primitives.list_root import list_root

ITEMS_PER_BATCH_MAX: Final = 10_000
ITEM_BYTES_MAX: Final = 64 * 1024
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of items in one batch; a genesis with smaller proposals allows no more than one proposal holds."""
BATCHES_PER_PROPOSAL_MAX: Final = 1024
WINDOW_MAX: Final = 4096
"""The largest window that a genesis may ask for; it bounds every list of sequences in a message."""
MESSAGE_BYTES_MAX: Final = 32 * 1024 * 1024

REPLICA_MASK_BYTES: Final = VALIDATORS_MAX // 8

ReplicaIndex = Annotated[int, msgspec.Meta(ge=0, lt=VALIDATORS_MAX)]
ReplicaMask = Annotated[bytes, msgspec.Meta(max_length=REPLICA_MASK_BYTES)]
"""A set of replicas: bit i of the little-endian integer is replica i; no zero byte at the end."""


class _Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    @property
    def kind(self) -> str:
        """The message's tag, for the choice of a channel and for metric labels: `batch`, `pre-prepare`, ..."""
        return str(self.__struct_config__.tag)


class Proposal(_Wire, frozen=True):
    """What is ordered under one sequence."""

    proposer: ReplicaIndex | None
    timestamp_ms: Natural
    batches: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=BATCHES_PER_PROPOSAL_MAX)]


NULL_PROPOSAL: Final = Proposal(None, 0, ())
"""Fills a sequence that a new view must decide although nothing was prepared there."""


def proposal_digest(proposal: Proposal) -> Digest:
    return tagged_hash("consensus-proposal", encode(proposal))


class Batch(_Wire, frozen=True, tag="batch"):
    """Items of one author, spread once to everyone; proposals name it by digest."""

    epoch: Natural
    replica: ReplicaIndex
    position: Natural
    number: Natural
    """Rises with every batch of the author within the epoch."""
    items_root: Bytes32
    items: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=ITEM_BYTES_MAX)], ...],
        msgspec.Meta(max_length=ITEMS_PER_BATCH_MAX),
    ]
    signature: Bytes64

    @property
    def author(self) -> int:
        return self.replica

    @property
    def digest(self) -> Digest:
        return tagged_hash("consensus-batch", encode((self.epoch, self.replica, self.number, self.items_root)))


class PrePrepare(_Wire, frozen=True, tag="pre-prepare"):
    epoch: Natural
    replica: ReplicaIndex
    position: Natural
    view: Natural
    sequence: Natural
    proposal: Proposal
    signature: Bytes64

    @property
    def digest(self) -> Digest:
        return proposal_digest(self.proposal)


class Prepare(_Wire, frozen=True, tag="prepare"):
    epoch: Natural
    replica: ReplicaIndex
    position: Natural
    view: Natural
    sequence: Natural
    digest: Bytes32
    signature: Bytes64


class Commit(_Wire, frozen=True, tag="commit"):
    epoch: Natural
    replica: ReplicaIndex
    position: Natural
    view: Natural
    sequence: Natural
    digest: Bytes32
    signature: Bytes64


class Checkpoint(_Wire, frozen=True, tag="checkpoint"):
    """The statement of `primitives.finality`, and the vote for a stable checkpoint."""

    epoch: Natural
    replica: ReplicaIndex
    sequence: Natural
    block_hash: Bytes32
    epoch_end: Natural
    """The epoch's last sequence, once the ledger knows it; 0 before."""
    signature: Bytes64


class PreparedCertificate(_Wire, frozen=True):
    """A pre-prepare and the prepares of enough others that it and they are a quorum."""

    pre_prepare: PrePrepare
    prepares: Annotated[tuple[Prepare, ...], msgspec.Meta(max_length=VALIDATORS_MAX)]


class ViewChange(_Wire, frozen=True, tag="view-change"):
    epoch: Natural
    replica: ReplicaIndex
    position: Natural
    new_view: Natural
    stable: FinalityCertificate | None
    """The certificate of the stable checkpoint; None while that is the epoch's base."""
    prepared: Annotated[tuple[PreparedCertificate, ...], msgspec.Meta(max_length=WINDOW_MAX)]
    """At most one a sequence above the stable checkpoint, of the highest view, rising by sequence."""
    signature: Bytes64

    @property
    def digest(self) -> Digest:
        return tagged_hash("consensus-view-change", encode(self))


class NewView(_Wire, frozen=True, tag="new-view"):
    epoch: Natural
    replica: ReplicaIndex
    position: Natural
    view: Natural
    view_changes: Annotated[tuple[tuple[ReplicaIndex, Bytes32], ...], msgspec.Meta(max_length=VALIDATORS_MAX)]
    """(replica, digest of its ViewChange), rising by replica."""
    pre_prepares: Annotated[tuple[PrePrepare, ...], msgspec.Meta(max_length=WINDOW_MAX)]
    signature: Bytes64


class SlotSummary(_Wire, frozen=True):
    """What a replica holds for one sequence of its view: whose votes, or that it needs none any more."""

    sequence: Natural
    decided: bool
    pre_prepared: bool
    prepares: ReplicaMask
    commits: ReplicaMask


def replica_mask(replicas: Iterable[int]) -> bytes:
    """Write a set of replica ids as a `ReplicaMask`."""
    bits = sum(1 << replica for replica in set(replicas))
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def mask_replicas(mask: bytes) -> set[int]:
    """Read a `ReplicaMask`."""
    bits = int.from_bytes(mask, "little")
    return {replica for replica in range(bits.bit_length()) if bits >> replica & 1}


class Status(_Wire, frozen=True, tag="status"):
    epoch: Natural
    replica: ReplicaIndex
    view: Natural
    asked_view: Natural
    """The view that it asked for and waits for; equal to `view` while it is in one."""
    last_executed: Natural
    stable: FinalityCertificate | None
    slots: Annotated[tuple[SlotSummary, ...], msgspec.Meta(max_length=WINDOW_MAX)]
    last_position: Natural
    """The signer's last log position: who has seen a higher one shows it the message."""
    highest_position_seen: Natural
    """The highest log position that this replica saw in a message of the receiver."""
    receiver: ReplicaIndex
    """Whom it is for: passed on to another, what it says of positions would be taken for that one's."""
    signature: Bytes64


class BatchRequest(_Wire, frozen=True, tag="batch-request"):
    """Unsigned: please send these batches."""

    epoch: Natural
    digests: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=BATCHES_PER_PROPOSAL_MAX)]


class ViewChangeRequest(_Wire, frozen=True, tag="view-change-request"):
    """Unsigned: please send these ViewChanges, which a NewView names."""

    epoch: Natural
    digests: Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=VALIDATORS_MAX)]


Signed: TypeAlias = Batch | PrePrepare | Prepare | Commit | Checkpoint | ViewChange | NewView | Status
Message: TypeAlias = Signed | BatchRequest | ViewChangeRequest
S = TypeVar("S", bound=Signed)

_UNSIGNED_SIGNATURE: Final = bytes(64)


def encode_message(message: Message) -> bytes:
    return encode(message)


def decode_message(data: bytes) -> Message:
    """Decode bytes from a peer.

    Raises:
        ConsensusError: too long, malformed, out of bounds, not canonical, or inconsistent in itself.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise ConsensusError(f"a message has at most {MESSAGE_BYTES_MAX} bytes, not {len(data)}")
    try:
        message: Message = decode_union(data, Message)
    except CodecError as error:
        raise ConsensusError(str(error)) from error
    validate_basic(message)
    return message


def validate_basic(message: Message) -> None:
    """Check what needs no state. Raises ConsensusError."""
    if isinstance(message, Batch):
        if sum(map(len, message.items)) > BATCH_BYTES_MAX:
            raise ConsensusError(f"a batch has at most {BATCH_BYTES_MAX} bytes of items")
        if list_root(message.items) != message.items_root:
            raise ConsensusError("a batch's items do not match its root")
    elif isinstance(message, PrePrepare):
        if message.sequence == 0:
            raise ConsensusError("sequence 0 is the genesis")
    elif isinstance(message, ViewChange):
        if message.new_view == 0:
            raise ConsensusError("nobody asks for view 0")
        sequences = [certificate.pre_prepare.sequence for certificate in message.prepared]
        if sequences != sorted(set(sequences)):
            raise ConsensusError("prepared certificates do not rise by sequence")
    elif isinstance(message, NewView):
        replicas = [replica for replica, _ in message.view_changes]
        if replicas != sorted(set(replicas)):
            raise ConsensusError("view changes do not rise by replica")


def signing_bytes(network_id: bytes, message: Signed) -> bytes:
    """Return what `message`'s signature covers."""
    if isinstance(message, Checkpoint):
        return finality_statement(network_id, message.epoch, message.sequence, message.block_hash, message.epoch_end)
    unsigned: Any = msgspec.structs.replace(message, signature=_UNSIGNED_SIGNATURE)
    if isinstance(message, Batch):
        unsigned = msgspec.structs.replace(unsigned, items=())  # the root stands for them
    return domain(f"consensus/{message.kind}") + network_id + encode(unsigned)


def sign(network_id: bytes, signer: Signer, message: S) -> S:
    """Return `message` with its signature filled in."""
    return msgspec.structs.replace(message, signature=signer.sign(signing_bytes(network_id, message)))


def verify_signed(validators: ValidatorSet, verifier: Verifier, message: Signed) -> None:
    """Check epoch, membership and signature, in this order.

    Raises:
        Refusal: `other_epoch`, `not_a_member` or `bad_signature`.
    """
    if message.epoch != validators.epoch:
        raise Refusal("other_epoch")
    if message.replica >= validators.n:
        raise Refusal("not_a_member")
    key = validators.public_keys[message.replica]
    if not verifier.verify(key, signing_bytes(validators.network_id, message), message.signature):
        raise Refusal("bad_signature")

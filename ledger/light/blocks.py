"""A certified header with all that its check needs, and the check.

Not every block has a certificate of its own: a quorum's signatures under a later block certify its ancestors. Where a
block has none, the headers from the next one up to the first certified one follow it as its `trail`; each names its
parent's hash. The last block of an epoch always has its own certificate: nobody enters the next epoch without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from ledger.block import Header, block_hash
from ledger.errors import InvalidGenesis, InvalidProof
from ledger.genesis import GENESIS_BYTES_MAX, Genesis
from ledger.validators import ValidatorSet, genesis_set
from primitives.codec import CodecError, decode
from primitives.digest import Digest, tagged_hash
from primitives.finality import FinalityCertificate, Natural, verify_certificate

TRAIL_MAX: Final = 256
"""Headers from a block to the certificate above it; a block with more is shown only by a certificate of its own."""

Trail = Annotated[tuple[Header, ...], msgspec.Meta(max_length=TRAIL_MAX)]
GenesisBytes = Annotated[bytes, msgspec.Meta(max_length=GENESIS_BYTES_MAX)]


class LightBlock(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A header, the certificate of it or of the end of its trail, and the validator set of its epoch."""

    header: Header
    trail: Trail
    finality: FinalityCertificate
    members: ValidatorSet

    @property
    def height(self) -> int:
        return self.header.height

    @property
    def epoch(self) -> int:
        return self.header.epoch

    @property
    def epoch_end(self) -> int:
        """Height of the epoch's last block; 0 until it is known."""
        return self.header.epoch_end

    @property
    def time_ms(self) -> int:
        return self.header.timestamp_ms

    @property
    def next_set_hash(self) -> bytes | None:
        return self.header.next_validator_set_hash

    def hash(self) -> Digest | None:
        return block_hash(self.header)

    def signers(self) -> set[bytes]:
        """Return the keys of those who are said to have signed; whether they did is for `check`.

        Raises:
            InvalidProof: `certificate.signatures`, one is none of the set.
        """
        validators = self.members.validators
        if any(index >= len(validators) for index, _ in self.finality.signatures):
            raise InvalidProof("certificate.signatures", "a signer is not in the set")
        return {validators[index].signing_key for index, _ in self.finality.signatures}

    def check(self, network_id: bytes) -> Digest:
        """Check it against its own set, which by itself says nothing of that set; return the block's hash.

        Raises:
            InvalidProof: as `check_seal`.
        """
        return check_seal(self.header, self.trail, self.finality, network_id, self.members)


class GenesisPoint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where trust begins when only the genesis is known: its set. The genesis block itself follows from executing it,
    which no light client does."""

    members: ValidatorSet
    time_ms: Natural
    height: Literal[0] = 0
    epoch: Literal[0] = 0
    epoch_end: Literal[0] = 0
    next_set_hash: None = None

    def hash(self) -> Digest | None:
        return None


def check_seal(
    header: Header,
    trail: Sequence[Header],
    finality: FinalityCertificate,
    network_id: bytes,
    members: ValidatorSet,
) -> Digest:
    """Check that a quorum of `members` certified `header`, or what it is an ancestor of; return its hash.

    Raises:
        InvalidProof: `certificate.header`, `certificate.trail`, `certificate.signatures`.
    """
    named = members.hash()
    last = header
    for after in trail:
        if after.parent_hash != block_hash(last) or (after.height, after.epoch) != (last.height + 1, last.epoch):
            raise InvalidProof("certificate.trail", f"header {after.height} does not follow header {last.height}")
        last = after
    for one in (header, last):
        if one.network_id != network_id or one.validator_set_hash != named:
            raise InvalidProof("certificate.header", "the header is not of this network and its validator set")
    signed = (finality.epoch, finality.height, finality.block_hash, finality.epoch_end)
    if signed != (last.epoch, last.height, block_hash(last), last.epoch_end):
        raise InvalidProof("certificate.header", "the signatures are under another block than the header's")
    reason = verify_certificate(network_id, members.signing_keys(), finality)
    if reason is not None:
        raise InvalidProof("certificate.signatures", reason)
    return block_hash(header)


def genesis_members(data: bytes, network_id: bytes) -> tuple[Genesis, ValidatorSet]:
    """Return the genesis that `network_id` is the hash of, and the set of epoch 0.

    Raises:
        InvalidProof: `certificate.genesis` for another network's, or one that breaks its rules;
            `certificate.malformed`.
    """
    if tagged_hash("genesis", data) != network_id:
        raise InvalidProof("certificate.genesis", "this genesis is another network's")
    try:
        genesis = decode(data, Genesis)
        genesis.validate()
    except CodecError as error:
        raise InvalidProof("certificate.malformed", str(error)) from error
    except InvalidGenesis as error:
        raise InvalidProof("certificate.genesis", error.message) from error
    return genesis, genesis_set(network_id, genesis.validators)

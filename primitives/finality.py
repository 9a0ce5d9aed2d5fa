"""What a validator signs when it has executed a block, and the certificate that a quorum of such signatures makes.

The statement is at once PBFT's Checkpoint message (Castro & Liskov 1999, section 4.3) and the seal of a block.
Consensus makes it and the ledger's verifiers check it, and neither may know the other: it lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from primitives.digest import domain
from primitives.keys import verify
from primitives.quorum import quorum

VALIDATORS_MAX: Final = 128
"""The largest validator set; it bounds every certificate."""

_STATEMENT: Final = domain("finality")

Bytes32 = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""An integer that fits a signed 64-bit word and is not negative."""


class FinalityCertificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A quorum's signatures under one block."""

    epoch: Natural
    height: Natural
    """The block's height, which is also its consensus sequence."""
    block_hash: Bytes32
    epoch_end: Natural
    """The height at which the epoch ends, as the block's header says; 0 while no end is known. Inside the statement, so
    that whoever holds the certificate knows the end without the block."""
    signatures: Annotated[tuple[tuple[Natural, Bytes64], ...], msgspec.Meta(max_length=VALIDATORS_MAX)]
    """(index in the epoch's validator set, signature), rising by index."""


def finality_statement(network_id: bytes, epoch: int, height: int, block_hash: bytes, epoch_end: int) -> bytes:
    """Return the bytes that a validator signs for a block: fixed width, so that no two statements share bytes."""
    numbers = epoch.to_bytes(8, "big") + height.to_bytes(8, "big") + epoch_end.to_bytes(8, "big")
    return _STATEMENT + network_id + numbers + block_hash


def certificate_statement(network_id: bytes, certificate: FinalityCertificate) -> bytes:
    """Return what every signature in `certificate` covers."""
    return finality_statement(
        network_id, certificate.epoch, certificate.height, certificate.block_hash, certificate.epoch_end
    )


def verify_certificate(
    network_id: bytes,
    public_keys: Sequence[bytes],
    certificate: FinalityCertificate,
    check: Callable[[bytes, bytes, bytes], bool] = verify,
) -> str | None:
    """Check `certificate` against the epoch's keys, in the set's order. Return None, or why it does not hold.

    A certificate with one bad signature is bad as a whole, even where the good ones would be enough. `check` takes key,
    message and signature; it may remember verdicts.
    """
    indices = [index for index, _ in certificate.signatures]
    if any(later <= earlier for earlier, later in pairwise(indices)):
        return "signers are not distinct and rising"
    if len(indices) < quorum(len(public_keys)):
        return f"{len(indices)} signatures of {quorum(len(public_keys))} needed"
    if indices[-1] >= len(public_keys):
        return f"signer {indices[-1]} is not in a set of {len(public_keys)}"
    statement = certificate_statement(network_id, certificate)
    for index, signature in certificate.signatures:
        if not check(public_keys[index], statement, signature):
            return f"the signature of validator {index} does not verify"
    return None

"""The validator set of an epoch: who may sign blocks. Stored in the state by epoch, and named by its hash in every
header. `ledger/epochs.py` says which epoch is the current one.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Final

import msgspec

from ledger.genesis import GenesisValidator, validator_account
from ledger.state.view import Readable, StateView, Table
from primitives.codec import decode, encode
from primitives.digest import Digest, tagged_hash
from primitives.finality import VALIDATORS_MAX, Bytes32, Natural
from primitives.identifiers import key_from_text

SETS_PREFIX: Final = b"validators/"
_EPOCH_BYTES: Final = 8


class ValidatorRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A validator; its position in the set is its index, which is also its replica id."""

    organization: str
    account: Bytes32
    """Its own account, which signs held statements and other validator operations."""
    node_id: str
    signing_key: Bytes32
    tls_certificate: bytes
    """DER."""
    address: str
    incarnation: Natural
    """0 until the validator lost its votes and rejoined; then the number of that rejoin, made by chance."""


class ValidatorSet(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """State record. Key: `validators/` + epoch (8 bytes, big endian)."""

    validators: Annotated[tuple[ValidatorRecord, ...], msgspec.Meta(min_length=1, max_length=VALIDATORS_MAX)]

    def hash(self) -> Digest:
        return tagged_hash("validator-set", encode(self))

    def signing_keys(self) -> tuple[bytes, ...]:
        """Return the keys in order of index."""
        return tuple(validator.signing_key for validator in self.validators)


_TABLE: Final = Table[ValidatorSet](SETS_PREFIX, ValidatorSet)


def genesis_set(network_id: bytes, validators: Sequence[GenesisValidator]) -> ValidatorSet:
    """Return the set of epoch 0."""
    return ValidatorSet(
        tuple(
            ValidatorRecord(
                organization=validator.organization,
                account=validator_account(network_id, validator),
                node_id=validator.node_id,
                signing_key=key_from_text(validator.signing_key),
                tls_certificate=base64.b64decode(validator.tls_certificate),
                address=validator.address,
                incarnation=0,
            )
            for validator in validators
        )
    )


def write_set(view: StateView, epoch: int, members: ValidatorSet) -> None:
    """Store the set of `epoch`; it stays for ever."""
    _TABLE.put(view, members, _part(epoch))


def validator_set(view: Readable, epoch: int) -> ValidatorSet | None:
    """Return the set of `epoch`, or None when the chain knows of no such epoch."""
    value = view.get(_TABLE.key(_part(epoch)))
    return None if value is None else _decoded(value)


def _part(epoch: int) -> bytes:
    return epoch.to_bytes(_EPOCH_BYTES, "big")


@lru_cache(maxsize=8)
def _decoded(value: bytes) -> ValidatorSet:
    """Return the set; the current one is asked for by every statement of a validator."""
    return decode(value, ValidatorSet)

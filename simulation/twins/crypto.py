"""Stand-in signatures for schedules by the thousand: keyed BLAKE2b behind the ports of consensus.

Nobody in a schedule forges a signature (two instances of one validator share its key), so a keyed hash that every
verifier can compute again stands for Ed25519. It must never leave the simulator.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from consensus.validators import ValidatorSet

NETWORK_ID: Final = bytes(range(32))
SIGNATURE_BYTES: Final = 64


class FastSigner:
    """Signs with the "public" key itself."""

    def __init__(self, public_key: bytes) -> None:
        self._key = public_key

    def sign(self, message: bytes) -> bytes:
        return blake2b(message, key=self._key, digest_size=SIGNATURE_BYTES).digest()


class FastVerifier:
    """Computes the signature again. Remembers nothing, since a lookup would cost as much."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return blake2b(message, key=public_key, digest_size=SIGNATURE_BYTES).digest() == signature


def public_key(validator: int) -> bytes:
    """Return validator's key, 32 bytes, the same in every run."""
    return blake2b(b"twins validator", key=validator.to_bytes(2, "big"), digest_size=32).digest()


@lru_cache(maxsize=16)
def validator_set(n: int) -> ValidatorSet:
    return ValidatorSet(NETWORK_ID, 0, tuple(public_key(validator) for validator in range(n)))

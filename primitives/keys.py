"""Ed25519 (RFC 8032) through libsodium, and through libsodium only.

Implementations of Ed25519 disagree about small-order keys, torsion components and malleable signatures. Two
validators that disagree about one signature split the chain, so the accept set of libsodium's `crypto_sign_open` is a
consensus rule and `verify` below is the only place in the project that checks a signature.
"""

from __future__ import annotations

import secrets
from typing import Final, NewType

from nacl import bindings
from nacl.exceptions import BadSignatureError, CryptoError

PublicKey = NewType("PublicKey", bytes)
"""32 bytes: a compressed Edwards point."""
Signature = NewType("Signature", bytes)
"""64 bytes: R and S."""

PUBLIC_KEY_BYTES: Final = 32
SEED_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


class InvalidPublicKey(ValueError):
    """The bytes are not a point of the prime-order subgroup in its canonical encoding."""


class SigningKey:
    """A private key, held as its 32-byte seed and the expanded secret that libsodium wants."""

    __slots__ = ("_secret", "public_key", "seed")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError(f"a signing key's seed has {SEED_BYTES} bytes, not {len(seed)}")
        public, self._secret = bindings.crypto_sign_seed_keypair(seed)
        self.seed = seed
        self.public_key = PublicKey(public)

    @classmethod
    def generate(cls) -> SigningKey:
        """Make a key from the operating system's randomness."""
        return cls(secrets.token_bytes(SEED_BYTES))

    def sign(self, message: bytes) -> Signature:
        """Sign `message`, which must start with a domain (`primitives.digest.domain`)."""
        return Signature(bindings.crypto_sign(message, self._secret)[:SIGNATURE_BYTES])

    def __repr__(self) -> str:
        return f"SigningKey(public_key={self.public_key.hex()})"


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether `signature` over `message` is valid under `public_key`; wrong lengths are simply invalid."""
    if len(signature) != SIGNATURE_BYTES or len(public_key) != PUBLIC_KEY_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public_key)
    except (BadSignatureError, CryptoError, ValueError):
        return False
    return True


def check_public_key(public_key: bytes) -> PublicKey:
    """Refuse keys under which a signature would prove nothing (small order, mixed order, not canonical).

    Raises:
        InvalidPublicKey: with the reason.
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise InvalidPublicKey(f"a public key has {PUBLIC_KEY_BYTES} bytes, not {len(public_key)}")
    if not bindings.crypto_core_ed25519_is_valid_point(public_key):
        raise InvalidPublicKey("not a canonical point of the prime-order subgroup")
    return PublicKey(public_key)

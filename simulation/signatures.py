"""Signatures for simulated networks: real ones, or a stand-in that costs a twentieth of them.

A stand-in key signs with BLAKE2b under a secret of its own, and its public key is a point whose private key nobody
uses. Whoever has the key object can sign, nobody else can: an adversary forges as little as with Ed25519. The nodes run
unchanged: they have no switch that turns checks off. What changes, in this process and for the public keys of stand-ins
only, is libsodium's answer behind `primitives.keys.verify`.

What every node of a run decodes is decoded once: payloads are immutable, and so are the values they decode to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

from nacl import bindings as libsodium
from nacl.exceptions import BadSignatureError

from consensus.messages import Message
from consensus.messages import decode_message as decode_strictly
from node import core as node_core
from primitives import keys
from primitives.keys import SIGNATURE_BYTES, Signature, SigningKey

SignatureKind: TypeAlias = Literal["stub", "real"]

PAYLOADS_REMEMBERED: Final = 4_096
"""Decoded payloads kept; a payload is delivered to all receivers within a moment."""

_secrets: Final[dict[bytes, bytes]] = {}
"""Public key -> secret, of every stand-in key of this process."""


class StandInKey(SigningKey):
    """Looks like a signing key, and signs with a keyed hash."""

    __slots__ = ("_stand_in_secret",)

    def __init__(self, seed: bytes) -> None:
        # Another key pair than the real one of this seed: what a real key signed elsewhere means nothing here.
        super().__init__(hashlib.blake2b(seed, digest_size=32, person=b"stand-in key").digest())
        self._stand_in_secret = hashlib.blake2b(seed, digest_size=32, person=b"stand-in secret").digest()
        _secrets[self.public_key] = self._stand_in_secret
        install()

    def sign(self, message: bytes) -> Signature:
        return Signature(_mac(self._stand_in_secret, message))


def make_key(kind: SignatureKind, seed: bytes) -> SigningKey:
    return StandInKey(seed) if kind == "stub" else SigningKey(seed)


def _mac(secret: bytes, message: bytes) -> bytes:
    return hashlib.blake2b(message, digest_size=SIGNATURE_BYTES, key=secret).digest()


class _Bindings:
    """libsodium's bindings as `primitives.keys` uses them, with the stand-ins' signatures understood as well."""

    def __getattr__(self, name: str) -> Any:
        return getattr(libsodium, name)

    @staticmethod
    @lru_cache(maxsize=4_096)
    def crypto_core_ed25519_is_valid_point(point: bytes) -> bool:
        return bool(libsodium.crypto_core_ed25519_is_valid_point(point))

    def crypto_sign_open(self, signed: bytes, public_key: bytes) -> bytes:
        secret = _secrets.get(public_key)
        if secret is None:
            return libsodium.crypto_sign_open(signed, public_key)
        if _mac(secret, signed[SIGNATURE_BYTES:]) != signed[:SIGNATURE_BYTES]:
            raise BadSignatureError("stand-in signature was forged")
        return signed[SIGNATURE_BYTES:]


@lru_cache(maxsize=1)
def install() -> None:
    """Let this process understand stand-in signatures from now on. Real ones keep being checked as before."""
    vars(keys)["bindings"] = _Bindings()


decode_once: Final[Callable[[bytes], Message]] = lru_cache(maxsize=PAYLOADS_REMEMBERED)(decode_strictly)
"""Decode a payload strictly, the first time. What is refused is not remembered."""


@lru_cache(maxsize=1)
def share_decoding() -> None:
    """Let all nodes of this process share what they decode."""
    vars(node_core)["decode_message"] = decode_once

"""What a replica needs from its surroundings during a step. Storage, time and the network are effects instead."""

from __future__ import annotations

from typing import Protocol


class Signer(Protocol):
    """Signs in the replica's name. Raises nothing; the key is there or the node does not start."""

    def sign(self, message: bytes) -> bytes: ...


class Verifier(Protocol):
    """Checks one Ed25519 signature.

    An implementation may remember verdicts; none may differ from `primitives.keys.verify`.
    """

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool: ...

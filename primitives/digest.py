"""SHA-256 with a domain tag for every use.

A digest made for one purpose can never be offered for another: the tag is a prefix of the hashed bytes. Tags contain no
NUL byte and are followed by one, so no tag's prefix is a prefix of another's input.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, NewType

Digest = NewType("Digest", bytes)
"""32 bytes, the output of SHA-256."""

DIGEST_BYTES: Final = 32
ZERO_DIGEST: Final = Digest(bytes(DIGEST_BYTES))
_PREFIX: Final = b"guildmark/"


@lru_cache(maxsize=256)
def domain(tag: str) -> bytes:
    """Return the byte prefix that separates the domain `tag` (ASCII, no NUL) from every other."""
    encoded = tag.encode("ascii")
    assert encoded
    assert b"\x00" not in encoded
    return _PREFIX + encoded + b"\x00"


def tagged_hash(tag: str, data: bytes) -> Digest:
    """SHA-256 of `data` in the domain `tag`."""
    return Digest(hashlib.sha256(domain(tag) + data).digest())

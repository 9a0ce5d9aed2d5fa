"""The hash that spreads the entries of a sharded directory: the first half of MurmurHash3_x64_128, seed 0.

It keeps nothing safe: whoever chooses names can choose hashes. The bounds of a shard's depth and of a directory's
entries are what holds against that. Source: MurmurHash3 by Austin Appleby (public domain); multicodec 0x22.
"""

from __future__ import annotations

from typing import Final

DIGEST_BYTES: Final = 8
_MASK: Final = (1 << 64) - 1
_C1: Final = 0x87C37B91114253D5
_C2: Final = 0x4CF5AD432745937F


def murmur3_x64_64(data: bytes) -> bytes:
    """Return the first 64 bits of the hash, most significant byte first."""
    h1 = h2 = 0
    whole = len(data) - len(data) % 16
    for position in range(0, whole, 16):
        h1 ^= _mixed_1(int.from_bytes(data[position : position + 8], "little"))
        h1 = ((_rotated(h1, 27) + h2) * 5 + 0x52DCE729) & _MASK
        h2 ^= _mixed_2(int.from_bytes(data[position + 8 : position + 16], "little"))
        h2 = ((_rotated(h2, 31) + h1) * 5 + 0x38495AB5) & _MASK
    # The rest counts as if zeros followed: a zero word mixes to zero.
    h1 ^= _mixed_1(int.from_bytes(data[whole : whole + 8], "little")) ^ len(data)
    h2 ^= _mixed_2(int.from_bytes(data[whole + 8 :], "little")) ^ len(data)
    h1 = (h1 + h2) & _MASK
    h2 = (h2 + h1) & _MASK
    return ((_finished(h1) + _finished(h2)) & _MASK).to_bytes(DIGEST_BYTES, "big")


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK


def _mixed_1(word: int) -> int:
    return _rotated(word * _C1 & _MASK, 31) * _C2 & _MASK


def _mixed_2(word: int) -> int:
    return _rotated(word * _C2 & _MASK, 33) * _C1 & _MASK


def _finished(value: int) -> int:
    value = (value ^ (value >> 33)) * 0xFF51AFD7ED558CCD & _MASK
    value = (value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53 & _MASK
    return value ^ (value >> 33)

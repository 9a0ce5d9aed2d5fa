"""Text with a checksum for binary identifiers: Bech32m (BIP-350), without its segwit rules and length limit of 90.

A typing error in up to four places is always found within 90 characters, which every identifier of ours keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import xor
from typing import Final

_ALPHABET: Final = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR: Final = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_STEPS: Final = tuple(
    reduce(xor, [coefficient for i, coefficient in enumerate(_GENERATOR) if top >> i & 1], 0) for top in range(32)
)
"""What the five bits that leave the checksum add to it."""
_CHECKSUM_CONSTANT: Final = 0x2BC830A3
_CHECKSUM_SYMBOLS: Final = 6
_TEXT_LENGTH_MAX: Final = 90


class Bech32Error(ValueError):
    """The text is not a Bech32m string of the expected kind."""


def encode(prefix: str, data: bytes) -> str:
    """Write `data` as lower-case text: `prefix`, the separator `1`, the data and a checksum of six symbols."""
    symbols = _regroup(data, 8, 5, pad=True)
    checksum_input = [*_expand(prefix), *symbols, *([0] * _CHECKSUM_SYMBOLS)]
    remainder = _polymod(checksum_input) ^ _CHECKSUM_CONSTANT
    checksum = [(remainder >> 5 * (_CHECKSUM_SYMBOLS - 1 - i)) & 31 for i in range(_CHECKSUM_SYMBOLS)]
    return prefix + "1" + "".join(_ALPHABET[symbol] for symbol in [*symbols, *checksum])


def decode(prefix: str, text: str) -> bytes:
    """Read the bytes that `encode(prefix, ...)` wrote.

    Raises:
        Bech32Error: another prefix, a wrong checksum, a foreign character or upper case.
    """
    if len(text) > _TEXT_LENGTH_MAX:
        raise Bech32Error(f"longer than {_TEXT_LENGTH_MAX} characters")
    if not text.startswith(prefix + "1"):
        raise Bech32Error(f"does not start with {prefix}1")
    symbols = [_VALUES.get(character, -1) for character in text[len(prefix) + 1 :]]
    if -1 in symbols or len(symbols) < _CHECKSUM_SYMBOLS:
        raise Bech32Error("has a character that does not belong, or is too short")
    if _polymod([*_expand(prefix), *symbols]) != _CHECKSUM_CONSTANT:
        raise Bech32Error("the checksum does not match")
    return bytes(_regroup(symbols[:-_CHECKSUM_SYMBOLS], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    codes = prefix.encode("ascii")
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _STEPS[top]
    return checksum


def _regroup(values: Iterable[int], width_from: int, width_to: int, *, pad: bool) -> list[int]:
    accumulator = bits = 0
    regrouped: list[int] = []
    mask = (1 << width_to) - 1
    for value in values:
        accumulator = (accumulator << width_from) | value
        bits += width_from
        while bits >= width_to:
            bits -= width_to
            regrouped.append((accumulator >> bits) & mask)
        accumulator &= (1 << bits) - 1
    if pad:
        if bits:
            regrouped.append((accumulator << (width_to - bits)) & mask)
    elif bits >= width_from or accumulator:
        raise Bech32Error("has surplus bits")
    return regrouped

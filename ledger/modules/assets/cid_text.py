"""The text form of an artifact's CID, checked without knowing how artifacts are made.

CIDv1 in base32 (multibase `b`, RFC 4648 lower case, no padding): version 1, codec raw (0x55) or dag-pb (0x70), and a
sha2-256 multihash (0x12, 32 bytes). One artifact then has exactly one spelling, as scarcity requires.
"""

from __future__ import annotations

import re
from typing import Final

from ledger.errors import OperationError

CID_CHARACTERS: Final = 59
_TEXT: Final = re.compile(r"b[a-z2-7]{58}")
_AS_INTEGER: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv")
"""To the digits that `int` reads in base 32."""
_HEADER_SHIFT: Final = 58 * 5 - 32
_HEADERS: Final = frozenset({0x01551220, 0x01701220})
_SURPLUS_BITS: Final = 0b11
"""58 digits hold 290 bits, two more than the 36 bytes; they are zero in the one canonical spelling."""


def check_cid(text: str, code: str) -> None:
    """Refuse what is not the canonical spelling of such a CID.

    Raises:
        OperationError: `code`.
    """
    if not _TEXT.fullmatch(text):
        raise OperationError(code, "not a CIDv1 in lower-case base32")
    value = int(text[1:].translate(_AS_INTEGER), 32)
    if value >> _HEADER_SHIFT not in _HEADERS:
        raise OperationError(code, "not a sha2-256 CID of codec raw or dag-pb")
    if value & _SURPLUS_BITS:
        raise OperationError(code, "not the canonical spelling of this CID")

"""The text form of an artifact's CID, checked without knowing how artifacts are made.

CIDv1 in base32 (multibase `b`, RFC 4648 lower case, no padding): version 1, codec raw (0x55) or dag-pb (0x70), and a
sha2-256 multihash (0x12, 32 bytes). One artifact then has exactly one spelling, as scarcity requires.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from ledger.errors import OperationError

_HEADERS: Final = (bytes((0x01, 0x55, 0x12, 0x20)), bytes((0x01, 0x70, 0x12, 0x20)))
CID_CHARACTERS: Final = 59
_PADDING: Final = "======"
"""58 base32 digits lack 6 of a full group of 8."""


def check_cid(text: str, code: str) -> None:
    """Refuse what is not the canonical spelling of such a CID.

    Raises:
        OperationError: `code`.
    """
    digits = text[1:]
    if len(text) != CID_CHARACTERS or text[0] != "b" or not digits.isascii() or digits != digits.lower():
        raise OperationError(code, "not a CIDv1 in lower-case base32")
    try:
        raw = base64.b32decode(digits.upper() + _PADDING)
    except binascii.Error as error:
        raise OperationError(code, f"not base32 ({error})") from error
    if raw[:4] not in _HEADERS:
        raise OperationError(code, "not a sha2-256 CID of codec raw or dag-pb")
    if base64.b32encode(raw).decode("ascii").lower().rstrip("=") != digits:
        raise OperationError(code, "not the canonical spelling of this CID")

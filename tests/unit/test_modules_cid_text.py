"""The text of a CID: one spelling an artifact."""

from __future__ import annotations

import base64
import binascii
import random

from ledger.errors import OperationError
from ledger.modules.assets.cid_text import check_cid


def test_the_spelling_of_a_cid_is_judged_as_a_base32_decoder_would() -> None:
    """The ledger reads the digits as one number; a decoder that writes its bytes back must agree on every spelling."""
    rng = random.Random(1)
    digits = "abcdefghijklmnopqrstuvwxyz234567ABZ0189_ +-\u0131\u212a\n"

    def decodes(text: str) -> bool:
        if len(text) != 59 or text[0] != "b" or not text.isascii() or text != text.lower():
            return False
        try:
            raw = base64.b32decode(text[1:].upper() + "======")
        except binascii.Error:
            return False
        canonical = base64.b32encode(raw).decode("ascii").lower().rstrip("=") == text[1:]
        return canonical and raw[:4] in (b"\x01\x55\x12\x20", b"\x01\x70\x12\x20")

    accepted = 0
    for number in range(5_000):
        header = bytes((1, rng.choice((0x55, 0x70, 0x71)), 0x12, rng.choice((0x20, 0x20, 0x20, 0x21))))
        text = "b" + base64.b32encode(header + rng.randbytes(32)).decode("ascii").lower().rstrip("=")
        if number % 2:
            at = rng.choice((0, 58, rng.randrange(59)))
            text = text[:at] + rng.choice(digits) + text[at + 1 :]
        try:
            check_cid(text, "code")
        except OperationError:
            assert not decodes(text), text
        else:
            assert decodes(text), text
            accepted += 1
    assert 1_000 < accepted < 4_000

"""What a licensee signs before each batch of metered use: how many units of a grant it has used in all.

A count is cumulative, so the latest voucher is worth all before it, and submitting one twice changes nothing. Licensee
and provider exchange vouchers off the chain; the provider submits one when it likes, while the key is the licensee's: a
key that is taken from the account signs for nothing any more. What a provider serves on vouchers that it has not
submitted is therefore at its own risk.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.fields import Bytes32, Part, PositiveAmount
from primitives.codec import encode
from primitives.digest import domain
from primitives.keys import Signature, SigningKey, verify

_DOMAIN: Final = domain("usage-voucher")


class Voucher(Part, frozen=True):
    """What is signed, behind its domain: `count` units of `grant` on one network have been used in all."""

    network_id: Bytes32
    grant: Bytes32
    count: PositiveAmount


def voucher_message(voucher: Voucher) -> bytes:
    """Return the bytes that a licensee's key signs."""
    return _DOMAIN + encode(voucher)


def sign_voucher(voucher: Voucher, key: SigningKey) -> Signature:
    """Sign a voucher."""
    return key.sign(voucher_message(voucher))


def voucher_verifies(voucher: Voucher, key: bytes, signature: bytes) -> bool:
    """Tell whether `signature` is that of `key`. Whose key it is, the chain's state says."""
    return verify(key, voucher_message(voucher), signature)

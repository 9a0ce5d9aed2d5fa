"""Vouchers for metered use: what a licensee hands to the provider before each batch of calls.

    voucher = sign_voucher(account, network_id, grant, 1_000)     # the licensee: a thousand calls so far, in all
    check_signature(voucher, network_id)                          # the provider, without a node

A count is cumulative, so the latest voucher is enough. `AsyncLicenses.verify_voucher` also asks the ledger whose key it
is and how much the quota leaves; `report_usage` submits a voucher.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from guildmark.assets import asset_bytes
from guildmark.errors import InvalidArgument, VerificationFailed
from guildmark.identity import Account
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.operations import SIGNATURE_BYTES
from ledger.modules.licenses.vouchers import Voucher, voucher_verifies
from ledger.modules.licenses.vouchers import sign_voucher as sign
from primitives.identifiers import InvalidIdentifier, key_from_text

COUNT_MAX: Final = AMOUNT_MAX


class SignedVoucher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A voucher as licensee and provider exchange it, made for JSON."""

    network_id: str
    grant: str
    count: int
    """Units used in all."""
    key: str
    """`did:key:...`, an owner or operator key of the licensee."""
    signature: str


def sign_voucher(account: Account, network_id: bytes, grant: str | bytes, count: int) -> SignedVoucher:
    """Sign that `count` units of a grant have been used in all.

    Raises:
        InvalidArgument: `argument.id` or `argument.count`.
    """
    identifier = asset_bytes(grant)
    if not 1 <= count <= COUNT_MAX:
        raise InvalidArgument("argument.count", f"a count is from 1 to {COUNT_MAX}, not {count}")
    signature = sign(Voucher(network_id, identifier, count), account.key)
    return SignedVoucher(network_id.hex(), identifier.hex(), count, account.key_text, signature.hex())


def check_signature(voucher: SignedVoucher, network_id: bytes) -> None:
    """Check a voucher's signature and that it is for this network. Whose key it is, only the ledger knows.

    Raises:
        VerificationFailed: `licenses.voucher_malformed`, `licenses.voucher_network` or `licenses.voucher_signature`.
    """
    try:
        key, signature = key_from_text(voucher.key), bytes.fromhex(voucher.signature)
        named, grant = bytes.fromhex(voucher.network_id), bytes.fromhex(voucher.grant)
    except (InvalidIdentifier, ValueError) as error:
        raise VerificationFailed("licenses.voucher_malformed", str(error)) from error
    sizes = (len(named), len(grant), len(signature))
    if sizes != (32, 32, SIGNATURE_BYTES) or not 1 <= voucher.count <= COUNT_MAX:
        raise VerificationFailed("licenses.voucher_malformed", "an id, the signature or the count is out of its bounds")
    if named != network_id:
        raise VerificationFailed("licenses.voucher_network", f"the voucher is for network {voucher.network_id}")
    if not voucher_verifies(Voucher(named, grant, voucher.count), key, signature):
        raise VerificationFailed("licenses.voucher_signature", "the signature is not that of the voucher's key")


def read_voucher(path: Path) -> SignedVoucher:
    """Read a voucher from a JSON file.

    Raises:
        VerificationFailed: `licenses.voucher_malformed`. OSError: it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=SignedVoucher)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationFailed("licenses.voucher_malformed", f"{path}: {error}") from error

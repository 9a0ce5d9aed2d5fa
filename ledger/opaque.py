"""Opaque bundles: bytes that are ordered, and looked at by nobody. On development networks that say so only.

    bundle = ["opaque", version, network id, expires_at_ms, salt, payload]

A bundle takes the place of a signed transaction and is one unit: one id, one leaf, one receipt. It has no sender, no
signature and no effect, so that a measurement of ordering alone can stand beside others. The id covers all its bytes,
and what makes a transaction execute once makes a bundle do so too.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ledger.errors import InvalidTransaction
from primitives.codec import CodecError, decode, encode
from primitives.digest import Digest, tagged_hash
from primitives.finality import Bytes32, Natural

BUNDLE_BYTES_MAX: Final = 64 * 1024
"""All of a bundle; the same as of a signed transaction."""
SALT_BYTES: Final = 16
VERSION: Final = 1

_BEGINNING: Final = b"\x96"
"""An array of six items. That of a signed transaction has two."""


class Bundle(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, tag="opaque"):
    version: Literal[1]
    network_id: Bytes32
    expires_at_ms: Natural
    salt: Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
    payload: bytes


class DecodedBundle(msgspec.Struct, frozen=True):
    """A well-formed bundle."""

    id: Digest
    body: Bundle


def build_bundle(*, network_id: bytes, expires_at_ms: int, salt: bytes, payload: bytes) -> bytes:
    """Return a bundle's bytes. The salt tells equal payloads apart.

    Raises:
        InvalidTransaction: `transaction.too_large`, or `transaction.malformed` (a field out of its bounds).
    """
    data = encode(Bundle(VERSION, network_id, expires_at_ms, salt, payload))
    decode_bundle(data)
    return data


def is_bundle(data: bytes) -> bool:
    """Tell whether `data` can be a bundle. If so it is no signed transaction; whether it is well-formed is open."""
    return data.startswith(_BEGINNING)


def decode_bundle(data: bytes) -> DecodedBundle:
    """Decode a bundle, and compute its id from its bytes.

    Raises:
        InvalidTransaction: `transaction.too_large`, `transaction.malformed`.
    """
    if len(data) > BUNDLE_BYTES_MAX:
        raise InvalidTransaction("transaction.too_large", f"{len(data)} bytes; at most {BUNDLE_BYTES_MAX}")
    try:
        body = decode(data, Bundle)
    except CodecError as error:
        raise InvalidTransaction("transaction.malformed", str(error)) from error
    return DecodedBundle(tagged_hash("opaque-bundle", data), body)

"""Names in text: accounts (`gm1...`), nodes (`gmnode1...`), keys (`did:key:z6Mk...`)."""

from __future__ import annotations

from typing import Final, NewType

import libipld

from primitives import bech32m
from primitives.codec import encode
from primitives.digest import DIGEST_BYTES, tagged_hash
from primitives.keys import PUBLIC_KEY_BYTES, InvalidPublicKey, PublicKey, check_public_key

AccountId = NewType("AccountId", bytes)
"""32 bytes; in text `gm1...` with a checksum. It survives the rotation of every key of the account."""
NodeId = NewType("NodeId", str)
"""`gmnode1...`: the tagged hash of a node's TLS public key."""

_ACCOUNT_PREFIX: Final = "gm"
_NODE_PREFIX: Final = "gmnode"
_NODE_ID_BYTES: Final = 20
_DID_PREFIX: Final = "did:key:"
_ED25519_MULTICODEC: Final = b"\xed\x01"
"""Multicodec `ed25519-pub` (0xed) as an unsigned varint."""


class InvalidIdentifier(ValueError):
    """The text does not name what it should."""


def account_id(network_id: bytes, organization: str, first_key: bytes, salt: bytes) -> AccountId:
    """Derive the account that `organization` opens for `first_key`; `salt` lets one key open several."""
    return AccountId(tagged_hash("account", encode((network_id, organization, first_key, salt))))


def account_to_text(account: bytes) -> str:
    """Write a 32-byte account id as `gm1...`."""
    return bech32m.encode(_ACCOUNT_PREFIX, account)


def account_from_text(text: str) -> AccountId:
    """Read `gm1...`.

    Raises:
        InvalidIdentifier: the text is not an account id, or was mistyped.
    """
    try:
        raw = bech32m.decode(_ACCOUNT_PREFIX, text)
    except bech32m.Bech32Error as error:
        raise InvalidIdentifier(f"not an account id ({error})") from error
    if len(raw) != DIGEST_BYTES:
        raise InvalidIdentifier(f"an account id has {DIGEST_BYTES} bytes, not {len(raw)}")
    return AccountId(raw)


def node_id(tls_public_key: bytes) -> NodeId:
    """Name the node that holds the TLS key `tls_public_key` (raw Ed25519, 32 bytes)."""
    return NodeId(bech32m.encode(_NODE_PREFIX, tagged_hash("node-id", tls_public_key)[:_NODE_ID_BYTES]))


def key_to_text(public_key: bytes) -> str:
    """Write an Ed25519 public key as `did:key` (W3C did:key method, Ed25519)."""
    return _DID_PREFIX + libipld.encode_multibase("z", _ED25519_MULTICODEC + public_key)


def key_from_text(text: str) -> PublicKey:
    """Read a `did:key` of an Ed25519 key.

    Raises:
        InvalidIdentifier: another method, base or key type, or a point that `check_public_key` refuses.
    """
    if not text.startswith(_DID_PREFIX + "z"):
        raise InvalidIdentifier("not a did:key in base58btc")
    try:
        _, raw = libipld.decode_multibase(text[len(_DID_PREFIX) :])
    except ValueError as error:
        raise InvalidIdentifier(f"not a did:key ({error})") from error
    if raw[:2] != _ED25519_MULTICODEC or len(raw) != PUBLIC_KEY_BYTES + 2:
        raise InvalidIdentifier("not the did:key of an Ed25519 key")
    try:
        key = check_public_key(raw[2:])
    except InvalidPublicKey as error:
        raise InvalidIdentifier(str(error)) from error
    if key_to_text(key) != text:
        raise InvalidIdentifier("not the canonical spelling of this did:key")
    return key

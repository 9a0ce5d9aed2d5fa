"""Content identifiers: the names of blocks, of files and of directories.

One kind only: CIDv1 in lower-case base32 without padding, SHA-256, codec `raw` or `dag-pb`. One spelling only: what
does not decode and encode back to the same text is refused, so a CID is safe as a file name and equal CIDs are equal
strings. Source: the multiformats CID specification; profile `unixfs-v1-2025` (IPIP-0499).
"""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import Final, NamedTuple

import libipld

from artifacts.errors import BlockMismatch, InvalidCid

CID_TEXT_LENGTH: Final = 59
"""Characters: `b` and 36 bytes in base32."""
CID_BYTES: Final = 36
DIGEST_BYTES: Final = 32
_SHA2_256: Final = b"\x12\x20"
"""Multihash prefix: function 0x12 with 32 bytes of digest."""
_ALPHABET: Final = frozenset("abcdefghijklmnopqrstuvwxyz234567")


class Codec(IntEnum):
    """How the bytes of a block are read (multicodec table)."""

    RAW = 0x55
    DAG_PB = 0x70


class ParsedCid(NamedTuple):
    """The parts of a CID."""

    codec: Codec
    digest: bytes
    """32 bytes: the SHA-256 of the block."""


_PREFIXES: Final = {codec: bytes([1, codec]) + _SHA2_256 for codec in Codec}


def encode(codec: Codec, digest: bytes) -> str:
    """Write the CID of a block with this codec and SHA-256 digest (32 bytes)."""
    return from_bytes(_PREFIXES[codec] + digest)


def raw_cid(data: bytes) -> str:
    """Name a leaf: the bytes of a chunk as they are."""
    return encode(Codec.RAW, hashlib.sha256(data).digest())


def dag_pb_cid(data: bytes) -> str:
    """Name an encoded dag-pb node."""
    return encode(Codec.DAG_PB, hashlib.sha256(data).digest())


def parse(text: str) -> ParsedCid:
    """Take a CID apart.

    Raises:
        InvalidCid: another length, alphabet, version, codec, hash function, or a second spelling.
    """
    if len(text) != CID_TEXT_LENGTH or text[0] != "b" or not _ALPHABET.issuperset(text):
        raise InvalidCid(f"a CID is {CID_TEXT_LENGTH} characters of lower-case base32 that begin with 'b'")
    try:
        _, binary = libipld.decode_multibase(text)
    except ValueError as error:
        raise InvalidCid(f"not base32 ({error})") from error
    parsed = parse_bytes(bytes(binary))
    if encode(parsed.codec, parsed.digest) != text:
        raise InvalidCid("not the one spelling of this CID")
    return parsed


def parse_bytes(binary: bytes) -> ParsedCid:
    """Take a binary CID apart, as dag-pb links carry it.

    Raises:
        InvalidCid: not a CIDv1 with SHA-256 and codec raw or dag-pb.
    """
    for codec, prefix in _PREFIXES.items():
        if binary.startswith(prefix) and len(binary) == CID_BYTES:
            return ParsedCid(codec, binary[len(prefix) :])
    raise InvalidCid("not a CIDv1 with sha2-256 and codec raw or dag-pb")


def to_bytes(text: str) -> bytes:
    """Return the 36 bytes of a CID; raises `InvalidCid` as `parse` does."""
    parsed = parse(text)
    return _PREFIXES[parsed.codec] + parsed.digest


def from_bytes(binary: bytes) -> str:
    """Write 36 valid bytes as text."""
    assert len(binary) == CID_BYTES
    text: str = libipld.encode_multibase("b", binary)
    return text


def matches(parsed: ParsedCid, data: bytes) -> bool:
    """Tell whether `data` is the block that the CID names."""
    return hashlib.sha256(data).digest() == parsed.digest


def check_block(cid: str, data: bytes) -> ParsedCid:
    """Check that `data` is the block named `cid`, and return the CID's parts.

    Raises:
        InvalidCid: see `parse`.
        BlockMismatch: other bytes.
    """
    parsed = parse(cid)
    if not matches(parsed, data):
        raise BlockMismatch(cid)
    return parsed

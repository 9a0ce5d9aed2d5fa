"""The bounded field types, and the kinds of Struct that operations, records, events and results are made of.

What enters here is used by three modules or more. The bounds are the ledger's law: decoding refuses what leaves them.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

AMOUNT_MAX: Final = 2**63 - 1
"""Every amount of credits (minor units), and the total supply, fits a signed 64-bit word."""
BPS: Final = 10_000
"""Basis points in a whole."""
PPM: Final = 1_000_000
"""Parts per million in a whole."""

Bytes32: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
"""An id, a digest or a public key."""
Salt: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Amount: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]
"""Credits in minor units."""
PositiveAmount: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]
TimeMs: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""Unix time or a duration in milliseconds."""
Rate: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=BPS)]
"""Basis points."""
VersionNumber: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
CidText: TypeAlias = Annotated[str, msgspec.Meta(min_length=59, max_length=59)]
"""CIDv1 in base32, sha2-256, raw or dag-pb: always 59 characters (`ledger.modules.assets.cid_text` checks the rest)."""
ShortText: TypeAlias = Annotated[str, msgspec.Meta(max_length=128)]
Code: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[a-z0-9][a-z0-9:._-]{0,63}\Z")]
"""A machine-readable word: lower-case letters, digits, and `:._-`."""
Alias: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9._-]{0,31}\Z")]
"""A name of an asset that points to one of its versions, as `stable`."""
NodeIdText: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=90)]
"""`gmnode1...`"""
CertificateBytes: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=1, max_length=3072)]
"""A TLS certificate in DER."""


class Operation(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a transaction asks for; each subclass is tagged `module.verb`."""


class Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A group of fields inside an operation or a record."""


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A value in the state."""


class Marker(Record, frozen=True):
    """The value of an index entry, whose key says everything."""


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """What happened, for receipts; each subclass is tagged `module.past_participle`. Encoded with its field names."""


class Result(msgspec.Struct, frozen=True):
    """A query's answer, made for JSON: ids in hex, accounts as `gm1...`, keys as `did:key:...`, times in Unix ms."""


MARKER: Final = Marker()

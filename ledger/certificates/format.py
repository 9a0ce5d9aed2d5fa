"""The file: magic, then canonical MessagePack.

    file      = magic, [start, hand-offs, header, trail, finality certificate, subject, records]
    start     = ["genesis", genesis] | ["block", header, validator set]
    hand-off  = [header, finality certificate, next validator set], of the last block of each epoch from the start's on
    record    = [key, value | nil, proof]

A verifier goes from the hash that it knows to the start, from there to a validator set, from a quorum of its signatures
to the end of its epoch, from there to the next set, and so on to the header; from the header to the state root, and
from there to each record. What the file is about it says itself, and the verifier believes no word of it: which records
prove it follows from the subject and from records that are proven already. Every byte is on that way or has one
permitted value, so a flipped, missing or surplus one fails.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ledger.block import Header
from ledger.certificates.subjects import Subject
from ledger.light.blocks import GenesisBytes, Trail
from ledger.state.proofs import StateProof
from ledger.validators import ValidatorSet
from primitives.finality import FinalityCertificate

MAGIC: Final = b"guildmark certificate 3\n"
"""Also the version: another format has another last digit."""
CERTIFICATE_BYTES_MAX: Final = 64 * 1024 * 1024
"""A larger file is refused unread."""
HANDOFFS_MAX: Final = 4_096
"""Epochs that a certificate can cross: about 3 KB each with four validators, and three signatures to check. Beyond, a
certificate starts from a block that the verifier knows."""
RECORDS_MAX: Final = 8
"""No subject needs more than four."""
KEY_BYTES_MAX: Final = 512

Trust = tuple[int, bytes]
"""(height, block hash) that the verifier knows from elsewhere."""


class GenesisStart(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="genesis"):
    genesis: GenesisBytes
    """Canonical MessagePack of the genesis, whose tagged hash is the network id."""


class BlockStart(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="block"):
    """A block that the verifier must know: the file is short, however many epochs lie before it."""

    header: Header
    members: ValidatorSet
    """Of the header's epoch."""


class Handoff(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of an epoch, where its validators name those of the next."""

    header: Header
    finality: FinalityCertificate
    members: ValidatorSet


class ProvenRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A record of the state, or that there is none, and the proof."""

    key: Annotated[bytes, msgspec.Meta(max_length=KEY_BYTES_MAX)]
    value: bytes | None
    """None proves absence."""
    proof: StateProof


class Certificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    start: GenesisStart | BlockStart
    handoffs: Annotated[tuple[Handoff, ...], msgspec.Meta(max_length=HANDOFFS_MAX)]
    """One for each epoch from the start's to the one before the header's, in order."""
    header: Header
    trail: Trail
    finality: FinalityCertificate
    subject: Subject
    records: Annotated[tuple[ProvenRecord, ...], msgspec.Meta(max_length=RECORDS_MAX)]
    """In the order in which the subject asks for them."""

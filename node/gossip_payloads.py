"""What gossip carries: blocks with their certificates and heads, and how a node judges them before they go on.

A pure computation. What is judged here is whether the validators of the epoch vouch for it; whether it executes to what
its header says is found by executing it. Spec: docs/spec/gossip.md, section 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from ledger.block import decode_block
from ledger.errors import InvalidBlock
from node.block_ranges import Trust, check_range
from p2p.gossip.engine import Publish, Verdict
from p2p.gossip.messages import LIMITS, Kind
from primitives.codec import CodecError, decode, encode
from primitives.finality import VALIDATORS_MAX, Bytes32, Bytes64, FinalityCertificate, Natural, verify_certificate

HEADERS_IN_SEAL_MAX: Final = 32
"""Headers between a block and the certified one that vouches for it."""
HEADER_BYTES_MAX: Final = 1_024
BEHIND_MAX: Final = 64
"""A block so far below the certified head is old news and goes nowhere."""


class Seal(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What proves a block: the headers that follow it up to a certified one, none for itself, and the certificate."""

    headers: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=HEADER_BYTES_MAX)], ...],
        msgspec.Meta(max_length=HEADERS_IN_SEAL_MAX),
    ]
    certificate: FinalityCertificate


class Statement(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The body of a head: what the signatures in its seal say."""

    epoch: Natural
    height: Natural
    block_hash: Bytes32
    epoch_end: Natural


class Signatures(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The seal of a head."""

    signatures: Annotated[tuple[tuple[Natural, Bytes64], ...], msgspec.Meta(max_length=VALIDATORS_MAX)]


class Known(msgspec.Struct, frozen=True):
    """What the judging node knows."""

    network_id: bytes
    epoch: int
    keys: tuple[bytes, ...]
    """Of the epoch's validators, in order of index."""
    certified_height: int


class Judged(msgspec.Struct, frozen=True):
    """A verdict, and what was read of a payload that is valid."""

    verdict: Verdict
    reason: str = ""
    height: int = 0
    certificate: FinalityCertificate | None = None
    headers: tuple[bytes, ...] = ()


def block_payload(block: bytes, headers: Sequence[bytes], certificate: FinalityCertificate) -> Publish:
    """Make what is published of a block: the block where it fits, else its certified head."""
    limits = LIMITS[Kind.BLOCK]
    if len(block) <= limits.body_bytes_max and len(headers) <= HEADERS_IN_SEAL_MAX:
        seal = encode(Seal(tuple(headers), certificate))
        if len(seal) <= limits.seal_bytes_max:
            return Publish(Kind.BLOCK, block, seal)
    statement = Statement(certificate.epoch, certificate.height, bytes(certificate.block_hash), certificate.epoch_end)
    return Publish(Kind.HEAD, encode(statement), encode(Signatures(certificate.signatures)))


def judge_block(known: Known, body: bytes, encoded_seal: bytes) -> Judged:
    """Judge a block and its seal. The signatures of its transactions are checked by whoever executes it."""
    try:
        seal = decode(encoded_seal, Seal)
        header = decode_block(body).header
    except (CodecError, InvalidBlock) as error:
        return Judged(Verdict.INVALID, str(error)[:200])
    height = header.height
    # By the body alone: what is ignored is not looked at again, and anybody can put another seal on a good block.
    if reason := _of_no_interest(known, header.epoch, height):
        return Judged(Verdict.IGNORED, reason)
    trust = Trust(known.network_id, known.epoch, known.keys, "certified")
    try:
        check_range(trust, height, height, [body], seal.headers, seal.certificate)
    except InvalidBlock as refusal:
        return Judged(Verdict.INVALID, refusal.message[:200])
    return Judged(Verdict.VALID, "", height, seal.certificate, seal.headers)


def judge_head(known: Known, body: bytes, encoded_seal: bytes) -> Judged:
    """Judge a certificate without its block."""
    try:
        statement, seal = decode(body, Statement), decode(encoded_seal, Signatures)
    except CodecError as error:
        return Judged(Verdict.INVALID, str(error)[:200])
    certificate = FinalityCertificate(
        statement.epoch, statement.height, statement.block_hash, statement.epoch_end, seal.signatures
    )
    if reason := _of_no_interest(known, certificate.epoch, certificate.height):
        return Judged(Verdict.IGNORED, reason)
    wrong = verify_certificate(known.network_id, known.keys, certificate)
    if wrong is not None:
        return Judged(Verdict.INVALID, wrong)
    return Judged(Verdict.VALID, "", certificate.height, certificate)


def _of_no_interest(known: Known, epoch: int, height: int) -> str:
    """Return why this node cannot judge a payload for `height`, or need not; empty when it can."""
    if epoch != known.epoch:
        return f"of epoch {epoch}, which is not {known.epoch}"
    if height + BEHIND_MAX <= known.certified_height:
        return f"block {height} is old news"
    return ""

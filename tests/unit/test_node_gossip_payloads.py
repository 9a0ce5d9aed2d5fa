"""What gossip carries: a block is what the validators of the epoch vouch for, or it goes nowhere."""

from __future__ import annotations

import msgspec
import pytest

from ledger.block import decode_block
from ledger.chain import Chain
from ledger.state.store import MemoryStore
from node.chain_service import ChainService
from node.gossip_payloads import BEHIND_MAX, Known, Seal, block_payload, judge_block, judge_head
from p2p.gossip.engine import Publish, Verdict
from p2p.gossip.messages import LIMITS, Kind, payload_id
from primitives.codec import decode, encode
from primitives.finality import FinalityCertificate
from simulation.cluster import seeded_key
from tests.unit.test_node_chain_service_ranges import GENESIS, NETWORK_ID, certify, extend

KEYS = tuple(seeded_key("validator", index).public_key for index in range(4))
KNOWN = Known(NETWORK_ID, 0, KEYS, 0)


@pytest.fixture(scope="module")
def service() -> ChainService:
    chain = Chain.open(MemoryStore(), GENESIS)
    extend(chain, 6)
    for height in (3, 6):
        chain.add_certificate(certify(chain, height))
    return ChainService(chain)


def published(service: ChainService, height: int) -> Publish:
    blocks, headers, certificate = service.blocks(height, height)
    assert certificate is not None
    return block_payload(blocks[0], headers, certificate)


@pytest.mark.parametrize(("height", "certified"), [(3, 3), (2, 3), (4, 6)])
def test_a_block_is_vouched_for_by_the_next_certificate(service: ChainService, height: int, certified: int) -> None:
    made = published(service, height)
    assert made.kind is Kind.BLOCK
    judged = judge_block(KNOWN, made.body, made.seal)
    assert (judged.verdict, judged.height) == (Verdict.VALID, height), judged.reason
    assert judged.certificate is not None
    assert judged.certificate.height == certified
    assert len(judged.headers) == certified - height


def test_other_signatures_make_the_same_payload(service: ChainService) -> None:
    made = published(service, 3)
    seal = decode(made.seal, Seal)
    other = msgspec.structs.replace(seal.certificate, signatures=seal.certificate.signatures[:3])
    again = block_payload(made.body, seal.headers, other)
    assert payload_id(again.kind, again.body) == payload_id(made.kind, made.body)


def test_every_mutation_of_a_block_or_its_seal_is_refused(service: ChainService) -> None:
    """N8: no byte of what a peer passes on is taken on trust."""
    made = published(service, 2)
    for field in ("body", "seal"):
        data = getattr(made, field)
        for position in range(0, len(data), 7):
            for change in (1, 0x80):
                mutated = bytearray(data)
                mutated[position] ^= change
                sent = msgspec.structs.replace(made, **{field: bytes(mutated)})
                judged = judge_block(KNOWN, sent.body, sent.seal)
                assert judged.verdict is not Verdict.VALID, (field, position, change)


def test_a_good_block_under_a_seal_of_another_epoch_is_blamed_on_its_sender(service: ChainService) -> None:
    """N8: the seal is not under the id. Were this ignored, which costs nothing, the good payload of the same id would
    be taken for known when it comes."""
    made = published(service, 3)
    seal = decode(made.seal, Seal)
    foreign = msgspec.structs.replace(seal, certificate=msgspec.structs.replace(seal.certificate, epoch=7))
    assert judge_block(KNOWN, made.body, encode(foreign)).verdict is Verdict.INVALID


def test_what_cannot_be_judged_here_is_ignored_and_blames_nobody(service: ChainService) -> None:
    made = published(service, 3)
    later = msgspec.structs.replace(KNOWN, epoch=1)
    assert judge_block(later, made.body, made.seal).verdict is Verdict.IGNORED
    ahead = msgspec.structs.replace(KNOWN, certified_height=3 + BEHIND_MAX)
    assert judge_block(ahead, made.body, made.seal).verdict is Verdict.IGNORED
    almost = msgspec.structs.replace(KNOWN, certified_height=2 + BEHIND_MAX)
    assert judge_block(almost, made.body, made.seal).verdict is Verdict.VALID, "known here, and news to others"


def test_a_block_with_anothers_seal_or_body_is_refused(service: ChainService) -> None:
    third, sixth = published(service, 3), published(service, 6)
    assert judge_block(KNOWN, third.body, sixth.seal).verdict is Verdict.INVALID
    block, other = decode_block(third.body), decode_block(sixth.body)
    swapped = encode(msgspec.structs.replace(block, batches=other.batches))
    assert judge_block(KNOWN, swapped, third.seal).verdict is Verdict.INVALID
    foreign = msgspec.structs.replace(KNOWN, keys=KEYS[::-1])
    assert judge_block(foreign, third.body, third.seal).verdict is Verdict.INVALID


def test_a_block_too_large_for_gossip_is_published_as_its_head(service: ChainService) -> None:
    _, headers, certificate = service.blocks(3, 3)
    assert certificate is not None
    made = block_payload(bytes(LIMITS[Kind.BLOCK].body_bytes_max + 1), headers, certificate)
    assert made.kind is Kind.HEAD
    judged = judge_head(KNOWN, made.body, made.seal)
    assert judged.verdict is Verdict.VALID
    assert judged.certificate == certificate
    forged = FinalityCertificate(0, 3, bytes(32), 0, certificate.signatures)
    lie = block_payload(bytes(LIMITS[Kind.BLOCK].body_bytes_max + 1), headers, forged)
    assert judge_head(KNOWN, lie.body, lie.seal).verdict is Verdict.INVALID
    assert judge_head(KNOWN, b"rubbish", made.seal).verdict is Verdict.INVALID
    assert judge_head(msgspec.structs.replace(KNOWN, epoch=2), made.body, made.seal).verdict is Verdict.IGNORED


def test_the_largest_seal_fits_into_its_bound(service: ChainService) -> None:
    """A hundred and twenty-eight validators sign, and a few headers lie between."""
    _, headers, certificate = service.blocks(4, 4)
    assert certificate is not None
    signatures = tuple((index, bytes(64)) for index in range(128))
    large = msgspec.structs.replace(certificate, signatures=signatures)
    made = block_payload(b"block", headers, large)
    assert made.kind is Kind.BLOCK
    assert len(made.seal) <= LIMITS[Kind.BLOCK].seal_bytes_max

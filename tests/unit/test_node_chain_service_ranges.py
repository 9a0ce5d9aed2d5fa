"""Ranges of blocks between nodes: what is served, what is taken, and whose fault it is when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sync_kit import take

from ledger.block import Block, BlockBatch, block_hash, decode_block
from ledger.chain import Chain, ExecutedBlock
from ledger.errors import Damage, StorageError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import network_id, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.state.store import MemoryStore
from ledger.transaction import build
from node.chain_service import BlocksTaken, ChainService
from node.wire import BLOCKS_PER_ANSWER_MAX, BlocksAnswer, decode_sync, encode_sync
from primitives.codec import encode
from primitives.finality import FinalityCertificate, finality_statement
from simulation.cluster import make_genesis, seeded_key
from simulation.world import START_MS

GENESIS = make_genesis(4)
NETWORK_ID = network_id(GENESIS)
ACCOUNTS = [organization_account(NETWORK_ID, account) for account in GENESIS.accounts]
HEIGHT = 100
CERTIFIED = (3, 90)
"""Heights with a certificate of their own: the gap is longer than an answer."""


def certify(chain: Chain, height: int) -> FinalityCertificate:
    header = chain.header(height)
    assert header is not None
    hashed = block_hash(header)
    statement = finality_statement(NETWORK_ID, 0, height, hashed, 0)
    signatures = tuple((index, seeded_key("validator", index).sign(statement)) for index in range(3))
    return FinalityCertificate(0, height, hashed, 0, signatures)


def extend(chain: Chain, heights: int, amount: int = 1) -> None:
    for _ in range(heights):
        height = chain.height + 1
        data = build(
            network_id=NETWORK_ID,
            sender=ACCOUNTS[0],
            key=seeded_key("account", 0),
            operations=[Transfer(ACCOUNTS[1], amount)],
            expires_at_ms=START_MS + 60_000,
            salt=height.to_bytes(16, "big"),
        )
        chain.execute(height, DecidedProposal(0, START_MS + height), [DecidedBatch(0, height, (data,))])


def new_chain() -> Chain:
    return Chain.open(MemoryStore(), GENESIS)


@pytest.fixture(scope="module")
def source() -> ChainService:
    chain = new_chain()
    extend(chain, HEIGHT)
    for height in CERTIFIED:
        chain.add_certificate(certify(chain, height))
    return ChainService(chain)


def taken(blocks: Sequence[bytes], trail: Sequence[bytes], certificate: FinalityCertificate | None) -> BlocksTaken:
    return take(ChainService(new_chain()), blocks, trail, certificate)


@pytest.mark.parametrize(
    ("first", "last", "blocks", "trail"),
    [
        (1, 3, 3, 0),
        (1, 2, 2, 1),
        (1, 1_000, BLOCKS_PER_ANSWER_MAX, 90 - BLOCKS_PER_ANSWER_MAX),
        (4, 5, 2, 85),
        (85, 100, 6, 0),
        (91, 100, 0, 0),
        (101, 200, 0, 0),
    ],
)
def test_certified_blocks_are_served_with_the_headers_up_to_the_next_certificate(
    source: ChainService, first: int, last: int, blocks: int, trail: int
) -> None:
    """A gap without certificates, longer than an answer, must not end a laggard's way."""
    found, headers, certificate = source.blocks(first, last)
    assert (len(found), len(headers)) == (blocks, trail)
    assert (certificate is None) == (not blocks)
    message = BlocksAnswer(7, tuple(found), tuple(headers), certificate, 0, 90)
    assert decode_sync(encode_sync(message)) == message


def test_a_new_chain_reaches_the_certified_height_over_the_gap(source: ChainService) -> None:
    chain = new_chain()
    service = ChainService(chain)
    reached = []
    while chain.height < 90:
        blocks, trail, certificate = source.blocks(chain.height + 1, 90)
        assert certificate is not None
        result = take(service, blocks, trail, certificate)
        assert result.refusal is None
        assert [one.block.header.height for one in result.results] == list(
            range(chain.height - len(blocks) + 1, chain.height + 1)
        )
        reached.append((chain.height, chain.certified_height))
    assert reached == [(64, 0), (90, 90)], "below a certificate's height nothing is certified yet"


def test_who_catches_up_keeps_certificates_however_its_ranges_lie() -> None:
    """L8: the source has few, each in the middle of a range; without them the next newcomer could not be served."""
    chain = new_chain()
    extend(chain, 300)
    for height in (*range(64, 300, 64), 300):
        chain.add_certificate(certify(chain, height))
    first = ChainService(chain)
    behind = new_chain()
    extend(behind, 29)
    second = ChainService(behind)
    while behind.height < 300:
        assert take(second, *first.blocks(behind.height + 1, 300)).refusal is None
    kept = [height for height in range(301) if behind.certificate(height) is not None]
    assert kept == [128, 192, 256, 300]
    assert all(len(second.serve(height, 300).headers) <= 128 for height in range(1, 301))


def test_damage_in_the_middle_of_a_group_loses_none_of_the_blocks_before_it(
    source: ChainService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D7: the request is made again when the damage is mended, and must find no block only in memory."""
    store = MemoryStore()
    chain = Chain.open(store, GENESIS)
    service, replay, met = ChainService(chain), chain.replay, []

    def meets_damage(block: Any, **options: Any) -> ExecutedBlock:
        if block.header.height == 3 and len(met) < 2:
            met.append(block)
            raise Damage(b"s", b"t", "a record cannot be read", physical=False)
        return replay(block, **options)

    monkeypatch.setattr(chain, "replay", meets_damage)
    answer = source.blocks(1, 3)
    assert [one.block.header.height for one in take(service, *answer).results] == [1, 2]
    assert Chain.open(store, GENESIS).height == 2
    with pytest.raises(Damage):
        take(service, *answer)
    assert [one.block.header.height for one in take(service, *answer).results] == [3]
    assert (chain.certified_height, Chain.open(store, GENESIS).head_hash) == (3, chain.head_hash)


def test_nothing_is_written_on_top_of_a_group_that_was_lost(
    source: ChainService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D6: the disk was full, and has room again before the ledger is opened anew."""
    store = MemoryStore()
    chain = Chain.open(store, GENESIS)
    with monkeypatch.context() as patch:

        def full(*_: Any, **__: Any) -> None:
            raise StorageError("storage.full", "no space left on device")

        patch.setattr(store, "write_batch", full)
        with pytest.raises(StorageError):
            take(ChainService(chain), *source.blocks(1, 3))
    with pytest.raises(StorageError, match="opened again"):
        extend(chain, 1)
    with pytest.raises(StorageError, match="opened again"):
        chain.add_certificate(certify(chain, 0))
    assert Chain.open(store, GENESIS).height == 0


def test_blocks_that_are_there_already_are_no_fault(source: ChainService) -> None:
    chain = new_chain()
    extend(chain, 2)
    result = take(ChainService(chain), *source.blocks(1, 3))
    assert result.refusal is None
    assert [one.block.header.height for one in result.results] == [3]


def test_a_wrong_body_spoils_the_answer(source: ChainService) -> None:
    """L13: it is found before any block of the answer is executed."""
    blocks, trail, certificate = source.blocks(1, 3)
    third = decode_block(blocks[2])
    batch = third.batches[0]
    for wrong in (
        Block(third.header, ()),
        Block(third.header, (BlockBatch(batch.author, batch.number + 1, batch.transactions, batch.marks),)),
        Block(third.header, (BlockBatch(batch.author, batch.number, (b"junk",), b"\x00"),)),
        Block(third.header, (BlockBatch(batch.author, batch.number, batch.transactions, b"\x04"),)),
    ):
        result = taken([*blocks[:2], encode(wrong)], trail, certificate)
        assert result.results == ()
        assert result.refusal is not None
        assert result.refusal.code == "sync.body"


@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("junk", "block.malformed"),
        ("junk header", "block.malformed"),
        ("nothing", "sync.certificate"),
        ("order", "sync.broken_chain"),
        ("hole", "sync.broken_chain"),
        ("gap", "sync.gap"),
        ("other certificate", "sync.certificate"),
        ("few signatures", "sync.certificate"),
        ("other epoch", "sync.epoch"),
    ],
)
def test_what_is_not_a_certified_range_changes_nothing(source: ChainService, case: str, code: str) -> None:
    """L13, I12"""
    blocks, trail, certificate = source.blocks(1, 6)
    assert certificate is not None
    match case:
        case "junk":
            blocks = [b"junk", *blocks[1:]]
        case "junk header":
            trail = [b"junk", *trail[1:]]
        case "nothing":
            blocks, trail = [], []
        case "order":
            blocks = [blocks[1], blocks[0], *blocks[2:]]
        case "hole":
            trail = trail[1:]
        case "gap":
            blocks = blocks[1:]
        case "other certificate":
            certificate = source.certificate(3)
        case "few signatures":
            certificate = FinalityCertificate(0, 90, certificate.block_hash, 0, certificate.signatures[:2])
        case _:
            certificate = FinalityCertificate(1, 90, certificate.block_hash, 0, certificate.signatures)
    chain = new_chain()
    assert certificate is not None
    result = take(ChainService(chain), blocks, trail, certificate)
    assert (result.results, chain.height) == ((), 0)
    assert result.refusal is not None
    assert result.refusal.code == code


@pytest.mark.parametrize("own_height", [1, 3])
def test_a_certified_chain_that_is_not_ours_is_our_own_fault(source: ChainService, own_height: int) -> None:
    """S13: this node diverged, at the head or below; no peer is to blame."""
    chain = new_chain()
    extend(chain, own_height, amount=2)
    blocks, trail, certificate = source.blocks(1, 3)
    assert certificate is not None
    result = take(ChainService(chain), blocks, trail, certificate)
    assert result.refusal is not None
    assert result.refusal.code == "sync.diverged"
    assert chain.height == own_height

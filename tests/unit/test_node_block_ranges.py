"""Certified ranges: whose signatures are verified, what a bad one means, and that execution finds every mark again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from ledger_core_kit import Kit, Put, certify
from sync_kit import Laggard, served, take, trust_of

from ledger.block import Block, BlockBatch, Mark, block_hash, decode_block
from ledger.chain import Chain
from ledger.errors import Damage, InvalidBlock
from ledger.execution import DecidedBatch
from ledger.state.store import MemoryStore
from node.block_ranges import CheckedRange, SignaturePolicy, check_range
from node.chain_service import BlocksTaken, ChainService
from node.wire import BlocksAnswer, BlocksRequest
from primitives.codec import encode
from primitives.finality import FinalityCertificate


def forge(data: bytes) -> bytes:
    """Spoil a transaction's signature, its last bytes."""
    return data[:-1] + bytes([data[-1] ^ 1])


def lying_quorum(*, verified: bytes) -> Kit:
    """A chain of one block with a good and a forged transaction, whose quorum takes signatures for what `verified`
    says."""
    kit = Kit()
    good, bad = kit.transaction(Put(b"good", 1)), forge(kit.transaction(Put(b"bad", 2)))
    kit.execute_batches([DecidedBatch(0, 1, (good, bad), verified)])
    kit.chain.add_certificate(certify(kit.chain, 1))
    return kit


def checked(kit: Kit, policy: SignaturePolicy) -> CheckedRange:
    blocks, trail, certificate = ChainService(kit.chain).blocks(1, 1)
    assert certificate is not None
    return check_range(trust_of(kit.chain, signatures=policy), 1, 1, blocks, trail, certificate)


def empty_chain(kit: Kit) -> Chain:
    return Chain.open(MemoryStore(), kit.genesis, kit.registry)


@pytest.mark.parametrize("policy", ["verify", "certified"])
def test_a_bad_signature_that_was_marked_is_found_again(policy: SignaturePolicy) -> None:
    """What did not execute is judged anew in either mode: nobody's word is taken for a mark."""
    kit = lying_quorum(verified=b"")
    block = kit.chain.block(1)
    assert block is not None
    assert block.batches[0].marks == bytes([Mark.EXECUTED, Mark.BAD_SIGNATURE])
    found = checked(kit, policy)
    assert [one.verified for one in found.blocks] == [(b"\x01\x00",)]
    chain = empty_chain(kit)
    taken = ChainService(chain).take_blocks(found.blocks, found.certificate)
    assert (taken.refusal, chain.head_hash) == (None, kit.chain.head_hash)


def test_a_certified_block_that_executes_a_bad_signature_is_a_divergence() -> None:
    """S13: no single peer can bring this about. A quorum broke the rule, or this node's check is wrong: it stops."""
    kit = lying_quorum(verified=b"\x01\x01")
    with pytest.raises(InvalidBlock, match="signature is bad") as caught:
        checked(kit, "verify")
    assert caught.value.code == "sync.diverged"


def test_with_certified_signatures_a_quorum_is_taken_at_its_word() -> None:
    """The price of the option, which is why it is not the default."""
    kit = lying_quorum(verified=b"\x01\x01")
    found = checked(kit, "certified")
    chain = empty_chain(kit)
    taken = ChainService(chain).take_blocks(found.blocks, found.certificate)
    assert (taken.refusal, chain.head_hash) == (None, kit.chain.head_hash)


@pytest.mark.parametrize("policy", ["verify", "certified"])
def test_a_mark_that_the_header_does_not_cover_is_the_senders_fault(policy: SignaturePolicy) -> None:
    """L13: also where nobody looks at signatures, what is executed is what was certified."""
    kit = lying_quorum(verified=b"")
    (data,), trail, certificate = ChainService(kit.chain).blocks(1, 1)
    assert certificate is not None
    block = decode_block(data)
    batch = block.batches[0]
    swapped = Block(block.header, (BlockBatch(batch.author, batch.number, batch.transactions, bytes(2)),))
    with pytest.raises(InvalidBlock) as caught:
        check_range(trust_of(kit.chain, signatures=policy), 1, 1, [encode(swapped)], trail, certificate)
    assert caught.value.code == "sync.body"


def test_without_the_workers_verdict_the_executor_verifies_by_itself() -> None:
    kit = lying_quorum(verified=b"\x01\x01")
    block = kit.chain.block(1)
    assert block is not None
    with pytest.raises(InvalidBlock) as caught:
        empty_chain(kit).replay(block, block_hash(block.header))
    assert caught.value.code == "block.mismatch"


def test_a_lying_quorum_ends_the_node_and_accuses_no_peer() -> None:
    kit = lying_quorum(verified=b"\x01\x01")
    service = ChainService(kit.chain)

    def conduct(request: BlocksRequest) -> BlocksAnswer:
        found = service.serve(request.first, request.last)
        return BlocksAnswer(request.request, found.blocks, found.headers, found.certificate, found.oldest, found.newest)

    node = Laggard("a")
    node.synchronizer.need(certify(kit.chain, 1), ["a"])
    node.answer(*node.asked(), conduct)
    assert [error.code for error in node.diverged] == ["sync.diverged"]
    assert (node.kit.chain.height, node.links.complaints) == (0, [])
    asked = len(node.links.sent)
    node.clock.advance(60_000)
    assert len(node.links.sent) == asked


@pytest.mark.parametrize(
    ("first", "last", "code"), [(2, 64, "sync.range"), (1, 9, "sync.range"), (1, 10, ""), (1, 64, "")]
)
def test_a_range_is_what_was_asked_for_or_the_beginning_of_it(first: int, last: int, code: str) -> None:
    """L13"""
    node = Laggard()
    answer = served(1, 1, 10)
    assert answer.certificate is not None
    found = ""
    try:
        check_range(trust_of(node.kit.chain), first, last, answer.blocks, answer.headers, answer.certificate)
    except InvalidBlock as refusal:
        found = refusal.code
    assert found == code


def test_a_group_of_blocks_is_written_at_once_and_the_store_says_the_same_as_one_by_one() -> None:
    """R3: the whole group is there, or nothing of it."""

    class Counting(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.writes: list[bool] = []

        def write_batch(self, changes, *, sync: bool = True) -> None:  # type: ignore[no-untyped-def]
            self.writes.append(sync)
            super().write_batch(changes, sync=sync)

    def contents(store: MemoryStore) -> Sequence[tuple[bytes, bytes]]:
        return list(store.iterate(b""))

    node = Laggard()
    answer = served(1, 1, 64)
    together, apart = Counting(), Counting()
    chains = [Chain.open(store, node.kit.genesis, node.kit.registry) for store in (together, apart)]
    together.writes.clear()
    assert take(ChainService(chains[0]), answer.blocks, answer.headers, answer.certificate).refusal is None
    assert together.writes == [True]
    for height in range(1, 65):
        one = served(1, height, height)
        assert take(ChainService(chains[1]), one.blocks, one.headers, one.certificate).refusal is None
    assert contents(together) == contents(apart)
    assert chains[0].head_hash == Chain.open(together, node.kit.genesis, node.kit.registry).head_hash


def test_what_a_refusal_leaves_of_a_group_is_written_and_the_chain_goes_on() -> None:
    """R3, S13: good blocks before a bad one are the chain's, in memory as on disk."""
    kit = Kit()
    kit.execute(kit.transaction(Put(b"key", 1)))
    first = kit.chain.block(1)
    assert first is not None
    store = MemoryStore()
    chain = Chain.open(store, kit.genesis, kit.registry)
    with pytest.raises(InvalidBlock), chain.group():  # noqa: PT012 - the first is good, and stays
        chain.replay(first)
        chain.replay(first)
    again = Chain.open(store, kit.genesis, kit.registry)
    assert chain.head_hash == again.head_hash == kit.chain.head_hash


class Decaying(MemoryStore):
    """A store of which one read, the `fails_at`-th, meets damage, which is mended before the next."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.fails_at = -1

    def _read(self, key: bytes) -> None:
        self.reads += 1
        if self.reads == self.fails_at:
            raise Damage(key, key + b"\x00", "lost", physical=False)

    def get(self, key: bytes) -> bytes | None:
        self._read(key)
        return super().get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self._read(max(prefix, start))
        return super().iterate(prefix, start)


def test_damage_amid_synchronized_blocks_leaves_none_out() -> None:
    """D1, R3: whichever read meets it, the next request goes on where the store is, and each block is answered once."""
    kit = Kit()
    for number in range(12):
        kit.execute(kit.transaction(Put(b"key %d" % (number % 6), number)))
    for height in (6, 12):
        kit.chain.add_certificate(certify(kit.chain, height))

    def behind() -> tuple[Decaying, Chain]:
        """A node that has the first half, and has just started: what the second half changes is on the disk only."""
        store = Decaying()
        take(ChainService(Chain.open(store, kit.genesis, kit.registry)), *asked(1, 6))
        chain = Chain.open(store, kit.genesis, kit.registry)
        store.reads = 0
        return store, chain

    def asked(first: int, last: int) -> tuple[list[bytes], list[bytes], FinalityCertificate | None]:
        return ChainService(kit.chain).blocks(first, last)

    def hashes(taken: BlocksTaken) -> list[bytes]:
        assert taken.refusal is None
        return [result.block.block_hash for result in taken.results]

    sound, whole = behind()
    expected = hashes(take(ChainService(whole), *asked(7, 12)))
    assert len(expected) == 6
    reads, contents = sound.reads, list(sound.iterate(b""))
    amid = 0
    for fails_at in range(1, reads + 1):
        store, chain = behind()
        service, store.fails_at = ChainService(chain), fails_at
        told: list[bytes] = []
        with suppress(Damage):
            told += hashes(take(service, *asked(7, 12)))
        assert len(told) == chain.height - 6
        amid += 6 < chain.height < 12
        assert told + hashes(take(service, *asked(7, 12))) == expected
        assert list(store.iterate(b"")) == contents
        assert Chain.open(store, kit.genesis, kit.registry).head_hash == whole.head_hash
    assert amid > 3

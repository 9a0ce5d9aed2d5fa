"""A chain over its store: opening, certifying, replaying, and refusing what is damaged or foreign."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ledger_core_kit import REGISTRY, VALIDATORS, AdvanceClock, Kit, Put, PutIfAbove, Schedule, certify, make_genesis

from ledger.block import Mark, block_hash, decode_block, encode_block
from ledger.chain import Chain
from ledger.errors import InvalidBlock, InvalidTransaction, LedgerError, StorageError
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.parameters import Parameters
from ledger.state.proofs import verify_state_proof
from ledger.state.store import LevelStore, MemoryStore
from ledger.transaction import decode_transaction
from primitives.finality import FinalityCertificate


def busy(kit: Kit, blocks: int, seed: int = 1) -> list[bytes]:
    """Execute `blocks` blocks of mixed fortune; return all transactions sent."""
    rng = random.Random(seed)
    sent: list[bytes] = []
    for _ in range(blocks):
        batches = []
        kit.now_ms += rng.choice((1, 50, 3_000))
        for author in range(rng.randint(0, 3)):
            transactions = [
                kit.transaction(
                    rng.choice(
                        [
                            Put(b"%d" % rng.randint(0, 9), rng.randint(0, 99)),
                            PutIfAbove(b"%d" % rng.randint(0, 9), rng.randint(0, 99)),
                            Schedule(kit.now_ms + rng.randint(1, 9_000), rng.randbytes(3)),
                            AdvanceClock(rng.randint(0, 10)),
                        ]
                    ),
                    owner=rng.randint(0, 2),
                    salt=rng.randbytes(16),
                    expires_at_ms=kit.now_ms + rng.choice((30_000, 60_000, 0, 200_000)),
                )
                for _ in range(rng.randint(1, 4))
            ]
            if sent:
                transactions.append(rng.choice(sent))
            sent += transactions
            batches.append(DecidedBatch(author, kit.chain.height, tuple(transactions)))
        kit.execute_batches(batches)
    return sent


def test_a_replay_from_genesis_equals_the_live_chain(tmp_path: Path) -> None:
    """X2: the blocks, written to a file and executed by another chain, lead to the same headers, receipts and state."""
    live = Kit()
    busy(live, 40)
    with (tmp_path / "blocks").open("wb") as file:
        for height in range(1, live.chain.height + 1):
            data = live.chain.encoded_block(height)
            assert data is not None
            file.write(len(data).to_bytes(4, "big") + data)
    other = Chain.open(LevelStore(tmp_path / "db"), live.genesis, REGISTRY)
    with (tmp_path / "blocks").open("rb") as file:
        while size := file.read(4):
            other.replay(file.read(int.from_bytes(size, "big")))
    assert other.head == live.chain.head
    for height in range(live.chain.height + 1):
        assert other.header(height) == live.chain.header(height)
        assert other.archive.results(height) == live.chain.archive.results(height)
    assert list(other.view().iterate(b"")) == list(live.chain.view().iterate(b""))
    marks = {mark for height in range(1, 41) for batch in live.chain.block(height).batches for mark in batch.marks}  # type: ignore[union-attr]
    assert {Mark.EXECUTED, Mark.DUPLICATE, Mark.EXPIRED, Mark.TOO_EARLY} <= marks, "the run exercised what it is for"


def test_a_reopened_chain_goes_on_as_one_that_never_stopped(tmp_path: Path) -> None:
    """R3: a chain closed after any block resumes there, knows the executed ids, and reaches the same roots."""
    steady, broken = Kit(), Kit(LevelStore(tmp_path / "db"))
    sent: list[bytes] = []
    for round_ in range(5):
        sent += busy(steady, 4, seed=round_)
        for height in range(broken.chain.height + 1, steady.chain.height + 1):
            broken.chain.replay(steady.chain.encoded_block(height) or b"")
        broken.store.close()
        broken = Kit(LevelStore(tmp_path / "db"))
        assert broken.chain.head == steady.chain.head
        for data in sent:
            transaction = decode_transaction(data, REGISTRY)
            ours = broken.chain.admission_error(transaction, steady.now_ms)
            theirs = steady.chain.admission_error(transaction, steady.now_ms)
            assert (ours and ours.code) == (theirs and theirs.code)
    replayed = steady.execute(*sent[-20:])
    again = broken.chain.replay(steady.chain.encoded_block(steady.chain.height) or b"")
    assert again.block_hash == replayed.block_hash
    broken.store.close()


class FailingStore(MemoryStore):
    """Fails the batch whose number comes up: nothing of it is written, as LevelDB promises."""

    fail_at = -1

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:
        if self.fail_at == 0:
            self.fail_at = -1
            raise StorageError("storage.failed", "no space left on device")
        self.fail_at -= 1
        super().write_batch(changes, sync=sync)


def test_a_failed_write_leaves_the_old_head_and_the_block_can_be_executed_again() -> None:
    """R3, D4: state, block and height are one batch, so a failure leaves none of them."""
    store = FailingStore()
    kit = Kit(store)
    kit.execute(kit.transaction(Put(b"k", 1)))
    head = kit.chain.head
    data = kit.transaction(Put(b"k", 2))
    store.fail_at = 0
    with pytest.raises(StorageError):
        kit.execute(data)
    assert kit.chain.head == head
    reopened = Chain.open(store, kit.genesis, REGISTRY)
    assert reopened.head == head
    executed = kit.execute(data)
    assert [outcome.mark for outcome in executed.outcomes] == [Mark.EXECUTED]
    assert Chain.open(store, kit.genesis, REGISTRY).head == executed.header


def test_a_state_that_does_not_match_its_header_is_refused() -> None:
    """D1: a changed, lost or added state record is found when the chain opens."""
    for change in (
        {b"stoy/k": b"\x00" * 8},
        {b"stoy/k": None},
        {b"stoy/x": b"1"},
        {b"h" + (1).to_bytes(8, "big"): None},
    ):
        kit = Kit()
        kit.execute(kit.transaction(Put(b"k", 1)))
        kit.store.write_batch(change)
        with pytest.raises(StorageError) as caught:
            Chain.open(kit.store, kit.genesis, REGISTRY)
        assert caught.value.code == "storage.damaged"


def test_a_record_lost_while_the_chain_runs_is_an_error_and_not_an_absence() -> None:
    """D1: LevelDB can lose a record silently; the tree knows that it must be there."""
    kit = Kit()
    kit.execute(kit.transaction(Put(b"k", 1)))
    reopened = Chain.open(kit.store, kit.genesis, REGISTRY)
    kit.store.write_batch({b"stoy/k": None})
    with pytest.raises(StorageError) as caught:
        reopened.view().get(b"toy/k")
    assert caught.value.code == "storage.damaged"
    assert reopened.view().get(b"toy/never") is None


def test_another_networks_store_and_another_format_are_refused() -> None:
    kit = Kit()
    with pytest.raises(StorageError) as caught:
        Chain.open(kit.store, make_genesis(name="another"), REGISTRY)
    assert caught.value.code == "storage.foreign"
    kit.store.write_batch({b"m/format": b"\x63"})
    with pytest.raises(StorageError) as caught:
        Chain.open(kit.store, kit.genesis, REGISTRY)
    assert caught.value.code == "storage.format"


def test_a_block_changed_anywhere_does_not_replay_into_another() -> None:
    """Every byte of a block is committed to by its header, those of transactions that did not execute included.

    The marks are not believed but computed: a changed mark changes nothing.
    """
    live = Kit()
    stale = live.transaction(Put(b"k", 1), expires_at_ms=1)
    live.execute(live.transaction(Put(b"k", 2)), stale, b"\xff junk")
    data = live.chain.encoded_block(1)
    assert data is not None
    refused = 0
    for index in range(len(data)):
        other = Kit()
        changed = data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :]
        try:
            other.chain.replay(changed, expected_hash=live.chain.head_hash)
        except InvalidBlock:
            refused += 1
            assert other.chain.height == 0
        else:
            assert other.chain.encoded_block(1) == data
    assert refused == len(data) - 3


def test_a_block_refers_to_its_parent() -> None:
    first, second = Kit(), Kit()
    first.execute(first.transaction(Put(b"k", 1)))
    second.execute(second.transaction(Put(b"k", 2)))
    first.execute()
    with pytest.raises(InvalidBlock) as caught:
        second.chain.replay(first.chain.encoded_block(2) or b"")
    assert caught.value.code == "block.mismatch"


def test_certificates_are_checked_and_kept(tmp_path: Path) -> None:
    """I4: a quorum of the epoch's set over our block; certified_height follows the highest and survives reopening."""
    kit = Kit(LevelStore(tmp_path / "db"))
    for _ in range(3):
        kit.execute()
    assert kit.chain.certified_height == 0
    kit.chain.add_certificate(kit.certificate(2))
    kit.chain.add_certificate(kit.certificate(1, (1, 2, 3)))
    assert kit.chain.certified_height == 2
    assert kit.chain.certificate(1) == kit.certificate(1, (1, 2, 3))
    assert kit.chain.certificate(3) is None
    second = kit.certificate(2)
    kit.store.close()
    reopened = Kit(LevelStore(tmp_path / "db"))
    assert reopened.chain.certified_height == 2
    assert reopened.chain.certificate(2) == second
    reopened.store.close()


def test_wrong_certificates_are_refused() -> None:
    """S12, P3: too few, repeated, strangers', one bad signature among enough good ones, another block or epoch."""
    kit = Kit()
    kit.execute()
    other = Kit()
    other.execute(other.transaction(Put(b"k", 1)))
    good = kit.certificate(1, (0, 1, 2, 3))
    network = certify(Kit(genesis=make_genesis(salt="cd" * 32)).chain, 0)

    def changed(**fields: Any) -> FinalityCertificate:
        values = {name: getattr(good, name) for name in good.__struct_fields__}
        return FinalityCertificate(**(values | fields))

    signatures = good.signatures
    cases = {
        "certificate.signatures": [
            changed(signatures=()),
            changed(signatures=signatures[:2]),
            changed(signatures=(signatures[0], signatures[0], signatures[1])),
            changed(signatures=signatures[::-1]),
            changed(signatures=(*signatures[:3], (3, bytes(64)))),
            changed(signatures=(*signatures[:2], (2, signatures[3][1]))),
            changed(signatures=(*signatures[:2], (4, signatures[2][1]))),
        ],
        "certificate.block": [other.certificate(1), changed(block_hash=bytes(32))],
        "certificate.height": [changed(height=2)],
        "certificate.epoch": [changed(epoch=1)],
    }
    assert network.block_hash != good.block_hash
    for code, certificates in cases.items():
        for certificate in certificates:
            with pytest.raises(InvalidBlock) as caught:
                kit.chain.add_certificate(certificate)
            assert caught.value.code == code
    assert kit.chain.certified_height == 0
    assert kit.chain.certificate(1) is None
    kit.chain.add_certificate(good)


def test_the_validator_set_is_the_genesis_set_in_order() -> None:
    kit = Kit()
    members = kit.chain.validators(0)
    assert [member.signing_key for member in members] == [key.public_key for key in VALIDATORS]
    assert kit.chain.validators(1) == ()
    assert kit.chain.head.validator_set_hash == kit.chain.head.next_validator_set_hash
    assert kit.chain.head.epoch_end == 0


def test_proofs_of_the_head_verify_under_its_state_root() -> None:
    kit = Kit()
    kit.execute(kit.transaction(Put(b"k", 7)))
    root = kit.chain.head.state_root
    verify_state_proof(root, b"toy/k", (7).to_bytes(8, "big"), kit.chain.prove(b"toy/k"))
    verify_state_proof(root, b"toy/none", None, kit.chain.prove(b"toy/none"))


def test_a_block_survives_its_encoding() -> None:
    kit = Kit()
    kit.execute(kit.transaction(Put(b"k", 7)), b"junk")
    block = kit.chain.block(1)
    assert block is not None
    assert decode_block(encode_block(block)) == block
    assert block_hash(block.header) == kit.chain.head_hash
    assert kit.chain.block(2) is None
    assert kit.chain.header(2) is None


def test_too_many_remembered_ids_close_admission_but_not_execution() -> None:
    """The bound `replay_ids_max`: admission refuses with a code that means "later"."""
    kit = Kit(genesis=make_genesis(parameters=Parameters(replay_ids_max=10_000)))
    kit.chain._replay.add((index.to_bytes(32, "big") for index in range(10_000)), kit.now_ms + 600_000, kit.now_ms)
    data = kit.transaction(Put(b"k", 1))
    error = kit.chain.admission_error(decode_transaction(data, REGISTRY), kit.now_ms)
    assert error is not None
    assert not isinstance(error, InvalidTransaction)
    assert error.code == "ledger.replay_ids_full"
    assert kit.execute(data).transactions_executed == 1
    kit.now_ms += 11 * 60_000
    kit.execute()
    assert len(kit.chain._replay) == 0


def test_a_reopened_chain_knows_the_ids_that_have_not_expired_and_no_others() -> None:
    """A7: those of each block until the last of them expires, at whatever time the chain is opened."""
    kit = Kit(genesis=make_genesis(parameters=Parameters(lifetime_ms=600_000)))
    soon = kit.transaction(Put(b"k", 1), expires_at_ms=kit.now_ms + 30_000)
    late = kit.transaction(Put(b"k", 2), expires_at_ms=kit.now_ms + 500_000)
    later = kit.transaction(Put(b"k", 3), expires_at_ms=kit.now_ms + 520_000)
    expiries = {soon: kit.now_ms + 30_000, late: kit.now_ms + 500_000, later: kit.now_ms + 520_000}
    for data in (soon, late):
        kit.execute(data)
    kit.execute(later, b"junk")
    for step_ms, held in ((0, 3), (40_000, 2), (450_000, 2), (20_000, 1), (30_000, 0)):
        kit.execute(step_ms=step_ms)
        reopened = Chain.open(kit.store, kit.genesis, REGISTRY)
        assert len(reopened._replay) == len(kit.chain._replay) == held
        for data, expires in expiries.items():
            if kit.chain.head.timestamp_ms < expires:
                assert decode_transaction(data, REGISTRY).id in reopened._replay


def test_queries_answer_with_values_for_json_or_a_typed_error() -> None:
    kit = Kit()
    executed = kit.execute(kit.transaction(Put(b"k", 7)), b"junk")
    kit.chain.add_certificate(kit.certificate(1))
    head = kit.chain.query("chain.head", {})
    assert (head.height, head.certified_height, head.block_hash) == (1, 1, executed.block_hash.hex())
    block = kit.chain.query("blocks.get", {"height": "1"})
    assert block == kit.chain.query("blocks.get", {})
    assert [mark.code for mark in block.transactions] == ["", "transaction.malformed"]
    assert block.certificate.signers == (0, 1, 2)
    transaction = kit.chain.query("transactions.get", {"id": executed.receipts[0].id.hex()})
    assert transaction.events == ({"type": "toy.written", "key": b"k".hex(), "value": 7},)
    assert (transaction.height, transaction.code) == (1, "")
    assert [validator.index for validator in kit.chain.query("validators.list", {})] == [0, 1, 2, 3]
    assert kit.chain.query("parameters.get", {}) == Parameters()
    assert kit.chain.query("toy.get", {"key": "k"}) == 7
    assert kit.chain.query("toy.get", {"key": "none", "default": "3"}) == 3
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("nothing", {}, "query.unknown"),
        ("blocks.get", {"height": "7"}, "query.not_found"),
        ("blocks.get", {"height": "-1"}, "query.argument"),
        ("blocks.get", {"height": "１２"}, "query.argument"),
        ("blocks.get", {"height": "9" * 5_000}, "query.argument"),
        ("blocks.get", {"size": "1"}, "query.argument"),
        ("transactions.get", {}, "query.argument"),
        ("transactions.get", {"id": "AB" * 32}, "query.argument"),
        ("transactions.get", {"id": "ab" * 32}, "query.not_found"),
        ("toy.get", {"key": "none"}, "query.not_found"),
        ("toy.get", {"key": ["k"]}, "query.argument"),
        ("toy.get", {"view": "x", "key": "k"}, "query.argument"),
    ]
    for name, arguments, code in wrong:
        with pytest.raises(LedgerError) as caught:
            kit.chain.query(name, arguments)
        assert caught.value.code == code, (name, arguments)


def test_the_null_proposal_makes_an_empty_block() -> None:
    kit = Kit()
    before = kit.chain.head
    executed = kit.chain.execute(1, DecidedProposal(None, 0), [])
    assert executed.header.proposer is None
    assert executed.header.timestamp_ms == before.timestamp_ms + 1
    assert executed.header.state_root == before.state_root

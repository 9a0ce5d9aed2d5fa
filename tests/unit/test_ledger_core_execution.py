"""What executes, what leaves a mark only, and what time a block has."""

from __future__ import annotations

from typing import Any

import pytest
from ledger_core_kit import OWNERS, START_MS, VALIDATORS, AdvanceClock, Kit, Put, PutIfAbove, Schedule, make_genesis

from ledger.block import Mark
from ledger.errors import InvalidBlock
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import validator_account
from ledger.parameters import Parameters
from ledger.transaction import SignedTransaction, decode_transaction
from primitives.codec import decode, encode
from primitives.keys import SigningKey


def marks(executed: Any) -> list[Mark]:
    return [outcome.mark for outcome in executed.outcomes]


def test_transactions_execute_in_order_of_batches_and_leave_receipts() -> None:
    kit = Kit()
    first, second, third = (kit.transaction(Put(b"k", value)) for value in (1, 2, 3))
    kit.now_ms += 1
    executed = kit.execute_batches([DecidedBatch(1, 7, (first, second)), DecidedBatch(0, 9, (third,))])
    assert marks(executed) == [Mark.EXECUTED] * 3
    assert [outcome.receipt for outcome in executed.outcomes] == [0, 1, 2]
    assert [receipt.id for receipt in executed.receipts] == [outcome.id for outcome in executed.outcomes]
    assert kit.chain.view().get(b"toy/k") == (3).to_bytes(8, "big")
    assert [record.size_bytes for record in executed.artifact_changes] == [1, 2, 3]
    status = kit.chain.transaction_status(executed.receipts[1].id)
    assert (status.state, status.height, status.receipt) == ("executed", 1, executed.receipts[1])
    block = kit.chain.block(1)
    assert block is not None
    assert [(batch.author, batch.number, batch.marks) for batch in block.batches] == [(1, 7, b"\0\0"), (0, 9, b"\0")]


def test_a_failed_transaction_leaves_its_receipt_and_nothing_else() -> None:
    """E5: a failing transaction amid a batch, whose handler wrote before it failed, is rolled back; others are not."""
    kit = Kit()
    kit.execute(kit.transaction(Put(b"a", 5)))
    executed = kit.execute(
        kit.transaction(Put(b"b", 1)),
        kit.transaction(Put(b"c", 9), PutIfAbove(b"a", 4)),
        kit.transaction(PutIfAbove(b"a", 6)),
    )
    assert marks(executed) == [Mark.EXECUTED] * 3
    assert [receipt.code for receipt in executed.receipts] == ["", "toy.not_above", ""]
    assert executed.receipts[1].events == ()
    assert [record.asset for record in executed.artifact_changes] == [b"b", b"a"]
    assert kit.chain.view().get(b"toy/c") is None
    assert kit.chain.view().get(b"toy/a") == (6).to_bytes(8, "big")
    assert kit.chain.transaction_status(executed.receipts[1].id).message == "4 is not above what is there"


def test_a_duplicate_executes_once_however_often_it_is_decided() -> None:
    """A6: one id through four authors, in one block and in later ones, executes once; its receipt never changes."""
    kit = Kit()
    data = kit.transaction(Put(b"k", 1))
    executed = kit.execute_batches([DecidedBatch(author, 0, (data,)) for author in range(4)])
    assert marks(executed) == [Mark.EXECUTED, Mark.DUPLICATE, Mark.DUPLICATE, Mark.DUPLICATE]
    again = kit.execute(data)
    assert marks(again) == [Mark.DUPLICATE]
    assert again.receipts == ()
    identifier = decode_transaction(data, kit.registry).id
    assert kit.chain.transaction_status(identifier).height == 1


@pytest.mark.parametrize(
    ("ahead_ms", "mark"),
    [
        (-1, Mark.EXPIRED),
        (0, Mark.EXPIRED),
        (1, Mark.EXECUTED),
        (120_000, Mark.EXECUTED),
        (120_001, Mark.TOO_EARLY),
        (2**62, Mark.TOO_EARLY),
    ],
)
def test_expiry_is_judged_by_block_time(ahead_ms: int, mark: Mark) -> None:
    """A7: block time < expiry <= block time + lifetime, whatever any clock says."""
    kit = Kit()
    block_time_ms = kit.now_ms + 100
    executed = kit.execute(kit.transaction(Put(b"k", 1), expires_at_ms=block_time_ms + ahead_ms))
    assert executed.header.timestamp_ms == block_time_ms
    assert marks(executed) == [mark]
    assert len(executed.receipts) == (mark is Mark.EXECUTED)


def test_an_id_cannot_execute_again_within_or_after_its_lifetime() -> None:
    """A7: the same id within its lifetime, at its end and later; the first receipt stays."""
    kit = Kit(genesis=make_genesis(parameters=Parameters(lifetime_ms=600_000)))
    expires = kit.now_ms + 600_000
    data = kit.transaction(Put(b"k", 1), expires_at_ms=expires)
    first = kit.execute(data)
    assert marks(first) == [Mark.EXECUTED]
    for when, mark in ((expires - 1, Mark.DUPLICATE), (expires, Mark.EXPIRED), (expires + 3_600_000, Mark.EXPIRED)):
        kit.now_ms = when
        assert marks(kit.execute(data, step_ms=0)) == [mark]
    assert kit.chain.transaction_status(first.receipts[0].id).height == 1


def test_a_bad_signature_burns_no_id() -> None:
    """A7: the same body with a bad signature first leaves a mark only, and the good one then executes."""
    kit = Kit()
    good = kit.transaction(Put(b"k", 1))
    signed = decode(good, SignedTransaction)
    bad = encode(SignedTransaction(signed.body, signed.signature[:-1] + bytes([signed.signature[-1] ^ 1])))
    executed = kit.execute(bad, good)
    assert marks(executed) == [Mark.BAD_SIGNATURE, Mark.EXECUTED]
    assert executed.outcomes[0].id == executed.outcomes[1].id
    assert executed.outcomes[0].receipt is None


def test_a_malleable_signature_makes_no_second_id() -> None:
    """A8: S + L over the same body is refused, and would have the same id anyway."""
    kit = Kit()
    good = kit.transaction(Put(b"k", 1))
    signed = decode(good, SignedTransaction)
    order = 2**252 + 27742317777372353535851937790883648493
    raised = (int.from_bytes(signed.signature[32:], "little") + order).to_bytes(32, "little")
    twin = encode(SignedTransaction(signed.body, signed.signature[:32] + raised))
    assert decode_transaction(twin, kit.registry).id == decode_transaction(good, kit.registry).id
    assert marks(kit.execute(twin, good, twin)) == [Mark.BAD_SIGNATURE, Mark.EXECUTED, Mark.DUPLICATE]


def test_strangers_foreign_and_malformed_transactions_leave_marks_only() -> None:
    """A7, A9: wrong network, unknown account, a key that is not the account's, re-encoded and random bytes."""
    kit = Kit()
    stranger = SigningKey(b"\x77" * 32)
    good = kit.transaction(Put(b"k", 1))
    long_form = b"\x92\xc5" + (len(decode(good, SignedTransaction).body)).to_bytes(2, "big") + good[3:]
    cases = {
        kit.transaction(Put(b"k", 2), network_id=bytes(32)): Mark.FOREIGN,
        kit.transaction(Put(b"k", 3), sender=bytes(32)): Mark.UNKNOWN_SIGNER,
        kit.transaction(Put(b"k", 4), key=stranger): Mark.UNKNOWN_SIGNER,
        long_form: Mark.MALFORMED,
        good + b"\x00": Mark.MALFORMED,
        good[:-1]: Mark.MALFORMED,
        b"": Mark.MALFORMED,
        b"\xff" * 40: Mark.MALFORMED,
        b"\x92" * 50_000: Mark.MALFORMED,
    }
    before = kit.chain.head
    executed = kit.execute(*cases)
    assert marks(executed) == list(cases.values())
    assert executed.receipts == ()
    assert executed.header.state_root == before.state_root
    assert kit.chain.view().get(b"toy/k") is None


def test_a_key_that_may_not_sign_the_operation_leaves_a_receipt() -> None:
    kit = Kit()
    account = validator_account(kit.network_id, kit.genesis.validators[0])
    executed = kit.execute(kit.transaction(Put(b"k", 1), sender=account, key=VALIDATORS[0]))
    assert [receipt.code for receipt in executed.receipts] == ["organizations.key_not_allowed"]
    assert kit.chain.view().get(b"toy/k") is None


def test_verified_transactions_are_not_verified_again_and_others_are() -> None:
    kit = Kit()
    good = kit.transaction(Put(b"k", 1))
    signed = decode(good, SignedTransaction)
    unsigned = encode(SignedTransaction(signed.body, bytes(64)))
    other = kit.transaction(Put(b"k", 2))
    batches = [DecidedBatch(0, 1, (unsigned, other), b"\x01\x00")]
    assert marks(kit.execute_batches(batches)) == [Mark.EXECUTED, Mark.EXECUTED]
    assert marks(kit.execute_batches([DecidedBatch(0, 2, (unsigned,))])) == [Mark.DUPLICATE]
    third = encode(SignedTransaction(decode(kit.transaction(Put(b"k", 3)), SignedTransaction).body, bytes(64)))
    assert marks(kit.execute_batches([DecidedBatch(0, 3, (third,), b"\x00")])) == [Mark.BAD_SIGNATURE]


def test_block_time_rises_by_at_least_one_and_follows_the_offset() -> None:
    """The proposal's timestamp cannot take time back; a development network's offset counts from the next block on."""
    kit = Kit()
    times = []
    for stamp in (START_MS + 50, START_MS + 50, 0, START_MS - 1_000_000):
        block = kit.chain.execute(kit.chain.height + 1, DecidedProposal(None, stamp), [])
        times.append(block.header.timestamp_ms)
    assert times == [START_MS + 50, START_MS + 51, START_MS + 52, START_MS + 53]
    kit.now_ms = START_MS + 60
    assert kit.execute(kit.transaction(AdvanceClock(5_000)), step_ms=0).header.timestamp_ms == START_MS + 60
    assert kit.execute(step_ms=40).header.timestamp_ms == START_MS + 5_100


def test_deadlines_are_swept_in_order_from_their_time_on_and_only_once() -> None:
    kit = Kit()
    at = START_MS + 10_000
    executed = kit.execute(
        kit.transaction(Schedule(at + 1, b"late"), Schedule(at, b"b"), Schedule(at, b"a"), Schedule(at, b"a"))
    )
    assert executed.next_deadline_ms == at
    kit.now_ms = at - 1
    assert kit.execute(step_ms=0).receipts == ()
    swept = kit.execute(step_ms=1)
    assert swept.header.timestamp_ms == at
    assert len(swept.receipts) == 2
    assert all(receipt.succeeded for receipt in swept.receipts)
    assert swept.next_deadline_ms == at + 1
    assert swept.transactions_executed == 0
    assert [key for key, _ in kit.chain.view().iterate(b"toy-rung/")] == [b"toy-rung/a", b"toy-rung/b"]
    later = kit.execute(step_ms=1)
    assert len(later.receipts) == 1
    assert later.next_deadline_ms is None
    assert kit.execute(step_ms=1).receipts == ()


def test_a_block_sweeps_a_bounded_number_of_deadlines() -> None:
    kit = Kit(genesis=make_genesis(parameters=Parameters(deadlines_per_block_max=3)))
    at = START_MS + 1_000
    kit.execute(kit.transaction(*[Schedule(at + index % 2, b"%d" % index) for index in range(7)]))
    kit.now_ms = at + 10
    assert [len(kit.execute().receipts) for _ in range(4)] == [3, 3, 1, 0]


def test_a_block_of_another_height_or_hash_changes_nothing() -> None:
    """Execution with an expected hash leaves no trace where the hash differs."""
    kit = Kit()
    kit.execute(kit.transaction(Put(b"k", 1)))
    before = (kit.chain.head, kit.chain.head_hash, dict(kit.store.iterate(b"")))
    data = kit.transaction(Put(b"k", 2))
    for height in (0, 1, 3):
        with pytest.raises(InvalidBlock) as caught:
            kit.chain.execute(height, DecidedProposal(0, kit.now_ms), [DecidedBatch(0, 0, (data,))])
        assert caught.value.code == "block.height"
    with pytest.raises(InvalidBlock) as caught:
        kit.execute(data, expected_hash=bytes(32))
    assert caught.value.code == "block.mismatch"
    assert (kit.chain.head, kit.chain.head_hash, dict(kit.store.iterate(b""))) == before
    assert marks(kit.execute(data)) == [Mark.EXECUTED]
    assert kit.chain.view().get(b"toy/k") == (2).to_bytes(8, "big")


def test_admission_says_what_execution_would() -> None:
    kit = Kit()
    done = kit.transaction(Put(b"k", 0))
    kit.execute(done)
    now = kit.now_ms
    account = validator_account(kit.network_id, kit.genesis.validators[0])
    cases = {
        done: "transaction.duplicate",
        kit.transaction(Put(b"k", 1)): None,
        kit.transaction(Put(b"k", 2), expires_at_ms=now): "transaction.expired",
        kit.transaction(Put(b"k", 3), expires_at_ms=now + 120_002): "transaction.expiry_too_far",
        kit.transaction(Put(b"k", 4), network_id=bytes(32)): "transaction.wrong_network",
        kit.transaction(Put(b"k", 5), sender=bytes(32)): "transaction.unknown_signer",
        kit.transaction(Put(b"k", 6), key=SigningKey(b"\x78" * 32)): "transaction.unknown_signer",
        kit.transaction(Put(b"k", 7), sender=account, key=VALIDATORS[0]): "organizations.key_not_allowed",
    }
    for data, code in cases.items():
        error = kit.chain.admission_error(decode_transaction(data, kit.registry), now)
        assert (None if error is None else error.code) == code
    assert OWNERS[0].public_key != OWNERS[1].public_key

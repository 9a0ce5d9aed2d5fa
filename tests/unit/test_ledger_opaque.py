"""Opaque bundles: their bytes, what becomes of them in a block, and that other networks know nothing of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgpack
import pytest
from ledger_core_kit import REGISTRY, Kit, Put, make_genesis

from ledger.block import Mark
from ledger.chain import Chain
from ledger.errors import InvalidGenesis, InvalidTransaction
from ledger.execution import DecidedBatch
from ledger.genesis import network_id, parse, write
from ledger.opaque import BUNDLE_BYTES_MAX, SALT_BYTES, build_bundle, decode_bundle, is_bundle
from ledger.parameters import Parameters
from ledger.state.store import LevelStore
from ledger.transaction import SALT_BYTES as TRANSACTION_SALT_BYTES
from ledger.transaction import TRANSACTION_BYTES_MAX, decode_transaction, transaction_id
from primitives.digest import tagged_hash

ALLOWED = make_genesis(parameters=Parameters(opaque_bundles=True))
SALT = bytes(range(16))


def opaque_kit(**options: Any) -> Kit:
    return Kit(genesis=ALLOWED, **options)


def bundle(kit: Kit, number: int = 0, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "network_id": kit.network_id,
        "expires_at_ms": kit.now_ms + 60_000,
        "salt": number.to_bytes(16, "big"),
        "payload": b"payload" * 10,
    }
    return build_bundle(**(fields | changes))


def marks(executed: Any) -> list[Mark]:
    return [outcome.mark for outcome in executed.outcomes]


def test_the_bytes_are_the_documented_array() -> None:
    data = build_bundle(network_id=bytes(32), expires_at_ms=99, salt=SALT, payload=b"abc")
    assert msgpack.unpackb(data) == ["opaque", 1, bytes(32), 99, SALT, b"abc"]
    assert msgpack.packb(["opaque", 1, bytes(32), 99, SALT, b"abc"]) == data
    assert decode_bundle(data).id == transaction_id(data) == tagged_hash("opaque-bundle", data)
    assert (BUNDLE_BYTES_MAX, SALT_BYTES) == (TRANSACTION_BYTES_MAX, TRANSACTION_SALT_BYTES)


def test_a_bundle_is_no_transaction_and_a_transaction_no_bundle() -> None:
    kit = Kit()
    signed, opaque = kit.transaction(Put(b"k", 1)), bundle(kit)
    assert (is_bundle(signed), is_bundle(opaque)) == (False, True)
    for refused in (lambda: decode_bundle(signed), lambda: decode_transaction(opaque, REGISTRY)):
        with pytest.raises(InvalidTransaction) as caught:
            refused()
        assert caught.value.code == "transaction.malformed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"network_id": bytes(31)}, "transaction.malformed"),
        ({"expires_at_ms": -1}, "transaction.malformed"),
        ({"expires_at_ms": 2**63}, "transaction.malformed"),
        ({"salt": bytes(15)}, "transaction.malformed"),
        ({"salt": bytes(17)}, "transaction.malformed"),
        ({"payload": "text"}, "transaction.malformed"),
        ({"payload": bytes(BUNDLE_BYTES_MAX)}, "transaction.too_large"),
    ],
)
def test_what_leaves_a_bound_is_not_built(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidTransaction) as caught:
        bundle(Kit(), **changes)
    assert caught.value.code == code


def test_what_is_not_canonical_is_refused() -> None:
    """A9: surplus items, other tags and versions, longer forms: one bundle has one encoding."""
    fields = ["opaque", 1, bytes(32), 99, SALT, b"abc"]
    good = msgpack.packb(fields)
    for bad in (
        msgpack.packb(["opaque", 2, *fields[2:]]),
        msgpack.packb(["Opaque", *fields[1:]]),
        msgpack.packb(["opaque", True, *fields[2:]]),
        msgpack.packb([*fields, 1]),
        msgpack.packb(fields[:-1]),
        good + b"\0",
        good[:-1],
        good[:-5] + b"\xc5\x00\x03abc",
        b"\xdc\x00\x06" + good[1:],
        b"\x96",
    ):
        with pytest.raises(InvalidTransaction) as caught:
            decode_bundle(bad)
        assert caught.value.code == "transaction.malformed"


def test_a_bundle_is_one_leaf_and_one_receipt_and_changes_no_state() -> None:
    kit = opaque_kit()
    before = kit.chain.head.state_root
    first, second = bundle(kit, 1), bundle(kit, 2)
    executed = kit.execute(first, second)
    assert marks(executed) == [Mark.EXECUTED] * 2
    assert [(receipt.id, receipt.code, receipt.events) for receipt in executed.receipts] == [
        (transaction_id(first), "", ()),
        (transaction_id(second), "", ()),
    ]
    assert executed.header.state_root == before
    assert kit.chain.transaction_status(transaction_id(second)).height == 1
    answer = kit.chain.query("transactions.get", {"id": transaction_id(second).hex()})
    assert (answer.height, answer.code, answer.events) == (1, "", ())
    shown = kit.chain.query("blocks.get", {"height": 1}).transactions
    assert [entry.id for entry in shown] == [transaction_id(first).hex(), transaction_id(second).hex()]


def test_the_roots_commit_to_every_byte_of_a_bundle() -> None:
    kit = opaque_kit()
    good = bundle(kit, 1)
    kit.execute(good)
    encoded = kit.chain.encoded_block(1)
    assert encoded is not None
    forged = encoded.replace(b"payload" * 10, b"PAYLOAD" * 10)
    assert forged != encoded
    fresh = opaque_kit()
    with pytest.raises(Exception, match=r"executes to"):
        fresh.chain.replay(forged)
    assert fresh.chain.replay(encoded).block_hash == kit.chain.head_hash


def test_bundles_and_transactions_share_a_block() -> None:
    kit = opaque_kit()
    executed = kit.execute(bundle(kit, 1), kit.transaction(Put(b"k", 7)), bundle(kit, 2))
    assert marks(executed) == [Mark.EXECUTED] * 3
    assert kit.chain.view().get(b"toy/k") == (7).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("changes", "mark"),
    [
        ({"network_id": bytes(32)}, Mark.FOREIGN),
        ({"expires_at_ms": 1}, Mark.EXPIRED),
        ({"expires_at_ms": 2**62}, Mark.TOO_EARLY),
    ],
)
def test_a_bundle_is_judged_as_a_transaction_is(changes: dict[str, Any], mark: Mark) -> None:
    """A7: another network's, or out of its time; the same answer at admission and in a block, and no receipt."""
    kit = opaque_kit()
    data = bundle(kit, **changes)
    refusal = kit.chain.admission_error(decode_bundle(data), kit.now_ms)
    assert refusal is not None
    assert refusal.code == mark.code
    executed = kit.execute(data)
    assert marks(executed) == [mark]
    assert executed.receipts == ()


def test_a_malformed_bundle_leaves_its_mark_only() -> None:
    kit = opaque_kit()
    executed = kit.execute(bundle(kit)[:-1], b"\x96")
    assert marks(executed) == [Mark.MALFORMED] * 2
    assert [outcome.id for outcome in executed.outcomes] == [None, None]
    assert executed.receipts == ()


def test_a_bundle_executes_once(tmp_path: Path) -> None:
    """A6: twice in a batch, in two batches, in two blocks, and after a restart."""
    store = LevelStore(tmp_path / "ledger")
    kit = opaque_kit(store=store)
    data = bundle(kit)
    kit.now_ms += 1
    executed = kit.execute_batches([DecidedBatch(0, 0, (data, data)), DecidedBatch(1, 0, (data,))])
    assert marks(executed) == [Mark.EXECUTED, Mark.DUPLICATE, Mark.DUPLICATE]
    assert marks(kit.execute(data)) == [Mark.DUPLICATE]
    store.close()
    store = LevelStore(tmp_path / "ledger")
    again = opaque_kit(store=store)
    assert again.chain.height == 2
    refusal = again.chain.admission_error(decode_bundle(data), again.now_ms)
    assert refusal is not None
    assert refusal.code == "transaction.duplicate"
    assert marks(again.execute(data)) == [Mark.DUPLICATE]
    store.close()


def test_other_networks_know_nothing_of_bundles() -> None:
    """The mark is that of any bytes that are no transaction, so a network that says nothing of bundles has the rules
    that it had before there were any."""
    for parameters in (Parameters(), Parameters(opaque_bundles=False)):
        kit = Kit(genesis=make_genesis(parameters=parameters))
        data = bundle(kit)
        refusal = kit.chain.admission_error(decode_bundle(data), kit.now_ms)
        assert refusal is not None
        assert refusal.code == "transaction.malformed"
        executed = kit.execute(data, b"junk")
        assert marks(executed) == [Mark.MALFORMED] * 2
        assert executed.receipts == ()
        shown = kit.chain.query("blocks.get", {"height": 1}).transactions
        assert [entry.code for entry in shown] == ["transaction.malformed"] * 2


def test_only_development_networks_allow_bundles() -> None:
    with pytest.raises(InvalidGenesis) as caught:
        make_genesis(parameters=Parameters(opaque_bundles=True), development=False)
    assert caught.value.code == "genesis.parameter"
    assert "opaque_bundles" in caught.value.message
    make_genesis(parameters=Parameters(opaque_bundles=False), development=False)


def test_a_genesis_that_does_not_speak_of_bundles_is_what_it_was() -> None:
    silent = make_genesis()
    assert b"opaque" not in write(silent)
    assert parse(write(silent)) == silent
    assert parse(write(ALLOWED)) == ALLOWED
    assert network_id(ALLOWED) != network_id(silent)
    chain = Chain.open(Kit(genesis=ALLOWED).store, ALLOWED, REGISTRY)
    assert chain.query("parameters.get", {}).opaque_bundles is True

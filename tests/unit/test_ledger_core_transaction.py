"""Building and decoding transactions: one encoding, stated bounds, typed errors."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_core_kit import OWNERS, REGISTRY, Kit, Put

from ledger.errors import InvalidTransaction
from ledger.transaction import (
    MEMO_BYTES_MAX,
    OPERATIONS_MAX,
    TRANSACTION_BYTES_MAX,
    SignedTransaction,
    build,
    decode_transaction,
    transaction_id,
)
from primitives.codec import decode, encode
from primitives.digest import tagged_hash

KIT = Kit()
SALT = bytes(range(16))


def refused(data: bytes) -> str:
    with pytest.raises(InvalidTransaction) as caught:
        decode_transaction(data, REGISTRY)
    return caught.value.code


def test_the_bytes_are_the_documented_arrays() -> None:
    """The reference decoder reads our format: two arrays, one inside the other as bytes."""
    data = KIT.transaction(Put(b"k", 5), salt=SALT, memo="hello", expires_at_ms=99)
    body_bytes, signature = msgpack.unpackb(data)
    assert msgpack.packb([body_bytes, signature]) == data
    body = msgpack.unpackb(body_bytes)
    assert body == [1, KIT.network_id, KIT.accounts[0], OWNERS[0].public_key, 99, SALT, [["toy.put", b"k", 5]], "hello"]
    assert msgpack.packb(body) == body_bytes
    assert transaction_id(data) == tagged_hash("transaction", body_bytes)


def test_what_was_built_is_decoded_and_verifies() -> None:
    data = KIT.transaction(Put(b"a", 1), Put(b"b", 2), memo="ü")
    transaction = decode_transaction(data, REGISTRY)
    assert transaction.verify()
    assert transaction.body.operations == (Put(b"a", 1), Put(b"b", 2))
    assert transaction.id == transaction_id(data)
    assert transaction.data == data
    assert KIT.transaction(Put(b"a", 1)) != KIT.transaction(Put(b"a", 1)), "a random salt tells equal ones apart"


def rebuilt(**changes: Any) -> bytes:
    """A signed transaction whose body fields (by position) are replaced."""
    body_bytes, signature = msgpack.unpackb(KIT.transaction(Put(b"k", 5), salt=SALT))
    body = msgpack.unpackb(body_bytes)
    for position, value in changes.items():
        body[int(position[1:])] = value
    return bytes(msgpack.packb([msgpack.packb(body), signature]))


@pytest.mark.parametrize(
    "changes",
    [
        {"_0": 2},
        {"_0": True},
        {"_1": b"short"},
        {"_2": "x" * 32},
        {"_3": bytes(33)},
        {"_4": -1},
        {"_4": 2**63},
        {"_4": 1.0},
        {"_5": bytes(15)},
        {"_6": []},
        {"_6": [["toy.put", b"k", 5]] * (OPERATIONS_MAX + 1)},
        {"_6": [["toy.unknown", b"k", 5]]},
        {"_6": [["toy.put", b"k"]]},
        {"_6": [["toy.put", b"k", 5, 6]]},
        {"_6": [["toy.put", b"k", -1]]},
        {"_6": [["toy.put", b"k", True]]},
        {"_6": [["toy.put", "k", 5]]},
        {"_7": "x" * (MEMO_BYTES_MAX + 1)},
        {"_7": "ü" * (MEMO_BYTES_MAX // 2 + 1)},
        {"_7": b"bytes"},
    ],
)
def test_bodies_out_of_bounds_are_refused(changes: dict[str, Any]) -> None:
    assert refused(rebuilt(**changes)) == "transaction.malformed"


def test_another_encoding_of_the_same_values_is_refused() -> None:
    """A9: over-long lengths and integers, surplus items, trailing bytes, maps for arrays."""
    data = KIT.transaction(Put(b"k", 5), salt=SALT)
    signed = decode(data, SignedTransaction)
    body = signed.body
    long_integer = body.replace(b"\xa7toy.put\xc4\x01k\x05", b"\xa7toy.put\xc4\x01k\xcc\x05")
    long_bytes = body.replace(b"\xc4\x01k", b"\xc5\x00\x01k")
    assert body not in (long_integer, long_bytes)
    for other in (long_integer, long_bytes, body + b"\x00", b"\x99" + body[1:] + b"\xc0", b""):
        assert refused(encode(SignedTransaction(other, signed.signature))) == "transaction.malformed"
    as_map = msgpack.packb({"body": body, "signature": signed.signature})
    for whole in (as_map, data + b"\xc0", msgpack.packb([body, signed.signature, 1]), msgpack.packb([body])):
        assert refused(whole) == "transaction.malformed"
        with pytest.raises(InvalidTransaction):
            transaction_id(whole)


def test_size_is_bounded_before_decoding() -> None:
    assert refused(bytes(TRANSACTION_BYTES_MAX + 1)) == "transaction.too_large"
    with pytest.raises(InvalidTransaction) as caught:
        KIT.transaction(Put(bytes(TRANSACTION_BYTES_MAX), 1))
    assert caught.value.code == "transaction.too_large"


@pytest.mark.parametrize(
    "options",
    [
        {"operations": ()},
        {"operations": (Put(b"k", 1),) * (OPERATIONS_MAX + 1)},
        {"operations": (Put(b"k", -1),)},
        {"memo": "ü" * 129},
        {"salt": bytes(4)},
        {"network_id": b"x"},
        {"expires_at_ms": -1},
    ],
)
def test_building_refuses_what_decoding_would(options: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "network_id": KIT.network_id,
        "sender": KIT.accounts[0],
        "key": OWNERS[0],
        "operations": (Put(b"k", 1),),
        "expires_at_ms": 1,
    }
    with pytest.raises(InvalidTransaction) as caught:
        build(**(fields | options))
    assert caught.value.code == "transaction.malformed"


@given(st.binary(max_size=400))
def test_arbitrary_bytes_give_a_typed_error(data: bytes) -> None:
    assert refused(data) == "transaction.malformed"


@given(st.data())
def test_no_changed_byte_yields_a_transaction_that_verifies(data: st.DataObject) -> None:
    """A9: every flipped byte is refused, or fails the signature."""
    original = KIT.transaction(Put(b"k", 5), salt=SALT)
    index = data.draw(st.integers(0, len(original) - 1))
    bit = data.draw(st.integers(0, 7))
    changed = original[:index] + bytes([original[index] ^ 1 << bit]) + original[index + 1 :]
    try:
        transaction = decode_transaction(changed, REGISTRY)
    except InvalidTransaction:
        return
    assert not transaction.verify()

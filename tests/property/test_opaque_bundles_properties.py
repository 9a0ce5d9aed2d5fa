"""Decoding of opaque bundles: whatever comes in, there is one value for its bytes or a typed refusal."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidTransaction
from ledger.opaque import build_bundle, decode_bundle, is_bundle
from ledger.transaction import decode_transaction, transaction_id

BUNDLES = st.builds(
    lambda network, expires, salt, payload: build_bundle(
        network_id=network, expires_at_ms=expires, salt=salt, payload=payload
    ),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=16, max_size=16),
    st.binary(max_size=300),
)


@given(BUNDLES, BUNDLES)
def test_ids_are_of_all_bytes(first: bytes, second: bytes) -> None:
    assert is_bundle(first)
    assert (transaction_id(first) == transaction_id(second)) == (first == second)


@given(BUNDLES, st.data())
def test_a_changed_byte_is_refused_or_another_bundle(data: bytes, chance: st.DataObject) -> None:
    """A9: every flipped bit is refused, or leads to another id."""
    position = chance.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[position] ^= 1 << chance.draw(st.integers(0, 7))
    try:
        decoded = decode_bundle(bytes(changed))
    except InvalidTransaction:
        return
    assert decoded.id != decode_bundle(data).id


def _beginnings(data: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(data)).map(lambda cut: data[:cut])


@given(st.one_of(st.binary(max_size=200), BUNDLES.flatmap(_beginnings)))
def test_bytes_are_never_both(data: bytes) -> None:
    """A9: no bytes are a bundle and a signed transaction, and nothing but a typed refusal comes of other bytes."""
    kinds = [_is(decode_bundle, data), _is(decode_transaction, data)]
    assert kinds != [True, True]
    assert is_bundle(data) or not kinds[0]


def _is(decode: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decode(data)
    except InvalidTransaction:
        return False
    return True

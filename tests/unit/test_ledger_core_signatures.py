"""A8: the edge cases of Ed25519 on which libraries differ have one verdict here, libsodium's.

The vectors are those of Chalkias, Garillot and Nikolaenko, "Taming the Many EdDSAs" (SSR 2020, DOI
10.1007/978-3-030-64357-7_4), as published in the repository novifinancial/ed25519-speccheck.
"""

from __future__ import annotations

import pytest
from ledger_core_kit import Kit, Put
from signature_vectors import VECTORS

from ledger.block import Mark
from ledger.transaction import SignedTransaction, TransactionBody, decode_transaction
from primitives.codec import decode, encode
from primitives.keys import InvalidPublicKey, check_public_key, verify


@pytest.mark.parametrize("index", range(12))
def test_the_speccheck_vectors_have_libsodiums_verdict(index: int) -> None:
    message, key, r, s, accepted, registered = VECTORS[index]
    assert verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(r + s)) is accepted
    try:
        check_public_key(bytes.fromhex(key))
    except InvalidPublicKey:
        assert not registered
    else:
        assert registered


def test_a_transaction_signed_for_a_small_order_key_does_not_execute() -> None:
    """The identity point signs anything under OpenSSL; here the transaction leaves a mark, whatever holds the key."""
    kit = Kit()
    body = decode_transaction(kit.transaction(Put(b"k", 1)), kit.registry).body
    identity = b"\x01" + bytes(31)
    forged = encode(
        TransactionBody(
            version=1,
            network_id=body.network_id,
            sender=body.sender,
            signer=identity,
            expires_at_ms=body.expires_at_ms,
            salt=body.salt,
            operations=body.operations,
            memo=body.memo,
        )
    )
    data = encode(SignedTransaction(forged, identity + bytes(32)))
    assert not decode_transaction(data, kit.registry).verify()
    assert [outcome.mark for outcome in kit.execute(data).outcomes] == [Mark.UNKNOWN_SIGNER]


def test_a_signature_made_for_another_purpose_is_no_transaction_signature() -> None:
    """S17: the domain is part of what is signed."""
    kit = Kit()
    signed = decode(kit.transaction(Put(b"k", 1)), SignedTransaction)
    from ledger_core_kit import OWNERS

    for prefix in (b"", b"guildmark/transaction\x00", b"guildmark/finality\x00"):
        data = encode(SignedTransaction(signed.body, OWNERS[0].sign(prefix + signed.body)))
        assert [outcome.mark for outcome in kit.execute(data).outcomes] == [Mark.BAD_SIGNATURE]

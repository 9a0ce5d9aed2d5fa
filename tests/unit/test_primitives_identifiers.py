"""Names in text: checksums, canonical spelling, refusals."""

from __future__ import annotations

import pytest

from primitives import bech32m, identifiers
from primitives.identifiers import InvalidIdentifier
from primitives.keys import SigningKey

# BIP-350, "Test vectors for Bech32m": the valid string without data.
VALID_EMPTY = ["a1lqfn3a"]
INVALID = [
    "a1lqfn3b",  # wrong checksum
    "a1LQFN3A",  # mixed case
    "1lqfn3a",  # no prefix
    "a1lqfn3",  # checksum too short
    "a1lqfnia",  # a foreign character
    "b1lqfn3a",  # another prefix
]


@pytest.mark.parametrize("text", VALID_EMPTY)
def test_the_published_vector_of_empty_data_holds(text: str) -> None:
    assert bech32m.encode("a", b"") == text
    assert bech32m.decode("a", text) == b""


@pytest.mark.parametrize("text", INVALID)
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(bech32m.Bech32Error):
        bech32m.decode("a", text)


def test_an_account_id_survives_text_and_any_single_typing_error_is_found() -> None:
    account = identifiers.account_id(bytes(32), "acme", SigningKey(bytes(32)).public_key, b"")
    text = identifiers.account_to_text(account)
    assert text.startswith("gm1")
    assert identifiers.account_from_text(text) == account
    for position in range(len(text)):
        other = "q" if text[position] != "q" else "p"
        with pytest.raises(InvalidIdentifier):
            identifiers.account_from_text(text[:position] + other + text[position + 1 :])


def test_an_account_differs_by_network_organization_key_and_salt() -> None:
    key, other = SigningKey(bytes(32)).public_key, SigningKey(bytes([1]) * 32).public_key
    accounts = {
        identifiers.account_id(bytes(32), "acme", key, b""),
        identifiers.account_id(bytes([1]) * 32, "acme", key, b""),
        identifiers.account_id(bytes(32), "apex", key, b""),
        identifiers.account_id(bytes(32), "acme", other, b""),
        identifiers.account_id(bytes(32), "acme", key, b"1"),
    }
    assert len(accounts) == 5


def test_a_did_key_is_the_one_of_the_method_specification() -> None:
    """The did:key method's Ed25519 example is the key of the all-zero seed."""
    key = SigningKey(bytes(32)).public_key
    text = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
    assert identifiers.key_to_text(key) == text
    assert identifiers.key_from_text(text) == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:web:example.org",
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW",  # a character short
        "did:key:zDnaerDaTF5BXEavCrfRZEk316dpbLsfPDZ3WJ5hRTPFU2169",  # a P-256 key
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0",  # 0 is not in base58
        "did:key:\ud800",
    ],
)
def test_other_did_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidIdentifier):
        identifiers.key_from_text(text)


def test_a_node_is_named_by_its_tls_key() -> None:
    first, second = (identifiers.node_id(SigningKey(bytes([i]) * 32).public_key) for i in (1, 2))
    assert first.startswith("gmnode1")
    assert first != second

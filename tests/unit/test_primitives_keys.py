"""One verify function, and what it refuses."""

from __future__ import annotations

import pytest

from primitives.keys import InvalidPublicKey, SigningKey, check_public_key, verify

# RFC 8032, section 7.1, tests 1 to 3: seed, public key, message, signature.
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
# Points whose order divides 8, in canonical and non-canonical encodings (RFC 7748 section 7; Chalkias et al. 2020).
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC8032)
def test_the_vectors_of_rfc_8032_hold(seed: str, public_key: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))
    assert key.public_key.hex() == public_key
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert verify(key.public_key, bytes.fromhex(message), bytes.fromhex(signature))


@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_small_order_keys_are_refused_at_registration_and_at_verification(encoded: str) -> None:
    """A8: under a small-order key the signature (identity, 0) would hold for any message."""
    key = bytes.fromhex(encoded)
    with pytest.raises(InvalidPublicKey):
        check_public_key(key)
    assert not verify(key, b"any message", bytes([1]) + bytes(63))
    assert not verify(key, b"any message", key + bytes(32))


def test_a_malleable_signature_is_refused() -> None:
    """A8: S + L would be a second signature of the same message."""
    key = SigningKey(bytes(32))
    signature = key.sign(b"message")
    s = int.from_bytes(signature[32:], "little") + GROUP_ORDER
    assert not verify(key.public_key, b"message", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_wrong_lengths_are_invalid_not_errors(length: int) -> None:
    key = SigningKey(bytes(32))
    assert not verify(key.public_key, b"message", bytes(length))
    assert not verify(bytes(length), b"message", key.sign(b"message"))


def test_every_flipped_bit_of_a_signature_is_found() -> None:
    key = SigningKey(bytes(32))
    signature = key.sign(b"message")
    for bit in range(0, 512, 7):
        damaged = bytearray(signature)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not verify(key.public_key, b"message", bytes(damaged))


def test_a_key_does_not_show_its_secret() -> None:
    key = SigningKey(bytes([7]) * 32)
    assert key.seed.hex() not in repr(key)

"""Digests, the codec, list roots, quorums and finality certificates."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated

import msgspec
import pytest

from primitives.codec import CodecError, decode, encode
from primitives.digest import tagged_hash
from primitives.finality import FinalityCertificate, finality_statement, verify_certificate
from primitives.keys import SigningKey
from primitives.list_root import list_root
from primitives.quorum import fault_bound, quorum, weak_quorum


class Pair(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    number: Annotated[int, msgspec.Meta(ge=0)]
    data: bytes


def test_tags_separate_domains() -> None:
    assert tagged_hash("a", b"x") != tagged_hash("b", b"x")
    assert tagged_hash("a", b"bx") != tagged_hash("ab", b"x")


def test_a_value_survives_its_encoding() -> None:
    assert decode(encode(Pair(7, b"x")), Pair) == Pair(7, b"x")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x92\x07",  # short
        b"\x92\x07\xc4\x01x\x00",  # trailing byte
        b"\x93\x07\xc4\x01x\xc0",  # a surplus item
        b"\x92\xcc\x07\xc4\x01x",  # 7 in two bytes
        b"\x92\x07\xc5\x00\x01x",  # bin16 for one byte
        b"\x92\xff\xc4\x01x",  # negative
        b"\x92\xc3\xc4\x01x",  # true is no integer
        b"\x92\xcb\x40\x1c\x00\x00\x00\x00\x00\x00\xc4\x01x",  # nor is 7.0
        b"\x92\x07\xa1x",  # text for bytes
        b"\x91" * 100_000,  # nesting
    ],
)
def test_bytes_that_are_not_the_one_encoding_are_refused(data: bytes) -> None:
    """A9: over-long integers and lengths, surplus items, other types."""
    with pytest.raises(CodecError):
        decode(data, Pair)


def test_list_roots_tell_lists_apart() -> None:
    """P1: order, length, grouping and odd leaves all count."""
    lists: list[list[bytes]] = [[], [b""], [b"", b""], [b"a"], [b"a", b"b"], [b"b", b"a"], [b"ab"]]
    lists += [[b"a", b"b", b"c"], [b"a", b"b", b"c", b"c"], [list_root([b"a", b"b"]), b"c"]]
    assert len({list_root(items) for items in lists}) == len(lists)


@pytest.mark.parametrize("n", range(1, 30))
def test_two_quorums_share_a_correct_replica_and_one_forms_without_the_faulty(n: int) -> None:
    f = fault_bound(n)
    assert 2 * quorum(n) - n > f
    assert quorum(n) <= n - f
    assert weak_quorum(n) == f + 1
    assert n == 1 or 3 * f < n


def test_two_f_plus_one_is_not_a_quorum_of_five() -> None:
    """S14: with n = 5 the shortcut gives 3, and two sets of 3 may share one replica only."""
    assert quorum(5) == 4
    assert min(len(set(a) & set(b)) for a in combinations(range(5), 3) for b in combinations(range(5), 3)) == 1


KEYS = [SigningKey(bytes([i]) * 32) for i in range(4)]
PUBLIC_KEYS = [key.public_key for key in KEYS]
NETWORK = bytes(range(32))
STATEMENT = finality_statement(NETWORK, 0, 9, bytes(32), 0)


def certificate(signers: list[int], statement: bytes = STATEMENT) -> FinalityCertificate:
    return FinalityCertificate(0, 9, bytes(32), 0, tuple((i, KEYS[i].sign(statement)) for i in signers))


def test_a_quorum_of_signatures_is_a_certificate() -> None:
    assert verify_certificate(NETWORK, PUBLIC_KEYS, certificate([0, 1, 3])) is None
    assert verify_certificate(NETWORK, PUBLIC_KEYS, certificate([0, 1, 2, 3])) is None


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (certificate([0, 1]), "needed"),
        (certificate([0, 1, 1]), "distinct"),
        (certificate([1, 0, 2]), "rising"),
        (certificate([0, 1, 2], finality_statement(NETWORK, 1, 9, bytes(32), 0)), "does not verify"),
        (certificate([0, 1, 2], finality_statement(NETWORK, 0, 8, bytes(32), 0)), "does not verify"),
        (certificate([0, 1, 2], finality_statement(NETWORK, 0, 9, bytes(32), 12)), "does not verify"),
        (certificate([0, 1, 2], finality_statement(bytes(32), 0, 9, bytes(32), 0)), "does not verify"),
    ],
)
def test_what_is_less_is_refused_with_the_reason(broken: FinalityCertificate, reason: str) -> None:
    """S8, S10, P3: repeated signers, another epoch, height or network."""
    verdict = verify_certificate(NETWORK, PUBLIC_KEYS, broken)
    assert verdict is not None
    assert reason in verdict


def test_one_bad_signature_spoils_a_certificate_that_could_spare_it() -> None:
    """S12: never count the good ones."""
    whole = certificate([0, 1, 2, 3])
    spoiled = msgspec.structs.replace(whole, signatures=(*whole.signatures[:3], (3, bytes(64))))
    assert verify_certificate(NETWORK, PUBLIC_KEYS, spoiled) is not None


def test_a_signer_outside_the_set_is_refused() -> None:
    """S9: a signature of an unknown index never counts, and never raises."""
    stranger = certificate([0, 1, 2])
    stranger = msgspec.structs.replace(stranger, signatures=(*stranger.signatures, (2**62, bytes(64))))
    assert verify_certificate(NETWORK, PUBLIC_KEYS, stranger) == f"signer {2**62} is not in a set of 4"

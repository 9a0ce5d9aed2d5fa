"""Certificates are checked signature by signature; evidence is judged alike by everyone."""

from __future__ import annotations

import msgspec
import pytest
from consensus_harness import VERIFIER, validator_set
from consensus_kit import (
    batch,
    certificate,
    checkpoint,
    commit,
    new_view,
    pre_prepare,
    prepare,
    prepared,
    proposal,
    signed,
    view_change,
)

from consensus.certificates import verify_prepared, verify_stable
from consensus.errors import Refusal
from consensus.evidence import Evidence, build_evidence, contradict, verify_evidence
from consensus.messages import PreparedCertificate, Signed
from primitives.codec import decode, encode
from primitives.finality import FinalityCertificate

A, B = batch(2, 1, b"a"), batch(2, 1, b"b")
X, Y = proposal(0, A), proposal(0, B)
GOOD = prepared(0, 5, X, (1, 2))


def test_a_quorum_of_distinct_signers_makes_a_prepared_certificate() -> None:
    verify_prepared(validator_set(4), VERIFIER, GOOD)
    verify_prepared(validator_set(4), VERIFIER, prepared(0, 5, X, (1, 2, 3)))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (prepared(0, 5, X, (1,)), "prepared_without_quorum"),
        (prepared(0, 5, X, (1, 1)), "prepared_by_repeated_signers"),
        (prepared(0, 5, X, (2, 1)), "prepared_by_repeated_signers"),
        (prepared(0, 5, X, (0, 1)), "prepared_by_repeated_signers"),
        (PreparedCertificate(GOOD.pre_prepare, (prepare(1, 0, 5, X), prepare(2, 0, 5, Y))), "prepared_votes_differ"),
        (PreparedCertificate(GOOD.pre_prepare, (prepare(1, 0, 5, X), prepare(2, 1, 5, X))), "prepared_votes_differ"),
        (PreparedCertificate(GOOD.pre_prepare, (prepare(1, 0, 5, X), prepare(2, 0, 6, X))), "prepared_votes_differ"),
        (PreparedCertificate(pre_prepare(0, 5, X, replica=3), GOOD.prepares), "prepared_not_by_the_primary"),
        (
            PreparedCertificate(
                GOOD.pre_prepare, (prepare(1, 0, 5, X), prepare(2, 0, 5, X), signed(prepare(3, 0, 5, X), key=2))
            ),
            "bad_signature",
        ),
        (PreparedCertificate(signed(GOOD.pre_prepare, key=1), GOOD.prepares), "bad_signature"),
    ],
)
def test_one_bad_vote_spoils_a_prepared_certificate(bad: PreparedCertificate, reason: str) -> None:
    """S4, S12: the good votes are never counted on their own, even where they would be enough."""
    with pytest.raises(Refusal, match=reason):
        verify_prepared(validator_set(4), VERIFIER, bad)


def replace_signature(good: FinalityCertificate, index: int, signature: bytes) -> FinalityCertificate:
    signatures = list(good.signatures)
    signatures[index] = (signatures[index][0], signature)
    return msgspec.structs.replace(good, signatures=tuple(signatures))


FINAL = certificate(9, b"\x09" * 32, (0, 1, 2, 3))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (certificate(9, b"\x09" * 32, (0, 1)), "bad_certificate"),
        (replace_signature(FINAL, 3, FINAL.signatures[2][1]), "bad_certificate"),
        (msgspec.structs.replace(FINAL, block_hash=b"\x08" * 32), "bad_certificate"),
        (msgspec.structs.replace(FINAL, height=10), "bad_certificate"),
        (msgspec.structs.replace(FINAL, signatures=FINAL.signatures[:2] + FINAL.signatures[1:2]), "bad_certificate"),
        (certificate(9, b"\x09" * 32, (0, 1, 7)), "bad_certificate"),
        (certificate(0, b"\x09" * 32), "bad_certificate"),
        (msgspec.structs.replace(FINAL, epoch=1), "other_epoch"),
    ],
)
def test_one_bad_signature_spoils_a_finality_certificate(bad: FinalityCertificate, reason: str) -> None:
    """S12, P3."""
    verify_stable(validator_set(4), VERIFIER, FINAL)
    with pytest.raises(Refusal, match=reason):
        verify_stable(validator_set(4), VERIFIER, bad)


@pytest.mark.parametrize(
    ("n", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (8, 6), (10, 7), (128, 86)]
)
def test_quorums_of_odd_sizes_intersect_in_a_correct_replica(n: int, quorum: int) -> None:
    """S14."""
    validators = validator_set(n)
    assert validators.quorum == quorum
    assert 2 * quorum - n > validators.fault_bound


CHANGE = view_change(1, 3)
CONTRADICTIONS: list[tuple[Signed, Signed]] = [
    (A, B),
    (pre_prepare(0, 5, X), pre_prepare(0, 5, Y)),
    (prepare(1, 0, 5, X), prepare(1, 0, 5, Y)),
    (commit(1, 0, 5, X), commit(1, 0, 5, Y)),
    (checkpoint(1, 5, b"\x01" * 32), checkpoint(1, 5, b"\x02" * 32)),
    (CHANGE, view_change(1, 3, GOOD)),
    (new_view(3, [CHANGE]), new_view(3, [])),
]


@pytest.mark.parametrize(("first", "second"), CONTRADICTIONS)
def test_contradicting_messages_are_evidence_whoever_saw_which_first(first: Signed, second: Signed) -> None:
    """S1, S18: only signed data, so two observers write the same bytes and everyone judges alike."""
    evidence = build_evidence(first, second)
    assert evidence == build_evidence(second, first)
    assert verify_evidence(validator_set(4), VERIFIER, evidence)
    assert evidence.culprit == first.replica
    assert decode(encode(evidence), Evidence) == evidence
    assert not verify_evidence(validator_set(4), VERIFIER, Evidence(evidence.second, evidence.first))


def test_evidence_about_batches_goes_without_their_items() -> None:
    assert all(not getattr(side, "items", ()) for side in msgspec.structs.astuple(build_evidence(A, B)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (A, A),
        (A, signed(msgspec.structs.replace(A, position=9))),
        (prepare(1, 0, 5, X), prepare(1, 0, 5, X)),
        (prepare(1, 0, 5, X), commit(1, 0, 5, Y)),
        (prepare(1, 0, 5, X), prepare(1, 1, 5, Y)),
        (prepare(1, 0, 5, X), prepare(1, 0, 6, Y)),
        (prepare(1, 0, 5, X), prepare(2, 0, 5, Y)),
        (prepare(1, 0, 5, X), signed(prepare(1, 0, 5, Y), key=2)),
        (checkpoint(1, 5, b"\x01" * 32), checkpoint(1, 6, b"\x02" * 32)),
        (CHANGE, msgspec.structs.replace(CHANGE, signature=b"\x05" * 64)),
        (batch(2, 1, b"a", epoch=1), B),
    ],
)
def test_forged_evidence_convinces_nobody(first: Signed, second: Signed) -> None:
    """S18: the same vote twice, votes that a correct replica may sign, votes signed by another."""
    evidence = build_evidence(first, second)
    assert not verify_evidence(validator_set(4), VERIFIER, evidence)


def test_a_second_signature_over_the_same_words_is_no_contradiction() -> None:
    assert not contradict(CHANGE, msgspec.structs.replace(CHANGE, signature=b"\x05" * 64))

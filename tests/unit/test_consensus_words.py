"""What a replica says it waits for: the votes that count, and nobody else's."""

from __future__ import annotations

from consensus_kit import Solo, certificate, checkpoint, commit, pre_prepare, prepare, proposal, signed

from consensus.messages import Status

X, Y = proposal(0), proposal(1)
BLOCK, OTHER = b"\x01" * 32, b"\x02" * 32


def test_votes_for_another_proposal_are_not_counted_as_prepares_or_commits() -> None:
    """S2, S11: with a split vote it would say that a quorum is there."""
    solo = Solo(1)
    solo.receive(pre_prepare(0, 1, X), prepare(2, 0, 1, Y))
    assert solo.replica.status().missing == ("sequence 1 has 2 of 3 prepares, none from replicas 2 and 3",)
    solo.receive(prepare(3, 0, 1, X), commit(2, 0, 1, Y), commit(0, 0, 1, X))
    assert solo.replica.status().missing == ("sequence 1 has 2 of 3 commits, none from replicas 2 and 3",)


def test_a_replica_that_is_behind_what_is_certified_says_so() -> None:
    """L6: also where it does not synchronize, because its decisions come late."""
    solo = Solo(1)
    solo.receive(signed(Status(0, 2, 0, 0, 9, certificate(9, BLOCK), (), 0, 0, 1, bytes(64))))
    assert solo.replica.status().highest_certified == 9
    solo.expire("status")
    assert solo.replica.status().missing == ("block 9 is certified, and block 0 the last that executed here",)


def test_signatures_under_another_block_are_not_counted_for_the_certificate() -> None:
    """S13: replica 3 signed something else, replica 2 nothing yet."""
    solo = Solo(1)
    solo.receive(pre_prepare(0, 1, X), prepare(2, 0, 1, X), commit(0, 0, 1, X), commit(2, 0, 1, X))
    solo.executed(1, BLOCK)
    solo.receive(checkpoint(0, 1, BLOCK), checkpoint(3, 1, OTHER))
    (sentence,) = solo.replica.status().missing
    assert sentence == "the certificate of block 1 has 2 of 3 signatures, none from replicas 2 and 3"

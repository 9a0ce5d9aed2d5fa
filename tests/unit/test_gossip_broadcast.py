"""The trees of gossip: what is pushed, announced, pulled, pruned, and never passed on."""

from __future__ import annotations

import pytest

from p2p.gossip.configuration import GossipConfiguration
from p2p.gossip.engine import Deliver, Misbehaved, Verdict, Verified, Verify
from p2p.gossip.messages import Announce, Graft, Kind, Payload, Prune
from tests.unit.gossip_kit import Solo, announced, block, block_id, only, peers, pushed, receivers, sent_to

QUIET = GossipConfiguration(
    recap_period_ms=60_000, shuffle_period_ms=3_600_000, rotation_period_ms=86_400_000, silence_ms=600_000
)
"""No periodic messages, so that a test sees the others."""
A, B, C = peers(3)


@pytest.fixture
def solo() -> Solo:
    made = Solo(configuration=QUIET)
    made.befriend(A, B, C)
    made.effects.clear()
    return made


def test_nothing_is_passed_on_before_the_host_found_it_valid(solo: Solo) -> None:
    first = solo.receive(A, pushed(block(1)))
    assert [verify.sender for verify in only(first, Verify)] == [A]
    assert receivers(first, Payload) == set()
    assert only(first, Deliver) == []
    then = solo.step(Verified(block_id(block(1)), Verdict.VALID))
    assert receivers(then, Payload) == {B, C}
    assert [(d.body, d.hops) for d in only(then, Deliver)] == [(block(1), 1)]
    assert sent_to(then, B, Payload)[0].hops == 2


def test_a_second_copy_prunes_the_link_and_is_charged(solo: Solo) -> None:
    solo.deliver(A, pushed(block(1)))
    assert sent_to(solo.receive(B, pushed(block(1))), B, Prune) == [Prune(Kind.BLOCK)]
    assert B in solo.core.status().lazy["block"]
    assert B in solo.core.status().eager["transaction"], "each kind has a tree of its own"
    # From now on B is told only.
    assert receivers(solo.deliver(A, pushed(block(2))), Payload) == {C}
    assert sent_to(solo.run(100), B, Announce)[0].entries[0].id == block_id(block(2))


def test_a_copy_while_the_first_is_being_verified_is_not_verified_again(solo: Solo) -> None:
    solo.receive(A, pushed(block(1)))
    again = solo.receive(B, pushed(block(1), seal=b"another quorum"))
    assert only(again, Verify) == []
    assert receivers(solo.step(Verified(block_id(block(1)), Verdict.VALID)), Payload) == {C}


def test_an_invalid_payload_goes_nowhere_and_is_pulled_from_another_that_has_it(solo: Solo) -> None:
    """N8: a bad piece is its sender's, and does not keep the good one out."""
    solo.receive(A, pushed(block(1), seal=b"forged"))
    solo.receive(B, announced(block(1)))
    effects = solo.step(Verified(block_id(block(1)), Verdict.INVALID))
    assert receivers(effects, Payload) == set()
    assert solo.core.status().refusals["invalid-payload"] == 1
    effects = solo.run(100)
    assert [graft.id for graft in sent_to(effects, B, Graft)] == [block_id(block(1))]
    assert sent_to(effects, A, Graft) == []
    assert only(solo.deliver(B, pushed(block(1), seal=b"good")), Deliver)[0].seal == b"good"


def test_who_repeats_a_bad_payload_is_not_asked_for_a_good_one(solo: Solo) -> None:
    """N8"""
    liar, honest = solo.active[:2]
    solo.receive(liar, pushed(block(1), seal=b"bad"))
    solo.receive(liar, pushed(block(1), seal=b"bad"))
    solo.receive(honest, announced(block(1), hops=4))
    solo.step(Verified(block_id(block(1)), Verdict.INVALID))
    effects = solo.run(100)
    assert receivers(effects, Graft) == {honest}


def test_bytes_that_do_not_hash_to_their_id_end_the_link(solo: Solo) -> None:
    lie = Payload(Kind.BLOCK, block_id(block(1)), 1, block(2), b"")
    effects = solo.receive(A, lie)
    assert only(effects, Verify) == []
    assert [named.peer for named in only(effects, Misbehaved)] == [A]
    assert A not in solo.active
    assert only(solo.receive(A, pushed(block(3))), Verify) == [], "nothing of it is looked at for a while"
    assert only(solo.deliver(B, pushed(block(1))), Deliver)


def test_what_is_announced_and_does_not_come_is_pulled(solo: Solo) -> None:
    solo.receive(B, announced(block(1), hops=3))
    solo.receive(C, announced(block(1), hops=2))
    assert receivers(solo.run(QUIET.pull_delay_ms - QUIET.tick_ms), Graft) == set()
    assert receivers(solo.run(3 * QUIET.tick_ms), Graft) == {C}, "the shorter way first"
    # C does not answer: it is charged, and B is asked.
    assert receivers(solo.run(QUIET.pull_timeout_ms + QUIET.tick_ms), Graft) == {B}
    assert solo.core.status().refusals["unanswered-pull"] == 1
    assert only(solo.deliver(B, pushed(block(1), hops=3)), Deliver)
    assert solo.core.status().missing == 0


def test_one_lost_push_leaves_the_tree_and_the_second_in_a_row_mends_it(solo: Solo) -> None:
    solo.deliver(A, pushed(block(0)))
    solo.receive(B, pushed(block(0)))  # pruned
    pulls = []
    for number in (1, 2):
        solo.receive(B, announced(block(number)))
        pulls += sent_to(solo.run(400), B, Graft)
        solo.deliver(B, pushed(block(number)))
    assert [pull.to_tree for pull in pulls] == [False, True]
    assert B in solo.core.status().eager["block"]


def test_after_a_pull_the_former_parent_is_told_and_not_sent_to(solo: Solo) -> None:
    solo.deliver(A, pushed(block(0)))
    solo.receive(B, pushed(block(0)))
    solo.receive(B, announced(block(1)))
    assert receivers(solo.run(400), Graft) == {B}
    assert receivers(solo.deliver(B, pushed(block(1))), Payload) == {C}
    assert receivers(solo.run(100), Announce) == {A}


def test_a_payload_is_served_to_who_pulls_it(solo: Solo) -> None:
    solo.publish(block(1), b"seal")
    served = sent_to(solo.receive(B, Graft(Kind.BLOCK, block_id(block(1)), to_tree=False)), B, Payload)
    assert served == [pushed(block(1), 1, b"seal")]
    assert sent_to(solo.receive(B, Graft(Kind.BLOCK, block_id(block(9)), to_tree=False)), B, Payload) == []


def test_several_publishers_of_one_payload_are_one(solo: Solo) -> None:
    assert receivers(solo.publish(block(1), b"one quorum"), Payload) == {A, B, C}
    assert solo.publish(block(1), b"another") == []
    # One that came by gossip first, and is published then.
    solo.deliver(A, pushed(block(2)))
    assert solo.publish(block(2)) == []


def test_what_the_host_ignored_is_neither_kept_nor_judged_again_and_can_be_published(solo: Solo) -> None:
    effects = solo.deliver(A, pushed(block(1)), Verdict.IGNORED)
    assert receivers(effects, Payload) == set()
    assert only(effects, Deliver) == []
    assert only(solo.receive(B, pushed(block(1))), Verify) == []
    assert receivers(solo.publish(block(1)), Payload) >= {C}


def test_a_shorter_way_becomes_the_tree(solo: Solo) -> None:
    solo.deliver(A, pushed(block(1), hops=6))
    solo.receive(B, pushed(block(1), hops=6))  # B is lazy now
    effects = solo.receive(B, announced(block(1), hops=2))
    assert sent_to(effects, B, Graft) == [Graft(Kind.BLOCK, None, to_tree=True)]
    assert sent_to(effects, A, Prune) == [Prune(Kind.BLOCK)]


def test_neighbors_are_told_of_the_latest_payloads_when_they_come_and_again_each_period() -> None:
    solo = Solo(configuration=QUIET)
    solo.befriend(A)
    solo.publish(block(1))
    solo.befriend(B)
    told = sent_to(solo.run(100), B, Announce)
    assert [entry.id for message in told for entry in message.entries] == [block_id(block(1))]
    again = sent_to(solo.run(QUIET.recap_period_ms + 1_000), A, Announce)
    assert [entry.id for message in again[:1] for entry in message.entries] == [block_id(block(1))]


def test_of_one_neighbor_only_so_many_payloads_wait_for_the_host(solo: Solo) -> None:
    """N8: what a sender makes the host verify is bounded."""
    for number in range(QUIET.verifying_per_peer_max + 5):
        solo.receive(A, pushed(block(number)))
    assert solo.core.status().verifying == QUIET.verifying_per_peer_max
    assert solo.core.status().refusals["too-many-unverified"] == 5
    assert only(solo.receive(B, pushed(block(1_000))), Verify), "others are not affected"

"""The normal case: what a primary proposes, what a backup accepts, when a sequence is prepared and decided."""

from __future__ import annotations

import msgspec
import pytest
from consensus_harness import FAST, START_MS, World
from consensus_kit import (
    Solo,
    batch,
    checkpoint,
    commit,
    of,
    pre_prepare,
    prepare,
    proposal,
    sent,
    settle,
    signed,
)

from consensus.engine import BatchClosed, EvidenceFound, Execute, Persist
from consensus.messages import NULL_PROPOSAL, PrePrepare, Proposal

A, B, C = batch(2, 1, b"a"), batch(3, 1, b"b"), batch(2, 2, b"c")
X, Y = proposal(0, A), proposal(0, B)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 8, 10])
def test_any_number_of_validators_orders_and_certifies(n: int) -> None:
    world = World(n)
    world.submit(0, b"a")
    world.submit(n - 1, b"b")
    assert world.run(1_000, world.all_have(b"a", b"b"))
    assert world.run(1_000, world.all_certified)
    assert world.views() == [0] * n


def test_a_single_validator_decides_within_one_step() -> None:
    solo = Solo(0, n=1)
    effects = solo.step(BatchClosed((b"a",)))
    assert [effect.sequence for effect in of(effects, Execute)] == [1]
    assert sent(effects, "commit") == []


def test_an_idle_network_makes_no_blocks_and_changes_no_view() -> None:
    world = World(4, configuration=msgspec.structs.replace(FAST, turn_ms=300))
    world.run(5_000)
    assert [host.ledger.height for host in world.hosts] == [0] * 4
    assert world.views() == [0] * 4


def test_a_heartbeat_makes_empty_blocks() -> None:
    world = World(4, configuration=msgspec.structs.replace(FAST, heartbeat_ms=100))
    world.run(1_000)
    assert min(host.ledger.height for host in world.hosts) >= 5


def test_a_batch_of_no_items_asks_for_a_block() -> None:
    world = World(4)
    world.submit(2)
    assert world.run(1_000, lambda: all(host.ledger.height == 1 for host in world.hosts))


def test_several_sequences_are_in_flight_up_to_the_pipeline_depth() -> None:
    solo = Solo(0, configuration=msgspec.structs.replace(FAST, pipeline_depth=3, proposal_spacing_ms=0))
    proposals = [
        message for number in range(6) for message in sent(solo.receive(batch(2, number + 1, b"x")), "pre-prepare")
    ]
    assert [message.sequence for message in proposals] == [1, 2, 3]
    assert solo.replica.status().batches_waiting == 3


def test_no_proposal_is_made_while_more_than_two_decided_sequences_await_execution() -> None:
    solo = Solo(0, configuration=msgspec.structs.replace(FAST, pipeline_depth=8, proposal_spacing_ms=0))
    for number in range(1, 4):
        (made,) = sent(solo.receive(batch(2, number, b"x")), "pre-prepare")
        solo.receive(*(prepare(replica, 0, number, made.proposal) for replica in (1, 2)))
        solo.receive(*(commit(replica, 0, number, made.proposal) for replica in (1, 2)))
    assert solo.replica.status().last_decided == 3
    assert sent(solo.receive(batch(2, 4, b"x")), "pre-prepare") == []
    assert len(sent(solo.executed(1, bytes(32)), "pre-prepare")) == 1


def test_while_anything_is_under_way_proposals_keep_their_distance() -> None:
    """L1: what arrives meanwhile goes together; a lone batch waits for nobody."""
    solo = Solo(0, configuration=msgspec.structs.replace(FAST, proposal_spacing_ms=100))
    (first,) = sent(solo.receive(batch(2, 1, b"x")), "pre-prepare")
    assert sent(solo.receive(batch(2, 2, b"x"), batch(3, 1, b"x")), "pre-prepare") == []
    solo.now_ms += 99
    assert sent(solo.receive(batch(1, 1, b"x")), "pre-prepare") == []
    solo.now_ms += 1
    (second,) = sent(solo.receive(batch(1, 2, b"x")), "pre-prepare")
    assert len(second.proposal.batches) == 4
    assert sent(solo.receive(batch(1, 3, b"x")), "pre-prepare") == []
    for made in (first, second):
        solo.receive(*(prepare(replica, 0, made.sequence, made.proposal) for replica in (1, 2)))
        effects = solo.receive(*(commit(replica, 0, made.sequence, made.proposal) for replica in (1, 2)))
        assert sent(effects, "pre-prepare") == []
    assert sent(solo.executed(1, bytes(32)), "pre-prepare") == []
    (third,) = sent(solo.executed(2, bytes(32)), "pre-prepare")
    assert len(third.proposal.batches) == 1


def test_the_watermarks_bound_what_a_primary_proposes() -> None:
    """The window bounds how far decisions may run ahead of certificates."""
    world = World(4, configuration=msgspec.structs.replace(FAST, window=8, pipeline_depth=64, execution_lag_max=64))
    world.filter = lambda sender, receiver, message: message.kind != "checkpoint"
    for number in range(40):
        world.submit(1, b"%d" % number)
        world.run(5)
    assert {host.replica.status().last_decided for host in world.hosts} == {8}


def test_proposals_are_filled_in_rounds_over_the_authors() -> None:
    """L5: a flooding author crowds nobody out."""
    configuration = msgspec.structs.replace(FAST, pipeline_depth=1, batches_per_proposal_max=4, proposal_spacing_ms=0)
    solo = Solo(0, configuration=configuration)
    solo.receive(batch(1, 1, b"first"))
    flood = [batch(1, number, b"x") for number in range(2, 12)]
    others = [batch(2, 1, b"y"), batch(3, 1, b"z")]
    solo.receive(*flood, *others)
    made = proposal(0, batch(1, 1, b"first"))
    solo.receive(*(prepare(replica, 0, 1, made) for replica in (1, 2)))
    effects = solo.receive(*(commit(replica, 0, 1, made) for replica in (1, 2)))
    (second,) = sent(effects, "pre-prepare")
    assert {others[0].digest, others[1].digest} < set(second.proposal.batches)
    assert len(second.proposal.batches) == 4


def test_a_backup_prepares_what_its_primary_proposes_once_it_holds_the_batches() -> None:
    solo = Solo(1)
    asked = solo.receive(pre_prepare(0, 1, X))
    assert sent(asked, "prepare") == []
    (request,) = sent(asked, "batch-request")
    assert request.digests == (A.digest,)
    effects = solo.receive(A)
    persisted = [index for index, effect in enumerate(effects) if isinstance(effect, Persist)]
    assert len(persisted) >= 2  # the batch, then the vote
    assert [vote.digest for vote in sent(effects, "prepare")] == [pre_prepare(0, 1, X).digest]


LATE, SOON = START_MS - 2_001, START_MS + 2_001


@pytest.mark.parametrize(
    ("offered", "reason"),
    [
        (pre_prepare(2, 1, X), ""),  # of a later view: kept, not accepted
        (pre_prepare(0, 1, X, replica=2), "not_the_primary"),
        (signed(pre_prepare(0, 1, X), key=2), "bad_signature"),
        (pre_prepare(0, 17, X), "outside_the_window"),
        (pre_prepare(0, 2**62, X), "outside_the_window"),
        (pre_prepare(0, 2, X), ""),  # its predecessor is not accepted yet
        (pre_prepare(0, 1, proposal(0, A, at_ms=LATE)), "timestamp_out_of_tolerance"),
        (pre_prepare(0, 1, proposal(0, A, at_ms=SOON)), "timestamp_out_of_tolerance"),
        (pre_prepare(0, 1, proposal(2, A)), "wrong_proposer"),
        (pre_prepare(0, 1, proposal(None, A)), "wrong_proposer"),
        (pre_prepare(0, 1, NULL_PROPOSAL), "wrong_proposer"),
        (pre_prepare(0, 1, proposal(0, A, A)), "repeated_batch"),
        (pre_prepare(0, 1, Proposal(0, START_MS, tuple(bytes([i]) * 32 for i in range(65)))), "too_many_batches"),
    ],
)
def test_a_backup_does_not_prepare_a_proposal_that_breaks_a_rule(offered: PrePrepare, reason: str) -> None:
    solo = Solo(1)
    effects = solo.receive(A, offered)
    assert sent(effects, "prepare") == []
    assert solo.refusals == ({reason: 1} if reason else {})


def test_a_batch_already_in_flight_in_this_view_is_not_proposed_again() -> None:
    solo = Solo(1)
    solo.receive(A, B, pre_prepare(0, 1, X))
    assert sent(solo.receive(pre_prepare(0, 2, proposal(0, B, A))), "prepare") == []
    assert solo.refusals == {"batch_already_proposed": 1}


def test_a_batch_decided_in_an_earlier_view_is_no_reason_to_refuse() -> None:
    """A primary that is still synchronizing cannot know what was decided."""
    solo = Solo(1)
    settle(solo, 1, X, A)
    solo.replica._state.in_flight.clear()  # as a new view does
    again = pre_prepare(0, 2, proposal(0, A, at_ms=START_MS + 1))
    assert len(sent(solo.receive(again), "batch-request")) == 1  # it was dropped when its block was certified
    assert len(sent(solo.receive(A), "prepare")) == 1


def test_sequences_are_accepted_in_order_whatever_order_they_come_in() -> None:
    solo = Solo(1)
    assert sent(solo.receive(A, B, C, pre_prepare(0, 3, proposal(0, C)), pre_prepare(0, 2, Y)), "prepare") == []
    votes = sent(solo.receive(pre_prepare(0, 1, X)), "prepare")
    assert [vote.sequence for vote in votes] == [1, 2, 3]


def test_a_proposal_above_the_byte_limit_is_never_prepared() -> None:
    solo = Solo(1, configuration=msgspec.structs.replace(FAST, proposal_bytes_max=64 * 1024))
    large = [batch(author, 1, bytes(40_000)) for author in (2, 3)]
    assert sent(solo.receive(*large, pre_prepare(0, 1, proposal(0, *large))), "prepare") == []
    assert solo.replica.status().sequences_in_flight == 0
    assert "suspicion" in solo.replica.status().running_timers


def test_an_equivocating_primary_commits_one_value_at_most_and_leaves_evidence() -> None:
    """S1."""
    solo = Solo(1)
    solo.receive(A, B, pre_prepare(0, 1, X))
    effects = solo.receive(pre_prepare(0, 1, Y))
    assert sent(effects, "prepare") == []
    (found,) = of(effects, EvidenceFound)
    assert {found.evidence.first.digest, found.evidence.second.digest} == {
        pre_prepare(0, 1, X).digest,
        pre_prepare(0, 1, Y).digest,
    }
    assert solo.refusals == {"two_proposals": 1}


def test_split_prepares_commit_nothing_and_a_later_view_decides_one_value() -> None:
    """S2, S1: the primary shows X to one backup and Y to the others; a view change follows, then one value."""
    world = World(4)
    world.referee.faulty = {0}
    first, second = batch(0, 1, b"x"), batch(0, 2, b"y")
    world.hosts[0].crash()
    shown = {1: proposal(0, first), 2: proposal(0, second), 3: proposal(0, first, second)}
    for receiver, content in shown.items():
        for message in (first, second, pre_prepare(0, 1, content)):
            world.deliver(0, receiver, message)
    world.run(150)
    assert [world.hosts[r].ledger.height for r in (1, 2, 3)] == [0, 0, 0]
    assert world.run(2_000, world.all_have(b"x", b"y", among=[1, 2, 3]))
    evidence = [found for host in world.hosts for found in host.evidence]
    assert all(found.culprit == 0 for found in evidence)


def test_a_vote_counts_once_however_often_it_comes() -> None:
    """S8."""
    solo = Solo(1)
    solo.receive(A, pre_prepare(0, 1, X))
    for _ in range(100):
        assert sent(solo.receive(prepare(1, 0, 1, X), prepare(0, 0, 1, X)), "commit") == []
    assert len(sent(solo.receive(prepare(3, 0, 1, X)), "commit")) == 1
    for _ in range(100):
        assert of(solo.receive(commit(3, 0, 1, X), signed(commit(3, 0, 1, X))), Execute) == []
    assert len(of(solo.receive(commit(0, 0, 1, X)), Execute)) == 1


def test_votes_for_another_digest_than_the_accepted_one_do_not_count() -> None:
    """S11."""
    solo = Solo(1)
    solo.receive(A, B, pre_prepare(0, 1, X))
    assert sent(solo.receive(prepare(2, 0, 1, Y), prepare(3, 0, 1, Y)), "commit") == []
    solo.receive(commit(0, 0, 1, X), commit(2, 0, 1, X), commit(3, 0, 1, X))
    assert solo.replica.status().last_decided == 0  # a quorum committed, but it is not prepared here


def test_two_votes_of_one_replica_are_evidence_and_the_first_one_stays() -> None:
    """S1, S8."""
    solo = Solo(1)
    solo.receive(A, B, pre_prepare(0, 1, X), prepare(2, 0, 1, Y))
    effects = solo.receive(prepare(2, 0, 1, X))
    assert [found.evidence.culprit for found in of(effects, EvidenceFound)] == [2]
    assert sent(effects, "commit") == []


@pytest.mark.parametrize(
    "vote",
    [
        msgspec.structs.replace(prepare(3, 0, 1, X), epoch=7),
        signed(prepare(3, 0, 1, X), key=2),
        signed(prepare(3, 0, 1, X), network_id=b"\x05" * 32),
        prepare(9, 0, 1, X),
        prepare(0, 0, 1, X),
        prepare(1, 0, 1, X),
        signed(type(commit(3, 0, 1, X))(*msgspec.structs.astuple(prepare(3, 0, 1, X))), key=2),
    ],
)
def test_votes_that_are_not_a_members_own_are_dropped_whoever_carries_them(vote: object) -> None:
    """S9, S10, S17: identity is the signature, not the link."""
    solo = Solo(1)
    solo.receive(A, pre_prepare(0, 1, X))
    assert sent(solo.receive(vote, sender=3), "commit") == []  # type: ignore[arg-type]  # a list of signed messages
    assert sum(solo.refusals.values()) == 1


def test_votes_beyond_the_watermarks_are_refused_before_anything_is_kept() -> None:
    """L10, N11."""
    solo = Solo(1)
    for sequence in (0, 17, 2**31, 2**63 - 1):
        solo.receive(prepare(2, 0, sequence, X), commit(2, 0, sequence, X), checkpoint(2, max(sequence, 17), bytes(32)))
    assert solo.replica._state.slots == {}
    assert solo.replica._state.checkpoints == {}


def test_votes_may_come_before_the_proposal() -> None:
    solo = Solo(1)
    solo.receive(prepare(2, 0, 1, X), commit(2, 0, 1, X), commit(0, 0, 1, X), A)
    effects = solo.receive(pre_prepare(0, 1, X))
    assert [effect.sequence for effect in of(effects, Execute)] == [1]


def test_decided_sequences_are_handed_over_in_order() -> None:
    solo = Solo(1)
    solo.receive(A, B, pre_prepare(0, 1, X), pre_prepare(0, 2, Y))
    assert of(solo.receive(prepare(2, 0, 2, Y), commit(0, 0, 2, Y), commit(2, 0, 2, Y)), Execute) == []
    effects = solo.receive(prepare(2, 0, 1, X), commit(0, 0, 1, X), commit(2, 0, 1, X))
    assert [effect.sequence for effect in of(effects, Execute)] == [1, 2]


def test_a_window_of_sequences_under_lossy_links_ends_in_one_order() -> None:
    """N10: loss, duplicates and reordering."""
    world = World(4, seed=3)
    world.loss, world.duplication, world.delay_ms = 0.3, 0.5, (1, 60)
    for number in range(30):
        world.submit(number % 4, b"%d" % number)
        world.run(20)
    assert world.run(30_000, world.all_have(*(b"%d" % number for number in range(30))))

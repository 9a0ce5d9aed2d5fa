"""Leaving a view and beginning the next: who moves whom, what a NewView must contain, what a lone replica does."""

from __future__ import annotations

import msgspec
import pytest
from consensus_harness import FAST, VERIFIER, World, validator_set
from consensus_kit import (
    Solo,
    batch,
    certificate,
    checkpoint,
    commit,
    new_view,
    of,
    pre_prepare,
    prepare,
    prepared,
    proposal,
    sent,
    settle,
    signed,
    view_change,
)

from consensus.engine import EvidenceFound, Execute, StartTimer, Synchronized, SyncNeeded, TimerExpired
from consensus.errors import Refusal
from consensus.messages import NULL_PROPOSAL, NewView, PrePrepare, ViewChange, ViewChangeRequest
from consensus.pbft.new_view import compute, verify_view_change

A, B = batch(0, 1, b"a"), batch(3, 1, b"b")
X, Y = proposal(0, A), proposal(1, B)
STABLE_3 = certificate(3, b"\x03" * 32)


# --- what a quorum of ViewChanges implies -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "lowest", "expected"),
    [
        ([view_change(r, 2) for r in range(3)], 0, []),
        ([view_change(0, 2, prepared(0, 1, X, (1, 2))), view_change(1, 2), view_change(2, 2)], 0, [(1, X)]),
        (
            [view_change(0, 2, prepared(0, 1, X, (1, 2))), view_change(1, 2, prepared(1, 1, Y, (0, 2)))],
            0,
            [(1, Y)],
        ),
        (
            [view_change(1, 2, prepared(1, 1, Y, (0, 2))), view_change(0, 2, prepared(0, 1, X, (1, 2)))],
            0,
            [(1, Y)],
        ),
        ([view_change(0, 2, prepared(0, 3, X, (1, 2)))], 0, [(1, NULL_PROPOSAL), (2, NULL_PROPOSAL), (3, X)]),
        ([view_change(0, 2, prepared(0, 3, X, (1, 2))), view_change(1, 2, stable=STABLE_3)], 3, []),
        ([view_change(0, 2, prepared(0, 5, X, (1, 2)), stable=STABLE_3)], 3, [(4, NULL_PROPOSAL), (5, X)]),
    ],
)
def test_a_new_view_begins_above_the_highest_stable_checkpoint_with_the_newest_certificates(
    changes: list[ViewChange], lowest: int, expected: list[object]
) -> None:
    """S4: of two certificates for one sequence the one of the higher view counts."""
    reissue = compute(validator_set(4), changes)
    assert (reissue.min_sequence, list(reissue.proposals)) == (lowest, expected)
    assert reissue.max_sequence == lowest + len(expected)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (view_change(1, 1, prepared(1, 1, Y, (0, 2))), "prepared_in_a_later_view"),
        (view_change(1, 2, prepared(0, 17, X, (1, 2))), "prepared_outside_the_window"),
        (view_change(1, 2, prepared(0, 3, X, (1, 2)), stable=STABLE_3), "prepared_outside_the_window"),
        (view_change(1, 2, prepared(0, 1, X, (1,))), "prepared_without_quorum"),
        (view_change(1, 2, stable=certificate(3, b"\x03" * 32, (0, 1))), "bad_certificate"),
        (view_change(1, 2, stable=msgspec.structs.replace(STABLE_3, epoch=1)), "other_epoch"),
    ],
)
def test_a_view_change_is_checked_in_all_that_it_claims(bad: ViewChange, reason: str) -> None:
    """S4, S12."""
    with pytest.raises(Refusal, match=reason):
        verify_view_change(validator_set(4), VERIFIER, 16, bad)


# --- NewView ----------------------------------------------------------------------------------------------------------

PREPARED_X = view_change(0, 2, prepared(0, 1, X, (1, 2)))
CHANGES = [PREPARED_X, view_change(2, 2), view_change(3, 2)]
REISSUED_X = pre_prepare(2, 1, X)


def waiting_for_view_2(*known: ViewChange) -> Solo:
    solo = Solo(1)
    solo.receive(A, *known)
    return solo


def test_a_backup_enters_the_view_that_its_view_changes_imply_and_votes_for_what_was_prepared() -> None:
    """S5."""
    solo = waiting_for_view_2(*CHANGES)
    effects = solo.receive(new_view(2, CHANGES, REISSUED_X))
    assert solo.replica.status().view == 2
    assert [(vote.view, vote.sequence, vote.digest) for vote in sent(effects, "prepare")] == [(2, 1, REISSUED_X.digest)]


@pytest.mark.parametrize(
    "wrong",
    [
        new_view(2, CHANGES),
        new_view(2, CHANGES, pre_prepare(2, 1, NULL_PROPOSAL)),
        new_view(2, CHANGES, REISSUED_X, pre_prepare(2, 2, proposal(2, B))),
        new_view(2, CHANGES, pre_prepare(2, 2, X)),
        new_view(2, CHANGES, pre_prepare(1, 1, X)),
        new_view(2, CHANGES, signed(REISSUED_X, key=3)),
    ],
)
def test_a_new_view_that_omits_or_invents_is_refused_and_the_next_view_asked_for(wrong: NewView) -> None:
    """S3."""
    solo = waiting_for_view_2(*CHANGES)
    asked = sent(solo.receive(wrong), "view-change")
    assert [change.new_view for change in asked] == [3]
    assert solo.replica.status().view == 0


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (new_view(2, CHANGES[:2], REISSUED_X), "new_view_without_quorum"),
        (signed(new_view(2, CHANGES, REISSUED_X), key=3), "bad_signature"),
        (signed(msgspec.structs.replace(new_view(2, CHANGES, REISSUED_X), replica=3)), "not_the_primary"),
        (new_view(2, [*CHANGES[:2], msgspec.structs.replace(CHANGES[2], replica=9)], REISSUED_X), "not_a_member"),
        (new_view(4 * 2**40 + 2, CHANGES), "view_out_of_reach"),
    ],
)
def test_a_new_view_without_a_quorum_or_of_another_signer_moves_nobody(message: NewView, reason: str) -> None:
    """S7, S9, L10."""
    solo = waiting_for_view_2()
    solo.receive(message)
    assert solo.refusals == {reason: 1}
    assert not solo.replica.status().changing_view


def test_a_stale_new_view_is_ignored_whatever_signatures_it_has() -> None:
    """S6: the view never decreases."""
    solo = waiting_for_view_2(*CHANGES)
    solo.receive(new_view(2, CHANGES, REISSUED_X))
    for stale in (new_view(2, CHANGES, REISSUED_X), new_view(1, [view_change(r, 1) for r in (0, 2, 3)])):
        assert solo.receive(stale) == []
    assert solo.replica.status().view == 2
    assert solo.refusals["stale_new_view"] >= 1


def test_missing_view_changes_are_fetched_by_digest_and_served_by_those_who_verified_them() -> None:
    solo = waiting_for_view_2(PREPARED_X)
    (request,) = sent(solo.receive(new_view(2, CHANGES, REISSUED_X)), "view-change-request")
    assert set(request.digests) == {CHANGES[1].digest, CHANGES[2].digest}
    solo.receive(*CHANGES[1:])
    assert solo.replica.status().view == 2
    served = sent(solo.receive(ViewChangeRequest(0, tuple(c.digest for c in CHANGES)), sender=3), "view-change")
    assert [change.digest for change in served] == [change.digest for change in CHANGES]


def test_a_new_view_whose_view_changes_come_after_a_higher_wish_is_not_entered() -> None:
    """L7, L9: who entered it could not vote there, would send its wish no more, and could wish for nothing higher."""
    solo = waiting_for_view_2(PREPARED_X)
    solo.receive(new_view(2, CHANGES, REISSUED_X))
    solo.receive(*(view_change(r, 3) for r in (0, 3)))  # f + 1 have given view 2 up, and so do we
    assert solo.replica.status().changing_view
    solo.receive(*CHANGES)
    status = solo.replica.status()
    assert (status.view, status.changing_view, "resend" in status.running_timers) == (0, True, True)
    assert sent(solo.expire("status"), "view-change-request") == []


def test_a_bogus_new_view_of_a_far_view_blocks_no_nearer_one() -> None:
    """L10: one replica's number moves nobody, and takes nobody's place."""
    solo = waiting_for_view_2(PREPARED_X)
    bogus = new_view(7, [view_change(r, 7) for r in (0, 1, 2)])
    solo.receive(bogus)
    assert not solo.replica.status().changing_view
    solo.receive(new_view(2, CHANGES, REISSUED_X), *CHANGES[1:])
    assert solo.replica.status().view == 2


def test_a_new_view_with_view_changes_for_another_view_is_dropped_without_moving() -> None:
    solo = Solo(1)
    others = [view_change(r, 6) for r in (2,)]
    solo.receive(*others)
    mixed = [view_change(0, 2), *others, view_change(3, 2)]
    solo.receive(new_view(2, mixed), mixed[0], mixed[2])
    assert solo.replica.status().view == 0


def test_the_primary_leads_with_a_quorum_for_exactly_its_view() -> None:
    solo = Solo(2)
    effects = solo.receive(A, PREPARED_X, view_change(3, 2))
    (led,) = sent(effects, "new-view")
    assert [replica for replica, _ in led.view_changes] == [0, 2, 3]
    assert [(p.sequence, p.proposal) for p in led.pre_prepares] == [(1, X)]
    assert solo.replica.status().view == 2


def test_what_a_new_view_takes_for_decided_is_fetched_at_once() -> None:
    """L4: the old view's votes are gone; waiting for a Status would let the network wait for this replica."""
    changes = [view_change(replica, 2, stable=STABLE_3) for replica in (0, 2, 3)]
    entered = new_view(2, changes)
    solo = Solo(1)
    (needed,) = of(solo.receive(*changes, entered), SyncNeeded)
    assert needed.certificate == STABLE_3
    assert solo.replica.status().view == 2
    informed = Solo(1, last_executed=3, last_block=(STABLE_3.block_hash, 0))
    assert of(informed.receive(*changes, entered), SyncNeeded) == []


def test_what_a_new_view_re_issues_is_fetched_once_others_have_it_certified() -> None:
    """L4: who has it stable casts no vote for it again, so waiting for votes would be waiting for a Status."""
    solo = Solo(1, n=7)
    changes = [view_change(0, 2, prepared(0, 1, X, (1, 2, 3, 4), n=7)), *(view_change(r, 2) for r in (2, 3, 4, 5))]
    solo.receive(A, *changes, new_view(2, changes, pre_prepare(2, 1, X, n=7), n=7))
    assert solo.replica.status().view == 2
    block_1, block_2 = b"\x01" * 32, b"\x02" * 32
    assert of(solo.receive(*(checkpoint(r, 1, block_1) for r in (0, 2, 3, 4))), SyncNeeded) == []
    (needed,) = of(solo.receive(checkpoint(5, 1, block_1)), SyncNeeded)
    assert (needed.certificate.height, needed.holders) == (1, (0, 2, 3, 4, 5))
    assert of(solo.receive(checkpoint(6, 1, block_1)), SyncNeeded) == []  # once a certificate, not once a message
    assert of(solo.expire("status") + solo.expire("status"), SyncNeeded) != []  # nobody served it: again, as ever
    (further,) = of(solo.receive(*(checkpoint(r, 2, block_2) for r in (0, 2, 3, 4, 5))), SyncNeeded)
    assert further.certificate.height == 2
    solo.step(Synchronized(further.certificate))
    assert of(solo.receive(*(checkpoint(r, 3, b"\x03" * 32) for r in (0, 2, 3, 4, 5))), SyncNeeded) == []


def test_what_was_certified_while_a_view_was_left_is_fetched_when_the_next_begins() -> None:
    """L4: its certificate came before the view, and no ViewChange shows it."""
    solo = waiting_for_view_2(*CHANGES)
    assert of(solo.receive(*(checkpoint(r, 1, b"\x01" * 32) for r in (0, 2, 3))), SyncNeeded) == []
    (needed,) = of(solo.receive(new_view(2, CHANGES, REISSUED_X)), SyncNeeded)
    assert needed.certificate.height == 1


def test_a_new_primary_behind_the_base_of_its_view_may_lead() -> None:
    """Ordering needs no state: it synchronizes meanwhile."""
    stable = certificate(40, b"\x28" * 32)
    solo = Solo(2)
    effects = solo.receive(view_change(0, 2, stable=stable), view_change(3, 2, stable=stable))
    assert of(effects, SyncNeeded)[0].certificate == stable
    (made,) = sent(solo.receive(batch(3, 9, b"new")), "pre-prepare")
    assert (made.view, made.sequence) == (2, 41)
    assert solo.replica.status().last_executed == 0


# --- who moves whom ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 10**9, 2**32, 2**33, 2**63 - 1])
def test_one_replicas_wish_moves_nobody_and_takes_one_place(number: int) -> None:
    """L10."""
    solo = Solo(1)
    for wish in range(10):
        assert sent(solo.receive(view_change(3, max(1, number - 10 + wish))), "view-change") == []
    assert solo.replica.status().view == 0
    assert len(solo.replica._state.view_changes) <= 1


def test_f_plus_one_wishes_move_a_replica_to_the_largest_view_that_so_many_support() -> None:
    solo = Solo(1, n=7)
    assert sent(solo.receive(view_change(2, 9), view_change(3, 4)), "view-change") == []
    (joined,) = sent(solo.receive(view_change(4, 6)), "view-change")
    assert joined.new_view == 4
    (further,) = sent(solo.receive(view_change(5, 8)), "view-change")
    assert further.new_view == 6


def test_the_new_view_timer_counts_wishes_for_that_view_or_above() -> None:
    """Counting exact views only deadlocks when f have gone one further."""
    solo = Solo(1)
    solo.expire("suspicion")
    solo.receive(view_change(2, 1))
    assert "new-view" not in solo.replica.status().running_timers
    solo.receive(view_change(3, 2))
    assert "new-view" in solo.replica.status().running_timers
    assert [change.new_view for change in sent(solo.expire("new-view"), "view-change")] == [2]


def test_while_changing_view_no_vote_of_the_old_view_counts_but_certificates_do() -> None:
    solo = Solo(1)
    solo.receive(A, pre_prepare(0, 1, X), prepare(2, 0, 1, X), commit(0, 0, 1, X))
    solo.expire("suspicion")
    assert of(solo.receive(commit(2, 0, 1, X)), Execute) == []
    assert solo.refusals == {"other_view": 1}
    solo.receive(*(view_change(r, 1, stable=STABLE_3) for r in (2,)))
    assert solo.replica.status().changing_view


def test_a_view_change_is_sent_again_until_the_view_begins() -> None:
    """L9."""
    solo = Solo(1)
    (first,) = sent(solo.expire("suspicion"), "view-change")
    for _ in range(3):
        assert sent(solo.expire("resend"), "view-change") == [first]
    solo.receive(view_change(0, 1), view_change(3, 1))
    assert solo.replica.status().view == 1
    assert "resend" not in solo.replica.status().running_timers


def test_the_timeout_doubles_with_views_that_decide_nothing_up_to_a_cap_and_falls_back() -> None:
    solo = Solo(1)
    solo.receive(batch(3, 7, b"work"))
    delays = []
    for wish in (2, 3, 4, 6):  # views of other primaries, so that none begins
        effects = solo.receive(view_change(2, wish), view_change(3, wish), view_change(0, wish))
        delays += [e.delay_ms for e in of(effects, StartTimer) if e.timer == "new-view"]
    assert delays == [400, 800, 800, 800]
    changes = [view_change(r, 7) for r in (0, 2, 3)]
    effects = solo.receive(*changes, new_view(7, changes))
    assert [e.delay_ms for e in of(effects, StartTimer) if e.timer == "suspicion"] == [800]
    settle(solo, 1, proposal(3, B), B, view=7)
    effects = solo.receive(batch(3, 8, b"more"))
    assert [e.delay_ms for e in of(effects, StartTimer) if e.timer == "suspicion"] in ([], [200])
    assert solo.replica._state.views_without_progress == 0


def test_two_view_changes_for_one_view_are_evidence() -> None:
    solo = Solo(1)
    solo.receive(A, view_change(3, 2))
    effects = solo.receive(view_change(3, 2, prepared(0, 1, X, (1, 2))))
    assert [found.evidence.culprit for found in of(effects, EvidenceFound)] == [3]


def test_early_votes_of_the_next_view_count_when_it_begins() -> None:
    solo = waiting_for_view_2(*CHANGES)
    solo.receive(prepare(0, 2, 1, X), prepare(3, 2, 1, X), commit(0, 2, 1, X), commit(3, 2, 1, X))
    effects = solo.receive(new_view(2, CHANGES, REISSUED_X))
    assert [effect.sequence for effect in of(effects, Execute)] == [1]


def test_early_messages_are_verified_and_bounded() -> None:
    """L10, N11."""
    solo = Solo(1)
    for sequence in range(1, 33):
        for view in range(1, 20):
            solo.receive(prepare(3, view, sequence, X))
    assert len(solo.replica._state.early[3]) == 256
    solo.receive(signed(prepare(2, 5, 1, X), key=3), pre_prepare(6, 1, X, replica=3))
    assert sorted(solo.replica._state.early) == [3]
    assert solo.refusals["bad_signature"] == 1


# --- stories with a network -------------------------------------------------------------------------------------------


def test_a_dead_primary_is_replaced_within_three_timeouts() -> None:
    """L1: without resubmission."""
    world = World(4)
    world.submit(1, b"before")
    assert world.run(1_000, world.all_certified)
    world.hosts[0].crash()
    world.submit(1, b"a")
    assert world.run(3 * FAST.suspicion_timeout_ms, world.all_have(b"a", among=[1, 2, 3]))


@pytest.mark.parametrize("n", [4, 7, 10])
def test_f_dead_primaries_in_a_row_cost_f_views(n: int) -> None:
    """L2."""
    world = World(n)
    f = world.validators.fault_bound
    for replica in range(f):
        world.hosts[replica].crash()
    alive = list(range(f, n))
    world.submit(n - 1, b"a")
    assert world.run(10_000, world.all_have(b"a", among=alive))
    assert {world.hosts[replica].replica.status().view for replica in alive} == {f}


def test_a_silent_primary_is_replaced_when_work_is_pending_and_only_then() -> None:
    """L3."""
    world = World(4)
    world.filter = lambda sender, receiver, message: sender != 0 or message.kind == "status"
    world.run(3_000)
    assert world.views() == [0] * 4
    world.submit(2, b"a")
    assert world.run(2_000, world.all_have(b"a", among=[1, 2, 3]))
    assert world.views()[1:] == [1] * 3


def test_a_batch_shown_to_one_replica_only_is_forwarded_and_ordered() -> None:
    """L4: its author, or the network, hid it from the primary."""
    world = World(4)
    world.filter = lambda sender, receiver, message: (sender, message.kind) != (3, "batch") or receiver == 2
    world.submit(3, b"a")
    assert world.run(1_000, world.all_have(b"a"))
    assert world.views() == [0] * 4


def test_turns_pass_the_primary_on_while_there_is_work() -> None:
    """L4, L5: no primary keeps its place for longer than a turn."""
    world = World(4, configuration=msgspec.structs.replace(FAST, turn_ms=300))
    for number in range(60):
        world.submit(number % 4, b"%d" % number)
        world.run(25)
    assert world.run(2_000, world.all_have(*(b"%d" % number for number in range(60))))
    assert 3 <= max(world.views()) <= 8
    view = max(world.views())
    world.run(3_000)
    assert max(world.views()) <= view + 1


def test_a_replica_alone_with_its_wish_follows_without_voting_and_drags_nobody() -> None:
    """L7."""
    world = World(4)
    world.hosts[3].step(TimerExpired("suspicion"))
    votes_before = len(world.sent)
    for number in range(10):
        world.submit(1, b"%d" % number)
        world.run(60)
    assert world.run(2_000, world.all_have(*(b"%d" % number for number in range(10))))
    assert world.views()[:3] == [0] * 3
    votes = [m for sender, m in world.sent[votes_before:] if sender == 3 and m.kind in ("prepare", "commit")]
    assert votes == []
    world.hosts[0].crash()
    world.submit(1, b"last")
    assert world.run(3_000, world.all_have(b"last", among=[1, 2, 3]))
    assert world.hosts[3].replica.status().voting


def test_what_was_committed_anywhere_keeps_its_sequence_over_two_view_changes() -> None:
    """S5: replica 3 alone saw the commits; then two primaries die in turn."""
    world = World(7, seed=5)
    world.filter = lambda sender, receiver, message: message.kind != "commit" or receiver == 3
    world.submit(4, b"a")
    assert world.run(150, lambda: world.hosts[3].ledger.height == 1)
    decided = world.hosts[3].ledger.blocks[1][0]
    world.hosts[0].crash()
    world.hosts[1].crash()
    world.filter = lambda sender, receiver, message: True
    alive = range(2, 7)
    assert world.run(10_000, lambda: all(world.hosts[r].ledger.height >= 1 for r in alive))
    assert {world.hosts[r].ledger.blocks[1][0] for r in alive} == {decided}


def test_a_partition_heals_into_one_view() -> None:
    """L8."""
    world = World(4)
    world.partition({0, 1}, {2, 3})
    world.submit(0, b"a")
    world.submit(2, b"b")
    world.run(60_000)
    assert [host.ledger.height for host in world.hosts] == [0] * 4
    world.links_down = set()
    assert world.run(3_000, world.all_have(b"a", b"b"))


def test_a_dead_direction_of_one_link_stops_nobody() -> None:
    """L14."""
    world = World(4)
    world.links_down = {(0, 2)}
    for number in range(5):
        world.submit(number % 4, b"%d" % number)
        world.run(200)
    assert world.run(5_000, world.all_have(*(b"%d" % number for number in range(5))))


def test_an_even_split_commits_on_no_side() -> None:
    """S14."""
    for n, group in ((5, {0, 1, 2}), (6, {0, 1, 2}), (8, {0, 1, 2, 3})):
        world = World(n)
        world.partition(group, set(range(n)) - group)
        world.submit(0, b"a")
        world.submit(n - 1, b"b")
        world.run(5_000)
        assert {host.ledger.height for host in world.hosts} == {0}


def test_a_sequence_that_a_new_view_reissued_is_not_proposed_afresh() -> None:
    solo = waiting_for_view_2(*CHANGES)
    solo.receive(new_view(2, CHANGES, REISSUED_X))
    fresh: PrePrepare = pre_prepare(2, 1, proposal(2, B))
    assert sent(solo.receive(B, fresh), "prepare") == []
    assert solo.refusals == {"two_proposals": 1}

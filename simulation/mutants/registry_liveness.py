"""Mistakes that break no promise: the network stops, or stays stopped, although it could go on."""

from __future__ import annotations

from typing import Final

from simulation.mutants.mutant import Mutant, mutant

_LEAVING: Final = "consensus.pbft.leaving:"
_REPAIR: Final = "consensus.pbft.repair:"
_TIMERS: Final = "consensus.pbft.timers:"
_VIEW_CHANGE: Final = "consensus.pbft.view_change:"

LIVENESS: Final[tuple[Mutant, ...]] = (
    mutant(
        "timeout-not-doubled",
        "T stays the same however many views fail",
        (_LEAVING + "timeout_ms", " << min(state.views_without_progress, 16)", ""),
        runs="stories",
        story="slow-links",
    ),
    mutant(
        "timeout-not-capped",
        "T doubles without bound",
        (
            _LEAVING + "timeout_ms",
            "return min(doubled, state.configuration.suspicion_timeout_cap_ms)",
            "return doubled",
        ),
        runs="stories",
        story="views-that-fail",
    ),
    mutant(
        "view-change-sent-once",
        "a ViewChange that is lost is never sent again",
        (_LEAVING + "on_resend", "state.broadcast(state.own_view_change)", "pass"),
        (_REPAIR + "repair_view", "if state.changing_view and wish is not None", "if False and wish is not None"),
        runs="stories",
        story="lost-view-changes",
    ),
    mutant(
        "no-new-view-timer",
        "a view whose primary is dead is awaited for ever",
        (_VIEW_CHANGE + "act_on_view_changes", 'state.start_timer("new-view", timeout_ms(state))', "pass"),
        runs="stories",
        story="dead-primaries",
    ),
    mutant(
        "new-view-timer-for-one-view-only",
        "the new-view timer counts no wishes for higher views",
        (_VIEW_CHANGE + "act_on_view_changes", "if vc.new_view >= target]", "if vc.new_view == target]"),
        runs="stories",
        story="wishes-apart",
    ),
    mutant(
        "no-suspicion",
        "a primary that proposes nothing is never suspected",
        (_TIMERS + "update", 'state.start_timer("suspicion", timeout_ms)', "pass"),
        runs="stories",
        story="silent-primary",
    ),
    mutant(
        "no-turns",
        "a view is never left while it works",
        (_TIMERS + "expire", "if state.view_decided_any or work_pending(state):", "if False:"),
        runs="stories",
        story="turns",
    ),
    mutant(
        "no-forwarding",
        "a batch that few have seen is not passed on",
        (_TIMERS + "forward_waiting", "state.broadcast(state.batches[digest])", "pass"),
        runs="stories",
        story="shown-to-some",
    ),
    mutant(
        "votes-not-repaired",
        "a Status is not answered with the votes that it lacks",
        (_REPAIR + "receive_status", "repair_slots(state, status)", "pass"),
        runs="stories",
        story="lost-votes",
    ),
    mutant(
        "new-view-not-repaired",
        "a Status is not answered with the NewView that it lacks",
        (_REPAIR + "repair_view", "answer(state, begun, status.replica)", "pass"),
        runs="stories",
        story="lost-new-view",
    ),
    mutant(
        "checkpoints-not-repaired",
        "a Status is not answered with the checkpoints that it lacks",
        (_REPAIR + "receive_status", "repair_checkpoints(state, status)", "pass"),
        runs="stories",
        story="lost-checkpoints",
    ),
    mutant(
        "shown-certificate-ignored",
        "the certificate in a Status teaches nothing",
        (_REPAIR + "receive_status", "if status.stable is not None:", "if False:"),
        runs="stories",
        story="laggard",
    ),
    mutant(
        "lag-not-noticed",
        "a certified height within the window is awaited for ever",
        (_REPAIR + "on_status_timer", "checkpoints.notice_lag(state)", "pass"),
        runs="stories",
        story="one-far-wish",
    ),
    mutant(
        "batches-lost-with-the-view",
        "what was in flight when a view ended is never proposed again",
        ("consensus.pbft.entering:begin", "batches.return_undecided(state)", "pass"),
    ),
    mutant(
        "missing-batches-not-fetched",
        "a batch that did not come is not asked for",
        (
            "consensus.pbft.batches:request_missing",
            "state.send(BatchRequest(state.validators.epoch, part), *sorted(holders))",
            "pass",
        ),
    ),
    mutant(
        "missing-view-changes-not-fetched",
        "a ViewChange that a NewView names and that did not come is neither asked for nor sent with it",
        (
            "consensus.pbft.entering:try_new_view",
            "state.send(ViewChangeRequest(state.validators.epoch, tuple(lacking)), message.replica)",
            "pass",
        ),
        (
            "consensus.pbft.entering:retry_pending",
            "state.send(ViewChangeRequest(state.validators.epoch, lacking), *state.others)",
            "pass",
        ),
        (
            "consensus.pbft.repair:repair_view",
            "answer(state, state.new_view_changes[digest], status.replica)",
            "pass",
        ),
        runs="stories",
        story="unseen-view-change",
    ),
)

"""Leaving a view: the promise to vote in nothing below the next, sent until a view begins. Spec: "Leaving a view"."""

from __future__ import annotations

from typing import Final

from consensus.messages import ViewChange
from consensus.pbft.records import AskedForView
from consensus.pbft.state import State

VIEW_DISTANCE_MAX: Final = 2**32
"""A view further ahead than this is refused unread: no honest replica gets there."""


def ask(state: State, new_view: int) -> None:
    """Leave the current view: promise durably to vote in nothing below `new_view`."""
    if state.silent or new_view <= max(state.view, state.may_vote_from_view):
        return
    if not state.view_decided_any:
        state.views_without_progress += 1
    state.view_decided_any = False
    state.changing_view = True
    state.may_vote_from_view = new_view
    prepared = tuple(state.prepared[sequence] for sequence in sorted(state.prepared) if sequence > state.low)
    epoch = state.validators.epoch
    view_change: ViewChange = state.sign(
        ViewChange(epoch, state.own_id, state.next_position(), new_view, state.stable, prepared, bytes(64))
    )
    state.own_view_change = view_change
    state.view_changes[state.own_id] = view_change
    state.persist(AskedForView(view_change))
    state.broadcast(view_change)
    for timer in ("suspicion", "forward", "turn", "new-view"):
        state.stop_timer(timer)
    state.start_timer("resend", state.configuration.resend_ms)


def timeout_ms(state: State) -> int:
    """T, doubled for each view in a row that decided nothing, capped."""
    doubled = state.configuration.suspicion_timeout_ms << min(state.views_without_progress, 16)
    return min(doubled, state.configuration.suspicion_timeout_cap_ms)


def on_new_view_timeout(state: State) -> None:
    """The view that a quorum wanted did not begin: ask for the one after it."""
    if state.changing_view and state.own_view_change is not None:
        ask(state, state.own_view_change.new_view + 1)


def on_resend(state: State) -> None:
    """Lost ViewChanges would deadlock the change: send ours again until the view begins."""
    if state.changing_view and state.own_view_change is not None:
        state.broadcast(state.own_view_change)
        state.start_timer("resend", state.configuration.resend_ms)

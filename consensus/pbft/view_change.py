"""Others who leave: keeping their ViewChanges, joining f + 1 of them, leading a quorum. Spec: "Leaving a view"."""

from __future__ import annotations

from consensus.errors import Refusal
from consensus.messages import ViewChange, ViewChangeRequest
from consensus.pbft import entering
from consensus.pbft.leaving import VIEW_DISTANCE_MAX, ask, timeout_ms
from consensus.pbft.new_view import verify_view_change
from consensus.pbft.state import State


def receive_view_change(state: State, message: ViewChange) -> None:
    """Keep each replica's newest ViewChange; follow f + 1 of them, lead a quorum of them."""
    known = state.view_changes.get(message.replica)
    if known == message:
        return
    named_by = [
        pending
        for _, pending in sorted(state.pending_new_views.items())
        if pending.view == message.new_view and (message.replica, message.digest) in pending.view_changes
    ]
    stale = message.new_view <= state.view or (known is not None and message.new_view < known.new_view)
    if stale and not named_by:
        raise Refusal("stale_view_change", message.replica)
    if message.new_view > state.view + VIEW_DISTANCE_MAX:
        raise Refusal("view_out_of_reach", message.replica)
    state.verify(message)
    if known is not None and known.new_view == message.new_view:
        state.accuse(known, message)
        if not named_by:
            raise Refusal("two_view_changes", message.replica)
    verify_view_change(state.validators, state.verifier, state.configuration.window, message)
    if not stale and (known is None or known.new_view < message.new_view):
        state.view_changes[message.replica] = message
    elif named_by:
        state.fetched_view_changes[message.digest] = message
    for pending in named_by:
        if pending.view > state.view:
            entering.try_new_view(state, pending)


def act_on_view_changes(state: State) -> None:
    """Apply the join rule, start the new-view timer, and lead if it is our view and a quorum asks for it.

    Called after every event: asking for a view can complete the quorum that another one waits for.
    """
    if state.silent or not state.view_changes:
        return
    while (joined := view_to_join(state)) > state.may_vote_from_view:
        ask(state, joined)
    if state.changing_view and state.own_view_change is not None:
        target = state.own_view_change.new_view
        supporters = [vc for vc in state.view_changes.values() if vc.new_view >= target]
        if len(supporters) >= state.validators.quorum and "new-view" not in state.timers:
            state.start_timer("new-view", timeout_ms(state))
        entering.lead(state, target)


def view_to_join(state: State) -> int:
    """Return the largest view above ours that f + 1 replicas ask for, or for a higher one; 0 where there is none."""
    wishes = sorted((vc.new_view for vc in state.view_changes.values() if vc.new_view > state.view), reverse=True)
    return wishes[state.validators.weak_quorum - 1] if len(wishes) >= state.validators.weak_quorum else 0


def serve_request(state: State, request: ViewChangeRequest, sender: int | None) -> None:
    """Send the ViewChanges that the newest NewView names, or the newest ones."""
    if sender is None:
        return
    held: dict[bytes, ViewChange] = {view_change.digest: view_change for view_change in state.view_changes.values()}
    held |= state.fetched_view_changes | state.new_view_changes
    for digest in request.digests:
        if (view_change := held.get(digest)) is not None:
            state.send(view_change, sender)

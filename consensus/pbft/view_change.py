"""Leaving a view and beginning the next. Spec: "Leaving a view", "NewView"."""

from __future__ import annotations

from typing import Final

from consensus.engine import EvidenceFound
from consensus.errors import Refusal
from consensus.evidence import Evidence
from consensus.messages import NewView, PrePrepare, ViewChange, ViewChangeRequest, verify_signed
from consensus.pbft import batches, ordering
from consensus.pbft.new_view import Reissue, compute, verify_view_change
from consensus.pbft.records import AskedForView, EnteredView
from consensus.pbft.state import State

VIEW_DISTANCE_MAX: Final = 2**32
"""A ViewChange further ahead than this is refused unread: no honest replica gets there."""


def ask(state: State, new_view: int) -> None:
    """Leave the current view: promise durably to vote in nothing below `new_view`."""
    if state.replica_id is None or new_view <= state.view or new_view < state.may_vote_from_view:
        return
    if state.own_view_change is not None and state.own_view_change.new_view >= new_view:
        return
    if not state.view_decided_any:
        state.views_without_progress += 1
    state.view_decided_any = False
    state.changing_view = True
    state.may_vote_from_view = new_view
    view_change: ViewChange = state.sign(
        ViewChange(
            state.validators.epoch,
            state.replica_id,
            state.next_position(),
            new_view,
            state.stable,
            tuple(state.prepared[sequence] for sequence in sorted(state.prepared) if sequence > state.low),
            bytes(64),
        )
    )
    state.own_view_change = view_change
    state.view_changes[state.replica_id] = view_change
    state.persist(AskedForView(view_change))
    state.broadcast(view_change)
    for timer in ("suspicion", "forward", "turn", "new-view"):
        state.stop_timer(timer)
    state.start_timer("resend", state.configuration.resend_ms)
    after_view_changes(state)


def timeout_ms(state: State) -> int:
    """T, doubled for each view in a row that decided nothing, capped."""
    doubled = state.configuration.suspicion_timeout_ms << min(state.views_without_progress, 16)
    return min(doubled, state.configuration.suspicion_timeout_cap_ms)


def receive_view_change(state: State, message: ViewChange) -> None:
    """Keep each replica's newest ViewChange; follow f + 1 of them, lead a quorum of them."""
    if message.replica == state.replica_id:
        raise Refusal("reflected", message.replica)
    known = state.view_changes.get(message.replica)
    if known is not None and known == message:
        return
    pending = state.pending_new_view
    wanted = pending is not None and (message.replica, message.digest) in pending.view_changes
    stale = message.new_view <= state.view or (known is not None and message.new_view < known.new_view)
    if (stale and not wanted) or message.new_view > state.view + VIEW_DISTANCE_MAX:
        raise Refusal("stale_view_change" if stale else "view_out_of_reach", message.replica)
    verify_signed(state.validators, state.verifier, message)
    if known is not None and known.new_view == message.new_view:
        state.emit(EvidenceFound(Evidence(known, message)))
        if not wanted:
            raise Refusal("two_view_changes", message.replica)
    verify_view_change(state, message)
    if wanted:
        state.fetched_view_changes[message.digest] = message
    if not stale and (known is None or known.new_view < message.new_view):
        state.view_changes[message.replica] = message
    if wanted and pending is not None:
        try_new_view(state, pending)
    after_view_changes(state)


def after_view_changes(state: State) -> None:
    """Apply the join rule, start the new-view timer, and lead if it is our view and a quorum asks for it."""
    wishes = sorted((vc.new_view for vc in state.view_changes.values() if vc.new_view > state.view), reverse=True)
    if len(wishes) >= state.validators.weak_quorum:
        joined = wishes[state.validators.weak_quorum - 1]  # the largest view that f + 1 ask for, or for a higher one
        if joined > max(state.view, state.may_vote_from_view) or (joined > state.view and not state.changing_view):
            ask(state, joined)
            return
    if state.changing_view and state.own_view_change is not None:
        target = state.own_view_change.new_view
        supporters = [vc for vc in state.view_changes.values() if vc.new_view >= target]
        if len(supporters) >= state.validators.quorum and "new-view" not in state.timers:
            state.start_timer("new-view", timeout_ms(state))
        lead(state, target)


def on_new_view_timeout(state: State) -> None:
    """The view that a quorum wanted did not begin: ask for the one after it."""
    if state.changing_view and state.own_view_change is not None:
        ask(state, state.own_view_change.new_view + 1)


def on_resend(state: State) -> None:
    """Lost ViewChanges would deadlock the change: send ours again until the view begins."""
    if state.changing_view and state.own_view_change is not None:
        state.broadcast(state.own_view_change)
        state.start_timer("resend", state.configuration.resend_ms)


def lead(state: State, view: int) -> None:
    """As primary of `view`, begin it once a quorum asks for exactly this view."""
    if state.validators.primary(view) != state.replica_id:
        return
    asking = sorted(
        (vc for vc in state.view_changes.values() if vc.new_view == view), key=lambda view_change: view_change.replica
    )
    if len(asking) < state.validators.quorum:
        return
    reissue = compute(state.validators, asking)
    pre_prepares: list[PrePrepare] = []
    for sequence, proposal in reissue.proposals:
        pre_prepares.append(
            state.sign(
                PrePrepare(
                    state.validators.epoch,
                    state.replica_id or 0,
                    state.next_position(),
                    view,
                    sequence,
                    proposal,
                    bytes(64),
                )
            )
        )
    new_view: NewView = state.sign(
        NewView(
            state.validators.epoch,
            state.replica_id or 0,
            state.next_position(),
            view,
            tuple((view_change.replica, view_change.digest) for view_change in asking),
            tuple(pre_prepares),
            bytes(64),
        )
    )
    state.persist(EnteredView(new_view, tuple(asking)))
    state.broadcast(new_view)
    enter(state, new_view, {view_change.digest: view_change for view_change in asking}, reissue)


def receive_new_view(state: State, message: NewView) -> None:
    """Take a NewView if it is what its ViewChanges imply. Raises Refusal."""
    if message.view <= state.view or message.view > state.view + VIEW_DISTANCE_MAX:
        raise Refusal("stale_new_view", message.replica)
    if message.view < state.may_vote_from_view and state.changing_view:
        # We promised not to vote there; it still may begin, and we follow it by its certificates.
        raise Refusal("view_already_left", message.replica)
    if state.validators.primary(message.view) != message.replica:
        raise Refusal("not_the_primary", message.replica)
    pending = state.pending_new_view
    if pending is not None and pending.view > message.view:
        return
    verify_signed(state.validators, state.verifier, message)
    if len(message.view_changes) < state.validators.quorum:
        raise Refusal("new_view_without_quorum", message.replica)
    if any(replica >= state.validators.n for replica, _ in message.view_changes):
        raise Refusal("not_a_member", message.replica)
    if pending is None or pending.view != message.view:
        state.pending_new_view = message
        state.fetched_view_changes = {}
    try_new_view(state, message)


def try_new_view(state: State, message: NewView) -> None:
    """Enter the view once the ViewChanges that its NewView names are here; ask for those that are not."""
    named: list[ViewChange] = []
    lacking: list[bytes] = []
    for replica, digest in message.view_changes:
        held = state.view_changes.get(replica)
        if held is None or held.digest != digest:
            held = state.fetched_view_changes.get(digest)
        if held is None:
            lacking.append(digest)
        elif held.replica != replica or held.new_view != message.view:
            reject(state, message)
            return
        else:
            named.append(held)
    if lacking:
        state.send(ViewChangeRequest(state.validators.epoch, tuple(lacking)), message.replica)
        return
    reissue = compute(state.validators, named)
    offered = tuple((p.sequence, p.proposal) for p in message.pre_prepares)
    if offered != reissue.proposals or any(p.view != message.view for p in message.pre_prepares):
        reject(state, message)
        return
    for pre_prepare in message.pre_prepares:
        if pre_prepare.replica != message.replica:
            reject(state, message)
            return
        verify_signed(state.validators, state.verifier, pre_prepare)
    state.persist(EnteredView(message, tuple(named)))
    enter(state, message, {view_change.digest: view_change for view_change in named}, reissue)


def reject(state: State, message: NewView) -> None:
    """Its primary lies about what was prepared: ask for the next view at once."""
    state.pending_new_view = None
    ask(state, message.view + 1)


def enter(state: State, new_view: NewView, named: dict[bytes, ViewChange], reissue: Reissue) -> None:
    """Begin the view: re-issued proposals first, then what waits."""
    begin(state, new_view, named, reissue)
    for pre_prepare in new_view.pre_prepares:
        if pre_prepare.sequence <= state.low:
            continue
        slot = state.slot(pre_prepare.sequence)
        if state.is_primary:
            ordering.accept(state, pre_prepare)
        else:
            slot.candidate = pre_prepare
            slot.candidate_is_reissue = True
    if not state.is_primary:
        for pre_prepare in new_view.pre_prepares:
            ordering.consider(state, pre_prepare.sequence)


def begin(state: State, new_view: NewView, named: dict[bytes, ViewChange], reissue: Reissue) -> None:
    """Reset what belongs to a view. Decided sequences, prepared certificates and batches stay."""
    state.view = new_view.view
    state.changing_view = False
    state.new_view = new_view
    state.new_view_changes = named
    state.pending_new_view = None
    state.fetched_view_changes = {}
    state.view_base = reissue.min_sequence
    state.view_top = max([reissue.min_sequence, *(sequence for sequence, _ in reissue.proposals)])
    state.last_proposed = state.view_top
    state.view_decided_any = False
    state.slots = {}
    state.view_changes = {r: vc for r, vc in state.view_changes.items() if vc.new_view > state.view}
    for timer in ("resend", "new-view", "suspicion", "forward", "turn"):
        state.stop_timer(timer)
    batches.return_undecided(state)


def serve_request(state: State, request: ViewChangeRequest, sender: int | None) -> None:
    """Send the ViewChanges that the newest NewView names, or the newest ones."""
    if sender is None:
        return
    held = {view_change.digest: view_change for view_change in state.view_changes.values()} | state.new_view_changes
    for digest in request.digests:
        if (view_change := held.get(digest)) is not None:
            state.send(view_change, sender)

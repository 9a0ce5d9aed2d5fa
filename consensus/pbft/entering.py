"""Beginning a view: the NewView of its primary, recomputed by every backup. Spec: "NewView"."""

from __future__ import annotations

from collections.abc import Sequence

from consensus.errors import Refusal
from consensus.messages import NewView, ViewChange, ViewChangeRequest
from consensus.pbft import batches, checkpoints, ordering
from consensus.pbft.leaving import VIEW_DISTANCE_MAX, ask
from consensus.pbft.new_view import Reissue, compute
from consensus.pbft.records import EnteredView
from consensus.pbft.state import State


def lead(state: State, view: int) -> None:
    """As primary of `view`, begin it once a quorum asks for exactly this view."""
    if state.silent or view <= state.view or state.validators.primary(view) != state.replica_id:
        return
    asking = sorted(
        (vc for vc in state.view_changes.values() if vc.new_view == view), key=lambda view_change: view_change.replica
    )
    if len(asking) < state.validators.quorum:
        return
    reissue = compute(state.validators, asking)
    pre_prepares = tuple(
        ordering.sign_pre_prepare(state, view, sequence, proposal) for sequence, proposal in reissue.proposals
    )
    named = tuple((view_change.replica, view_change.digest) for view_change in asking)
    epoch = state.validators.epoch
    new_view: NewView = state.sign(
        NewView(epoch, state.own_id, state.next_position(), view, named, pre_prepares, bytes(64))
    )
    enter(state, new_view, asking, reissue)


def receive_new_view(state: State, message: NewView) -> None:
    """Take a NewView if it is what its ViewChanges imply. Raises Refusal."""
    if message.view <= state.view:
        raise Refusal("stale_new_view", message.replica)
    if message.view > state.view + VIEW_DISTANCE_MAX:
        raise Refusal("view_out_of_reach", message.replica)
    if message.view < state.may_vote_from_view:
        # We promised not to vote there. It may begin without us, and we follow its certificates.
        raise Refusal("view_already_left", message.replica)
    if state.validators.primary(message.view) != message.replica:
        raise Refusal("not_the_primary", message.replica)
    if len(message.view_changes) < state.validators.quorum:
        raise Refusal("new_view_without_quorum", message.replica)
    if any(replica >= state.validators.n for replica, _ in message.view_changes):
        raise Refusal("not_a_member", message.replica)
    pending = state.pending_new_views.get(message.replica)
    if pending is not None and pending.view >= message.view and pending != message:
        raise Refusal("stale_new_view", message.replica)
    if pending != message:
        state.verify(message)
        state.pending_new_views[message.replica] = message
    try_new_view(state, message)


def try_new_view(state: State, message: NewView) -> None:
    """Enter the view once the ViewChanges that its NewView names are here; ask its primary for those that are not."""
    if message.view < state.may_vote_from_view:
        drop(state, message)  # we gave that view up while ViewChanges were awaited: see `receive_new_view`
        return
    named: list[ViewChange] = []
    lacking: list[bytes] = []
    for replica, digest in message.view_changes:
        held = state.view_changes.get(replica)
        if held is None or held.digest != digest:
            held = state.fetched_view_changes.get(digest)
        if held is None:
            lacking.append(digest)
        elif (held.replica, held.new_view) != (replica, message.view):
            drop(state, message)
            return
        else:
            named.append(held)
    if lacking:
        state.send(ViewChangeRequest(state.validators.epoch, tuple(lacking)), message.replica)
        return
    # A quorum asked for this very view, so a NewView that is wrong may move us on.
    reissue = compute(state.validators, named)
    if not matches(state, message, reissue):
        drop(state, message)
        ask(state, message.view + 1)
        return
    enter(state, message, named, reissue)


def matches(state: State, message: NewView, reissue: Reissue) -> bool:
    """Tell whether the re-issued pre-prepares are signed by the primary and exactly what the ViewChanges imply."""
    offered = tuple((pre_prepare.sequence, pre_prepare.proposal) for pre_prepare in message.pre_prepares)
    if offered != reissue.proposals:
        return False
    try:
        for pre_prepare in message.pre_prepares:
            if (pre_prepare.view, pre_prepare.replica) != (message.view, message.replica):
                return False
            state.verify(pre_prepare)
    except Refusal:
        return False
    return True


def drop(state: State, message: NewView) -> None:
    """Forget a NewView that cannot hold."""
    state.pending_new_views.pop(message.replica, None)
    forget_unnamed(state)


def forget_unnamed(state: State) -> None:
    """Keep only those fetched ViewChanges that a pending NewView still names."""
    named = {digest for pending in state.pending_new_views.values() for _, digest in pending.view_changes}
    state.fetched_view_changes = {d: vc for d, vc in state.fetched_view_changes.items() if d in named}


def retry_pending(state: State) -> None:
    """A Status period passed: a NewView's primary may be gone, others verified the ViewChanges that it names."""
    for _, pending in sorted(state.pending_new_views.items()):
        if pending.view < state.may_vote_from_view:
            drop(state, pending)
            continue
        held = {view_change.digest for view_change in state.view_changes.values()} | set(state.fetched_view_changes)
        lacking = tuple(digest for _, digest in pending.view_changes if digest not in held)
        if lacking:
            state.send(ViewChangeRequest(state.validators.epoch, lacking), *state.others)


def enter(state: State, new_view: NewView, named: Sequence[ViewChange], reissue: Reissue) -> None:
    """Begin the view, durably: re-issued proposals first, then what waits."""
    state.persist(EnteredView(new_view, tuple(named)))
    if new_view.replica == state.replica_id:
        state.broadcast(new_view)
    if reissue.stable is not None:
        checkpoints.take_certificate(state, reissue.stable, {vc.replica for vc in named if vc.stable == reissue.stable})
    begin(state, new_view, named, reissue)
    if reissue.stable is not None:
        checkpoints.adopt(state, reissue.stable)
    if state.highest_certificate is not None and state.highest_certificate.height > state.last_delivered:
        # The votes that decided it were for the view that is over: nothing of them is on its way any more.
        checkpoints.ask_for_synchronization(state)
    for timer in ("resend", "new-view", "suspicion", "forward", "turn"):
        state.stop_timer(timer)
    for pre_prepare in new_view.pre_prepares:
        ordering.consider(state, pre_prepare.sequence)


def begin(state: State, new_view: NewView, named: Sequence[ViewChange], reissue: Reissue) -> None:
    """Reset what belongs to a view. Decided sequences, prepared certificates and batches stay."""
    state.view = new_view.view
    state.may_vote_from_view = max(state.may_vote_from_view, new_view.view)
    state.changing_view = False
    state.new_view = new_view
    state.new_view_changes = {view_change.digest: view_change for view_change in named}
    state.view_base = reissue.min_sequence
    state.view_top = reissue.max_sequence
    state.last_proposed = state.view_top
    state.view_decided_any = False
    state.slots = {}
    state.view_changes = {r: vc for r, vc in state.view_changes.items() if vc.new_view > state.view}
    state.pending_new_views = {
        r: pending for r, pending in state.pending_new_views.items() if pending.view > state.view
    }
    forget_unnamed(state)
    batches.return_undecided(state)
    for pre_prepare in new_view.pre_prepares:
        if pre_prepare.sequence > state.low:
            state.slot(pre_prepare.sequence).candidate = pre_prepare
            batches.mark_in_flight(state, pre_prepare.sequence, pre_prepare.proposal)

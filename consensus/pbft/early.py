"""Messages of views above ours, which arrive when others began a view a little before us. Spec: "Leaving a view"."""

from __future__ import annotations

from typing import Final

from consensus.errors import Refusal
from consensus.messages import Commit, Prepare, PrePrepare
from consensus.pbft.state import State

EARLY_MESSAGES_MAX: Final = 256
"""Messages kept for each replica; the oldest makes room, and comes again after a Status."""


def keep(state: State, message: PrePrepare | Prepare | Commit) -> None:
    """Keep a message until its view begins. Only its signer's room is at stake, since it is verified first."""
    if message.sequence > state.high + state.configuration.window:
        raise Refusal("outside_the_window", message.replica)
    if isinstance(message, PrePrepare):
        if len(message.proposal.batches) > state.configuration.batches_per_proposal_max:
            raise Refusal("too_many_batches", message.replica)
        if state.validators.primary(message.view) != message.replica:
            raise Refusal("not_the_primary", message.replica)
    state.verify(message)
    kept = state.early.setdefault(message.replica, [])
    if message in kept:
        return
    if len(kept) >= EARLY_MESSAGES_MAX:
        kept.pop(0)
    kept.append(message)


def take(state: State) -> list[PrePrepare | Prepare | Commit]:
    """Return what was kept, once for each view that begins; what is still early may be kept again.

    Votes for a sequence and its pre-prepare may come in any order, so the replicas' order does not matter.
    """
    if state.early_for_view == state.view:
        return []
    state.early_for_view = state.view
    early, state.early = state.early, {}
    return [message for replica in sorted(early) for message in early[replica] if message.view >= state.view]

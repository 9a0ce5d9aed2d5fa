"""Whether our vote log can be trusted to hold all that we promised. Spec: "Amnesia".

A replica that was started again cannot tell a good log from an old copy, and neither from an empty one. The others can:
each has seen our messages and the positions in them. Until a quorum's Status, our own included, knows none above our
log's last, we sign nothing that promises. Shown a message of our own from above it, we are outdated for good in this
epoch: no bound on sequences or views makes a further vote safe, because any of them may have been promised otherwise.
"""

from __future__ import annotations

from typing import Final

from consensus.engine import Outdated
from consensus.messages import Batch, Signed, Status
from consensus.pbft.state import State
from primitives.finality import FinalityCertificate

CLAIM_PERIODS: Final = 4
"""Status periods for which one replica's claim of a higher position holds the gate shut without a proof of it, from its
first claim on. A liar delays us by no more; a true claim comes with the message that proves it, which may be lost a few
times."""


def hear(state: State, status: Status) -> bool:
    """Take note of what a replica knows of us. Tell whether the gate opened with it.

    What it told somebody else says nothing of us: passed on, it would silence us by that one's position.
    """
    if not state.gated or status.replica == state.replica_id or status.receiver != state.replica_id:
        return False
    if status.highest_position_seen > state.position:
        state.agreeing.discard(status.replica)
        state.claiming[status.replica] = status.highest_position_seen
        state.claimed_since.setdefault(status.replica, state.gated_periods)
        if len(state.claiming) >= state.validators.weak_quorum:
            fall_behind(state, min(state.claiming.values()))  # among f + 1 one tells the truth
    else:
        state.claiming.pop(status.replica, None)
        state.agreeing.add(status.replica)
    return try_to_open(state)


def pass_period(state: State) -> bool:
    """A Status period passed. Tell whether the gate opened with it."""
    state.gated_periods += 1
    return try_to_open(state)


def try_to_open(state: State) -> bool:
    """Open the gate if a quorum, ourselves included, knows of nothing that our log lacks."""
    if not state.gated or state.outdated or len(state.agreeing) + 1 < state.validators.quorum:
        return False
    if any(state.gated_periods - state.claimed_since[replica] < CLAIM_PERIODS for replica in state.claiming):
        return False
    state.gated = False
    return True


def fall_behind(state: State, promised: int) -> None:
    """Our log ends below what we promised."""
    if promised <= max(state.position, state.outdated_by):
        return
    first = not state.outdated
    state.outdated_by = promised
    if first:
        state.emit(Outdated(state.position, promised))


def doubt(state: State, certificate: FinalityCertificate) -> None:
    """A valid certificate that we signed ourselves, of a block that neither our ledger nor our log knows: the log is no
    longer what it was, even if nobody else remembers our votes, as after a restart of all."""
    known = max(state.last_executed, state.low)
    if not state.gated or state.replica_id is None or certificate.height <= known:
        return
    own = state.replica_id in state.checkpoints.get(certificate.height, {})
    if not own and _signed(state, certificate):
        fall_behind(state, state.position + 1)


def doubt_empty_log(state: State) -> None:
    """The ledger holds our signature under a block of this epoch, and the log not a single promise."""
    if state.gated and state.position == 0 and state.stable is not None and _signed(state, state.stable):
        fall_behind(state, 1)


def _signed(state: State, certificate: FinalityCertificate) -> bool:
    return any(signer == state.replica_id for signer, _ in certificate.signatures)


def proof_of_position(state: State, status: Status) -> Signed | None:
    """Return the message that shows the sender of `status` that its log ends too low, if we have seen and kept one."""
    newest = state.newest.get(status.replica)
    if newest is None or isinstance(newest, Status) or getattr(newest, "position", 0) <= status.last_position:
        return None
    return state.batches.get(newest.digest) if isinstance(newest, Batch) else newest

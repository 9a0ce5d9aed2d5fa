"""The timers that follow from the state: suspicion, forwarding, turns. Spec: "Leaving a view".

Nothing here judges a primary's conduct: a view ends when pending work makes no progress for T, or after its turn.
"""

from __future__ import annotations

from consensus.engine import TimerKind
from consensus.pbft import batches, leaving, ordering
from consensus.pbft.state import State


def expire(state: State, timer: TimerKind) -> None:
    """Act on an expired timer that is not another part's."""
    match timer:
        case "suspicion":
            leaving.ask(state, state.view + 1)
        case "turn":
            if state.view_decided_any or work_pending(state):
                leaving.ask(state, state.view + 1)
        case "forward":
            forward_waiting(state)
        case "new-view":
            leaving.on_new_view_timeout(state)
        case "resend":
            leaving.on_resend(state)
        case "heartbeat":
            ordering.propose(state, empty=not work_pending(state))
            state.start_timer("heartbeat", state.configuration.heartbeat_ms)
        case "status":
            raise AssertionError("the Status timer belongs to repair")


def forward_waiting(state: State) -> None:
    """T / 2 passed: an author may have shown a batch to some only, so that the primary cannot propose it."""
    sequence = ordering.next_sequence(state)
    for digest in batches.fill_proposal(state, sequence, batches.FORWARD_BYTES_MAX):
        state.broadcast(state.batches[digest])


def work_pending(state: State) -> bool:
    """Tell whether anything waits for the others: a batch, a proposal, a certificate, the end of the epoch."""
    return (
        bool(state.waiting)
        or state.epoch_end > state.low
        or any(not slot.decided for slot in state.slots.values() if slot.pre_prepare or slot.candidate)
        or state.last_executed > state.low
    )


def suspicious(state: State) -> bool:
    """Tell whether a lack of progress may be the primary's fault: not while our own executor lags behind decisions."""
    lag = state.last_delivered - state.last_executed
    return lag <= state.configuration.execution_lag_max and work_pending(state)


def update(state: State) -> None:
    """Suspicion and forwarding run while work is pending, from the last progress; a view with work has its turn."""
    if state.silent or state.validators.n == 1:
        return
    if state.changing_view:
        # Alone with its wish, a replica may go on so for long: what only it holds must reach those who order.
        if state.waiting and "forward" not in state.timers:
            state.start_timer("forward", leaving.timeout_ms(state))
        return
    mark = (state.last_delivered, state.low)
    progressed, state.progress_mark = mark != state.progress_mark, mark
    if not suspicious(state):
        state.stop_timer("suspicion")
        state.stop_timer("forward")
    elif progressed or "suspicion" not in state.timers:
        timeout_ms = leaving.timeout_ms(state)
        state.start_timer("suspicion", timeout_ms)
        state.start_timer("forward", timeout_ms // 2)
    if state.configuration.turn_ms and "turn" not in state.timers and (state.view_decided_any or work_pending(state)):
        state.start_timer("turn", state.configuration.turn_ms)

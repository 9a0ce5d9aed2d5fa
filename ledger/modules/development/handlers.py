"""Advancing the clock of a development network."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.genesis import Genesis
from ledger.modules.development.clock import CLOCK, OFFSET_MS_MAX, Clock
from ledger.modules.development.events import ClockAdvanced
from ledger.modules.development.operations import ADVANCE_MS_MAX, AdvanceClock
from ledger.modules.module import Context


def advance_clock(context: Context, operation: AdvanceClock) -> None:
    """Add to the offset; it takes effect from the next block on."""
    clock = CLOCK.get(context.view)
    if clock is None:
        raise OperationError("development.not_a_development_network", "the genesis does not say development = true")
    offset_ms = clock.offset_ms + operation.ms
    if not 1 <= operation.ms <= ADVANCE_MS_MAX or offset_ms > OFFSET_MS_MAX:
        raise OperationError("development.out_of_range", f"{operation.ms} ms, {offset_ms} of {OFFSET_MS_MAX} together")
    CLOCK.put(context.view, Clock(offset_ms))
    context.emit(ClockAdvanced(operation.ms, offset_ms))


def write_genesis(context: Context, genesis: Genesis) -> None:
    """Start the clock, which exists on development networks only."""
    if genesis.development:
        CLOCK.put(context.view, Clock(0))

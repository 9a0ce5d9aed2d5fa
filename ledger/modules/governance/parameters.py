"""Changes of the chain's parameters: judged as a whole at the proposal, and again when they take effect.

Nothing that runs is touched: whoever waits for a time was given that time when the waiting began. Two proposals that
each hold alone may not hold together: whichever takes effect later is judged by what the other has made.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ledger import epochs
from ledger.errors import InvalidGenesis, OperationError
from ledger.modules.governance import events
from ledger.modules.governance.operations import SetParameters
from ledger.modules.module import Context
from ledger.parameters import (
    ConsensusLimits,
    Parameters,
    bounds,
    change_parameters,
    coming_parameters,
)

FIXED: Final = ("opaque_bundles",)
"""What no vote changes: a network orders opaque bundles from its genesis on, or never."""
_OF_CONSENSUS: Final = ConsensusLimits.__struct_fields__


def require_possible(context: Context, change: SetParameters) -> None:
    """Check that the parameters would hold with `change` as things stand.

    Raises:
        OperationError: `governance.unknown_parameter`, `governance.parameter_fixed`, `governance.parameter_repeated`,
            `governance.parameter_range`, `governance.parameter_rules`.
    """
    _changed(context, change)


def bring_about(context: Context, change: SetParameters) -> None:
    """Set the parameters, from the next block or from the next epoch on. Raises as `require_possible`."""
    before, changed = coming_parameters(context.view), _changed(context, change)
    end = 0
    if change_parameters(context.view, changed):
        end = epochs.schedule_end(context.view, context.height, context.parameters.window)
    for entry in change.values:
        until = end if entry.name in _OF_CONSENSUS else 0
        context.emit(events.ParameterSet(entry.name, before.value(entry.name), entry.value, until))


def _changed(context: Context, change: SetParameters) -> Parameters:
    development = epochs.is_development(context.view)
    known, present = bounds(development=development), coming_parameters(context.view)
    wanted: dict[str, int] = {}
    for entry in change.values:
        if entry.name in FIXED:
            raise OperationError("governance.parameter_fixed", f"{entry.name} is what the genesis says")
        if entry.name not in known:
            raise OperationError("governance.unknown_parameter", f"{entry.name!a} is no parameter of the chain")
        if entry.name in wanted:
            raise OperationError("governance.parameter_repeated", f"{entry.name} is named twice")
        low, high = known[entry.name]
        if not low <= entry.value <= high:
            raise OperationError(
                "governance.parameter_range", f"{entry.name} goes from {low} to {high}, and {entry.value} is outside"
            )
        wanted[entry.name] = entry.value
    changed = msgspec.structs.replace(present, **wanted)
    try:
        changed.check_together(development=development)
    except InvalidGenesis as error:
        raise OperationError("governance.parameter_rules", error.message) from error
    return changed

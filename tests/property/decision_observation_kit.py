"""What can be seen of a real ledger's decisions, in the shape that `observation_kit` compares."""

from __future__ import annotations

from typing import Any

from ledger.epochs import current_epoch
from ledger.modules.assets.records import TAKEN_DOWN
from ledger.modules.credits.accounting import supply
from ledger.modules.governance.operations import Burn, Mint, Pay, SetParameters, TakeDown
from ledger.modules.governance.records import PROPOSALS, Change, Proposal
from ledger.parameters import ConsensusLimits, coming_parameters, limits_of, read_parameters
from ledger.state.view import StateView


def seen_decisions(view: StateView) -> dict[str, dict[Any, Any]]:
    """Return the tables of proposals, of parameters, of the supply and of what is down."""
    now, coming = read_parameters(view), limits_of(coming_parameters(view))
    names = [name for name in now.__struct_fields__ if name != "opaque_bundles"]
    waits = (
        {} if coming == limits_of(now) else {name: getattr(coming, name) for name in ConsensusLimits.__struct_fields__}
    )
    return {
        "motions": {key: _proposal(row) for key, row in PROPOSALS.items(view)},
        "parameters": {
            "now": {name: now.value(name) for name in names},
            "next": waits,
            "end": current_epoch(view).end,
        },
        "supply": {"all": supply(view)},
        "down": {
            cid.decode(): (row.reason, row.report, row.proposal, row.since_ms) for cid, row in TAKEN_DOWN.items(view)
        },
    }


def _proposal(row: Proposal) -> dict[str, Any]:
    return {
        "organization": row.organization,
        "proposer": row.proposer,
        "change": _change(row.change),
        "proposed": row.proposed_at_ms,
        "closes": row.closes_at_ms,
        "state": row.state,
        "approvals": list(row.approvals),
        "refusals": list(row.refusals),
        "executes": row.executes_at_ms,
        "objections": list(row.objections),
        "failure": row.failure,
    }


def _change(change: Change) -> tuple[Any, ...]:
    kind = str(type(change).__struct_config__.tag)
    if isinstance(change, SetParameters):
        return (kind, tuple((entry.name, entry.value) for entry in change.values))
    if isinstance(change, Mint | Burn | Pay):
        return (kind, change.account, change.amount)
    if isinstance(change, TakeDown):
        return (kind, change.artifact, change.reason, change.report)
    return (kind, getattr(change, "artifact", None))

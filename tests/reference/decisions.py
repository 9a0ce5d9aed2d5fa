"""What the consortium has decided, as one operation: how it decides has random tests of its own."""

from __future__ import annotations

import msgspec

from ledger.modules.governance import operations as governance
from tests.reference import attestations
from tests.reference.state import Call


class Decide(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag="decisions.decide"):
    """Bring about what more than two thirds of all organizations have approved."""

    change: (
        governance.Accredit
        | governance.SuspendAccreditation
        | governance.ReinstateAccreditation
        | governance.EndAccreditation
    )


def decide(call: Call, operation: Decide) -> None:
    change = operation.change
    match change:
        case governance.Accredit():
            attestations.accredit(call, change)
        case governance.SuspendAccreditation():
            attestations.suspend(call, change)
        case governance.ReinstateAccreditation():
            attestations.reinstate(call, change)
        case governance.EndAccreditation():
            attestations.end(call, change.account, "ended")


OPERATIONS = {Decide: decide}

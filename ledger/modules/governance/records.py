"""Proposals. What is approved and waits for an epoch's end is the core's (ledger/epochs.py).

proposal/      + id (32)                                     Proposal
open-proposal/ + length of organization (1) + id + proposal (32)   Marker
"""

from __future__ import annotations

from typing import Final, Literal

from ledger.modules.fields import Bytes32, Marker, Record, TimeMs
from ledger.modules.governance.operations import (
    AddValidator,
    AdmitOrganization,
    RecoverAccount,
    ReinstateOrganization,
    RekeyValidator,
    RemoveOrganization,
    RemoveValidator,
    RestoreArtifact,
    SetQuota,
    SuspendOrganization,
    TakeDown,
)
from ledger.state.view import Table
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

OPEN_PROPOSALS_MAX: Final = 8
"""Open proposals of one organization; a further one is refused."""
VOTING_END: Final = "governance.voting_end"
"""The deadline at which a proposal that is still open expires; its subject is the proposal's id."""

ValidatorChange = AddValidator | RemoveValidator | RekeyValidator
"""Waits for the end of the epoch."""
MemberChange = (
    AdmitOrganization | SuspendOrganization | ReinstateOrganization | RemoveOrganization | SetQuota | RecoverAccount
)
"""Takes effect at once."""
ArtifactChange = TakeDown | RestoreArtifact
"""Takes effect at once."""
Change = ValidatorChange | MemberChange | ArtifactChange
State = Literal["open", "approved", "rejected", "expired", "lapsed"]


class Proposal(Record, frozen=True):
    organization: str
    proposer: Bytes32
    change: Change
    title: str
    text: str | None
    proposed_at_ms: TimeMs
    closes_at_ms: TimeMs
    state: State
    """`lapsed`: approved, but it could not take effect in time."""
    approvals: tuple[str, ...]
    """Organizations, in order of their votes."""
    refusals: tuple[str, ...]


PROPOSALS: Final = Table[Proposal](b"proposal/", Proposal)
OPEN: Final = Table[Marker](b"open-proposal/", Marker)


def proposal_id(transaction_id: bytes, change: Change) -> Digest:
    """Return the id of what a transaction proposes; known before it is sent."""
    return tagged_hash("governance-proposal", transaction_id + encode(change))


def passes(approvals: int, organizations: int) -> bool:
    """Tell whether more than two thirds of all organizations approve."""
    return 3 * approvals > 2 * organizations

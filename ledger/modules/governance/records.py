"""Proposals. What is approved and waits for an epoch's end is the core's (ledger/epochs.py).

proposal/      + id (32)                                     Proposal
open-proposal/ + length of organization (1) + id + proposal (32)   Marker
"""

from __future__ import annotations

from typing import Final, Literal

from ledger.modules.fields import Bytes32, Marker, Record, TimeMs
from ledger.modules.governance.operations import (
    Accredit,
    AddValidator,
    AdmitOrganization,
    Burn,
    EndAccreditation,
    Mint,
    Pay,
    RecoverAccount,
    ReinstateAccreditation,
    ReinstateOrganization,
    RekeyValidator,
    RemoveOrganization,
    RemoveValidator,
    RestoreArtifact,
    SetParameters,
    SetQuota,
    SuspendAccreditation,
    SuspendOrganization,
    TakeDown,
)
from ledger.state.view import Table
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

OPEN_PROPOSALS_MAX: Final = 8
"""Proposals of one organization that are open or wait for their delay; a further one is refused."""
VOTING_END: Final = "governance.voting_end"
"""The deadline at which the votes on a proposal that is still open are counted for the last time; its subject is the
proposal's id."""
STOOD_MS: Final = 10 * 60_000
"""Where the end of a delay is longer ago than this when it is swept, the network stood still when it came."""
DELAY_END: Final = "governance.delay_end"
"""The deadline at which what was approved and not stopped is done; its subject is the proposal's id."""

ValidatorChange = AddValidator | RemoveValidator | RekeyValidator
"""Waits for the end of the epoch."""
MemberChange = (
    AdmitOrganization | SuspendOrganization | ReinstateOrganization | RemoveOrganization | SetQuota | RecoverAccount
)
"""Takes effect at once."""
ArtifactChange = TakeDown | RestoreArtifact
"""Takes effect at once."""
SupplyChange = Mint | Burn
CreditChange = SupplyChange | Pay
DelayedChange = SetParameters | CreditChange
"""Takes effect after a delay, in which it can be stopped."""
AccreditationChange = Accredit | SuspendAccreditation | ReinstateAccreditation | EndAccreditation
"""Takes effect at once."""
Change = ValidatorChange | MemberChange | ArtifactChange | DelayedChange | AccreditationChange
State = Literal["open", "approved", "rejected", "expired", "lapsed", "waiting", "executed", "failed", "stopped"]


class Proposal(Record, frozen=True):
    organization: str
    proposer: Bytes32
    change: Change
    title: str
    text: str | None
    proposed_at_ms: TimeMs
    closes_at_ms: TimeMs
    state: State
    """`approved`: and it took effect at once, or with the epoch's end, where it does not become `lapsed`: it could not
    in time. `waiting`: approved, until `executes_at_ms`; then `executed`, or `failed`: it was not possible any more.
    `stopped`: by objections, while it waited."""
    approvals: tuple[str, ...]
    """Organizations, in order of their votes."""
    refusals: tuple[str, ...]
    executes_at_ms: TimeMs = 0
    """The end of the delay; 0 before the approval, and where there is none."""
    objections: tuple[str, ...] = ()
    """Organizations, in order."""
    failure: str = ""
    """The code with which it failed."""
    present: int = 0
    """Organizations when it began to wait: those that come later make it no harder to stop. 0 before."""


PROPOSALS: Final = Table[Proposal](b"proposal/", Proposal)
OPEN: Final = Table[Marker](b"open-proposal/", Marker)


def proposal_id(transaction_id: bytes, change: Change) -> Digest:
    """Return the id of what a transaction proposes; known before it is sent."""
    return tagged_hash("governance-proposal", transaction_id + encode(change))


def passes(approvals: int, organizations: int) -> bool:
    """Tell whether more than two thirds of all organizations approve."""
    return 3 * approvals > 2 * organizations


def carries(approvals: int, refusals: int, organizations: int) -> bool:
    """Tell whether more than half of all organizations, and more than two thirds of those that voted, approve.

    The half is of approvals and not of votes: else a refusal could be what completes it, and who is against a proposal
    would do better not to vote.
    """
    return 2 * approvals > organizations and approvals > 2 * refusals


def judges(proposal: Proposal, organizations: int) -> int:
    """Return how many organizations objections are counted against, where there are `organizations` now: never more
    than when it was approved. Else those who decided could let friends in, at once, until no third is left to object.
    """
    return min(organizations, proposal.present) if proposal.present else organizations


def stops(objections: int, organizations: int) -> bool:
    """Tell whether a third of all organizations object, or more: as many as keep `passes` from being true."""
    return 3 * objections >= organizations

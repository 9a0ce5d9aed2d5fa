"""What happened to proposals."""

from __future__ import annotations

from ledger.modules.fields import Event


class ProposalOpened(Event, frozen=True, tag="governance.proposal_opened"):
    proposal: bytes
    organization: str
    change: str
    """Tag of the change."""
    node_id: str
    """Empty where the change is of no validator."""
    subject: str
    """The organization, the account in hex or the artifact that the change is of; empty where it is of a validator."""
    closes_at_ms: int


class VoteCast(Event, frozen=True, tag="governance.vote_cast"):
    proposal: bytes
    organization: str
    approve: bool


class ProposalApproved(Event, frozen=True, tag="governance.proposal_approved"):
    proposal: bytes
    epoch_end: int
    """0 where the change waits for `validators.ready` and no end is known yet, and where no epoch ends for it."""
    executes_at_ms: int
    """The end of its delay; 0 where it has none."""


class ProposalRejected(Event, frozen=True, tag="governance.proposal_rejected"):
    proposal: bytes


class ProposalExpired(Event, frozen=True, tag="governance.proposal_expired"):
    proposal: bytes


class ChangeLapsed(Event, frozen=True, tag="governance.change_lapsed"):
    proposal: bytes


class ObjectionRaised(Event, frozen=True, tag="governance.objection_raised"):
    proposal: bytes
    organization: str


class ProposalStopped(Event, frozen=True, tag="governance.proposal_stopped"):
    proposal: bytes


class ProposalDelayed(Event, frozen=True, tag="governance.proposal_delayed"):
    """The network stood still when its delay ended: it waits once more, for nobody could object meanwhile."""

    proposal: bytes
    executes_at_ms: int


class ProposalExecuted(Event, frozen=True, tag="governance.proposal_executed"):
    proposal: bytes


class ProposalFailed(Event, frozen=True, tag="governance.proposal_failed"):
    """Its delay was over, and it was not possible any more: nothing has changed."""

    proposal: bytes
    code: str


class ParameterSet(Event, frozen=True, tag="governance.parameter_set"):
    name: str
    before: int
    value: int
    epoch_end: int
    """The last height with the value before; 0 where that is this block's."""


class TreasuryPaid(Event, frozen=True, tag="governance.treasury_paid"):
    account: bytes
    amount: int

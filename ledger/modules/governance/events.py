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
    """0 where the change waits for `validators.ready` and no end is known yet, and where it has taken effect at
    once."""


class ProposalRejected(Event, frozen=True, tag="governance.proposal_rejected"):
    proposal: bytes


class ProposalExpired(Event, frozen=True, tag="governance.proposal_expired"):
    proposal: bytes


class ChangeLapsed(Event, frozen=True, tag="governance.change_lapsed"):
    proposal: bytes

"""What happened to members of the validator set and to candidates."""

from __future__ import annotations

from ledger.modules.fields import Event


class CandidateReady(Event, frozen=True, tag="validators.candidate_ready"):
    node_id: str
    epoch_end: int


class RejoinAccepted(Event, frozen=True, tag="validators.rejoin_accepted"):
    node_id: str
    incarnation: int
    epoch_end: int


class EvidenceRecorded(Event, frozen=True, tag="validators.evidence_recorded"):
    epoch: int
    culprit: int
    """Index in the set of that epoch."""
    node_id: str
    digest: bytes

"""What a validator's own account may say about itself and about others."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec

from ledger.modules.fields import Bytes32, Operation

EVIDENCE_BYTES_MAX: Final = 60 * 1024
"""A transaction has at most 64 KiB."""

Height: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Incarnation: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
"""Made by chance, so that no two rejoins of a validator share one."""
EvidenceBytes: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=1, max_length=EVIDENCE_BYTES_MAX)]


class Ready(Operation, frozen=True, tag="validators.ready"):
    """State that the node of the sender, an admitted candidate, has followed the chain up to a recent block. From then
    on the candidate can be in the next set."""

    height: Height
    """At most 256 below the block that executes this."""
    block_hash: Bytes32


class Rejoin(Operation, frozen=True, tag="validators.rejoin"):
    """Ask to take part again after a loss of votes: the epoch ends, and in the next one nothing counts that the sender
    signed before."""

    incarnation: Incarnation


class ReportEvidence(Operation, frozen=True, tag="validators.report_evidence"):
    """Show two messages of one validator that contradict each other."""

    evidence: EvidenceBytes
    """As consensus encodes it."""

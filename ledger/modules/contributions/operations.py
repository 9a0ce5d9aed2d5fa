"""What may be asked about contributions to somebody else's asset, and about bounties for them.

A contribution shows an artifact, and is therefore committed to first: `assets.commit` with
`ledger.modules.assets.operations.commitment`, then, when that is old enough, `contributions.propose` reveals it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from ledger.modules.assets.operations import Artifact, DerivingRight, Provenance
from ledger.modules.attestations.operations import MetricName, Millionths
from ledger.modules.fields import (
    BPS,
    Bytes32,
    CidText,
    Operation,
    Part,
    PositiveAmount,
    Salt,
    TimeMs,
    VersionNumber,
)
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

Message = Annotated[str, msgspec.Meta(max_length=1024)]
Given = Annotated[int, msgspec.Meta(ge=0, le=BPS - 1)]
"""Basis points of an asset; never the whole of it."""


Evaluators = Annotated[int, msgspec.Meta(ge=1, le=16)]


class Condition(Part, frozen=True):
    """What a contribution must reach for a bounty, by what accredited evaluators state."""

    metric: MetricName
    bound_ppm: Millionths
    """At least; at most, where less is better."""
    dataset: Bytes32
    """Asset id of a data set."""
    dataset_version: VersionNumber
    evaluators: Evaluators
    """So many organizations must state it."""


class Reward(Part, frozen=True):
    """What owners give for a contribution. Without a share and without a bounty it is credit only."""

    share_bps: Given = 0
    """Of the asset; none where the contributor has asked for none."""
    giver: Bytes32 | None = None
    """The owner whose share it is taken from; None takes it from all owners by their shares."""
    bounty: Bytes32 | None = None
    """The bounty that the contribution names."""


class Propose(Operation, frozen=True, tag="contributions.propose"):
    """Reveal a commitment of the sender and propose a version of an asset. By an owner, or by who holds a grant to
    derive from it."""

    asset: Bytes32
    parent_version: VersionNumber
    """The version that it is made from."""
    right: DerivingRight
    artifact: Artifact
    salt: Salt
    expires_at_ms: TimeMs
    grant: Bytes32 | None = None
    """The live grant that lets the sender derive from the asset; None where the sender owns a share of it."""
    provenance: Provenance = Provenance()
    """As a version's: other parents of it, by grants of the sender or of the asset's sole owner."""
    message: Message = ""
    """For those who decide; it becomes the version's notes."""
    share_bps_min: Given = 0
    """The least share of the asset that it is given for; 0 takes none."""
    bounty: Bytes32 | None = None
    """The bounty that it is given for."""


class Comment(Operation, frozen=True, tag="contributions.comment"):
    """Say something about an open contribution: by its contributor, by an owner or the manager of the asset, or by who
    is accredited to evaluate."""

    contribution: Bytes32
    text: CidText


class Accept(Operation, frozen=True, tag="contributions.accept"):
    """Make a contribution the asset's next version. By the manager, with owners of more than 5_000 bps; whose share
    becomes smaller must have consented."""

    contribution: Bytes32
    reward: Reward = Reward()


class Refuse(Operation, frozen=True, tag="contributions.refuse"):
    """End a contribution that is not wanted. By the manager."""

    contribution: Bytes32
    reason: Message = ""


class Withdraw(Operation, frozen=True, tag="contributions.withdraw"):
    """Take an open contribution back. By its contributor."""

    contribution: Bytes32


class OpenBounty(Operation, frozen=True, tag="contributions.open_bounty"):
    """Put credits into escrow for a contribution to an asset. By anyone."""

    asset: Bytes32
    amount: PositiveAmount
    closes_at_ms: TimeMs
    """Contributions that name it must be accepted before."""
    description: CidText | None = None
    condition: Condition | None = None
    """Which version it is paid for; without one it is paid with the acceptance, by its opener's word."""


class ClaimBounty(Operation, frozen=True, tag="contributions.claim_bounty"):
    """Have a bounty paid to the contributor whose accepted contribution fulfils its condition. By anyone."""

    bounty: Bytes32
    contribution: Bytes32


class AwardBounty(Operation, frozen=True, tag="contributions.award_bounty"):
    """Say which open contribution a bounty is paid for as soon as it is accepted; with None for none. By its opener."""

    bounty: Bytes32
    contribution: Bytes32 | None = None


class CancelBounty(Operation, frozen=True, tag="contributions.cancel_bounty"):
    """Take a bounty back that no contribution names. By its opener."""

    bounty: Bytes32


def contribution_id(transaction_id: bytes, asset: bytes, artifact_cid: str) -> Digest:
    """Return the id of the contribution that a transaction proposes; known before it is sent."""
    return tagged_hash("contribution", encode((transaction_id, asset, artifact_cid)))


def bounty_id(transaction_id: bytes, operation: OpenBounty) -> Digest:
    """Return the id of the bounty that a transaction opens; known before it is sent."""
    return tagged_hash("bounty", encode((transaction_id, operation)))

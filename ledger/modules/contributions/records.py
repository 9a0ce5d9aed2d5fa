"""Contributions, what is said about them, and bounties. The escrow of a bounty has the bounty's id.

contribution/          + contribution (32)                              Contribution
contribution-comment/  + contribution (32) + number (1)                 Said
bounty/                + bounty (32)                                    Bounty
~asset-contribution/   + asset (32) + state (1) + contribution (32)     Marker
~maker-contribution/   + contributor (32) + state (1) + contribution    Marker
~asset-bounty/         + asset (32) + bounty (32)                       Marker
~opener-bounty/        + opener (32) + bounty (32)                      Marker

What was refused, withdrawn or expired is gone, with all that was said about it, and so is the bounty that was paid or
has ended: receipts tell what became of them.
"""

from __future__ import annotations

from typing import Final, Literal

from ledger.modules.assets.operations import Artifact, DerivingRight, Provenance
from ledger.modules.contributions.operations import Condition
from ledger.modules.fields import Amount, Bytes32, Marker, Rate, Record, TimeMs
from ledger.parameters import DAY_MS
from ledger.state.indexes import Index
from ledger.state.view import Table

OPEN_ASSET_MAX: Final = 32
"""Open contributions to one asset; a further one is refused."""
OPEN_ORGANIZATION_MAX: Final = 8
"""Of these by accounts of one organization, so that nobody takes all places."""
OPEN_MAKER_MAX: Final = 64
"""Open contributions of one account, to whatever assets."""
COMMENTS_MAX: Final = 32
"""Comments on one contribution; a further one is refused."""
COMMENTS_ACCOUNT_MAX: Final = 8
"""Of these by one account."""

EVALUATION_MS: Final = 14 * DAY_MS
"""How long after a bounty has closed it can be claimed for what was accepted before."""

State = Literal["open", "accepted"]
STATES: Final[dict[State, bytes]] = {"open": b"\x00", "accepted": b"\x01"}
"""As key parts."""


class Contribution(Record, frozen=True):
    asset: Bytes32
    contributor: Bytes32
    """On whose organization's quota it is."""
    artifact: Artifact
    parent_version: int
    right: DerivingRight
    grant: Bytes32 | None
    provenance: Provenance
    """Empty once accepted: then it is the version's."""
    message: str
    """The same."""
    share_bps_min: Rate
    bounty: Bytes32 | None
    transfers: int
    """How often the asset had changed hands: whoever buys it later is not who it was proposed to."""
    proposed_at_ms: TimeMs
    expires_at_ms: TimeMs
    comments: int = 0
    state: State = "open"
    version: int | None = None
    """The asset's version that it became."""
    share_bps: Rate = 0
    """What was given for it."""
    accepted_at_ms: TimeMs | None = None
    manager: Bytes32 | None = None
    """The asset's when it was accepted."""


class Said(Record, frozen=True):
    """A comment, on the quota of its account's organization."""

    account: Bytes32
    text: str
    """CID."""
    at_ms: TimeMs


class Bounty(Record, frozen=True):
    asset: Bytes32
    opener: Bytes32
    """On whose organization's quota it is, and who gets back what is not paid."""
    amount: Amount
    """In escrow."""
    closes_at_ms: TimeMs
    description: str | None
    """CID."""
    opened_at_ms: TimeMs
    condition: Condition | None
    due_ms: TimeMs
    """When it returns: when it closes, and later where something was accepted that may still fulfil the condition."""
    named: int = 0
    """Open contributions that name it."""
    accepted: int = 0
    """Accepted ones that wait for what evaluators say."""
    awarded: Bytes32 | None = None
    """The contribution that the opener means it for, where there is no condition."""


CONTRIBUTIONS: Final = Table[Contribution](b"contribution/", Contribution)
COMMENTS: Final = Table[Said](b"contribution-comment/", Said)
BOUNTIES: Final = Table[Bounty](b"bounty/", Bounty)
BY_ASSET: Final = Table[Marker](b"~asset-contribution/", Marker)
BY_MAKER: Final = Table[Marker](b"~maker-contribution/", Marker)
BOUNTIES_BY_ASSET: Final = Table[Marker](b"~asset-bounty/", Marker)
BOUNTIES_BY_OPENER: Final = Table[Marker](b"~opener-bounty/", Marker)


def comment_part(number: int) -> bytes:
    """Return a comment's number on its contribution, 0 to 31, as a key part."""
    return bytes([number])


INDEXES: Final = (
    Index(BY_ASSET, CONTRIBUTIONS, lambda key, record: [(record.asset, STATES[record.state], key)]),
    Index(BY_MAKER, CONTRIBUTIONS, lambda key, record: [(record.contributor, STATES[record.state], key)]),
    Index(BOUNTIES_BY_ASSET, BOUNTIES, lambda key, record: [(record.asset, key)]),
    Index(BOUNTIES_BY_OPENER, BOUNTIES, lambda key, record: [(record.opener, key)]),
)

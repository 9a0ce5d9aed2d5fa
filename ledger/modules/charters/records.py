"""What the owners of assets have proposed to one another. Charters are in `adopted`, share prices in `fair_price`.

charter-proposal/        + proposal (32)                                             Proposal
open-charter-proposal/   + asset (32) + length of organization (1) + id + proposal (32)   Marker
~asset-charter-proposal/ + asset (32) + proposal (32)                                Marker
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ledger.modules.assets.records import OWNERS_MAX
from ledger.modules.charters.adopted import CHARTERS, SALES, Adopted, PendingSale
from ledger.modules.charters.fair_price import SHARE_PRICES, Highs
from ledger.modules.charters.operations import Action
from ledger.modules.fields import BPS, Bytes32, Marker, Part, Rate, Record, TimeMs
from ledger.state.indexes import Index
from ledger.state.view import Table

OPEN_MAX: Final = 4
"""Open proposals of one organization's accounts about one asset; a further one is refused. Nobody's proposals keep
another organization from making its own."""
VOTING_END: Final = "charters.voting_end"
"""The deadline at which a proposal is counted; its subject is the proposal's id."""

State: TypeAlias = Literal["open", "selling", "executed", "failed", "rejected", "withdrawn"]
"""selling: decided, and waiting for locked shares. failed: decided, but it could not be done, or it lapsed; `code` says
why."""


class Voter(Part, frozen=True):
    account: Bytes32
    bps: Annotated[int, msgspec.Meta(ge=1, le=BPS)]
    approve: bool | None = None
    """None has not voted."""


class Required(Part, frozen=True):
    """What it takes, as the charter said when it was proposed."""

    quorum_bps: Rate
    """Of the voting power there is: so much must be used."""
    threshold_bps: Rate
    """Of what is used: so much must be in favor."""
    of_all_bps: Rate = 0
    """Of the voting power there is: so much must be in favor."""


class Proposal(Record, frozen=True):
    asset: Bytes32
    organization: str
    """The proposer's, on whose quota it is."""
    proposer: Bytes32
    action: Action
    title: str
    text: str | None
    revision: int
    """The charter's, under which it was proposed."""
    transfers: int
    """The asset's, when it was proposed: owners vote for themselves, not for later ones."""
    required: Required
    voters: Annotated[tuple[Voter, ...], msgspec.Meta(min_length=1, max_length=OWNERS_MAX)]
    """The owners when it was proposed, in order of account."""
    proposed_at_ms: TimeMs
    closes_at_ms: TimeMs
    state: State = "open"
    code: str = ""
    decided_at_ms: TimeMs | None = None


PROPOSALS: Final = Table[Proposal](b"charter-proposal/", Proposal)
OPEN: Final = Table[Marker](b"open-charter-proposal/", Marker)
BY_ASSET: Final = Table[Marker](b"~asset-charter-proposal/", Marker)

INDEXES: Final = (Index(BY_ASSET, PROPOSALS, lambda proposal, record: [(record.asset, proposal)]),)

__all__ = [
    "BY_ASSET",
    "CHARTERS",
    "INDEXES",
    "OPEN",
    "OPEN_MAX",
    "PROPOSALS",
    "SALES",
    "SHARE_PRICES",
    "VOTING_END",
    "Adopted",
    "Highs",
    "PendingSale",
    "Proposal",
    "Required",
    "State",
    "Voter",
]

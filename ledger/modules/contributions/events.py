"""What happened to contributions and bounties."""

from __future__ import annotations

from typing import Literal

from ledger.modules.fields import Event

EndReason = Literal["refused", "withdrawn", "expired"]
BountyEnd = Literal["cancelled", "expired"]


class Proposed(Event, frozen=True, tag="contributions.proposed"):
    contribution: bytes
    asset: bytes
    contributor: bytes
    cid: str
    bounty: bytes | None
    expires_at_ms: int


class Commented(Event, frozen=True, tag="contributions.commented"):
    contribution: bytes
    asset: bytes
    account: bytes
    text: str


class Accepted(Event, frozen=True, tag="contributions.accepted"):
    contribution: bytes
    asset: bytes
    version: int
    contributor: bytes
    share_bps: int
    """Of the asset, given for it."""


class Ended(Event, frozen=True, tag="contributions.ended"):
    """Nothing came of it: the artifact is the contributor's."""

    contribution: bytes
    asset: bytes
    reason: EndReason
    said: str
    """Why it was refused."""


class BountyOpened(Event, frozen=True, tag="contributions.bounty_opened"):
    bounty: bytes
    asset: bytes
    opener: bytes
    amount: int
    closes_at_ms: int


class BountyAwarded(Event, frozen=True, tag="contributions.bounty_awarded"):
    bounty: bytes
    contribution: bytes | None


class BountyClosed(Event, frozen=True, tag="contributions.bounty_closed"):
    """Nothing more is accepted for it; what was can still fulfil its condition."""

    bounty: bytes
    asset: bytes
    until_ms: int


class BountyPaid(Event, frozen=True, tag="contributions.bounty_paid"):
    bounty: bytes
    asset: bytes
    contribution: bytes
    recipient: bytes
    amount: int


class BountyEnded(Event, frozen=True, tag="contributions.bounty_ended"):
    """What was in escrow has returned to its opener."""

    bounty: bytes
    asset: bytes
    opener: bytes
    amount: int
    reason: BountyEnd

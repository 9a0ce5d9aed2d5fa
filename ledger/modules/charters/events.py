"""What happened to charters and to what was proposed under them."""

from __future__ import annotations

from ledger.modules.fields import Event


class Adopted(Event, frozen=True, tag="charters.adopted"):
    """A charter is in force: the asset's first, or a changed one."""

    asset: bytes
    revision: int


class Dissolved(Event, frozen=True, tag="charters.dissolved"):
    asset: bytes


class Proposed(Event, frozen=True, tag="charters.proposed"):
    proposal: bytes
    asset: bytes
    action: str
    """Tag of the action."""
    proposer: bytes
    closes_at_ms: int


class Voted(Event, frozen=True, tag="charters.voted"):
    proposal: bytes
    asset: bytes
    account: bytes
    bps: int
    """The voting power: the share that the account had when this was proposed."""
    approve: bool


class SaleWaiting(Event, frozen=True, tag="charters.sale_waiting"):
    """The owners have decided to sell the whole; it is done as soon as no share is in another sale."""

    proposal: bytes
    asset: bytes


class Executed(Event, frozen=True, tag="charters.executed"):
    """The owners have decided, and it is done."""

    proposal: bytes
    asset: bytes


class Failed(Event, frozen=True, tag="charters.failed"):
    """The owners have decided, or it lapsed, and nothing has changed."""

    proposal: bytes
    asset: bytes
    code: str
    """Why."""


class Rejected(Event, frozen=True, tag="charters.rejected"):
    """No majority, or too few votes by the end."""

    proposal: bytes
    asset: bytes


class Withdrawn(Event, frozen=True, tag="charters.withdrawn"):
    proposal: bytes
    asset: bytes


class TreasuryPaid(Event, frozen=True, tag="charters.treasury_paid"):
    """A payment that the owners have decided on."""

    asset: bytes
    recipient: bytes
    amount: int


class PaidOut(Event, frozen=True, tag="charters.paid_out"):
    """All of the treasury went into the owners' pool."""

    asset: bytes
    amount: int

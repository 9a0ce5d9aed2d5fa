"""What happened to disputes."""

from __future__ import annotations

from ledger.modules.fields import Event


class Filed(Event, frozen=True, tag="disputes.filed"):
    dispute: bytes
    asset: bytes
    kind: str
    """Of the subject: asset, version, grant, freeze or attestation."""
    id: bytes
    ground: str
    relief: str
    claimant: bytes
    amount: int
    bond: int
    answer_until_ms: int


class Answered(Event, frozen=True, tag="disputes.answered"):
    dispute: bytes
    asset: bytes
    account: bytes
    bond: int
    """0 without one."""


class VotingOpened(Event, frozen=True, tag="disputes.voting_opened"):
    dispute: bytes
    asset: bytes
    closes_at_ms: int


class VoteCast(Event, frozen=True, tag="disputes.vote_cast"):
    dispute: bytes
    asset: bytes
    organization: str
    uphold: bool


class Decided(Event, frozen=True, tag="disputes.decided"):
    """The first vote is over. Nothing is carried out before the time for an appeal is."""

    dispute: bytes
    asset: bytes
    outcome: str
    """upheld, rejected, or failed: a tie or no quorum."""
    appeal_until_ms: int


class Appealed(Event, frozen=True, tag="disputes.appealed"):
    dispute: bytes
    asset: bytes
    account: bytes
    bond: int
    closes_at_ms: int


class Closed(Event, frozen=True, tag="disputes.closed"):
    """The final outcome."""

    dispute: bytes
    asset: bytes
    outcome: str


class BondPaid(Event, frozen=True, tag="disputes.bond_paid"):
    """A bond returned to who put it up, or went to the winner."""

    dispute: bytes
    asset: bytes
    payer: bytes
    recipient: bytes
    amount: int


class Frozen(Event, frozen=True, tag="disputes.frozen"):
    dispute: bytes
    asset: bytes


class Lifted(Event, frozen=True, tag="disputes.lifted"):
    dispute: bytes
    asset: bytes


class RecallWaiting(Event, frozen=True, tag="disputes.recall_waiting"):
    """The asset is taken back as soon as the transfer, listing or auction that locks it has ended."""

    dispute: bytes
    asset: bytes


class TakenBack(Event, frozen=True, tag="disputes.taken_back"):
    dispute: bytes
    asset: bytes
    claimant: bytes
    bps: int
    """What came to the claimant; others have paid for the rest."""

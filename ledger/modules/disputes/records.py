"""Disputes, and what must be found quickly about them. Debts are in ledger/modules/royalties/debts.py.

dispute/            + dispute (32)                    Dispute
~open-dispute/      + about (32) + dispute (32)       Marker   what is not closed, by `about`
~asset-dispute/     + asset (32) + dispute (32)       Marker
~account-dispute/   + account (32) + dispute (32)     Marker   by claimant and by respondents
~lost-dispute/      + account (32) + dispute (32)     Marker   who was found to be wrong
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ledger.modules.disputes.operations import Ground, Relief, Subject
from ledger.modules.fields import BPS, Amount, Bytes32, Marker, Part, Record, TimeMs
from ledger.state.indexes import Index
from ledger.state.view import Table
from primitives.digest import Digest, tagged_hash

OPEN_MAX: Final = 8
"""Open disputes about one asset, grant, freeze or statement, each of another organization; a further one is refused."""
BOND_PARTS: Final = 10
"""The bond is at least this part of the amount in dispute, rounded up."""
APPEAL_FACTOR: Final = 2
"""An appeal's bond is at least so many times the claim's."""
RECALL_RETRY_MS: Final = 24 * 3_600_000
"""How often it is tried to take back an asset that is locked. Every lock has an end."""

State = Literal["answering", "voting", "decided", "appealed", "recalling", "closed"]
"""`decided`: the first vote is over, and an appeal possible. `recalling`: final, and the asset still locked."""
Outcome = Literal["upheld", "rejected", "failed"]
"""`failed`: a tie or no quorum; nobody was found to be wrong."""
Bond = Literal["claim", "answer", "appeal"]


class Respondent(Part, frozen=True):
    account: Bytes32
    bps: Annotated[int, msgspec.Meta(ge=1, le=BPS)]
    """Its part of what all respondents owe together, and get."""


class Said(Part, frozen=True):
    """What a party put forward, and the bond for it."""

    account: Bytes32
    bond: Amount
    statement: str
    evidence: str | None
    at_ms: TimeMs


class Ballots(Part, frozen=True):
    """Organizations in order of their votes."""

    upholding: tuple[str, ...] = ()
    refusing: tuple[str, ...] = ()


class Dispute(Record, frozen=True):
    subject: Subject
    asset: Bytes32
    """The asset that the subject is, or belongs to."""
    ground: Ground
    relief: Relief
    amount: Amount
    organization: str
    """The claimant's, on whose quota the dispute is."""
    respondents: tuple[Respondent, ...]
    """In order of account; their parts sum to 10_000 bps."""
    arbiters: tuple[str, ...]
    """All organizations at filing that are no party, in order."""
    recalls: int
    """Of the asset at filing."""
    claim: Said
    state: State
    due_ms: TimeMs | None
    """When the present state ends; None once closed."""
    answer: Said | None = None
    appeal: Said | None = None
    votes: Ballots = Ballots()
    appeal_votes: Ballots = Ballots()
    first: Outcome | None = None
    outcome: Outcome | None = None
    """The final one."""
    closed_at_ms: TimeMs | None = None
    freezing: bool = False
    """It keeps the asset from being sold now."""
    refunded: Amount = 0
    """Units that went back to the claimant from the grant's escrow."""
    taken_bps: Annotated[int, msgspec.Meta(ge=0, le=BPS)] = 0
    """Of the asset, taken back."""
    owed: Amount = 0
    """Units that respondents had to pay beside bonds, as debts where their balance did not cover it; of a refutation
    what the attestor's bond has paid."""


DISPUTES: Final = Table[Dispute](b"dispute/", Dispute)
OPEN: Final = Table[Marker](b"~open-dispute/", Marker)
BY_ASSET: Final = Table[Marker](b"~asset-dispute/", Marker)
BY_ACCOUNT: Final = Table[Marker](b"~account-dispute/", Marker)
LOST: Final = Table[Marker](b"~lost-dispute/", Marker)


def about(subject: Subject, asset: bytes) -> bytes:
    """Return what the number of open disputes is limited for: all versions of an asset are one."""
    return asset if subject.kind in ("asset", "version") else subject.id


def parties(dispute: Dispute) -> tuple[bytes, ...]:
    """Return the accounts of both sides."""
    return (dispute.claim.account, *(respondent.account for respondent in dispute.respondents))


def losers(dispute: Dispute) -> tuple[bytes, ...]:
    """Return who was found to be wrong: by a final vote, about something that somebody did."""
    if dispute.outcome == "rejected":
        return (dispute.claim.account,)
    if dispute.outcome == "upheld" and dispute.ground != "settled":
        return tuple(respondent.account for respondent in dispute.respondents)
    return ()


def bond_due(amount: int, least: int) -> int:
    """Return the least bond for an amount in dispute."""
    return max(-(-amount // BOND_PARTS), least)


def bond_escrow(dispute: bytes, bond: Bond) -> Digest:
    """Name the escrow of one of a dispute's bonds."""
    return tagged_hash("dispute-bond", dispute + bond.encode("ascii"))


def debt_id(dispute: bytes, debtor: bytes) -> Digest:
    """Return the id of what one respondent owes by a dispute."""
    return tagged_hash("dispute-debt", dispute + debtor)


INDEXES: Final = (
    Index(
        OPEN,
        DISPUTES,
        lambda dispute, record: [] if record.state == "closed" else [(about(record.subject, record.asset), dispute)],
    ),
    Index(BY_ASSET, DISPUTES, lambda dispute, record: [(record.asset, dispute)]),
    Index(BY_ACCOUNT, DISPUTES, lambda dispute, record: [(account, dispute) for account in parties(record)]),
    Index(LOST, DISPUTES, lambda dispute, record: [(account, dispute) for account in losers(record)]),
)

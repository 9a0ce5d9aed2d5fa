"""What may be asked about disputes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ledger.modules.fields import Amount, Bytes32, CidText, Operation, Part, PositiveAmount
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

SubjectKind = Literal["asset", "version", "grant", "freeze", "attestation"]
Ground = Literal["infringement", "wrong-content", "unpaid", "settled", "false-statement"]
Relief = Literal["freeze_sales", "transfer_back", "refund", "payment", "lift", "refute"]
Statement = Annotated[str, msgspec.Meta(max_length=1024)]


class Subject(Part, frozen=True):
    """What is in dispute."""

    kind: SubjectKind
    id: Bytes32
    """Of the asset, of the version's asset, of the grant, of the dispute that froze sales, or of the statement."""
    version: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] = 0
    """Of a version: 1, 2, ...; 0 otherwise."""


class File(Operation, frozen=True, tag="disputes.file"):
    """File a claim, with a bond. What each subject and ground lets one ask for is in docs/spec/disputes.md."""

    subject: Subject
    ground: Ground
    relief: Relief
    amount: Amount
    """In dispute. Of a refund: the grant's price. Of a refutation: what is claimed of the attestor's bond."""
    bond: PositiveAmount
    """At least a tenth of the amount, rounded up, and the parameter `dispute_bond_min`."""
    evidence: CidText
    statement: Statement = ""


class Answer(Operation, frozen=True, tag="disputes.answer"):
    """Answer a claim, by one of those it is against, for all of them. The vote begins at once."""

    dispute: Bytes32
    bonded: bool
    """Put up the same bond as the claimant: whoever does gets the claimant's if the claim is rejected."""
    evidence: CidText | None = None
    statement: Statement = ""


class Vote(Operation, frozen=True, tag="disputes.vote"):
    """Cast the vote of the sender's organization, which is no party to the dispute. It stands for this round."""

    dispute: Bytes32
    uphold: bool
    """Whether the claim is right."""


class Appeal(Operation, frozen=True, tag="disputes.appeal"):
    """Have the arbiters vote once more, by who lost the first vote. Once a dispute."""

    dispute: Bytes32
    bond: PositiveAmount
    """At least twice the claim's."""
    evidence: CidText | None = None
    statement: Statement = ""


class Lift(Operation, frozen=True, tag="disputes.lift"):
    """Let an asset be sold again, by the claimant whose dispute froze its sales."""

    dispute: Bytes32


class Collect(Operation, frozen=True, tag="disputes.collect"):
    """Pay a debt from what its debtor has now. Anyone may ask for it."""

    debt: Bytes32


def dispute_id(transaction_id: bytes, subject: Subject) -> Digest:
    """Return the id of the dispute that a transaction files; known before it is sent."""
    return tagged_hash("dispute", encode((transaction_id, subject)))

"""What an organization may propose, and how it votes."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from ledger.genesis import Address, Name, Slug
from ledger.modules.assets.records import TakedownReason
from ledger.modules.attestations.records import AttestorRole, Tier
from ledger.modules.fields import (
    Bytes32,
    CertificateBytes,
    CidText,
    NodeIdText,
    Operation,
    Part,
    PositiveAmount,
    Salt,
    ShortText,
    TimeMs,
)
from ledger.modules.organizations.operations import Quota


class FoundingAccount(Part, frozen=True):
    """A first account of a new organization; its key becomes an owner key, and it speaks for the organization."""

    key: Bytes32
    salt: Salt
    name: Name


class Founding(Part, frozen=True):
    """An organization that comes in, with its first validator or without one. It votes from the approval on."""

    name: Name
    accounts: Annotated[tuple[FoundingAccount, ...], msgspec.Meta(min_length=1, max_length=8)]


class AddValidator(Part, frozen=True, tag="add_validator"):
    """Let a validator in. It gets an account of its own, and enters when that has signed `validators.ready`."""

    organization: Slug
    node_id: NodeIdText
    """That of the certificate's key."""
    signing_key: Bytes32
    """No key of an account or of another validator."""
    tls_certificate: CertificateBytes
    address: Address
    founding: Founding | None = None
    """Where the organization is not in the consortium yet, and only then."""


class RemoveValidator(Part, frozen=True, tag="remove_validator"):
    """Let a validator go, or withdraw a candidate that is not in the set yet."""

    node_id: NodeIdText


class RekeyValidator(Part, frozen=True, tag="rekey_validator"):
    """Give a validator other keys or another address, once the account of the signing key has signed
    `validators.ready`. The new node id is that of the certificate's key."""

    node_id: NodeIdText
    """The present one."""
    signing_key: Bytes32
    """May stay the same."""
    tls_certificate: CertificateBytes
    """The present one, or one of another key."""
    address: Address


class AdmitOrganization(Part, frozen=True, tag="admit_organization"):
    """Let an organization in that runs no validator. An id is never given twice."""

    organization: Slug
    founding: Founding


class SuspendOrganization(Part, frozen=True, tag="suspend_organization"):
    """Let an organization begin nothing new. What runs goes on: escrows, claims, its votes and its validators."""

    organization: Slug


class ReinstateOrganization(Part, frozen=True, tag="reinstate_organization"):
    """Make an organization that was suspended or removed a full member again."""

    organization: Slug


class RemoveOrganization(Part, frozen=True, tag="remove_organization"):
    """Let an organization go that has no validator, in the set or on the way. It has no vote any more; its accounts
    keep what they own, to hand on, withdraw and be refunded. At least four organizations stay."""

    organization: Slug


class SetQuota(Part, frozen=True, tag="set_quota"):
    """Say what the records of one organization may take up."""

    organization: Slug
    quota: Quota | None
    """None goes back to the chain's parameters."""


class RecoverAccount(Part, frozen=True, tag="recover_account"):
    """Give an account one new owner key in place of all others, at once. Proposed by the account's own organization
    within 30 days of its request for recovery, it freezes the account for the vote, 14 days at most."""

    account: Bytes32
    owner_key: Bytes32


class TakeDown(Part, frozen=True, tag="take_down"):
    """Take an artifact down, at once: nodes neither serve nor fetch its bytes and delete them later, and no new license
    is given on its versions. Records of who registered, owns and has licensed what stay."""

    artifact: CidText
    """Root of a registered version."""
    reason: TakedownReason
    report: CidText | None = None
    """CID of a longer explanation."""


class RestoreArtifact(Part, frozen=True, tag="restore_artifact"):
    """Undo a takedown, at once. Where no node has the bytes any more, they are uploaded again."""

    artifact: CidText


PARAMETERS_PER_CHANGE_MAX: Final = 32
"""More than there are: one proposal may set all of them."""


class NamedValue(Part, frozen=True):
    """A parameter and what it is to be."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    value: int
    """Any integer decodes, so that one out of range is refused with the range and not as malformed."""


class SetParameters(Part, frozen=True, tag="set_parameters"):
    """Give chain parameters other values, after the delay, all of them or none. Those that consensus is built with
    (window, proposal_bytes_max, batches_per_proposal_max) end the epoch and hold from the next one on."""

    values: Annotated[tuple[NamedValue, ...], msgspec.Meta(min_length=1, max_length=PARAMETERS_PER_CHANGE_MAX)]


class Mint(Part, frozen=True, tag="mint"):
    """Make new credits, after the delay."""

    amount: PositiveAmount
    """Minor units. The supply stays an amount."""
    account: Bytes32 | None = None
    """Of a member; None is the treasury."""


class Burn(Part, frozen=True, tag="burn"):
    """End credits of the treasury, or of the account that proposes it, after the delay."""

    amount: PositiveAmount
    account: Bytes32 | None = None
    """The proposing account, and no other: nobody votes somebody else's credits away. None is the treasury."""


class Pay(Part, frozen=True, tag="pay"):
    """Pay from the treasury, after the delay."""

    account: Bytes32
    amount: PositiveAmount


class Accredit(Part, frozen=True, tag="accredit"):
    """Let an account state what versions reach, or what an audit came to, from when it has put a bond up. Of an account
    that is accredited already it takes the place of what was decided before."""

    account: Bytes32
    roles: Annotated[tuple[AttestorRole, ...], msgspec.Meta(min_length=1, max_length=2)]
    tier: Tier
    bond: PositiveAmount
    """Units, within the parameters `attestation_bond_min` and `attestation_bond_max`."""
    until_ms: TimeMs


class SuspendAccreditation(Part, frozen=True, tag="suspend_accreditation"):
    """Let an account state nothing new. What it has stated stays, and does not count meanwhile."""

    account: Bytes32


class ReinstateAccreditation(Part, frozen=True, tag="reinstate_accreditation"):
    """End the suspension of an accreditation: what the account has stated counts again."""

    account: Bytes32


class EndAccreditation(Part, frozen=True, tag="end_accreditation"):
    """End an account's accreditation for good. What it has stated stays, and counts no more; the bond stays as long as
    a dispute may take."""

    account: Bytes32


class Propose(Operation, frozen=True, tag="governance.propose"):
    """Propose a change to all organizations. Whoever proposes votes like everybody else, by a vote."""

    change: (
        AddValidator
        | RemoveValidator
        | RekeyValidator
        | AdmitOrganization
        | SuspendOrganization
        | ReinstateOrganization
        | RemoveOrganization
        | SetQuota
        | RecoverAccount
        | TakeDown
        | RestoreArtifact
        | SetParameters
        | Mint
        | Burn
        | Pay
        | Accredit
        | SuspendAccreditation
        | ReinstateAccreditation
        | EndAccreditation
    )
    """Those of validators wait for the end of the epoch, those of parameters and credits for a delay; all others take
    effect with the vote that decides."""
    title: ShortText
    text: CidText | None = None
    """CID of a longer explanation."""


class Vote(Operation, frozen=True, tag="governance.vote"):
    """Cast the vote of the sender's organization. It stands."""

    proposal: Bytes32
    approve: bool


class Object(Operation, frozen=True, tag="governance.object"):
    """Object, for the sender's organization, to what was approved and waits for its delay. Whoever approved may object
    too. It stands; a third of all organizations stops it."""

    proposal: Bytes32

"""What an organization's accounts may ask of the register of accounts and keys."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ledger import parameters
from ledger.modules.fields import Bytes32, Operation, Part, Salt

AccountName = Annotated[str, msgspec.Meta(max_length=64)]
GivenRole = Literal["owner", "operator", "release"]
"""The role `validator` is given by the genesis alone."""
QuotaRecords = parameters.QuotaRecords
QuotaBytes = parameters.QuotaBytes
QuotaDeadlines = parameters.QuotaDeadlines


class Quota(Part, frozen=True):
    """What the records of one organization may take up: the ranges are those of the chain's parameters, and no vote
    leaves them."""

    records: QuotaRecords
    bytes: QuotaBytes
    """Keys and values."""
    deadlines: QuotaDeadlines


class OpenAccount(Operation, frozen=True, tag="organizations.open_account"):
    """Open an account in the sender's organization, which vouches for it. `key` becomes its first owner key."""

    key: Bytes32
    salt: Salt
    """Lets one key open several accounts."""
    name: AccountName


class AddKey(Operation, frozen=True, tag="organizations.add_key"):
    """Give a further key to the sender."""

    key: Bytes32
    role: GivenRole


class RevokeKey(Operation, frozen=True, tag="organizations.revoke_key"):
    """Take a key from the sender; the last owner key stays."""

    key: Bytes32


class RotateKey(Operation, frozen=True, tag="organizations.rotate_key"):
    """Replace a key of the sender by a new one in the same role, in one step."""

    old_key: Bytes32
    new_key: Bytes32


class RequestRecovery(Operation, frozen=True, tag="organizations.request_recovery"):
    """Ask for a new owner key for an account of the sender's organization, by another account that speaks for it. What
    the account has is frozen from now on, until the recovery is completed or vetoed, or has lapsed after 14 days. For a
    second request within 30 days the consortium votes: propose `recover_account`."""

    account: Bytes32
    owner_key: Bytes32
    """Replaces all keys of the account when the recovery is completed."""


class CompleteRecovery(Operation, frozen=True, tag="organizations.complete_recovery"):
    """Give the account the requested key in place of all others, `recovery_delay_ms` after the request. By an account
    that speaks for the organization."""

    account: Bytes32


class VetoRecovery(Operation, frozen=True, tag="organizations.veto_recovery"):
    """End the requested recovery of the sender, which an owner key signs: the account is no longer frozen."""

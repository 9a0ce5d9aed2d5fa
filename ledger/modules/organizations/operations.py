"""What an organization's accounts may ask of the register of accounts and keys."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from ledger.modules.fields import Bytes32, Operation, Salt

AccountName = Annotated[str, msgspec.Meta(max_length=64)]
GivenRole = Literal["owner", "operator", "release"]
"""The role `validator` is given by the genesis alone."""


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

"""Consortium members, the accounts each vouches for, their keys, and quotas.

The organization is the unit of identity cost: whatever must not be multiplied by opening accounts counts organizations.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.module import Module
from ledger.modules.organizations import handlers, operations
from ledger.modules.organizations.accounts import key_role, may_sign
from ledger.modules.organizations.queries import QUERIES
from ledger.modules.organizations.records import INDEXES

MODULE: Final = Module(
    name="organizations",
    operations={
        operations.OpenAccount: handlers.open_account,
        operations.AddKey: handlers.add_key,
        operations.RevokeKey: handlers.revoke_key,
        operations.RotateKey: handlers.rotate_key,
    },
    genesis=handlers.write_genesis,
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES", "key_role", "may_sign"]

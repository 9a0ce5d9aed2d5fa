"""Consortium members, the accounts each vouches for, their keys, and quotas.

The organization is the unit of identity cost: whatever must not be multiplied by opening accounts counts organizations.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.module import OWNERS, Module, Rule
from ledger.modules.organizations import handlers, keys, operations, recovery
from ledger.modules.organizations.accounts import standing
from ledger.modules.organizations.queries import QUERIES
from ledger.modules.organizations.records import INDEXES, ORGANIZATIONS

MODULE: Final = Module(
    name="organizations",
    operations={
        operations.OpenAccount: handlers.open_account,
        operations.AddKey: keys.add_key,
        operations.RevokeKey: keys.revoke_key,
        operations.RotateKey: keys.rotate_key,
        operations.RequestRecovery: recovery.request,
        operations.CompleteRecovery: recovery.complete,
        operations.VetoRecovery: recovery.veto,
    },
    rules={
        operations.OpenAccount: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.AddKey: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.RevokeKey: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.RotateKey: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.RequestRecovery: Rule(signers=OWNERS, while_suspended=True, after_removal=False, while_frozen=True),
        operations.CompleteRecovery: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.VetoRecovery: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    deadlines={recovery.RECOVERY_FORGOTTEN: recovery.on_forgotten},
    genesis=handlers.write_genesis,
    indexes=INDEXES,
    names_nodes=(ORGANIZATIONS.prefix,),
)

__all__ = ["MODULE", "QUERIES", "standing"]

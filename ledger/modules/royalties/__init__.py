"""The derivation stack and every payment's split, in exact integers; what owners and creators have earned."""

from __future__ import annotations

from typing import Final

from ledger.modules.module import OWNERS, Module, Rule
from ledger.modules.royalties import handlers, operations
from ledger.modules.royalties.queries import QUERIES
from ledger.modules.royalties.records import INDEXES

MODULE: Final = Module(
    name="royalties",
    operations={operations.Withdraw: handlers.withdraw},
    rules={
        operations.Withdraw: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]

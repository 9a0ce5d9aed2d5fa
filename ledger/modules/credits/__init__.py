"""The settlement balance. Credits come from the genesis and from votes that mint; their sum is the supply at every
height."""

from __future__ import annotations

from typing import Final

from ledger.modules.credits import handlers, operations
from ledger.modules.credits.queries import QUERIES
from ledger.modules.module import OWNERS, Module, Rule

MODULE: Final = Module(
    name="credits",
    operations={operations.Transfer: handlers.transfer},
    rules={
        operations.Transfer: Rule(signers=OWNERS, while_suspended=False, after_removal=True, while_frozen=False),
    },
    genesis=handlers.write_genesis,
)

__all__ = ["MODULE", "QUERIES"]

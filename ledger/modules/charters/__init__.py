"""Charters: the owners of an asset decide together, by the shares that they had when something was proposed."""

from __future__ import annotations

from typing import Final

from ledger.modules.charters import handlers, operations
from ledger.modules.charters.queries import QUERIES
from ledger.modules.charters.records import INDEXES, VOTING_END
from ledger.modules.charters.sales import SALE_DUE
from ledger.modules.module import OWNERS, Module, Rule

MODULE: Final = Module(
    name="charters",
    operations={
        operations.Propose: handlers.propose,
        operations.Vote: handlers.vote,
        operations.Withdraw: handlers.withdraw,
    },
    rules={
        operations.Propose: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Vote: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=False),
        operations.Withdraw: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    deadlines={VOTING_END: handlers.on_voting_end, SALE_DUE: handlers.on_sale_due},
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]

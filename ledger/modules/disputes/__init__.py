"""Claims with a bond and evidence, decided by the organizations that are no party; what was decided is carried out."""

from __future__ import annotations

from typing import Final

from ledger.modules.disputes import handlers, operations
from ledger.modules.disputes.queries import QUERIES
from ledger.modules.disputes.records import INDEXES
from ledger.modules.module import OWNERS, Module, Rule

MODULE: Final = Module(
    name="disputes",
    operations={
        operations.File: handlers.file,
        operations.Answer: handlers.answer,
        operations.Vote: handlers.vote,
        operations.Appeal: handlers.appeal,
        operations.Lift: handlers.lift,
        operations.Collect: handlers.collect,
    },
    rules={
        operations.File: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Answer: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.Vote: Rule(signers=OWNERS, while_suspended=True, after_removal=False, while_frozen=True),
        operations.Appeal: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=False),
        operations.Lift: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=False),
        operations.Collect: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    deadlines={handlers.DUE: handlers.on_due},
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]

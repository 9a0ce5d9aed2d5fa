"""What organizations decide together: who validates, who is a member, what the parameters are, and what becomes of the
treasury. One vote an organization."""

from __future__ import annotations

from typing import Final

from ledger.epochs import CHANGE_EXPIRY
from ledger.modules.governance import admission, handlers, operations
from ledger.modules.governance.queries import QUERIES
from ledger.modules.governance.records import DELAY_END, VOTING_END
from ledger.modules.module import OWNERS, Module, Rule

MODULE: Final = Module(
    name="governance",
    operations={
        operations.Propose: handlers.propose,
        operations.Vote: handlers.vote,
        operations.Object: handlers.object_,
    },
    rules={
        operations.Propose: Rule(signers=OWNERS, while_suspended=True, after_removal=False, while_frozen=True),
        operations.Vote: Rule(signers=OWNERS, while_suspended=True, after_removal=False, while_frozen=True),
        operations.Object: Rule(signers=OWNERS, while_suspended=True, after_removal=False, while_frozen=True),
    },
    deadlines={
        VOTING_END: handlers.on_voting_end,
        DELAY_END: handlers.on_delay_end,
        CHANGE_EXPIRY: admission.on_change_expired,
    },
)

__all__ = ["MODULE", "QUERIES"]

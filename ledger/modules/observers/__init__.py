"""Observers: nodes of members that follow the chain, serve what it holds, and never vote.

The ledger says which nodes belong to the network. An organization registers its observers itself, without a vote: they
decide nothing, and the links keep room for validators that observers cannot take.
"""

from __future__ import annotations

from typing import Final

from ledger.modules.module import OWNERS, Module, Rule
from ledger.modules.observers import handlers, operations
from ledger.modules.observers.queries import QUERIES
from ledger.modules.observers.records import INDEXES, OBSERVERS

MODULE: Final = Module(
    name="observers",
    operations={
        operations.Register: handlers.register,
        operations.Withdraw: handlers.withdraw,
    },
    rules={
        operations.Register: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=True),
        operations.Withdraw: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    indexes=INDEXES,
    names_nodes=(OBSERVERS.prefix,),
)

__all__ = ["MODULE", "QUERIES"]

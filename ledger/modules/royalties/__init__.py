"""The derivation stack and every payment's split, in exact integers; what owners and creators have earned."""

from __future__ import annotations

from typing import Final

from ledger.modules.module import Module
from ledger.modules.royalties import handlers, operations
from ledger.modules.royalties.queries import QUERIES
from ledger.modules.royalties.records import INDEXES

MODULE: Final = Module(name="royalties", operations={operations.Withdraw: handlers.withdraw}, indexes=INDEXES)

__all__ = ["MODULE", "QUERIES"]

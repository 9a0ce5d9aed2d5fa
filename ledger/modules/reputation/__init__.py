"""What speaks for and against accounts, weighed by what it cost whoever said so. It has no operations: payments,
statements and disputes bring it about."""

from __future__ import annotations

from typing import Final

from ledger.modules.module import Module
from ledger.modules.reputation.queries import QUERIES

MODULE: Final = Module(name="reputation", operations={}, rules={})

__all__ = ["MODULE", "QUERIES"]

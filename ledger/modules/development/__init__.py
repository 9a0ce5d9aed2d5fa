"""Block time that tests can move (ADR 4). Exists only where the genesis says `development`."""

from __future__ import annotations

from typing import Final

from ledger.modules.development import handlers, operations
from ledger.modules.development.clock import clock_offset_ms
from ledger.modules.development.queries import QUERIES
from ledger.modules.module import OWNERS, Module, Rule

MODULE: Final = Module(
    name="development",
    operations={operations.AdvanceClock: handlers.advance_clock},
    rules={
        operations.AdvanceClock: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True),
    },
    genesis=handlers.write_genesis,
)

__all__ = ["MODULE", "QUERIES", "clock_offset_ms"]

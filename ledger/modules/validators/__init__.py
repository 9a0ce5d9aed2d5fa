"""The validator set of the current epoch and of those before, what its members say of themselves, and evidence against
them."""

from __future__ import annotations

from typing import Final

from ledger.modules.module import Module
from ledger.modules.validators import handlers, operations
from ledger.modules.validators.queries import QUERIES

MODULE: Final = Module(
    name="validators",
    operations={
        operations.Ready: handlers.ready,
        operations.Rejoin: handlers.rejoin,
        operations.ReportEvidence: handlers.report_evidence,
    },
)

__all__ = ["MODULE", "QUERIES"]

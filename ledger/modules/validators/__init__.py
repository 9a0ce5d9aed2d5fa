"""The validator set of the current epoch and of those before, what its members say of themselves, and evidence against
them."""

from __future__ import annotations

from typing import Final

from ledger.modules.module import VALIDATORS, Module, Rule
from ledger.modules.validators import handlers, operations
from ledger.modules.validators.queries import QUERIES

MODULE: Final = Module(
    name="validators",
    operations={
        operations.Ready: handlers.ready,
        operations.Rejoin: handlers.rejoin,
        operations.ReportEvidence: handlers.report_evidence,
    },
    rules={
        operations.Ready: Rule(signers=VALIDATORS, while_suspended=True, after_removal=False, while_frozen=True),
        operations.Rejoin: Rule(signers=VALIDATORS, while_suspended=True, after_removal=False, while_frozen=True),
        operations.ReportEvidence: Rule(
            signers=VALIDATORS, while_suspended=True, after_removal=False, while_frozen=True
        ),
    },
)

__all__ = ["MODULE", "QUERIES"]

"""Signed statements about versions by accredited and bonded accounts, and by who has paid for a license."""

from __future__ import annotations

from typing import Final

from ledger.modules.attestations import accreditation, operations, statements
from ledger.modules.attestations.queries import QUERIES
from ledger.modules.attestations.records import INDEXES
from ledger.modules.module import OPERATORS, OWNERS, Module, Rule

MODULE: Final = Module(
    name="attestations",
    operations={
        operations.Evaluate: statements.evaluate,
        operations.Audit: statements.audit,
        operations.Review: statements.review,
        operations.Answer: statements.answer,
        operations.PostBond: accreditation.post_bond,
        operations.Resign: accreditation.resign,
    },
    rules={
        # A false statement costs the bond: who has stolen a key is not to spend it while the account is recovered.
        operations.Evaluate: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Audit: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Review: Rule(signers=OPERATORS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Answer: Rule(signers=OPERATORS, while_suspended=True, after_removal=True, while_frozen=True),
        operations.PostBond: Rule(signers=OWNERS, while_suspended=False, after_removal=False, while_frozen=False),
        operations.Resign: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=False),
    },
    deadlines={accreditation.EXPIRY: accreditation.on_expiry, accreditation.BOND_DUE: accreditation.on_bond_due},
    indexes=INDEXES,
)

__all__ = ["MODULE", "QUERIES"]

"""A module of its own in which the consortium's decisions are one operation, for lives of the random machine: votes
have tests of their own, and would take most of a life."""

from __future__ import annotations

from typing import Final

from ledger.modules.governance import accreditations
from ledger.modules.module import OWNERS, Context, Module, Rule
from ledger.operations import Registry, default_registry
from tests.reference.decisions import Decide


def _decide(context: Context, operation: Decide) -> None:
    accreditations.bring_about(context, context.transaction_id, operation.change)


DECISIONS: Final = Module(
    name="decisions",
    operations={Decide: _decide},
    rules={Decide: Rule(signers=OWNERS, while_suspended=True, after_removal=True, while_frozen=True)},
)


def deciding_registry() -> Registry:
    """Return the registry of a real network, and decisions beside it."""
    real = default_registry()
    return Registry(
        [*real.modules, DECISIONS],
        standing=real.standing,
        clock_offset_ms=real.clock_offset_ms,
        queries=real.queries,
    )

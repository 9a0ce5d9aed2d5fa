"""What random lives of a ledger have in common: somebody tries something, with one of what there is."""

from __future__ import annotations

from typing import Any

from hypothesis.stateful import RuleBasedStateMachine

from ledger.errors import OperationError
from tests.unit.modules_kit import World


class Life(RuleBasedStateMachine):
    """A machine over `world`, which its first rule makes."""

    world: World

    def tried(self, who: str | bytes, *operations: Any, role: str = "owner") -> str:
        """Let somebody send a transaction; return the code of its refusal, or nothing."""
        before = self.world.view.changes()
        try:
            self.note(self.world.do(who, *operations, role=role))
        except OperationError as error:
            assert self.world.view.changes() == before, "a refused transaction leaves no trace"
            return error.code
        return ""

    def attempt(self, who: str | bytes, *operations: Any, role: str = "owner") -> bool:
        return self.tried(who, *operations, role=role) == ""

    def note(self, happened: list[Any]) -> None:
        """Hear of the events of what was not refused."""

    def pick(self, table: Any, index: int) -> Any:
        """Return (key, record) of some record of a table, or None."""
        rows = list(table.items(self.world.view))
        return rows[index % len(rows)] if rows else None

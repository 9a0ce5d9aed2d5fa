"""Doing something as a whole or not at all inside of something else: for deadlines, which may not fail."""

from __future__ import annotations

from collections.abc import Callable

from ledger.errors import OperationError
from ledger.modules.module import Context


def attempt(context: Context, action: Callable[[Context], None]) -> str:
    """Do `action` as a whole or not at all, and return the code with which it was refused, or an empty text."""
    view = context.view.child()
    inner = context.over(view)
    try:
        action(inner)
    except OperationError as error:
        return error.code
    context.view.apply(view)
    context.events.extend(inner.events)
    context.artifacts.extend(inner.artifacts)
    return ""

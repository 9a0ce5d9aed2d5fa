"""Lists that come in pages: a command shows all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

PAGE: Final = 200
"""What a node lists in one answer."""


def every(ask: Callable[[str | None], list[dict[str, Any]]], name: str) -> list[dict[str, Any]]:
    """Return all that `ask` lists behind a cursor, which is the member `name` of the last one; None begins."""
    found: list[dict[str, Any]] = []
    while True:
        listed = ask(found[-1][name] if found else None)
        found += listed
        if len(listed) < PAGE:
            return found

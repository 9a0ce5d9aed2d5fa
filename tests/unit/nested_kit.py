"""Putting something strange at every place of what MessagePack has decoded."""

from __future__ import annotations

from typing import Any


def places(value: Any, at: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Every place in nested arrays, the whole left out."""
    found = [at] if at else []
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += places(item, (*at, index))
    return found


def replaced(value: Any, at: tuple[int, ...], new: Any) -> Any:
    """The same arrays with `new` at that place."""
    if not at:
        return new
    return [replaced(item, at[1:], new) if index == at[0] else item for index, item in enumerate(value)]

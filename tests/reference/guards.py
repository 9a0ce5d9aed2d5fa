"""What charters leave to votes."""

from __future__ import annotations

from typing import Any

from tests.reference.state import need


def check_unguarded(state: Any, asset: bytes, what: str) -> None:
    """Whether manager or consents may do it without a vote."""
    charter = state.charters.get(asset)
    need(charter is None or what not in charter["voted"], "charters.vote_required")


def check_alias_unguarded(state: Any, asset: bytes, alias: str) -> None:
    charter = state.charters.get(asset)
    need(charter is None or alias not in charter["voted_aliases"], "charters.vote_required")

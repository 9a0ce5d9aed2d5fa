"""What is in a transfer, listing or auction: nothing is in two of them at a time, and there is no other lock.

A thing is (kind, id, bps): a whole asset, a share of one, a grant.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Thing = tuple[str, bytes, int]


def open_things(state: Any) -> Iterator[tuple[bytes, Thing, bytes]]:
    """Yield (transfer, listing or auction; thing; holder)."""
    for table in (state.transfers, state.listings, state.auctions):
        for identifier, row in table.items():
            yield identifier, row["thing"], row["holder"]


def lock_of(state: Any, kind: str, subject: bytes) -> bytes | None:
    """What a whole asset or a grant is in."""
    found = [identifier for identifier, thing, _ in open_things(state) if thing[:2] == (kind, subject)]
    return found[0] if found else None


def locked_bps(state: Any, asset: bytes, holder: bytes | None = None) -> int:
    """How much of an owner's share, or of all shares, is in transfers, listings and auctions."""
    return sum(
        thing[2] for _, thing, by in open_things(state) if thing[:2] == ("share", asset) and holder in (None, by)
    )

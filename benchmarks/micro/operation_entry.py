"""The table of entries that `operation_costs` measures, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from benchmarks.micro.operation_world import World
from ledger.modules.licenses.operations import Terms
from ledger.parameters import DAY_MS


class Ready(NamedTuple):
    """An operation that can be executed in the world that was prepared for it."""

    sender: bytes
    operation: Any


Preparation = Callable[[World], Ready]

ENTRIES: Final[dict[tuple[str, str], Preparation]] = {}
"""(tag, variant) -> its preparation; the variant is empty where there is one only."""


def entry(tag: str, variant: str = "") -> Callable[[Preparation], Preparation]:
    """Enter a preparation of the operation `tag`."""

    def note(prepare: Preparation) -> Preparation:
        assert (tag, variant) not in ENTRIES, f"two preparations of {tag} {variant}"
        ENTRIES[tag, variant] = prepare
        return prepare

    return note


TERMS: Final = Terms(rights=("download", "inference"), price=1_000, commercial=True)
TRAINING: Final = Terms(
    rights=("download", "train-on"),
    price=1_000,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=500,
    revenue_share_depth=8,
)
METERED: Final = Terms(
    rights=("inference-as-service",),
    price=1_000,
    commercial=True,
    term_ms=30 * DAY_MS,
    renewable=True,
    quota=100,
    quota_unit="calls",
    usage_price=10,
    seats=4,
    transferable=True,
    resale_royalty_bps=500,
    revocation_causes=("breach",),
    notice_ms=DAY_MS,
    refund_mode="pro-rata",
)
"""With everything that an operation on its grant can have to do."""

"""What organizations are charged for, beside what is there: a law of exact accounting over the whole state.

No operation and no deadline may change the difference. So nothing is written without a charge or charged twice, and
what is deleted is returned to whom it was charged.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ledger import deadlines
from ledger.modules.organizations.records import USAGE
from ledger.state.view import Readable

UNCHARGED: Final = (
    *(b"balance/", b"escrow/", b"usage/", b"deadline/", b"flow/"),
    *(b"supply/", b"parameters", b"development-clock/", b"epoch", b"validators/", b"consensus-limits/"),
)
"""Tables whose records are nobody's."""


class Uncharged(NamedTuple):
    """What is in the state beyond what organizations are charged for."""

    records: int
    size_bytes: int
    deadlines: int


def uncharged(view: Readable) -> Uncharged:
    """Compare the state with what all organizations are charged, the tables that never are left out."""
    rows = [(key, value) for key, value in view.iterate(b"") if not key.startswith(UNCHARGED)]
    usages = [usage for _, usage in USAGE.items(view)]
    return Uncharged(
        len(rows) - sum(usage.records for usage in usages),
        sum(len(key) + len(value) for key, value in rows) - sum(usage.bytes for usage in usages),
        len(deadlines.due(view, 2**62, 10**9)) - sum(usage.deadlines for usage in usages),
    )

"""The charters in force.

charter/ + asset (32)    Adopted
"""

from __future__ import annotations

from typing import Final

from ledger.modules.assets.charter import Charter
from ledger.modules.fields import Record, TimeMs
from ledger.state.view import Table


class Adopted(Record, frozen=True):
    rules: Charter
    organization: str
    """On whose quota it is: that of the asset."""
    revision: int
    """How often the charter has been changed. What was proposed under an earlier one lapses."""
    since_ms: TimeMs


CHARTERS: Final = Table[Adopted](b"charter/", Adopted)

"""How far block time runs ahead of proposals.

development-clock/   Clock   (on development networks only)
"""

from __future__ import annotations

from typing import Final

from ledger.modules.fields import Record, TimeMs
from ledger.parameters import DAY_MS
from ledger.state.view import Readable, Table

OFFSET_MS_MAX: Final = 36_600 * DAY_MS


class Clock(Record, frozen=True):
    offset_ms: TimeMs


CLOCK: Final = Table[Clock](b"development-clock/", Clock)


def clock_offset_ms(view: Readable) -> int:
    """Return what is added to a proposal's time, in milliseconds; 0 outside development networks."""
    record = CLOCK.get(view)
    return 0 if record is None else record.offset_ms

"""What tests may ask of time."""

from __future__ import annotations

from typing import Annotated

import msgspec

from ledger.modules.fields import Operation
from ledger.parameters import DAY_MS

ADVANCE_MS_MAX = 3_660 * DAY_MS


class AdvanceClock(Operation, frozen=True, tag="development.advance_clock"):
    """Let all later blocks be `ms` later than their proposals say."""

    ms: Annotated[int, msgspec.Meta(ge=1, le=ADVANCE_MS_MAX)]

"""What happened to time."""

from __future__ import annotations

from ledger.modules.fields import Event


class ClockAdvanced(Event, frozen=True, tag="development.clock_advanced"):
    ms: int
    offset_ms: int

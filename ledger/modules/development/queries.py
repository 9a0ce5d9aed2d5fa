"""What may be asked about time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.modules.development.clock import CLOCK, clock_offset_ms
from ledger.modules.fields import Result
from ledger.state.view import Readable


class ClockResult(Result, frozen=True):
    development: bool
    offset_ms: int


def clock(view: Readable, _network_id: bytes, _block_time_ms: int) -> ClockResult:
    """Whether time can be moved here, and how far it has been."""
    return ClockResult(CLOCK.get(view) is not None, clock_offset_ms(view))


QUERIES: Final[dict[str, Callable[..., Any]]] = {"development.clock": clock}

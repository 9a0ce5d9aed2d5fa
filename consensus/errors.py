"""What can be wrong with what consensus is given: a `Refusal` names who sent it and why, and nothing is changed."""

from __future__ import annotations


class ConsensusError(Exception):
    """Root of the room's errors: bytes that are no message, records that are no records."""


class Refusal(ConsensusError):
    """A peer's message that the protocol does not accept. `reason` is one of a closed set, fit for a metric label."""

    def __init__(self, reason: str, culprit: int | None = None) -> None:
        super().__init__(reason if culprit is None else f"{reason} (replica {culprit})")
        self.reason = reason
        self.culprit = culprit

"""What the ledger asks of the rooms that it does not know; the node supplies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class EvidenceJudge(Protocol):
    """Says whether two signed consensus messages contradict each other.

    A verdict becomes part of the chain: it must depend on the arguments alone, and every node of a network must have
    the judge. A node without one would execute to another state and stop.
    """

    def epoch_of(self, evidence: bytes) -> int | None:
        """Return the epoch that the evidence names; None when it cannot be read."""
        ...

    def judge(self, network_id: bytes, epoch: int, public_keys: Sequence[bytes], evidence: bytes) -> int | None:
        """Return the culprit's index in the set of `epoch`, whose keys are given in order; None without a proof."""
        ...

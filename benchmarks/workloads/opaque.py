"""Ordering alone: bundles of bytes that nobody signs, reads or executes, so that results can stand beside others' that
measure that. A bundle carries as many payloads as a request would carry transactions, and is one unit to the network.
No accounts are opened.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.workloads.accounts import Identity
from benchmarks.workloads.workload import Facts
from ledger.operations import Operation


class Opaque:
    """Bundles are made where they are sent: there is nothing to sign ahead."""

    name = "opaque"
    signed = False

    def set_up(self, facts: Facts) -> dict[str, Any]:  # noqa: ARG002 - nothing is needed
        return {}

    def load(self, facts: Facts, state: Mapping[str, Any]) -> None:
        """Nothing is needed."""

    def operations(self, index: int, rng: random.Random) -> tuple[Identity, Sequence[Operation]]:  # noqa: ARG002
        raise AssertionError("a bundle has no operations")

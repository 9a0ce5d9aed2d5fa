"""Credits from one account to another, one operation a transaction, both drawn evenly from all accounts."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from benchmarks.workloads.accounts import Identity
from benchmarks.workloads.workload import Simple
from ledger.modules.credits.operations import Transfer
from ledger.operations import Operation

AMOUNT_MAX: Final = 100


class Transfers(Simple):
    name = "transfers"

    def operations(self, index: int, rng: random.Random) -> tuple[Identity, Sequence[Operation]]:  # noqa: ARG002
        count = len(self.accounts)
        sender = rng.randrange(count)
        recipient = (sender + rng.randrange(1, count)) % count
        return self.accounts[sender], (Transfer(self.accounts[recipient].account, rng.randint(1, AMOUNT_MAX)),)

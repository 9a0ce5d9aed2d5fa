"""A node's door with a real ledger behind it and no consensus: for what the SDK and the command line do."""

from __future__ import annotations

import time

from epochs_kit import Consortium
from guildmark_kit import Answer, Asked, FakeNode, problem
from msgspec import to_builtins

from ledger.errors import LedgerError
from ledger.queries import event_values
from ledger.transaction import transaction_id


class LedgerNode:
    """A fake node whose answers come from a chain: every submitted transaction is a block."""

    def __init__(self, fake: FakeNode, world: Consortium) -> None:
        self.world = world
        fake.routes[("POST", "/v1/transactions")] = self.submit
        fake.routes[("GET", "/v1/transactions/")] = self.show
        fake.routes[("GET", "/v1/query/parameters.get")] = self.query
        fake.routes[("GET", "/v1/query/")] = self.query
        fake.routes[("GET", "/v1/blocks/")] = self.block

    def submit(self, asked: Asked) -> Answer:
        self.world.now_ms = time.time_ns() // 1_000_000
        self.world.execute(asked.body)
        return 202, {"id": transaction_id(asked.body).hex(), "state": "pending"}

    def show(self, asked: Asked) -> Answer:
        identifier = asked.path.rsplit("/", 1)[1]
        status = self.world.chain.transaction_status(bytes.fromhex(identifier))
        assert status.receipt is not None
        return 200, {
            "id": identifier,
            "state": "rejected" if status.receipt.code else "committed",
            "height": status.height,
            "code": status.receipt.code,
            "message": status.message,
            "events": event_values(status.receipt.events),
        }

    def query(self, asked: Asked) -> Answer:
        arguments = {name: value for name, value in asked.query.items() if name != "at_least"}
        try:
            result = self.world.chain.query(asked.path.rsplit("/", 1)[1], arguments)
        except LedgerError as error:
            return problem(404 if error.code == "query.not_found" else 500, error.code)
        return 200, {"height": self.world.chain.height, "block_time_ms": 1, "result": to_builtins(result)}

    def block(self, asked: Asked) -> Answer:
        return 200, to_builtins(self.world.chain.query("blocks.get", {"height": asked.path.rsplit("/", 1)[1]}))

"""A node's door with a real ledger behind it and no consensus: for what the SDK and the command line do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, key
from guildmark_kit import Answer, Asked, FakeNode, fake_node, problem, run, surround
from modules_kit import cid
from msgspec import to_builtins

from guildmark.identity import Account
from ledger.chain import Chain
from ledger.errors import LedgerError
from ledger.modules.assets import operations as assets
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.operations import Terms
from ledger.parameters import HOUR_MS
from ledger.queries import event_values
from ledger.transaction import transaction_id


class LedgerNode:
    """A fake node whose answers come from a chain: every submitted transaction is a block."""

    def __init__(self, fake: FakeNode, chain: Chain, execute: Callable[[bytes], None]) -> None:
        self.chain = chain
        self.execute = execute
        fake.routes[("POST", "/v1/transactions")] = self.submit
        fake.routes[("GET", "/v1/transactions/")] = self.show
        fake.routes[("GET", "/v1/query/parameters.get")] = self.query
        fake.routes[("GET", "/v1/query/")] = self.query
        fake.routes[("GET", "/v1/blocks/")] = self.block

    def submit(self, asked: Asked) -> Answer:
        self.execute(asked.body)
        return 202, {"id": transaction_id(asked.body).hex(), "state": "pending"}

    def show(self, asked: Asked) -> Answer:
        identifier = asked.path.rsplit("/", 1)[1]
        status = self.chain.transaction_status(bytes.fromhex(identifier))
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
            result = self.chain.query(asked.path.rsplit("/", 1)[1], arguments)
        except LedgerError as error:
            return problem(404 if error.code == "query.not_found" else 400, error.code)
        return 200, {"height": self.chain.height, "block_time_ms": 1, "result": to_builtins(result)}

    def block(self, asked: Asked) -> Answer:
        return 200, to_builtins(self.chain.query("blocks.get", {"height": asked.path.rsplit("/", 1)[1]}))


@contextmanager
def serving(
    world: Consortium,
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    keys: Mapping[str, str] | None = None,
) -> Iterator[FakeNode]:
    """A node of the consortium, for commands that run in `directory`. Their wallet has the key of each organization by
    its name, or those of `keys`: name to organization."""

    def execute(data: bytes) -> None:
        world.now_ms = time.time_ns() // 1_000_000
        world.execute(data)

    organizations = keys or {organization: organization for organization in world.organizations}
    with fake_node(world.genesis) as fake:
        LedgerNode(fake, world.chain, execute)
        accounts = {name: account_of(world, organization) for name, organization in organizations.items()}
        surround(monkeypatch, directory, fake.url, accounts)
        yield fake


def account_of(world: Consortium, organization: str) -> Account:
    return Account.first_of(world.network_id, organization, key(organization), bytes(16))


def held_asset(
    world: Consortium, label: str = "A", kind: assets.Kind = "dataset", claims: tuple[assets.Metric, ...] = ()
) -> str:
    """An asset of org-0 that a quorum holds."""
    account, salt, artifact = world.accounts["org-0"], bytes(16), assets.Artifact(cid(label), 10)
    commitment = assets.Commit(assets.commitment(artifact.cid, account, salt))
    register = assets.Register(artifact, salt, kind, label, provenance=assets.Provenance(metrics=claims))
    assert world.code(world.by("org-0", commitment, register)) == ""
    identifier = assets.asset_id(world.network_id, account, artifact.cid)
    for name in ("v0", "v1", "v2"):
        assert world.code(world.by_validator(name, assets.ReportHeld(identifier, 1))) == ""
    return identifier.hex()


def licensed(world: Consortium, asset: str, terms: Terms) -> str:
    """The license that org-1 buys of org-0 under these terms."""
    offered = world.by("org-0", licenses.Offer(bytes.fromhex(asset), terms, world.now_ms + HOUR_MS))
    assert world.code(offered) == ""
    digest = licenses.terms_digest(terms)
    offer = licenses.offer_id(transaction_id(offered), bytes.fromhex(asset), digest)
    bought = world.by("org-1", licenses.Purchase(offer, digest, terms.price))
    assert world.code(bought) == ""
    return licenses.grant_id(transaction_id(bought), offer).hex()


def decide(capsys: pytest.CaptureFixture[str], *change: str) -> Any:
    """Propose by the first organization, and let as many approve as it needs."""
    made = run(capsys, "governance", "propose", *change, "--account", "org-0")
    for index in range(made["approvals_needed"]):
        made = run(capsys, "governance", "vote", made["proposal"], "--approve", "--account", f"org-{index}")
    assert made["state"] in ("approved", "waiting")
    return made

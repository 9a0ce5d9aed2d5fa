"""`guildmark account list`: the wallet's keys beside what the ledger says of their accounts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guildmark_kit import Answer, Asked, FakeNode, fake_node, problem

from guildmark.cli.main import run
from guildmark.identity import Account
from guildmark.wallet import DEVELOPMENT_COST, Wallet
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

OPEN, ROTATED, ELSEWHERE, THEIRS = (SigningKey(bytes([number]) * 32) for number in range(1, 5))


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node() as made:
        yield made


def account_of(node: FakeNode, key: SigningKey) -> str:
    return Account.first_of(node.network_id, "alder", key, bytes(16)).text


def told(node: FakeNode, key: SigningKey, *keys: SigningKey) -> dict[str, Any]:
    listed = [{"key": key_to_text(each.public_key), "role": "owner"} for each in keys]
    return {"account": account_of(node, key), "organization": "alder", "name": "A", "balance": 5, "keys": listed}


@pytest.fixture
def listed(node: FakeNode, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Any:
    """List with three keys of accounts and one of none in the wallet."""
    known = {account_of(node, key): told(node, key, each) for key, each in ((OPEN, OPEN), (ROTATED, THEIRS))}

    def get(asked: Asked) -> Answer:
        found = known.get(asked.query["account"])
        return problem(404, "query.not_found") if found is None else (200, {"height": 7, "result": found})

    def page(asked: Asked) -> Answer:
        everyone = [told(node, key, key) for key in (OPEN, THEIRS)]
        return 200, {"height": 7, "result": [] if asked.query.get("after") else everyone}

    node.routes["GET", "/v1/query/accounts.get"] = get
    node.routes["GET", "/v1/query/accounts.list"] = page
    wallet = Wallet(tmp_path)
    for name, key in (("open", OPEN), ("rotated", ROTATED), ("elsewhere", ELSEWHERE)):
        account = account_of(node, key)
        wallet.create(name, "x", key=key, account=account, network_id=node.network_id, cost=DEVELOPMENT_COST)
    wallet.create("fresh", "x", key=THEIRS, cost=DEVELOPMENT_COST)

    def call(*options: str) -> list[dict[str, Any]]:
        assert run(["account", "list", *options, "--node", node.url, "--wallet", str(tmp_path), "--json"]) == 0
        rows: list[dict[str, Any]] = json.loads(capfd.readouterr().out)
        return rows

    return call


def test_each_key_is_listed_with_what_the_ledger_says(listed: Any, node: FakeNode) -> None:
    rows = {row["key"]: row for row in listed()}
    assert set(rows) == {"open", "rotated", "elsewhere"}
    assert {name: (row["known"], row["role"]) for name, row in rows.items()} == {
        "open": (True, "owner"),
        "rotated": (True, None),
        "elsewhere": (False, None),
    }
    assert rows["open"]["account"] == account_of(node, OPEN)
    assert (rows["open"]["balance"], rows["elsewhere"]["balance"]) == (5, None)


def test_an_organizations_accounts_are_listed_beside_them(listed: Any, node: FakeNode) -> None:
    rows = listed("--organization", "alder")
    assert [row["key"] for row in rows] == ["elsewhere", "open", "rotated", ""]
    assert rows[-1]["account"] == account_of(node, THEIRS)
    assert len(node.calls("GET", "/v1/query/accounts.get")) == 2, "who was listed is not asked for again"

"""Decisions that wait, by the command line: parameters, credits, objections, and what a person is shown of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import FakeNode, run
from ledger_node_kit import account_of, decide, serving

from guildmark.cli import main
from guildmark.client import AsyncClient
from guildmark.errors import InvalidArgument, Unreachable
from ledger.modules.credits.operations import Transfer
from ledger.parameters import Parameters
from ledger.transaction import decode_transaction


@pytest.fixture
def world() -> Consortium:
    genesis = make_genesis(
        4, development=True, created_at_ms=time.time_ns() // 1_000_000, decision_delay_ms=1_000, payment_delay_ms=1_000
    )
    return Consortium(genesis)


@pytest.fixture(autouse=True)
def node(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with serving(world, monkeypatch, tmp_path) as fake:
        yield fake


def decided(capsys: pytest.CaptureFixture[str], *change: str) -> str:
    return str(decide(capsys, *change)["proposal"])


def shown(capsys: pytest.CaptureFixture[str], proposal: str) -> Any:
    return run(capsys, "governance", "show", proposal)


def test_parameters_are_proposed_shown_and_set(world: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
    proposal = decided(capsys, "parameters", "fee_bps=300", "window=16")
    waiting = shown(capsys, proposal)
    assert (waiting["state"], waiting["title"]) == ("waiting", "fee_bps = 300, window = 16")
    assert waiting["change"]["parameters"] == {"fee_bps": 300, "window": 16}
    assert (waiting["approvals_needed"], waiting["objections_needed"]) == (3, 2)
    assert main.run(["governance", "show", proposal]) == 0
    told = capsys.readouterr().out
    assert "3 approve and 0 refuse, of 4; 3 must approve" in told
    assert "0 object, 2 stop it" in told
    world.execute(step_ms=2_000)
    assert shown(capsys, proposal)["state"] == "executed"
    rows = {row["name"]: row for row in run(capsys, "network", "parameters")}
    assert (rows["fee_bps"]["value"], rows["fee_bps"]["high"]) == (300, 500)
    assert (rows["window"]["value"], rows["window"]["coming"]) == (8, 16)
    assert rows["fee_bps"]["coming"] == 300
    assert main.run(["network", "parameters"]) == 0
    told = capsys.readouterr()
    lines = {name: rest for name, *rest in map(str.split, told.out.splitlines())}
    assert lines["window"][:2] == ["8", "16"]
    assert lines["fee_bps"][:2] == ["300", "-"]  # nothing else is decided
    assert "No vote changes opaque_bundles" in told.err


def test_what_can_be_no_parameter_is_refused_with_its_range(capsys: pytest.CaptureFixture[str]) -> None:
    """G5."""
    refused = run(capsys, "governance", "propose", "parameters", "proposal_bytes_max=0", "--account", "org-0", expect=1)
    assert refused["code"] == "governance.parameter_range"
    assert "65536 to 8388608" in refused["message"]
    for value in (str(2**64), "-1", "many", "1.5"):
        none = run(capsys, "governance", "propose", "parameters", f"window={value}", "--account", "org-0", expect=2)
        assert none["code"] == "usage"


def test_objections_stop_it(world: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
    proposal = decided(capsys, "mint", "500")
    assert run(capsys, "governance", "object", proposal, "--account", "org-3")["objections"] == ["org-3"]
    again = run(capsys, "governance", "object", proposal, "--account", "org-3", expect=1)
    assert again["code"] == "governance.already_objected"
    assert run(capsys, "governance", "object", proposal, "--account", "org-0")["state"] == "stopped"
    assert shown(capsys, proposal)["executes_at_ms"] == 0
    assert main.run(["governance", "show", proposal]) == 0
    told = capsys.readouterr().out
    assert "stopped" in told
    assert "executes_at_ms" not in told
    assert main.run(["governance", "list", "--state", "stopped"]) == 0
    assert proposal in capsys.readouterr().out


def test_credits_are_minted_paid_and_burned(world: Consortium, capsys: pytest.CaptureFixture[str]) -> None:
    decided(capsys, "mint", "500")
    given = decided(capsys, "mint", "7", "--to", "org-1")
    world.execute(step_ms=2_000)
    assert shown(capsys, given)["state"] == "executed"
    paid = decided(capsys, "pay", "org-2", "400")
    late = decided(capsys, "burn", "200")
    own = decided(capsys, "burn", "10", "--own")
    world.execute(step_ms=2_000)
    assert [shown(capsys, one)["state"] for one in (paid, late, own)] == ["executed", "failed", "executed"]
    assert main.run(["governance", "show", late]) == 0
    told = capsys.readouterr().out
    assert "credits.insufficient" in told
    assert "the credits were not there any more" in told
    assert world.chain.query("credits.supply", {}).supply == 4_000 + 500 + 7 - 10


def test_a_client_follows_the_parameters_and_not_the_genesis(world: Consortium, node: FakeNode) -> None:
    """A transaction lives as long as the chain lets it now; a client asks again after a minute, or after the clock was
    moved."""
    account = account_of(world, "org-0")

    async def lifetime_ms(client: AsyncClient) -> int:
        sent = await client.prepare(Transfer(world.accounts["org-1"], 1))
        return decode_transaction(sent.data, world.chain.registry).body.expires_at_ms - await client.network_time_ms()

    async def story() -> None:
        async with AsyncClient(node.url, account) as client:
            assert 55_000 < await lifetime_ms(client) <= 60_000
            world.genesis.parameters.validate(development=True)
            stated = {"result": {"lifetime_ms": 10_000, "of_a_later_version": 1}, "height": 1, "block_time_ms": 1}
            node.routes["GET", "/v1/query/parameters.get"] = lambda _: (200, stated)
            assert await lifetime_ms(client) > 55_000, "asked a moment ago"
            await client.advance_clock(1)
            assert 0 < await lifetime_ms(client) <= 5_000
            assert (await client.parameters()).fee_bps == Parameters().fee_bps
            for values in ({}, {"window": 2**64}):
                with pytest.raises(InvalidArgument):
                    await client.decisions.propose_parameters(values)
            with pytest.raises(InvalidArgument):
                await client.decisions.propose_minting(0)
            node.routes["GET", "/v1/query/parameters.get"] = lambda _: (200, stated | {"result": {"window": 0}})
            await client.advance_clock(1)
            with pytest.raises(Unreachable):
                await client.parameters()

    asyncio.run(story())

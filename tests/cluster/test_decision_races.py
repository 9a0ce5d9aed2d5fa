"""Votes and objections that race through four nodes: one outcome everywhere, one vote an organization, credits kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cluster_kit import Nodes, final, nodes_of

from guildmark.transactions import Outcome, PreparedTransaction
from guildmark.transport import pause
from ledger.modules.governance.operations import Object, Vote

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("decisions"), pytest.mark.timeout(120)]
AMOUNT = 1_000
DELAY_MS = 1_500


async def proposed(nodes: Nodes) -> str:
    first = nodes.cluster.account(nodes.cluster.accounts[0])
    made = await nodes.clients[0].acting_as(first).decisions.propose_minting(AMOUNT)
    return str(made["proposal"])


async def told(nodes: Nodes, proposal: str) -> dict[str, Any]:
    """The proposal, which every node must tell alike."""
    await asyncio.to_thread(nodes.cluster.wait_same_head)
    answers = [await client.governance.proposal(proposal) for client in nodes.clients]
    assert all(answer == answers[0] for answer in answers)
    return answers[0]


async def signed(nodes: Nodes, *operations: tuple[str, Any]) -> list[PreparedTransaction]:
    return await nodes.sign_all([(nodes.cluster.account(name), operation) for name, operation in operations])


async def yes_here_and_no_there(nodes: Nodes) -> int:
    """Every organization says yes at one node and no at the next, all at once. Return what is minted by it."""
    names, proposal = nodes.cluster.accounts[:4], await proposed(nodes)
    votes = [(name, Vote(bytes.fromhex(proposal), True)) for name in names]
    votes += [(name, Vote(bytes.fromhex(proposal), False)) for name in [*names[1:], names[0]]]
    outcomes = await nodes.rush(await signed(nodes, *votes))
    counted = [name for (name, _), outcome in zip(votes, outcomes, strict=True) if outcome.committed]
    assert len(counted) == len(set(counted)), "one vote an organization"
    assert {outcome.code for outcome in outcomes} <= {"", "governance.already_voted", "governance.voting_closed"}
    decided = await told(nodes, proposal)
    assert sorted(decided["approvals"] + decided["refusals"]) == sorted(counted)
    approved, refused = len(decided["approvals"]) >= 3, len(decided["refusals"]) >= 2
    if not approved:
        assert decided["state"] == ("rejected" if refused else "open")
        return 0
    assert not refused
    await nodes.clients[0].wait_until(decided["executes_at_ms"] + 500)
    assert (await settled(nodes, proposal))["state"] == "executed"
    return AMOUNT


async def settled(nodes: Nodes, proposal: str) -> dict[str, Any]:
    """The proposal when nobody waits for its delay any more."""
    while (found := await told(nodes, proposal))["state"] == "waiting":
        await pause(0.05)
    return found


async def decide_everywhere(nodes: Nodes) -> str:
    """Send all four votes to all four nodes at once: three decide, and the fourth is late. Return the proposal."""
    proposal = await proposed(nodes)
    votes = await signed(nodes, *((name, Vote(bytes.fromhex(proposal), True)) for name in nodes.cluster.accounts[:4]))
    await asyncio.gather(*(client.submit(vote) for vote in votes for client in nodes.clients))
    outcomes = [await final(nodes.clients[0], vote.id) for vote in votes]
    assert sorted(outcome.code for outcome in outcomes) == ["", "", "", "governance.voting_closed"]
    return proposal


async def object_as_the_delay_ends(nodes: Nodes, proposal: str) -> int:
    """Two objections, which are enough, come at two nodes about when the delay ends. Return what is minted."""
    ends_ms = (await nodes.clients[0].governance.proposal(proposal))["executes_at_ms"]
    objections = await signed(
        nodes,
        *((name, Object(bytes.fromhex(proposal))) for name in (nodes.cluster.accounts[0], nodes.cluster.accounts[3])),
    )
    await nodes.clients[0].wait_until(ends_ms - 150)
    outcomes: list[Outcome] = await nodes.rush(objections)
    found = await settled(nodes, proposal)
    assert len(found["objections"]) == sum(outcome.committed for outcome in outcomes)
    assert {outcome.code for outcome in outcomes} <= {"", "governance.not_waiting"}
    stopped = all(outcome.committed for outcome in outcomes)
    assert found["state"] == ("stopped" if stopped else "executed")
    return 0 if stopped else AMOUNT


def test_votes_and_objections_race_through_four_nodes(guildmark_cluster_factory: Any) -> None:
    """G2: yes at one node and no at another, deciding votes everywhere at once, an objection as the deadline comes."""
    cluster = guildmark_cluster_factory(genesis={"decision_delay_ms": DELAY_MS})

    async def story() -> None:
        async with nodes_of(cluster) as nodes:
            minted = await yes_here_and_no_there(nodes)
            await nodes.check_supply(minted=minted)
            minted += await object_as_the_delay_ends(nodes, await decide_everywhere(nodes))
            await nodes.check_supply(minted=minted)

    with cluster:
        asyncio.run(story())

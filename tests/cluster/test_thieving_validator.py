"""Scarcity against one of those who order: a validator that takes what it sees first registers nothing of it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest
from cluster_kit import Nodes, nodes_of, wait

from guildmark.artifact_transfer import LocalArtifact
from guildmark.assets import Committed
from guildmark.client import AsyncClient
from guildmark.cluster import process
from guildmark.cluster.network import AccountPlan
from guildmark.errors import OutcomeUnknown, Refused
from guildmark.identity import Account
from guildmark.testing.clusters import ClusterFactory, TestCluster
from guildmark.transactions import Outcome

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("thieving-validator")]

THIEF: Final = 0
"""The node that steals."""
AUTHORS: Final = 10
HALF: Final = AUTHORS // 2
TURN_MS: Final = 1_000
AGE_MS: Final = 10_000
"""What the chain parameters give when nothing else is said."""
TRANSFERS_MAX: Final = 1_000
"""Small work until somebody's turn comes."""
CLAIMED: Final = "assets.artifact_claimed"


class Prey(msgspec.Struct, frozen=True):
    """What an honest author is about to register."""

    author: Account
    committed: Committed
    path: Path


class Attempt(msgspec.Struct, frozen=True):
    """What the thief wrote down of one transaction."""

    trick: str
    about: str
    id: str
    leading: bool


def thieving_network(
    factory: ClusterFactory, monkeypatch: pytest.MonkeyPatch, *, commitment_age_ms: int = AGE_MS
) -> TestCluster:
    """Start four validators, one of them `thieving_node.py`."""
    plans = [
        AccountPlan("founder", "birch"),
        AccountPlan("thief", "alder"),
        *(AccountPlan(f"author-{number}", ("birch", "cedar", "dogwood")[number % 3]) for number in range(AUTHORS)),
    ]
    cluster = factory(
        genesis={"commitment_age_ms": commitment_age_ms},
        node={"consensus": {"turn_ms": TURN_MS}},
        accounts=plans,
        start=False,
    )
    thief = cluster.account("thief")
    told = {"account": thief.id, "seed": thief.key.seed}
    (cluster.nodes[THIEF].directory / "thief.json").write_bytes(msgspec.json.encode(told))
    program = Path(__file__).with_name("thieving_node.py")
    with monkeypatch.context() as patched:
        patched.setattr(process, "node_command", lambda *arguments: [sys.executable, "-P", str(program), *arguments])
        cluster.nodes[THIEF].start(exit_with_parent=True)
    cluster.start()
    return cluster


async def commit_all(cluster: TestCluster, folder: Path) -> list[Prey]:
    """Let every author commit to a work of its own."""

    async def commit(nodes: Nodes, number: int) -> Prey:
        path = folder / f"work-{number}"
        path.write_bytes(secrets.token_bytes(1_000))
        author = cluster.account(f"author-{number}")
        with LocalArtifact(path) as artifact:
            return Prey(author, await nodes.clients[number % 4].acting_as(author).assets.commit(artifact), path)

    async with nodes_of(cluster) as nodes:
        return list(await asyncio.gather(*(commit(nodes, number) for number in range(AUTHORS))))


async def register_all(cluster: TestCluster, prey: Sequence[Prey], *, thief_leads: bool) -> list[int | str]:
    """Let authors register at the beginning of a turn of the thief, or in another's, each with all nodes' addresses
    and another one first: for some it is the thief's. Return the height of each registration, or why it was refused.
    """

    async def register(turn: int, each: Prey) -> int | str:
        urls = cluster.urls[turn % 4 :] + cluster.urls[: turn % 4]
        async with AsyncClient(urls, each.author, network_id=cluster.network_id) as client:
            try:
                done = await client.assets.register(each.path, kind="software", name="mine", committed=each.committed)
            except (Refused, OutcomeUnknown) as error:
                return error.code
        return done.height

    async with nodes_of(cluster) as nodes:
        founder = nodes.clients[1].acting_as(cluster.account("founder"))
        for wanted in (False, True) if thief_leads else (False,):
            for _ in range(TRANSFERS_MAX):
                if (cluster.primary() == THIEF) == wanted:
                    break
                await founder.credits.transfer(prey[0].author, 1)  # an idle network does not turn
            else:
                raise AssertionError("that turn does not come")
    return list(await asyncio.gather(*(register(turn, each) for turn, each in enumerate(prey))))


def attempts(cluster: TestCluster) -> list[Attempt]:
    """What the thief has tried so far."""
    lines = (cluster.nodes[THIEF].directory / "loot.jsonl").read_bytes().splitlines(keepends=True)
    return [msgspec.json.decode(line, type=Attempt) for line in lines if line.endswith(b"\n")]


async def outcomes(cluster: TestCluster, tried: Sequence[Attempt]) -> list[tuple[Attempt, Outcome]]:
    """What became of it, as an honest node says."""
    async with nodes_of(cluster) as nodes:
        found = await asyncio.gather(*(nodes.clients[1].wait(attempt.id, 30) for attempt in tried))
        return list(zip(tried, found, strict=True))


def owners(cluster: TestCluster, prey: Sequence[Prey]) -> list[str]:
    """Who owns what, as all nodes say."""
    cluster.wait_same_head()
    told = []
    for index in range(len(cluster.nodes)):
        with cluster.client(node=index) as client:
            claims = [client.query("assets.by_artifact", cid=each.committed.cid) for each in prey]
            told.append([share["account"] for claim in claims for share in client.assets.get(claim["asset"])["owners"]])
    assert all(said == told[0] for said in told)
    return told[0]


def test_a_validator_that_orders_its_own_first_steals_no_registration(
    guildmark_cluster_factory: ClusterFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It copies commitments and registrations, swallows what it is sent, holds back what it wants and bends time."""
    cluster = thieving_network(guildmark_cluster_factory, monkeypatch)
    prey = asyncio.run(commit_all(cluster, tmp_path))
    cluster.advance(AGE_MS)
    held_back = asyncio.run(register_all(cluster, prey[:HALF], thief_leads=True))
    overtaken = asyncio.run(register_all(cluster, prey[HALF:], thief_leads=False))
    registered = {
        each.committed.cid: result
        for each, result in zip(prey, [*held_back, *overtaken], strict=True)
        if isinstance(result, int)
    }
    assert len(registered) == AUTHORS, (held_back, overtaken)
    assert owners(cluster, prey) == [each.author.text for each in prey]

    codes: dict[str, set[str]] = defaultdict(set)
    first: set[str] = set()
    for attempt, outcome in asyncio.run(outcomes(cluster, attempts(cluster))):
        codes[attempt.trick].add(outcome.code)
        if attempt.trick == "own reveal" and (outcome.height or 0) < registered[attempt.about]:
            first.add(attempt.about)
    assert codes["copied commitment"] == codes["own commitment"] == {""}
    assert codes["copied salt"] <= {"assets.commitment_missing", CLAIMED}
    assert codes["own reveal"] <= {"assets.commitment_too_young", CLAIMED}
    assert first & {each.committed.cid for each in prey[:HALF]}  # it was first, and that was not enough

    cluster.advance(AGE_MS)  # now what it committed to is old enough, and too late
    tried = len(attempts(cluster))
    wait(lambda: {attempt.about for attempt in attempts(cluster)[tried:]} == set(registered))
    late = asyncio.run(outcomes(cluster, attempts(cluster)[tried:]))
    assert {outcome.code for _, outcome in late} == {CLAIMED}
    assert owners(cluster, prey) == [each.author.text for each in prey]
    cluster.stop()


def test_the_same_validator_steals_where_commitments_need_no_age(
    guildmark_cluster_factory: ClusterFactory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The thief is one: without the rule it gets what it wants, as a development network may have it."""
    cluster = thieving_network(guildmark_cluster_factory, monkeypatch, commitment_age_ms=0)
    prey = asyncio.run(commit_all(cluster, tmp_path))
    results = asyncio.run(register_all(cluster, prey[:HALF], thief_leads=True))
    stolen = [each for each, result in zip(prey, results, strict=False) if result == CLAIMED]
    assert stolen
    assert owners(cluster, stolen) == [cluster.account("thief").text] * len(stolen)
    cluster.stop()

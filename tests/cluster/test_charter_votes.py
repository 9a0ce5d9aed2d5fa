"""Votes of owners race through four nodes: each share votes once, and every node has seen the same decision."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from guildmark.accounts import Account
from guildmark.charters import charter
from guildmark.cli.main import run
from guildmark.errors import Refused
from guildmark.sync import Client
from guildmark.testing.clusters import AccountFactory, TestCluster
from guildmark.transfers import share

pytestmark = pytest.mark.cluster
DAILY = {"quorum_bps": 5_000, "threshold_bps": 6_667}
RULES = charter(
    voting_period_ms=3_600_000,
    majority=DAILY,
    charter=DAILY,
    dissolution=DAILY,
    drag_along_bps=6_667,
    treasury_bps=1_000,
    voted_aliases=["production"],
)
ORGANIZATIONS = ("alder", "birch", "cedar", "dogwood")
PARTS = (4_000, 3_000, 2_000, 1_000)


def owned_by_four(client: Client, owners: list[Account], path: Path) -> str:
    path.write_bytes(os.urandom(2_000))
    first = client.acting_as(owners[0])
    made = first.assets.register(path, kind="artwork", name="together", charter=RULES)
    client.artifacts.wait_held(made.cid)
    for owner, bps in list(zip(owners, PARTS, strict=True))[1:]:
        offered = first.transfers.offer(share(made.asset, bps), owner)
        client.acting_as(owner).transfers.accept(offered)
    return made.asset


def test_votes_race_through_four_nodes_and_each_share_counts_once(
    guildmark_cluster: TestCluster,
    guildmark_client: Client,
    guildmark_account: AccountFactory,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    owners = [guildmark_account(organization=name) for name in ORGANIZATIONS]
    asset = owned_by_four(guildmark_client, owners, tmp_path / "picture")
    with pytest.raises(Refused) as caught:
        guildmark_client.acting_as(owners[0]).assets.set_alias(asset, "production", 1)
    assert caught.value.code == "charters.vote_required"
    proposal = guildmark_client.acting_as(owners[1]).charters.propose_alias(asset, "production", 1)["proposal"]

    def vote(owner: Account, node: int) -> str:
        """Vote through one node; return why it did not count."""
        with guildmark_cluster.client(owner, node) as elsewhere:
            try:
                elsewhere.charters.vote(proposal, True)
            except Refused as refused:
                return refused.code
        return ""

    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(vote, owner, (index + turn) % 4) for turn in (0, 1) for index, owner in enumerate(owners)]
        codes = [one.result() for one in tries]
    assert set(codes) <= {"", "charters.already_voted", "charters.voting_closed"}
    with ExitStack() as stack:
        elsewhere = [stack.enter_context(guildmark_cluster.client(None, node)) for node in range(4)]
        height = max(client.status()["height"] for client in elsewhere)
        seen = [client.charters.proposal(proposal, at_least=height) for client in elsewhere]
    assert all(one == seen[0] for one in seen)
    assert seen[0]["state"] == "executed"
    counted = {row["account"]: row["bps"] for row in seen[0]["voters"] if row["approve"]}
    assert len(counted) == codes.count("")
    assert seen[0]["approving_bps"] == sum(counted.values()) >= 6_667
    with pytest.raises(Refused) as late:
        guildmark_client.acting_as(owners[0]).charters.vote(proposal, False)
    assert late.value.code in ("charters.voting_closed", "charters.already_voted")

    assert run(["charter", "show", asset, "--node", guildmark_cluster.url(0), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rules"]["voted_aliases"] == ["production"]
    assert run(["charter", "proposals", asset, "--node", guildmark_cluster.url(1)]) == 0
    assert "executed" in capsys.readouterr().out

"""Four nodes whose surroundings differ in all that must not matter reach the same roots, and so does a replay."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from guildmark.cluster import probe
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.licenses import terms
from guildmark.sync import Client
from guildmark.testing.clusters import TestCluster
from guildmark.transfers import share, whole
from ledger.modules.assets.operations import Derivation, Provenance
from ledger.modules.disputes.operations import Subject
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("determinism"), pytest.mark.timeout(300)]

HOUR_MS: Final = 3_600_000
SURROUNDINGS: Final[tuple[Mapping[str, str], ...]] = (
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "C.UTF-8", "PYTHONOPTIMIZE": "1"},
    {"PYTHONHASHSEED": "random", "TZ": "Pacific/Kiritimati", "LANG": "tr_TR.UTF-8", "PYTHONOPTIMIZE": "2"},
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_NUMERIC": "de_DE.UTF-8", "LANG": "de_DE.UTF-8", "OMP_NUM_THREADS": "1"},
)
"""Of each node; -O and -OO by their variable. A locale that the machine does not have is taken for C, as by a node."""
MODES: Final = ("thread", "process", "process", "thread")


@pytest.fixture
def cluster(guildmark_cluster_factory: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestCluster]:
    made = guildmark_cluster_factory(genesis={"dispute_bond_min": 1_000}, start=False)
    for process, mode, surroundings in zip(made.nodes, MODES, SURROUNDINGS, strict=True):
        settings = process.directory / "node.toml"
        settings.write_text(f'{settings.read_text()}\n[executor]\nmode = "{mode}"\n')
        with monkeypatch.context() as given:
            for name in ("LC_ALL", "LANG", "LC_NUMERIC", "TZ"):
                given.delenv(name, raising=False)
            for name, value in surroundings.items():
                given.setenv(name, value)
            process.start(exit_with_parent=True)
    deadline = time.monotonic() + 60
    for process in made.nodes:
        process.wait_listening(deadline)
    made.wait_ready(60)
    yield made
    made.stop()


def test_four_nodes_in_different_surroundings_reach_equal_roots(cluster: TestCluster, tmp_path: Path) -> None:
    """X1, X2: every module acts, and each of the four ledgers replays to the same in other surroundings."""
    with cluster.client(cluster.accounts[0]) as client:
        use_every_module(cluster, client, tmp_path)
    head = cluster.wait_same_head()
    told = [[roots(cluster, node, height) for height in range(head["height"] + 1)] for node in range(4)]
    assert told[0] == told[1] == told[2] == told[3]
    assert len({root for _, root in told[0]}) > 20, "the state moved"
    assert verify(cluster.nodes[0].directory)["height"] >= head["height"], "beside the running node"
    cluster.stop()
    verified = [verify(process.directory) for process in cluster.nodes]
    assert min(said["height"] for said in verified) >= head["height"]
    ends = {(said["height"], said["state_root"]) for said in verified}
    assert len(ends) == len({height for height, _ in ends}), "a block that came meanwhile is everybody's too"
    assert all(root == head["state_root"] for height, root in ends if height == head["height"])


def roots(cluster: TestCluster, node: int, height: int) -> tuple[str, str]:
    said = probe.get_json(cluster.url(node), f"/v1/blocks/{height}")
    assert said is not None
    return said["block_hash"], said["state_root"]


def verify(directory: Path) -> dict[str, Any]:
    ran = subprocess.run(
        node_command("verify", str(directory)), env=node_environment(), capture_output=True, text=True, check=False
    )
    said: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert ran.returncode == 0, said
    return said


def register(client: Client, path: Path, **options: Any) -> Any:
    path.write_bytes(os.urandom(3_000))
    made = client.assets.register(path, kind=options.pop("kind", "dataset"), name=f"Übung {path.name} ıİ", **options)
    client.artifacts.wait_held(made.cid)
    return made


def use_every_module(cluster: TestCluster, client: Client, place: Path) -> None:
    """Assets, licenses, royalties, the market, transfers, disputes, governance, accounts, credits, time."""
    alder, birch, cedar, dogwood = (client.acting_as(cluster.account(name)) for name in cluster.accounts[:4])
    # accounts and credits
    opened = alder.accounts.open(SigningKey.generate(), "second")
    alder.credits.transfer(opened, 12_345)
    alder.accounts.add_key(key_to_text(SigningKey.generate().public_key))
    # assets, licenses, royalties along a lineage
    published = register(alder, place / "data")
    data = published.asset
    training = alder.licenses.offer(
        data,
        terms(
            rights=["train-on", "download"],
            price=1_001,
            commercial=True,
            derivatives="yes",
            revenue_share_bps=1_234,
            revenue_share_depth=2,
        ),
    )
    to_train = birch.licenses.buy(training.offer)
    derived = Derivation(bytes.fromhex(data), "train-on", bytes.fromhex(to_train.grant))
    model = register(
        birch,
        place / "model",
        kind="model",
        tensors_digest=os.urandom(32),
        provenance=Provenance(derivations=(derived,), hyperparameters=(("epochs", "10"),)),
    ).asset
    use = birch.licenses.offer(model, terms(rights=["inference"], price=7_777, dispute_window_ms=240 * HOUR_MS))
    bought = cedar.licenses.buy(use.offer)
    # a claim about it
    claim = cedar.disputes.file(Subject("grant", bytes.fromhex(bought.grant)), "refund", evidence=published.cid)
    birch.disputes.answer(claim, bonded=True, statement="as described")
    for arbiter in (alder, dogwood):
        arbiter.disputes.vote(claim, uphold=True)
    # the market, and what ends by itself
    picture = register(dogwood, place / "picture", kind="artwork").asset
    auction = dogwood.market.put_up(
        dogwood.market.english_auction(
            share(bytes.fromhex(picture), 4_000), reserve=500, increment=50, lifetime_ms=HOUR_MS
        )
    )
    for index, amount in enumerate((500, 600, 1_000)):
        bidder = cluster.accounts[index % 2]
        with cluster.client(cluster.account(bidder), index % 4) as elsewhere:
            elsewhere.market.bid(auction, amount)
    listing = alder.market.sell(whole(bytes.fromhex(data)), 900)
    cedar.market.buy(listing)
    # transfers and governance
    offered = cedar.transfers.offer(whole(data), opened, 50)
    client.acting_as(opened).transfers.accept(offered, 50)
    proposal = alder.governance.propose_quota("birch", None)["proposal"]
    for member in (alder, birch, cedar):
        member.governance.vote(proposal, approve=True)
    client.advance_clock(HOUR_MS)
    client.advance_clock(240 * HOUR_MS)
    deadline = time.monotonic() + 30
    while client.market.auctions(bytes.fromhex(picture)):
        assert time.monotonic() < deadline
        time.sleep(0.05)

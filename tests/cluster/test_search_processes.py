"""The search on real nodes: whoever saw a transaction committed finds it, and a node's own file is nobody's loss."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from guildmark.licenses import terms

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("search-processes")]


@pytest.fixture(scope="module")
def cluster(guildmark_cluster_factory: Any) -> Iterator[Any]:
    """One of the nodes has its ledger, and so the search's writer, in a process of its own."""
    made = guildmark_cluster_factory(start=False)
    settings = made.nodes[3].directory / "node.toml"
    settings.write_text(settings.read_text() + '\n[executor]\nmode = "process"\n')
    made.start()
    yield made
    made.stop()


def register(cluster: Any, directory: Path, name: str) -> tuple[str, int]:
    """Register a work through one node; return its id and the height at which it was seen committed."""
    path = directory / name.replace(" ", "-")
    path.write_bytes(os.urandom(1_000))
    with cluster.client(cluster.accounts[0]) as client:
        made = client.assets.register(path, kind="dataset", name=name, tags=["found"])
        return made.asset, made.height


def search(cluster: Any, index: int, text: str = "", **arguments: Any) -> Any:
    with cluster.client(node=index) as client:
        return client.assets.search(text, **arguments)


def test_who_saw_a_transaction_committed_finds_it_on_every_node(cluster: Any, tmp_path: Path) -> None:
    for number in range(3):
        asset, height = register(cluster, tmp_path, f"work {number}")
        for index in range(4):
            page = search(cluster, index, f"work {number}", at_least=height)
            assert [item["asset"] for item in page["items"]] == [asset], index
            assert page["height"] >= height
    with cluster.client(cluster.accounts[0]) as client:
        offered = client.licenses.offer(asset, terms(rights=["download"], price=7))
        seen = client.query_at("chain.head")["height"]
    for index in range(4):
        page = search(cluster, index, rights=["download"], price_max=7, at_least=seen)
        assert [(item["name"], item["price"]) for item in page["items"]] == [("work 2", 7)], offered


def test_a_killed_node_and_one_without_its_file_find_what_the_others_find(cluster: Any, tmp_path: Path) -> None:
    """R1: killed while blocks are made, started with its search deleted, and with it damaged."""
    for index, damage in ((2, "deleted"), (3, "damaged")):
        cluster.kill(index)
        asset, height = register(cluster, tmp_path, f"while {index} was {damage}")
        file = cluster.nodes[index].directory / "search" / "assets.sqlite"
        if damage == "deleted":
            file.unlink()
        else:
            file.write_bytes(b"\xa5" * file.stat().st_size)
        cluster.restart(index)
        expected = search(cluster, 0, sort="name", at_least=height)["items"]
        page = search(cluster, index, sort="name", at_least=height)
        assert asset in {item["asset"] for item in page["items"]}
        told = [(item["asset"], item["name"], item["owners"]) for item in page["items"]]
        assert told == [(item["asset"], item["name"], item["owners"]) for item in expected]

"""`guildmark node join` where something is in the way, and when it is typed again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import wait

from guildmark.cli import main
from guildmark.cluster import probe
from guildmark.cluster.process import NodeProcess

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("joining"), pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def network(guildmark_cluster_factory: Any) -> Any:
    with guildmark_cluster_factory() as cluster:
        yield cluster


@pytest.fixture
def run(network: Any, capsys: Any, monkeypatch: Any) -> Any:
    """Type a command with the network's wallet; return its JSON, or that of its error."""
    monkeypatch.setenv("GUILDMARK_WALLET", str(network.directory / "wallet"))

    def typed(*words: str, ends_with: int = 0) -> Any:
        capsys.readouterr()
        assert main.run([*words, "--json"]) == ends_with
        said = capsys.readouterr()
        return json.loads(said.out) if said.out else json.loads(said.err.splitlines()[-1])["error"]

    return typed


def join(network: Any, directory: Path, *more: str) -> list[str]:
    known = ["--from", network.url(1), "--genesis-hash", network.network_id.hex()]
    return ["node", "join", *known, "--directory", str(directory), "--account", "birch", *more]


def test_a_genesis_of_another_hash_is_refused_and_nothing_is_made(run: Any, network: Any, tmp_path: Path) -> None:
    words = join(network, tmp_path / "node")
    words[words.index("--genesis-hash") + 1] = "ab" * 32
    assert run(*words, ends_with=7)["code"] == "network.other"
    assert not (tmp_path / "node").exists()
    words[words.index("--genesis-hash") + 1] = "abc"
    assert run(*words, ends_with=2)["code"] == "usage"


def test_joining_is_taken_up_where_it_ended(run: Any, network: Any, tmp_path: Path) -> None:
    """Keys stay, only what changes is registered again, and a directory of another network is left alone."""
    place = tmp_path / "node"
    first = run(*join(network, place))
    assert first["organization"] == "birch"
    unchanged = run(*join(network, place))
    assert (unchanged["node_id"], unchanged["transaction"]) == (first["node_id"], None)
    made = {path: path.read_bytes() for path in (place / "keys").iterdir()}
    again = run(*join(network, place, "--address", "observer.example:7100"))
    assert again["node_id"] == first["node_id"]
    assert again["transaction"]
    assert {path: path.read_bytes() for path in (place / "keys").iterdir()} == made
    (listed,) = [one for one in run("observer", "list", "--node", network.url(0)) if one["node_id"] == first["node_id"]]
    assert listed["address"] == "observer.example:7100"
    assert run(*join(network, place, "--listen", "127.0.0.1:1"), ends_with=2)["code"] == "node.directory"
    (place / "genesis.json").write_text("{}")
    assert run(*join(network, place), ends_with=1)["code"] == "node.directory"


def test_a_node_that_nobody_can_dial_is_registered_without_an_address_and_follows(
    run: Any, network: Any, tmp_path: Path
) -> None:
    """It listens on every interface, which is no address; then its own organization withdraws it."""
    place = tmp_path / "node"
    joined = run(*join(network, place, "--listen", "0.0.0.0:0"))
    assert joined["address"] == ""
    seeds = json.loads((place / "seeds.json").read_text())
    assert {seed["role"] for seed in seeds} >= {"validator"}
    process = NodeProcess(place, tmp_path / "logs")
    process.start(exit_with_parent=True)
    try:
        wait(lambda: process.listening() is not None, 30)
        wait(lambda: probe.is_ready(process.api), 30)
        nodes = ["--node", network.url(0)]
        assert run("observer", "withdraw", joined["node_id"], "--account", "birch", *nodes)["height"]
        wait(lambda: not probe.is_ready(process.api), 30)
        missing = run("observer", "withdraw", joined["node_id"], "--account", "birch", *nodes, ends_with=1)
        assert missing["code"] == "observers.unknown_observer"
    finally:
        process.kill()


def test_a_wrong_address_is_refused_before_anything_is_sent(run: Any, network: Any, tmp_path: Path) -> None:
    words = join(network, tmp_path / "node", "--address", "nowhere")
    assert run(*words, ends_with=2)["code"] == "node.address"


def test_a_directory_without_keys_cannot_be_registered(run: Any, network: Any, tmp_path: Path) -> None:
    words = ["observer", "register", "--directory", str(tmp_path), "--account", "birch", "--node", network.url(0)]
    refused = run(*words, ends_with=1)
    assert refused["code"] == "node.keys"
    assert "missing" in refused["message"]

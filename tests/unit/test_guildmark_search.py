"""Searching and lineages through the SDK and the command line, against the real search and the real ledger queries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from guildmark_kit import Answer, Asked, FakeNode, fake_node, problem

from guildmark.cli import main
from guildmark.cli.asset_search import draw
from guildmark.errors import InvalidArgument, Refused
from guildmark.sync import Client
from ledger.errors import LedgerError
from ledger.modules.assets.operations import Derivation
from ledger.modules.licenses.operations import Terms
from ledger.search import request
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import World
from tests.unit.search_kit import Searched


class Library:
    """A fake node over a world of works and its search."""

    def __init__(self, fake: FakeNode, searched: Searched) -> None:
        self.fake = fake
        self.searched = searched
        self.world = searched.world
        self.made: dict[str, bytes] = {}
        fake.routes[("GET", "/v1/search/assets")] = self.search
        fake.routes[("GET", "/v1/query/assets.lineage")] = self.lineage

    def register(self, who: str, label: str, *parents: str, **fields: Any) -> None:
        derivations = [Derivation(self.made[parent], "train-on") for parent in parents]
        self.made[label] = self.world.register(who, label, derivations=derivations, **fields)

    def search(self, asked: Asked) -> Answer:
        arguments = {name: text for name, text in asked.query.items() if name != "at_least"}
        self.searched.follow()
        try:
            answer = self.searched.reader.search(request.read(arguments))
        except LedgerError as error:
            return problem(400, error.code, error.message)
        return 200, msgspec.to_builtins(answer)

    def lineage(self, asked: Asked) -> Answer:
        arguments = {name: text for name, text in asked.query.items() if name != "at_least"}
        result = msgspec.to_builtins(self.world.query("assets.lineage", **arguments))
        return 200, {"height": 1, "block_time_ms": 1, "result": result}


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.chdir(tmp_path)
    searched = Searched(World(), tmp_path / "search" / "assets.sqlite")
    with fake_node() as fake:
        monkeypatch.setenv("GUILDMARK_NODE", fake.url)
        made = Library(fake, searched)
        made.register("alice", "weather data", tags=("climate", "alps"))
        made.register("alice", "snow data", "weather data")
        made.register("alice", "snow model", "snow data", "weather data", kind="model")
        made.register("alice", "ski model", "snow model", kind="model")
        terms = Terms(rights=("download", "inference"), price=70, commercial=True, spdx_id="MIT")
        made.world.offer("alice", made.made["snow model"], terms)
        yield made
    searched.close()


@pytest.fixture
def client(library: Library) -> Iterator[Client]:
    with Client(library.fake.url, retry_timeout_s=0.3) as made:
        yield made


def names(page: dict[str, Any]) -> list[str]:
    return [item["name"] for item in page["items"]]


def test_every_argument_of_a_search_reaches_the_node(library: Library, client: Client) -> None:
    alice, carol = (library.world.accounts[who] for who in ("alice", "carol"))
    for arguments, expected in (
        ({"text": "data"}, {"snow data", "weather data"}),
        ({"text": "sno* model"}, {"snow model"}),
        ({"kind": "model", "owner": alice}, {"snow model", "ski model"}),
        ({"owner": account_to_text(carol)}, set()),
        ({"creator": alice, "tags": ["alps", "climate"]}, {"weather data"}),
        ({"parent": library.made["weather data"]}, {"snow data", "snow model"}),
        ({"ancestor": library.made["weather data"].hex(), "offered": False}, {"snow data", "ski model"}),
        ({"rights": ["inference", "download"], "commercial": True, "price_max": 70}, {"snow model"}),
        ({"price_min": 71}, set()),
        ({"spdx": "MIT", "exclusivity": "none", "organization": "org-alice"}, {"snow model"}),
        ({"available": False}, set()),
        ({"sells": "license"}, {"snow model"}),
        ({"sells": "share"}, set()),
        ({"retired": True}, set()),
        ({"retired": None, "offered": True, "buyer": carol}, {"snow model"}),
    ):
        assert set(names(client.assets.search(**arguments))) == expected, arguments


def test_pages_follow_one_another_and_a_height_can_be_waited_for(library: Library, client: Client) -> None:
    first = client.assets.search(sort="name", limit=3)
    assert names(first) == ["ski model", "snow data", "snow model"]
    second = client.assets.search(sort="name", limit=3, cursor=first["cursor"], at_least=first["height"])
    assert (names(second), second["cursor"]) == (["weather data"], None)
    assert library.fake.asked[-1].query["at_least"] == str(first["height"])
    with pytest.raises(Refused) as caught:
        client.assets.search(sort="newest", cursor=first["cursor"])
    assert caught.value.code == "query.cursor"
    with pytest.raises(InvalidArgument):
        client.assets.search(parent="no id")


def test_the_command_line_lists_what_it_finds(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["asset", "search", "model", "--offered", "--right", "download"]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = ["asset", "kind", "name", "organization", "reproduced", "contradicted"]
    head += ["price", "sells", "format", "offer"]
    assert lines[0].split() == head
    found = [library.made["snow model"].hex(), "model", "snow", "model", "org-alice", "0", "0", "70"]
    assert lines[1].split()[:-1] == [*found, "license", "fixed"]
    assert len(lines) == 2
    assert main.run(["asset", "search", "--sort", "name", "--limit", "1", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert names(page) == ["ski model"]
    assert main.run(["asset", "search", "--sort", "name", "--limit", "1", "--cursor", page["cursor"]]) == 0
    captured = capsys.readouterr()
    assert "snow data" in captured.out
    assert "there are more: --cursor " in captured.err


def test_the_groups_of_one_kind_search_that_kind(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["model", "search", "--json"]) == 0
    assert set(names(json.loads(capsys.readouterr().out))) == {"snow model", "ski model"}
    assert main.run(["asset", "search", "--kind", "film"]) == 2


def test_a_lineage_is_drawn_as_trees(library: Library, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    asset = library.made["snow model"].hex()
    graph = client.assets.lineage(asset)
    assert len(graph["nodes"]) == 4
    assert main.run(["asset", "lineage", asset]) == 0
    drawn = capsys.readouterr().out
    for label, made in library.made.items():
        drawn = drawn.replace(f"{label}  {'model' if 'model' in label else 'dataset'}  {made.hex()}", label.upper())
    above = ["├── SNOW DATA  (train-on)", "│   └── WEATHER DATA  (train-on)", "└── WEATHER DATA  (train-on)"]
    assert drawn.splitlines() == ["SNOW MODEL", "derives from:", *above, "led to:", "└── SKI MODEL  (train-on)"]
    assert main.run(["asset", "lineage", asset, "--direction", "up", "--depth", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == client.assets.lineage(asset, direction="up", depth=1)


def test_what_was_drawn_is_not_drawn_again_with_all_that_belongs_to_it() -> None:
    def node(asset: str, distance: int, *, retired: bool = False) -> dict[str, Any]:
        return {"asset": asset, "name": asset, "kind": "model", "retired": retired, "distance": distance}

    def edge(parent: str, child: str, rate_bps: int = 0) -> dict[str, Any]:
        return {"parent": parent, "child": child, "right": "fine-tune", "rate_bps": rate_bps}

    graph = {
        "asset": "a",
        "nodes": [node("a", 0), node("b", 1), node("c", 1, retired=True), node("d", 2), node("e", 3)],
        "edges": [edge("a", "b", 250), edge("a", "c"), edge("b", "d"), edge("c", "d"), edge("d", "e", 1_000)],
    }
    assert [line.replace("  model", "") for line in draw(graph)] == [
        "a  a",
        "led to:",
        "├── b  b  (fine-tune, 2.5 %)",
        "│   └── d  d  (fine-tune)",
        "│       └── e  e  (fine-tune, 10 %)",
        "└── c, retired  c  (fine-tune)",
        "    └── d  d  (fine-tune, see above)",
    ]

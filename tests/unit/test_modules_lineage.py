"""Lineage as a graph: both directions, bounded in depth and in number."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.errors import LedgerError
from ledger.modules.assets import graph
from ledger.modules.assets.operations import Derivation
from ledger.modules.licenses.operations import Terms
from tests.unit.modules_kit import World

SHARED = Terms(
    rights=("download", "train-on"),
    price=100,
    commercial=True,
    derivatives="yes",
    revenue_share_bps=1_000,
    revenue_share_depth=3,
)


@pytest.fixture
def family() -> tuple[World, dict[str, bytes]]:
    """a -> b, a -> c, b and c -> d (a diamond, where b is bob's), a -> d as well, d -> e; x has no relatives."""
    world = World()
    made: dict[str, bytes] = {}

    def register(who: str, label: str, *parents: str, grants: dict[str, bytes] | None = None) -> None:
        derivations = [Derivation(made[parent], "train-on", (grants or {}).get(parent)) for parent in parents]
        made[label] = world.register(who, label, derivations=derivations)

    register("alice", "a")
    register("bob", "b", "a", grants={"a": world.license("alice", made["a"], "bob", SHARED)})
    register("alice", "c", "a")
    register("alice", "d", "a", "b", "c", grants={"b": world.license("bob", made["b"], "alice", SHARED)})
    register("alice", "e", "d")
    register("alice", "x")
    return world, made


def told(world: World, made: dict[str, bytes], label: str, **arguments: Any) -> tuple[dict[str, int], set[str]]:
    answer = world.query("assets.lineage", asset=made[label].hex(), **arguments)
    names = {asset.hex(): name for name, asset in made.items()}
    assert [node.name for node in answer.nodes] == [names[node.asset] for node in answer.nodes]
    assert list(answer.nodes) == sorted(answer.nodes, key=lambda node: (node.distance, node.asset))
    assert list(answer.edges) == sorted(answer.edges, key=lambda edge: (edge.child, edge.parent))
    assert not answer.truncated
    edges = {names[edge.parent] + names[edge.child] for edge in answer.edges}
    return {node.name: node.distance for node in answer.nodes}, edges


def test_ancestors_descendants_and_both(family: tuple[World, dict[str, bytes]]) -> None:
    world, made = family
    assert told(world, made, "d", direction="up") == (
        {"a": -1, "b": -1, "c": -1, "d": 0},
        {"ab", "ac", "ad", "bd", "cd"},
    )
    assert told(world, made, "d", direction="down") == ({"d": 0, "e": 1}, {"de"})
    both = {"a": -1, "b": -1, "c": -1, "d": 0, "e": 1}
    assert told(world, made, "d") == (both, {"ab", "ac", "ad", "bd", "cd", "de"})
    assert told(world, made, "a", direction="down") == (
        {"a": 0, "b": 1, "c": 1, "d": 1, "e": 2},
        {"ab", "ac", "ad", "bd", "cd", "de"},
    )
    assert told(world, made, "x") == ({"x": 0}, set())


def test_depth_ends_the_graph_but_hides_no_link_between_what_is_told(family: tuple[World, dict[str, bytes]]) -> None:
    world, made = family
    assert told(world, made, "e", direction="up", depth=1) == ({"d": -1, "e": 0}, {"de"})
    nodes, edges = told(world, made, "a", direction="down", depth="1")
    assert nodes == {"a": 0, "b": 1, "c": 1, "d": 1}
    assert edges == {"ab", "ac", "ad", "bd", "cd"}


def test_an_edge_says_by_what_right_at_what_rate_and_since_which_version(
    family: tuple[World, dict[str, bytes]],
) -> None:
    world, made = family
    world.add_version("alice", made["x"], "x 2", derivations=[Derivation(made["c"], "train-on")])
    edges = {(edge.parent, edge.child): edge for edge in world.query("assets.lineage", asset=made["a"].hex()).edges}
    bought = edges[made["a"].hex(), made["b"].hex()]
    assert (bought.right, bought.rate_bps, bought.version) == ("train-on", 1_000, 1)
    later = edges[made["c"].hex(), made["x"].hex()]
    assert (later.right, later.rate_bps, later.version) == ("train-on", 0, 2)


def test_more_than_the_bound_is_cut_and_says_so(
    family: tuple[World, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearest are told, on both sides alike, and no edge leads to one that is not."""
    world, made = family
    for bound in range(1, 6):
        monkeypatch.setattr(graph, "NODES_MAX", bound)
        answer = world.query("assets.lineage", asset=made["d"].hex())
        assert answer.truncated is (bound < 5)
        assert len(answer.nodes) == bound
        told_of = {node.asset for node in answer.nodes}
        assert made["d"].hex() in told_of
        assert all({edge.parent, edge.child} <= told_of for edge in answer.edges)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"asset": "00"}, "query.argument"),
        ({"asset": "ab" * 32}, "query.not_found"),
        ({"direction": "sideways"}, "query.argument"),
        ({"depth": 0}, "query.argument"),
        ({"depth": 9}, "query.argument"),
        ({"depth": "-1"}, "query.argument"),
        ({"depth": "1e3"}, "query.argument"),
    ],
)
def test_wrong_arguments_are_named(
    arguments: dict[str, Any], code: str, family: tuple[World, dict[str, bytes]]
) -> None:
    world, made = family
    with pytest.raises(LedgerError) as caught:
        world.query("assets.lineage", **({"asset": made["a"].hex()} | arguments))
    assert caught.value.code == code

"""Naming a version on the command line: by number or alias, the same way wherever a command is about one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import FakeNode, problem, run
from ledger_node_kit import serving

from artifacts.unixfs import build


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    world = Consortium(
        make_genesis(4, development=True, created_at_ms=time.time_ns() // 1_000_000, commitment_age_ms=0)
    )
    with serving(world, monkeypatch, tmp_path) as made:
        monkeypatch.setenv("GUILDMARK_ACCOUNT", "org-0")
        made.routes[("PUT", "/v1/artifacts/")] = lambda _: (204, b"")
        made.routes[("GET", "/v1/artifacts/")] = lambda _: problem(403, "no_grant")
        yield made


@pytest.fixture
def song(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> str:
    """An asset of two versions, of which the first is in production."""
    del node
    for number in (1, 2):
        Path(f"{number}.txt").write_text(f"la {number}", encoding="utf-8")
    made: str = run(capsys, "asset", "register", "1.txt", "--kind", "artwork", "--name", "Song")["asset"]
    run(capsys, "asset", "add-version", made, "2.txt")
    run(capsys, "asset", "alias", made, "production", "--version", "1")
    return made


@pytest.mark.parametrize("version", ["1", "production"])
def test_a_version_is_named_behind_its_asset(
    node: FakeNode, song: str, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (build(Path(f"{number}.txt")).cid for number in (1, 2))

    def asked_for(*arguments: str) -> Any:
        node.asked.clear()
        assert run(capsys, "asset", "download", *arguments, "copy.txt", expect=4)["code"] == "no_grant"
        return {asked.path.split("/")[3] for asked in node.calls("GET", "/v1/artifacts/")}

    latest, named = run(capsys, "asset", "show", song), run(capsys, "asset", "show", f"{song}:{version}")
    assert (latest["latest"]["cid"], named["version"]["cid"]) == (second, first)
    assert named.keys() - {"version"} == latest.keys() - {"latest"}
    assert [row["cid"] for row in run(capsys, "asset", "versions", song)] == [first, second]
    assert [row["cid"] for row in run(capsys, "asset", "versions", f"{song}:{version}")] == [first]
    assert asked_for(song) == {second}
    assert asked_for(f"{song}:{version}") == asked_for(song, "--version", version) == {first}


def test_a_version_that_is_none_or_named_twice_is_said(song: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("show",), ("versions",), ("download", "copy.txt")):
        for version in ("3", "staging"):
            words = ("asset", command[0], f"{song}:{version}", *command[1:])
            assert run(capsys, *words, expect=3)["code"] == "query.not_found"
    twice = run(capsys, "asset", "download", f"{song}:1", "copy.txt", "--version", "2", expect=2)
    assert twice["message"] == "name the version once: ASSET:VERSION, or --version"

"""Whom a newcomer asks before its own ledger knows the network of today."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.failures import ConfigurationError
from node.ports import RegisteredPeer
from node.seeds import SEEDS_BYTES_MAX, SEEDS_MAX, load, with_seeds

SEED = {"node_id": "s", "tls_certificate": "AQID", "address": "s.example:1", "role": "observer"}


def peer(name: str) -> RegisteredPeer:
    return RegisteredPeer(name, b"", f"{name}.example:1")


def test_a_file_names_peers_and_a_missing_one_nobody(tmp_path: Path) -> None:
    path = tmp_path / "seeds.json"
    assert load(path) == ()
    path.write_text(json.dumps([SEED]))
    assert load(path) == (RegisteredPeer("s", b"\x01\x02\x03", "s.example:1", "observer"),)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[",
        json.dumps([SEED | {"role": "king"}]),
        json.dumps([SEED | {"tls_certificate": "?"}]),
        json.dumps([SEED | {"more": 1}]),
        json.dumps([SEED] * (SEEDS_MAX + 1)),
        " " * (SEEDS_BYTES_MAX + 1),
        "\udcff",
    ],
)
def test_anything_else_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seeds.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError, match=r"seeds\.json"):
        load(path)


def test_seeds_count_until_the_ledger_names_the_node_itself() -> None:
    seeds = [peer("v0"), peer("s"), peer("own")]
    assert list(with_seeds([peer("v0"), peer("v1")], seeds, "own")) == [peer("v0"), peer("v1"), peer("s")]
    assert list(with_seeds([peer("v0"), peer("own")], seeds, "own")) == [peer("v0"), peer("own")]

"""node.toml: defaults, ranges, and errors that name file, key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.configuration import Configuration, is_loopback, ledger_retention, load, parse, split_address
from node.failures import ConfigurationError

FILE = Path("node.toml")


def test_a_missing_file_means_every_default(tmp_path: Path) -> None:
    assert load(tmp_path / "node.toml") == Configuration()


def test_the_documented_example_holds_exactly_the_defaults() -> None:
    example = Path(__file__).resolve().parents[2] / "configs" / "node.toml"
    assert load(example) == Configuration()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[api]\nconnections_max = 5", "node.toml: api.connections_max: .* from 8 to 65536"),
        ("[api]\nconnections_max = true", "api.connections_max: .* from 8 to 65536"),
        ("[api]\nconnections_max = 1.5", "api.connections_max"),
        ("[api]\nlisten_on = 'x'", "api.listen_on: unknown key; there are: listen, "),
        ("[apy]\nlisten = 'x'", "apy: unknown key; there are: api, "),
        ("[api]\nlisten = 'localhost'", "api.listen: .*not host:port"),
        ("[api]\nlisten = '127.0.0.1:70000'", "api.listen: .*0 to 65535"),
        ("[api]\nlisten = '0.0.0.0:80'", "can be reached from other machines"),
        ("[api]\ntls_key = 'a.pem'", "set both, or neither"),
        ("[p2p.addresses]\nx = 'nowhere'", "p2p.addresses.x"),
        ("[executor]\nmode = 'fibers'", 'executor.mode: .*allowed: "thread"'),
        ("[storage]\non_damage = 'ignore'", 'storage.on_damage: .*allowed: "stop"'),
        ("[storage]\nreserve_bytes = -1", "storage.reserve_bytes: .* from 0 to"),
        ("[retention]\nmode = 'none'", 'retention.mode: .*allowed: "archive"'),
        ("[retention]\nblocks = 10", "retention.blocks: .* from 1000 to"),
        ("[consensus]\nturn_ms = 0", "consensus.turn_ms: .* from 200 to 600000"),
        (
            "[consensus]\nsuspicion_timeout_ms = 9000\nsuspicion_timeout_cap_ms = 5000",
            "suspicion_timeout_cap_ms: at least",
        ),
        ("api = 5", "api: .*a table of keys"),
        ("[api", "not valid TOML"),
        ("[api]\nlisten = 'a:1'\nlisten = 'b:1'", "not valid TOML"),
    ],
)
def test_errors_name_file_key_and_range(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        parse(text.encode(), FILE)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="not valid TOML"):
        parse(b"\xff\xfe", FILE)


def test_plain_http_beyond_loopback_is_an_explicit_choice() -> None:
    assert parse(b"[api]\nlisten = '0.0.0.0:80'\nallow_plain_http = true", FILE).api.allow_plain_http
    assert parse(b"[api]\nlisten = '[::1]:80'", FILE).api.listen == "[::1]:80"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("a.b-c:65535", ("a.b-c", 65535))],
)
def test_addresses_are_split(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("example.org", False),
    ],
)
def test_only_loopback_is_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback


def test_blocks_are_dropped_only_where_the_mode_says_so() -> None:
    archive = ledger_retention(parse(b"[retention]\nblocks = 5000\nhistory_blocks = 100", FILE))
    assert (archive.blocks, archive.history_blocks) == (0, 100)
    assert ledger_retention(parse(b"[retention]\nmode = 'pruned'\nblocks = 5000", FILE)).blocks == 5_000

"""`node verify`, `inspect` and `resync` as programs over a stopped node's directory, and their commands."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from damage_kit import BLOCKS, grow, make_directory, run_node
from ledger_core_kit import Kit

from guildmark.cli.main import run
from ledger.archive import Archive
from ledger.operations import default_registry
from ledger.parameters import LIFETIME_MS_MAX
from ledger.state.store import LevelStore
from node.data_directory import DataDirectory
from node.failures import ExitCode
from node.journal import FILE_NAME


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_sound_directory_is_verified_and_not_touched(tmp_path: Path) -> None:
    """X2"""
    kit = make_directory(tmp_path / "node")
    before = contents(tmp_path / "node")
    ran = run_node("verify", str(tmp_path / "node"))
    assert ran.returncode == ExitCode.STOPPED, ran.stderr
    said = json.loads(ran.stdout.splitlines()[-1])
    assert said["event"] == "verified"
    assert said["state_root"] == kit.chain.head.state_root.hex()
    assert (said["height"], said["certificates"]) == (BLOCKS, BLOCKS)
    assert contents(tmp_path / "node") == before


def test_a_wrong_record_is_named_and_ends_with_a_code(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """X2: as the program says it, and as the command does."""
    make_directory(tmp_path / "node")
    store = LevelStore(tmp_path / "node" / "chain")
    key, value = list(store.iterate(b"s"))[-1]
    store.write_batch({key: value + b"\x00"})
    store.close()
    ran = run_node("verify", str(tmp_path / "node"))
    assert ran.returncode == ExitCode.STORAGE
    said = json.loads(ran.stdout.splitlines()[-1])
    assert (said["event"], said["code"]) == ("differs", "verification.state")
    assert key[1:].hex() in said["why"]
    assert run(["node", "verify", "--directory", str(tmp_path / "node"), "--json"]) == 7
    shown = capfd.readouterr().err.splitlines()
    assert json.loads(shown[-1])["error"]["code"] == "verification.state"
    assert "guildmark node resync" in shown[0]


def test_signatures_from_a_height_that_is_not_reached_are_no_verification(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Who mistypes --from is not told that all is well."""
    make_directory(tmp_path / "node", blocks=2)
    command = ["node", "verify", "--directory", str(tmp_path / "node"), "--json"]
    assert run([*command, "--from", "2"]) == 0
    assert run([*command, "--from", "3"]) == 2
    error = json.loads(capfd.readouterr().err)["error"]
    assert error["code"] == "verification.beyond_head"
    assert "ends at block 2" in error["message"]
    assert run_node("verify", str(tmp_path / "node"), "--from", "3").returncode == ExitCode.USAGE


def test_a_directory_without_a_ledger_or_of_nobody_is_a_line_and_a_code(tmp_path: Path) -> None:
    ran = run_node("verify", str(tmp_path / "absent"))
    assert ran.returncode == ExitCode.STORAGE
    assert ran.stderr.startswith("error: ")
    assert len(ran.stderr.splitlines()) == 1
    make_directory(tmp_path / "node", blocks=1)
    shutil.rmtree(tmp_path / "node" / "chain")
    ran = run_node("verify", str(tmp_path / "node"))
    assert ran.returncode == ExitCode.STORAGE
    assert "holds no ledger" in ran.stderr


def test_inspection_reads_everything_and_changes_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    kit = make_directory(tmp_path / "node")
    before = contents(tmp_path / "node")
    assert run(["node", "inspect", "--directory", str(tmp_path / "node"), "--json"]) == 7  # there are no keys
    said = json.loads(capfd.readouterr().out)
    assert (said["height"], said["certified_height"], said["oldest_block"]) == (BLOCKS, BLOCKS, 0)
    assert said["block_hash"] == kit.chain.head_hash.hex()
    assert said["tables"]["headers"]["records"] == BLOCKS + 1
    assert said["tables"]["transactions"]["records"] == 3 * BLOCKS
    assert sum(table["records"] for name, table in said["tables"].items() if name.startswith("state ")) > 10
    assert said["damage"] == []
    assert said["vote_log"]["found"]
    assert "keys" in said["vote_log"]["damage"]
    assert said["files"]["chain"]["files"] > 2
    assert run(["node", "inspect", "--directory", str(tmp_path / "node"), "--block", "3", "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["height"], said["transactions"], said["certified_by"]) == (3, 3, [0, 1, 2])
    assert len(said["receipts"]) == 3
    store = LevelStore(tmp_path / "node" / "chain")
    key, value = list(store.iterate(b"s"))[-1]
    store.close()
    before = contents(tmp_path / "node")
    arguments = ["node", "inspect", "--directory", str(tmp_path / "node")]
    assert run([*arguments, "--record", key[1:].hex(), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["value"] == value.hex()
    for absent, code in ((["--record", "00"], "node.no_record"), (["--block", "99"], "node.no_block")):
        assert run([*arguments, *absent, "--json"]) == 3
        shown = capfd.readouterr()
        assert json.loads(shown.out)["found"] is False
        assert json.loads(shown.err)["error"]["code"] == code
    assert f"blocks 0 to {BLOCKS}" in shown.err
    assert run([*arguments, "--record", "xyz"]) == 2
    assert run([*arguments, "--record", "00", "--block", "1"]) == 2
    assert contents(tmp_path / "node") == before


def test_inspection_says_what_is_damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """D1"""
    make_directory(tmp_path / "node")
    LevelStore(tmp_path / "node" / "chain").close()  # moves the log into a table
    table = max((tmp_path / "node" / "chain").glob("*.ldb"), key=lambda path: path.stat().st_size)
    data = bytearray(table.read_bytes())
    data[len(data) // 3] ^= 4
    table.write_bytes(data)
    assert run(["node", "inspect", "--directory", str(tmp_path / "node"), "--json"]) == 7
    shown = capfd.readouterr()
    assert "orruption" in str(json.loads(shown.out)["damage"])
    assert "storage.damaged" in shown.err


def test_a_scratch_directory_elsewhere_gets_the_copy(tmp_path: Path) -> None:
    make_directory(tmp_path / "node", blocks=2)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "scratch-999999999-x").mkdir()  # of a process that is gone
    ran = run_node("verify", str(tmp_path / "node"), "--scratch", str(tmp_path / "elsewhere"))
    assert ran.returncode == 0, ran.stderr
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_resync_moves_the_ledger_aside_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """D3"""
    directory = tmp_path / "node"
    make_directory(directory)
    votes = (directory / "journal" / FILE_NAME).read_bytes()
    kept: dict[str, Any] = {}
    for turn in range(2):
        ledger = contents(directory / "chain")
        assert run(["node", "resync", "--directory", str(directory), "--json"]) == 0
        said = json.loads(capfd.readouterr().out)
        if turn == 0:
            assert said["set_aside"] == str(directory / "chain.damaged")
            kept = ledger
        else:
            assert said["set_aside"] is None, "an empty ledger is not kept in place of a damaged one"
        assert contents(directory / "chain.damaged") == kept
        assert not any((directory / "chain").iterdir())
    assert (directory / "journal" / FILE_NAME).read_bytes() == votes


def test_resync_respects_the_lock_and_the_readers_need_none(tmp_path: Path) -> None:
    """R8: moving a running node's ledger away would be fatal; reading a copy beside it is not."""
    directory = tmp_path / "node"
    make_directory(directory, blocks=2)
    with DataDirectory(directory):
        ran = run_node("resync", str(directory))
        assert ran.returncode == ExitCode.IN_USE
        assert "is in use by process" in ran.stderr
        assert run_node("verify", str(directory)).returncode == 0
    assert (directory / "chain" / "CURRENT").exists()


def test_a_chain_without_its_beginning_is_checked_and_not_replayed(tmp_path: Path) -> None:
    """X2: pruned, or begun with a snapshot: what is there must fit together, and it is said that this was all."""
    genesis = make_directory(tmp_path / "node", blocks=5).genesis
    store = LevelStore(tmp_path / "node" / "chain")
    kit = Kit(store, genesis, default_registry())
    kit.now_ms += 2 * LIFETIME_MS_MAX  # what executed before that needs to be known no more
    grow(kit, BLOCKS - 5)
    archive = Archive(store)
    for height in range(5):
        store.write_batch(archive.removal(height))
    store.write_batch(archive.windows(5, BLOCKS))
    store.close()
    ran = run_node("verify", str(tmp_path / "node"))
    assert ran.returncode == ExitCode.STOPPED, ran.stdout
    said = json.loads(ran.stdout.splitlines()[-1])
    assert (said["replayed"], said["oldest_block"], said["height"]) == (False, 5, BLOCKS)
    assert said["state_root"] == kit.chain.head.state_root.hex()
    store = LevelStore(tmp_path / "node" / "chain")
    certificate = archive_certificate(store, 8)
    store.write_batch({b"c" + (8).to_bytes(8, "big"): certificate[:-1] + bytes([certificate[-1] ^ 1])})
    store.close()
    ran = run_node("verify", str(tmp_path / "node"))
    assert ran.returncode == ExitCode.STORAGE
    assert "certificate of block 8" in json.loads(ran.stdout.splitlines()[-1])["why"]


def archive_certificate(store: LevelStore, height: int) -> bytes:
    found = store.get(b"c" + height.to_bytes(8, "big"))
    assert found is not None
    return found

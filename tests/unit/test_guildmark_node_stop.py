"""`guildmark node stop` ends one node of this machine, and never a process that is not that node."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from test_guildmark_cluster import cluster  # noqa: F401 - a fixture

from guildmark.cli.main import run
from guildmark.cluster.local import LocalCluster
from guildmark.cluster.process import ProcessRecord


def stop(directory: Path, *options: str) -> int:
    return run(["node", "stop", str(directory), *options, "--json"])


def test_one_node_is_stopped_and_the_others_run_on(
    cluster: LocalCluster,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster.start()
    process = cluster.nodes[0].running()
    assert process is not None
    assert stop(cluster.nodes[0].directory) == 0
    assert json.loads(capfd.readouterr().out) == {"stopped": True, "pid": process.pid}
    assert cluster.running() == [1]
    assert stop(cluster.nodes[0].directory) == 0, "nothing happens"
    assert json.loads(capfd.readouterr().out) == {"stopped": False, "pid": None}


def test_a_node_that_does_not_end_in_time_is_left_and_named(
    cluster: LocalCluster,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster.start()
    (cluster.nodes[1].directory / "stubborn").touch()
    assert stop(cluster.nodes[1].directory, "--timeout", "0.2") == 1
    assert "has not ended" in json.loads(capfd.readouterr().err)["error"]["message"]
    assert cluster.running() == [0, 1]


@pytest.fixture
def stranger() -> Any:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as made:
        yield made
        made.kill()


def test_a_process_that_is_no_node_of_the_directory_is_never_signaled(
    tmp_path: Path, stranger: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Even where the record names it with the right time of its start."""
    record = ProcessRecord(stranger.pid, psutil.Process(stranger.pid).create_time())
    (tmp_path / "process.json").write_bytes(msgspec.json.encode(record))
    (tmp_path / "LOCK").write_text(f"{stranger.pid}\n")
    assert stop(tmp_path) == 0
    assert not json.loads(capfd.readouterr().out)["stopped"]
    assert stranger.poll() is None


def test_a_node_in_the_foreground_is_left_to_who_runs_it(
    cluster: LocalCluster,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
) -> None:
    cluster.start()
    place = cluster.nodes[0].directory
    record = (place / "process.json").read_bytes()
    (place / "process.json").unlink()
    (place / "LOCK").write_text(f"{msgspec.json.decode(record)['pid']}\n")
    assert stop(place) == 1
    assert json.loads(capfd.readouterr().err)["error"]["code"] == "node.not_ours"
    (place / "process.json").write_bytes(record)
    assert cluster.running() == [0, 1]

"""The README's programs run as they stand."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from guildmark.cluster import probe
from guildmark.cluster.local import LocalCluster

README = Path(__file__).resolve().parents[2] / "README.md"


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.cluster
def test_the_first_program_of_the_readme_sells_a_song(tmp_path: Path) -> None:
    (tmp_path / "song.txt").write_text("la la la\n")
    run = subprocess.run(
        [sys.executable, "-c", programs()[0]], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "active True"
    assert (tmp_path / "again.txt").read_text() == "la la la\n"


@pytest.mark.cluster
def test_the_readmes_test_passes_in_a_project_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(programs()[1])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout


def console(section: str) -> list[str]:
    """The commands of a section, as somebody types them."""
    text = README.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def typed(command: str, directory: Path, **environment: str) -> dict[str, Any]:
    """Type a command of the README, and `--json` behind it; return the first of what it says."""
    words = shlex.split(command)
    assert words[0] == "guildmark"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GUILDMARK_")}
    run = subprocess.run(
        [sys.executable, "-m", "guildmark.cli.main", *words[1:], "--json"],
        cwd=directory,
        env={**kept, "PYTHONPATH": str(README.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    return dict(said[0] if isinstance(said, list) else said)


@pytest.mark.cluster
def test_a_fifth_node_joins_by_the_one_command_of_the_readme(tmp_path: Path) -> None:
    """And a sixth from nothing but an address, the network's id and an account; where the story ends, nothing runs."""
    here, elsewhere, leave, down = console("A fifth node")
    with LocalCluster.create(tmp_path / "mynet", genesis={"commitment_age_ms": 0}) as cluster:
        cluster.start(exit_with_parent=False)  # commands typed one after the other, as in the README
        with cluster.client("alder") as client:
            client.credits.transfer(cluster.account("birch"), 7)
        fifth = typed(here, tmp_path)
        assert (fifth["node"], fifth["role"], fifth["ready"]) == (4, "observer", True)
        assert fifth["height"] >= 2
        cluster = LocalCluster(cluster.directory)
        try:
            command = re.sub(r"http://\S+", cluster.url(1), elsewhere)
            command = re.sub(r"(?<=--genesis-hash )\S+", cluster.network_id.hex(), command)
            joined = typed(command, tmp_path, GUILDMARK_WALLET=str(tmp_path / "mynet" / "wallet"))
            try:
                assert joined["organization"] == "cedar"
                status = probe.get_json(joined["url"], "/v1/status")
                assert status is not None
                assert (status["role"], status["ready"]) == ("observer", True)
                assert status["certified_height"] >= fifth["height"]
            finally:
                stopped = typed(leave, tmp_path)
            assert stopped == {"stopped": True, "pid": joined["pid"]}
            assert typed(down, tmp_path) == {"stopped": [0, 1, 2, 3, 4]}
            assert cluster.running() == []
        finally:
            cluster.stop()

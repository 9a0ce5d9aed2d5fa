"""Disks that are full, read-only or failing, under real processes."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Load

from guildmark.cluster.interpreter import node_environment
from node.failures import ExitCode

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network"), pytest.mark.timeout(300)]

ROOM_BYTES = 64 * 1024
"""What vote log or ledger may still grow by when a file's size is limited; the log for people must fit in it too."""
STORY = Path(__file__).resolve().parent / "full_disk_story.py"


def namespace() -> list[str]:
    """How a program gets mounts of its own: root may, and others where the kernel lets them be root of a namespace."""
    assert shutil.which("unshare"), "this test needs `unshare` (util-linux) to mount a small file system for itself"
    command = ["unshare", "--mount", "--propagation", "private"]
    return command if os.geteuid() == 0 else [*command, "--user", "--map-root-user"]


@pytest.mark.parametrize("mode", ["thread", "process"])
def test_a_full_disk_silences_a_node_until_there_is_room(tmp_path: Path, mode: str) -> None:
    """D4, D6: a real file system that is filled under load; see the story."""
    allowed = subprocess.run(
        [*namespace(), "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert allowed.returncode == 0, (
        f"this test mounts a tmpfs in a namespace of its own, which is not allowed here ({allowed.stderr.strip()}): "
        "run it as root, or let users make namespaces (sysctl kernel.unprivileged_userns_clone=1)"
    )
    told = subprocess.run(
        [*namespace(), sys.executable, "-P", str(STORY), str(tmp_path / "network"), mode],
        env=node_environment(),
        cwd=STORY.parents[2],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    logs = {path.name: path.read_text()[-3_000:] for path in (tmp_path / "network" / "logs").glob("*2.log")}
    assert told.returncode == 0, (told.stdout, told.stderr, logs)
    assert "recovered" in told.stdout
    assert "read-only refused" in told.stdout


def test_a_write_that_fails_otherwise_ends_the_process(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """D5: no second try. The limit of a file's size stands for a disk that refuses; lifted, a start is enough."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[1]
    before = guildmark_client.credits.balance(guildmark_cluster.account(recipient))
    process = guildmark_cluster.nodes[1]
    child = process._child
    load = Load(guildmark_cluster, sender, recipient)
    try:
        load.wait_for(20)
        room = max(path.stat().st_size for path in (process.directory / "journal").iterdir()) + ROOM_BYTES
        resource.prlimit(process.record().pid, resource.RLIMIT_FSIZE, (room, room))
        assert child.wait(60) == ExitCode.STORAGE, process.tail()
        assert "File too large" in process.tail()
        load.wait_for(20)
        guildmark_cluster.restart(1)
        load.wait_for(20)
    finally:
        load.finish()
    load.check(guildmark_cluster, guildmark_client, before)

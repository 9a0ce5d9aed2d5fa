"""The story of a full disk, told by a program of its own: `python full_disk_story.py DIR MODE`.

It runs in a mount namespace of its own (`unshare --mount`), so that the file system that it mounts under one node is
seen by it and its nodes alone, and goes with them, however they end. MODE says who executes: thread or process.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

from cluster_kit import Load, wait

from guildmark.cluster import probe
from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.testing.clusters import GENESIS_DEFAULTS, NODE_DEFAULTS, TestCluster

SMALL: Final = 2
"""The node with the small disk."""
DISK_BYTES: Final = 128 * 1024 * 1024
RESERVE_BYTES: Final = 16 * 1024 * 1024


def mount(directory: Path) -> None:
    """Put what is in `directory` on a small file system of its own."""
    aside = directory.with_name(directory.name + "-given")
    directory.rename(aside)
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(directory)], check=True)
    shutil.copytree(aside, directory, dirs_exist_ok=True)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def fill(file: Path, leave_bytes: int = 0) -> None:
    """Write until there is no room, or no more than `leave_bytes`."""
    with file.open("ab", buffering=0) as filler:
        while True:
            found = os.statvfs(file.parent)
            free = found.f_bavail * found.f_frsize - leave_bytes
            if leave_bytes and free <= 0:
                return
            try:
                filler.write(bytes(min(1 << 20, free) if leave_bytes else 1 << 20))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                break
        for _ in range(4096):  # the last page
            try:
                filler.write(b"\x00")
            except OSError:
                return


def reasons(url: str) -> str:
    answer = probe.get(url, "/readyz")
    return "" if answer is None else answer[1].decode()


def told(url: str) -> dict[str, Any]:
    """What a node says of itself, as soon as it answers: between two lives it does not."""
    said: list[dict[str, Any]] = []

    def answered() -> bool:
        answer = probe.get_json(url, "/v1/status")
        if answer is not None:
            said.append(answer)
        return answer is not None

    wait(answered, 30)
    return said[-1]


def refusal(url: str) -> str:
    """Submit something; return the code with which it is refused."""
    request = urllib.request.Request(f"{url}/v1/transactions", data=b"anything", method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20):
            return ""
    except urllib.error.HTTPError as error:
        with error:
            return str(json.loads(error.read())["code"])


def tell(directory: Path, mode: str) -> None:
    """D4: below the reserve no transactions are taken; full, no vote; room again, all by itself. D6: read-only."""
    node: dict[str, dict[str, Any]] = {name: dict(table) for name, table in NODE_DEFAULTS.items()}
    node |= {"storage": {"reserve_bytes": RESERVE_BYTES}, "executor": {"mode": mode}}
    cluster = TestCluster.create(directory, genesis=GENESIS_DEFAULTS, node=node)
    place = cluster.nodes[SMALL].directory
    mount(place)
    with cluster:
        cluster.start()
        sender, recipient = cluster.accounts[0], cluster.accounts[1]
        with cluster.client(node=0) as client:
            before = client.credits.balance(cluster.account(recipient))
            load = Load(cluster, sender, recipient)
            try:
                a_full_disk(cluster, client, load, place / "filler")
            finally:
                load.finish()
            load.check(cluster, client, before)
        say(f"recovered, {len(load.committed)} transactions")
    read_only(place)
    say("read-only refused")


def a_full_disk(cluster: TestCluster, client: Any, load: Load, filler: Path) -> None:
    url = cluster.url(SMALL)
    process = cluster.nodes[SMALL].running()
    untouched = client.credits.balance(cluster.account(cluster.accounts[2]))
    load.wait_for(30)

    def low() -> bool:
        fill(filler, leave_bytes=RESERVE_BYTES // 2)  # again: a log that the node cuts makes room
        return "less than the reserve" in reasons(url) and refusal(url) == "storage.full"

    wait(low, 20)
    load.wait_for(30)
    for _ in range(2):  # what recovered once recovers again
        fill(filler)
        wait(lambda: "the disk is full" in reasons(url), 60)
        load.wait_for(20)  # what was under way there has ended
        at = told(url)
        assert not at["ready"]
        load.wait_for(30)  # three of four go on
        assert told(url)["height"] == at["height"], "it executes nothing"
        with cluster.client(node=SMALL) as reading:
            assert reading.credits.balance(cluster.account(cluster.accounts[2])) == untouched, "reads are answered"
        assert refusal(url) == "storage.full"
        silent_from = client.status()["certified_height"]
        load.wait_for(20)
        assert not signed_by_small(cluster, silent_from + 2), "it votes for nothing"
        filler.unlink()
        cluster.wait_ready(60, [SMALL])
        load.wait_for(30)
        assert cluster.nodes[SMALL].running() == process, "the process never ended"
        healed_from = client.status()["certified_height"]
        wait(lambda start=healed_from: signed_by_small(cluster, start), 60)
    load.wait_for(10)


def signed_by_small(cluster: TestCluster, first: int) -> bool:
    """Whether a certificate from `first` on has the small node's signature."""
    found: list[int] = []
    status = probe.get_json(cluster.url(0), "/v1/status")
    assert status is not None
    for height in range(first, status["certified_height"] + 1):
        said = probe.get_json(cluster.url(0), f"/v1/blocks/{height}/certificate")
        found += [index for index, _ in said["signatures"]] if said else []
    return SMALL in found


def read_only(place: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    ended = subprocess.run(
        node_command("start", "--data-dir", str(place)),
        env=node_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 5, (ended.returncode, ended.stderr)
    assert "cannot be written: Read-only file system" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


if __name__ == "__main__":
    began = time.monotonic()
    tell(Path(sys.argv[1]), sys.argv[2])
    say(f"{time.monotonic() - began:.0f} s")

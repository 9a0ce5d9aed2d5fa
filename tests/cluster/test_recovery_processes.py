"""Crashes, restarts and lost data on real processes, under load, seen from outside."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from cluster_kit import Load

from guildmark.cluster import probe

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("node-processes")]


def credits_of(cluster: Any, client: Any, name: str) -> int:
    return int(client.credits.balance(cluster.account(name)))


def test_all_four_killed_at_once_lose_nothing_and_commit_again(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """L12: a loss of power at one site. What was acknowledged is there, and commits go on within 20 s."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[1]
    before = credits_of(guildmark_cluster, guildmark_client, recipient)
    load = Load(guildmark_cluster, sender, recipient)
    try:
        load.wait_for(100)
        pids = [process.record().pid for process in guildmark_cluster.nodes]
        began = time.monotonic()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert time.monotonic() - began < 0.05
        for index in range(4):
            guildmark_cluster.kill(index)  # returns once it is gone
        acknowledged = len(load.committed)
        guildmark_cluster.start()
        load.wait_for(max(0, acknowledged + 100 - len(load.committed)), seconds=20)
    finally:
        load.finish()
    load.check(guildmark_cluster, guildmark_client, before)


def test_a_rolling_restart_stops_nothing(guildmark_cluster: Any, guildmark_client: Any) -> None:
    """L12: one after the other is stopped and started, as in an upgrade; the load never fails."""
    sender, recipient = guildmark_cluster.accounts[0], guildmark_cluster.accounts[3]
    before = credits_of(guildmark_cluster, guildmark_client, recipient)
    load = Load(guildmark_cluster, sender, recipient)
    try:
        load.wait_for(50)
        for index in range(4):
            guildmark_cluster.restart(index)
            load.wait_for(50)
    finally:
        load.finish()
    load.check(guildmark_cluster, guildmark_client, before)
    assert all(probe.is_ready(url) for url in guildmark_cluster.urls)

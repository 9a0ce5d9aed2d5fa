"""A validator that was away catches up from the three others, on real processes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from typing import Any

import pytest
from cluster_kit import GUILDMARK, Load, wait

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network"), pytest.mark.timeout(300)]

AWAY = 3


def metric(url: str, name: str) -> float:
    """Return a reading as the node states it, 0 where it does not."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as answer:
        found = re.search(rf"^{re.escape(name)} (\S+)$", answer.read().decode(), re.MULTILINE)
    return 0.0 if found is None else float(found[1])


def answers_of(cluster: Any) -> list[float]:
    """Messages that each of the others has sent on the channel of synchronization."""
    return [metric(url, 'guildmark_p2p_messages_sent_total{channel="sync"}') for url in cluster.urls[:AWAY]]


def certified(cluster: Any, index: int) -> int:
    status = cluster.status(index)
    return 0 if status is None else int(status["certified_height"])


def test_a_validator_without_its_ledger_catches_up_from_all_others_under_load(guildmark_cluster: Any) -> None:
    """L6, L13: every block is executed again, its signatures verified, while the others commit on."""
    load = Load(guildmark_cluster, *guildmark_cluster.accounts[:2])
    try:
        load.wait_for(400)
        guildmark_cluster.kill(AWAY)
        shutil.rmtree(guildmark_cluster.nodes[AWAY].directory / "chain")
        load.wait_for(400)
        reached, before = certified(guildmark_cluster, 0), answers_of(guildmark_cluster)
        guildmark_cluster.restart(AWAY)
        wait(lambda: certified(guildmark_cluster, AWAY) >= reached, 60)
        load.wait_for(50)
    finally:
        load.finish()
    after = answers_of(guildmark_cluster)
    assert all(now > then for then, now in zip(before, after, strict=True)), "each of the others was asked"
    url = guildmark_cluster.urls[AWAY]
    assert metric(url, "guildmark_sync_blocks_total") > 0
    assert metric(url, "guildmark_sync_transactions_total") >= 400
    assert metric(url, "guildmark_sync_trusts_certificates") == 0
    wait(lambda: metric(url, "guildmark_sync_target") == 0)
    guildmark_cluster.wait_same_head()


def test_a_node_says_that_it_takes_certificates_for_signatures(guildmark_cluster: Any) -> None:
    process = guildmark_cluster.nodes[AWAY]
    guildmark_cluster.kill(AWAY)
    shutil.rmtree(process.directory / "chain")
    settings = process.directory / "node.toml"
    before = settings.read_text()
    settings.write_text(f'{before}\n[sync]\nsignatures = "certified"\n')
    try:
        guildmark_cluster.restart(AWAY)
        head = certified(guildmark_cluster, 0)
        wait(lambda: certified(guildmark_cluster, AWAY) >= head, 60)
        assert guildmark_cluster.status(AWAY)["sync"]["signatures"] == "certified"
        assert metric(guildmark_cluster.urls[AWAY], "guildmark_sync_trusts_certificates") == 1
        assert "quorum's word" in process.log_path.read_text()
        said = subprocess.run(
            [*GUILDMARK, "status", "--follow", "--json", "--node", guildmark_cluster.urls[AWAY]],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert json.loads(said.stdout.splitlines()[-1])["target"] is None
    finally:
        settings.write_text(before)
        guildmark_cluster.restart(AWAY)
    guildmark_cluster.wait_same_head()

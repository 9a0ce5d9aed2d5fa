"""Gossip among real processes: four validators, eight observers, and what a validator sends whatever their number."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest
from cluster_kit import wait

from guildmark.cluster import probe

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("gossip"), pytest.mark.timeout(420)]

FAN_OUT: Final = 3
NODE: Final = {"consensus": {"status_period_ms": 200}, "gossip": {"active_view": FAN_OUT}}
PAYMENTS: Final = 12
VALIDATORS: Final = range(4)


def metric(cluster: Any, index: int, name: str, label: str = "") -> float:
    """Read one value of a node's metrics."""
    answer = probe.get(cluster.url(index), "/metrics")
    assert answer is not None
    labels = rf'\{{[a-z]+="{label}"\}}' if label else ""
    found = re.search(rf"^guildmark_{name}{labels} (\S+)$", answer[1].decode(), re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def pay(cluster: Any, count: int, through: int) -> int:
    """Send transfers one after the other, so that each has a block; return the height of the last."""
    height = 0
    with cluster.client(cluster.accounts[0], node=through) as client:
        for _ in range(count):
            outcome = client.credits.transfer(cluster.account(cluster.accounts[1]), 1)
            assert outcome.state == "committed"
            height = outcome.height
    return height


def reached(cluster: Any, nodes: Any, height: int) -> bool:
    heads = [cluster.status(index) for index in nodes]
    return all(head is not None and head["certified_height"] >= height for head in heads)


def settle(cluster: Any, observers: list[int]) -> None:
    """Wait until every observer has neighbors, and links that bring a second copy have been pruned."""
    wait(lambda: all(metric(cluster, index, "gossip_view", "active") >= 1 for index in observers), 60)
    height = pay(cluster, 4, 0)
    wait(lambda: reached(cluster, observers, height), 60)


def blocks_sent(cluster: Any, observers: list[int]) -> tuple[list[float], float]:
    """Return how many blocks each validator sends for one that is made, and how many each observer receives."""
    sent = [metric(cluster, index, "gossip_payloads_sent_total", "block") for index in VALIDATORS]
    copies = sum(metric(cluster, index, "gossip_payloads_copies_total", "block") for index in observers)
    before = cluster.status(0)["certified_height"]
    height = pay(cluster, PAYMENTS, 0)
    wait(lambda: reached(cluster, observers, height), 60)
    made = cluster.status(0)["certified_height"] - before
    assert made >= PAYMENTS
    after = [metric(cluster, index, "gossip_payloads_sent_total", "block") for index in VALIDATORS]
    received = sum(metric(cluster, index, "gossip_payloads_copies_total", "block") for index in observers) - copies
    return [(new - old) / made for new, old in zip(after, sent, strict=True)], received / made / len(observers)


def test_what_a_validator_sends_does_not_grow_with_the_observers_and_all_follow(guildmark_cluster_factory: Any) -> None:
    cluster = guildmark_cluster_factory(node=NODE)
    with cluster:
        observers = [cluster.add_observer(node=NODE) for _ in range(4)]
        settle(cluster, observers)
        with_four, _ = blocks_sent(cluster, observers)
        observers += [cluster.add_observer(node=NODE) for _ in range(4)]
        settle(cluster, observers)
        with_eight, copies_of_eight = blocks_sent(cluster, observers)
        assert all(metric(cluster, index, "gossip_eager", "block") <= FAN_OUT for index in VALIDATORS)
        # Each neighbor gets a block once, and once more where a busy machine lets it ask before the first has come.
        assert max(with_four) <= FAN_OUT * 2
        assert max(with_eight) <= FAN_OUT * 2 < len(observers)
        assert copies_of_eight <= 2.0

        delivered = {index: metric(cluster, index, "gossip_payloads_delivered_total", "block") for index in observers}
        assert min(delivered.values()) >= 1, "blocks came by gossip, not only by synchronization"

        # An observer in the middle of the tree: it sent most on. And a validator, the primary.
        middle = max(observers, key=lambda index: metric(cluster, index, "gossip_payloads_sent_total", "block"))
        primary = cluster.primary()
        cluster.kill(middle)
        cluster.kill(primary)
        left = [index for index in (*VALIDATORS, *observers) if index not in (middle, primary)]
        height = pay(cluster, 4, left[0])
        wait(lambda: reached(cluster, left, height), 60)
        height = pay(cluster, 4, observers[0] if observers[0] != middle else observers[1])
        wait(lambda: reached(cluster, left, height), 60)

"""Opaque bundles on real processes: submitted over HTTP, ordered, found again, and learned by a node that was away."""

from __future__ import annotations

import http.client
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from guildmark.cluster.local import LocalCluster
from ledger.opaque import build_bundle
from ledger.transaction import transaction_id
from tests.cluster.cluster_kit import wait

pytestmark = [pytest.mark.cluster]


def ask(cluster: LocalCluster, node: int, method: str, path: str, body: bytes | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(cluster.urls[node]).netloc, timeout=60)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, msgspec.json.decode(answer.read())
    finally:
        connection.close()


def outcome(cluster: LocalCluster, node: int, identifier: str) -> dict[str, Any]:
    """Ask until the node has heard of the bundle and knows its end: of what it has never heard it says so soon."""
    found: dict[str, Any] = {}

    def known() -> bool:
        status, answer = ask(cluster, node, "GET", f"/v1/transactions/{identifier}?wait_ms=20000")
        assert status == 200
        found.update(answer)
        return found["state"] != "unknown"

    wait(known)
    return found


def bundle(network_id: bytes, number: int) -> bytes:
    return build_bundle(
        network_id=network_id,
        expires_at_ms=time.time_ns() // 1_000_000 + 60_000,
        salt=number.to_bytes(16, "big"),
        payload=bytes(50_000),
    )


def test_bundles_over_http(tmp_path: Path) -> None:
    cluster = LocalCluster.create(tmp_path / "net", validators=4, genesis={"opaque_bundles": True})
    cluster.start()
    try:
        first = bundle(cluster.network_id, 1)
        identifier = transaction_id(first).hex()
        assert ask(cluster, 0, "POST", "/v1/transactions", first) == (202, {"id": identifier, "state": "pending"})
        for node in range(4):
            found = outcome(cluster, node, identifier)
            assert (found["state"], found.get("code", ""), found.get("events", [])) == ("committed", "", [])
        status, again = ask(cluster, 2, "POST", "/v1/transactions", first)
        assert (status, again["state"], again["height"]) == (200, "committed", found["height"])
        status, refused = ask(cluster, 0, "POST", "/v1/transactions", bundle(bytes(32), 2))
        assert (status, refused["code"]) == (400, "transaction.wrong_network")

        cluster.kill(3)
        many = [bundle(cluster.network_id, number) for number in range(10, 60)]
        _, answer = ask(cluster, 1, "POST", "/v1/transactions/bulk", msgspec.msgpack.encode(many))
        assert [result["code"] for result in answer["results"]] == [""] * 50
        cluster.restart(3)
        cluster.wait_same_head()
        for data in many:
            assert outcome(cluster, 3, transaction_id(data).hex())["state"] == "committed"
    finally:
        cluster.stop()

"""A network as a measurement needs it: a cluster that was started for it, or one that somebody else runs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

from benchmarks.errors import BenchError
from guildmark.cluster import probe
from guildmark.errors import ClusterError
from guildmark.sync import Client
from ledger.genesis import Genesis

POLL_S: Final = 0.1


class Network(Protocol):
    """What `guildmark.cluster.local.LocalCluster` and `Attached` have in common."""

    @property
    def urls(self) -> list[str]: ...

    @property
    def network_id(self) -> bytes: ...

    @property
    def genesis(self) -> Genesis: ...

    def url(self, index: int) -> str: ...

    def status(self, index: int) -> dict[str, Any] | None: ...

    def running(self) -> list[int]: ...

    def wait_same_head(self, timeout_s: float = 30.0, indices: Sequence[int] | None = None) -> dict[str, Any]: ...


class Attached:
    """A running network, through the APIs of some of its nodes."""

    def __init__(self, urls: Sequence[str]) -> None:
        """Raises BenchError `attach.https`; Unreachable."""
        if any(not url.startswith("http://") for url in urls):
            raise BenchError("attach.https", "the generator speaks plain HTTP only: attach to http:// addresses")
        self.urls = [url.rstrip("/") for url in urls]
        with Client(self.urls) as client:
            self.genesis = client.genesis()
            self.network_id = client.network_id()

    def url(self, index: int) -> str:
        return self.urls[index]

    def status(self, index: int) -> dict[str, Any] | None:
        return probe.get_json(self.urls[index], "/v1/status")

    def running(self) -> list[int]:
        """Those that answer."""
        return [index for index in range(len(self.urls)) if self.status(index) is not None]

    def wait_same_head(self, timeout_s: float = 30.0, indices: Sequence[int] | None = None) -> dict[str, Any]:
        """Wait until nodes state one certified head; raises ClusterError `cluster.timeout`."""
        deadline = time.monotonic() + timeout_s
        asked = list(range(len(self.urls)) if indices is None else indices)
        while True:
            found = [self.status(index) for index in asked]
            heads = {(one["certified_height"], one["height"], one["block_hash"]) for one in found if one}
            if all(found) and len(heads) == 1 and found[0] is not None:
                return found[0]
            if time.monotonic() > deadline:
                raise ClusterError("cluster.timeout", f"nodes {asked} do not agree on a head: {sorted(heads)}")
            time.sleep(POLL_S)

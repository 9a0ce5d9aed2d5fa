"""How long a node takes to join, and what the links of every node pay for one more or one less.

    python -m benchmarks.micro.joining [OBSERVERS]

Four validators, and OBSERVERS (3) that join one after the other: keys, registration, start, until each is at the head.
Then, in this process, what a change of the registry costs a node that knows so many others: an addition, and a removal
that builds the contexts of TLS anew (which happens at most every 5 s). Costs are in signature checks of the same run.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from benchmarks.measurement.verify_unit import measure_unit
from guildmark.cluster.local import LocalCluster
from ledger.node_names import certified_node_id
from p2p.channels import Channel
from p2p.identity import Identity, make_identity
from p2p.options import LinkOptions
from p2p.peers import PeerEntry, PeerNetwork
from primitives.identifiers import NodeId

REGISTRIES: Final = (4, 16, 64, 256, 1_024)
REPETITIONS: Final = 3


class Nobody:
    """p2p.peers.PeerHandler of a node without peers."""

    def on_peer_connected(self, node_id: NodeId) -> None: ...

    def on_peer_disconnected(self, node_id: NodeId, reason: str) -> None: ...

    def on_payload(self, node_id: NodeId, channel: Channel, payload: bytes) -> None: ...

    def head(self) -> bytes:
        return b""


def joining(observers: int) -> list[float]:
    """Return the seconds that each took."""
    taken = []
    with tempfile.TemporaryDirectory() as directory, LocalCluster.create(Path(directory) / "network") as cluster:
        cluster.start()
        for _ in range(observers):
            began = time.monotonic()
            cluster.add_observer()
            taken.append(time.monotonic() - began)
    return taken


def changes(identities: list[Identity], peers: int) -> tuple[float, float]:
    """Return the seconds of an addition to a registry of `peers`, and of a removal that builds the contexts."""
    entries = [_entry(one) for one in identities[:peers]]
    added, removed = [], []

    async def once() -> None:
        network = PeerNetwork(identities[-1], bytes(32), entries, ("127.0.0.1", 0), Nobody(), _spawn, LinkOptions())
        newcomer = _entry(make_identity())
        added.append(_seconds(lambda: network.update_registry([*entries, newcomer])))
        removed.append(_seconds(lambda: network.update_registry(entries)))
        network.anchors.stop()

    for _ in range(REPETITIONS):
        asyncio.run(once())
    return min(added), min(removed)


def _entry(identity: Identity) -> PeerEntry:
    named = certified_node_id(identity.certificate_der)  # the links have not read it yet
    assert named is not None
    return PeerEntry(named, identity.certificate_der, "", limited=True)


def _seconds(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine)


def main() -> int:
    observers = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    unit_us, _ = measure_unit()
    print("| observer | s to the head |\n|---:|---:|")
    for number, seconds in enumerate(joining(observers), 1):
        print(f"| {number} | {seconds:.2f} |")
    identities = [make_identity() for _ in range(max(REGISTRIES) + 1)]
    print("\n| registered nodes | one more, signature checks | one less, signature checks |\n|---:|---:|---:|")
    for peers in REGISTRIES:
        more, less = changes(identities, peers)
        print(f"| {peers:,} | {more * 1e6 / unit_us:,.0f} | {less * 1e6 / unit_us:,.0f} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

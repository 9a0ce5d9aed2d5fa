"""Networks over loopback, for tests of links: members, recorders, and both event loops."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from p2p.channels import Channel
from p2p.identity import Identity, make_identity
from p2p.options import LinkOptions
from p2p.peers import PeerEntry, PeerNetwork
from primitives.identifiers import NodeId

NETWORK_ID = bytes(range(32))
WAIT_S = 30.0
"""A generous end to any wait; no test passes because of it."""
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def run(loop_name: str, story: Coroutine[Any, Any, None]) -> None:
    """Run `story` on one of `LOOPS`; what reaches the loop's exception handler fails the test."""
    unhandled: list[str] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(str(context)))
        await story
        # What a closed transport still has to do must not spill into the next test.
        for _ in range(3):
            await asyncio.sleep(0)

    with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
        runner.run(watched())
    assert unhandled == []


def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(coroutine)


class Recorder:
    """A handler that keeps what happened and lets a test wait for more."""

    def __init__(self) -> None:
        self.connected: set[NodeId] = set()
        self.connections = 0
        self.disconnected: list[tuple[NodeId, str]] = []
        self.payloads: list[tuple[NodeId, Channel, bytes]] = []
        self._changed = asyncio.Event()

    def on_peer_connected(self, node_id: NodeId) -> None:
        assert node_id not in self.connected
        self.connected.add(node_id)
        self.connections += 1
        self._changed.set()

    def on_peer_disconnected(self, node_id: NodeId, reason: str) -> None:
        self.connected.remove(node_id)
        self.disconnected.append((node_id, reason))
        self._changed.set()

    def on_payload(self, node_id: NodeId, channel: Channel, payload: bytes) -> None:
        self.payloads.append((node_id, channel, payload))
        self._changed.set()

    def head(self) -> bytes:
        return b"head"

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something happened that makes `holds` true."""
        async with asyncio.timeout(WAIT_S):
            while not holds():
                self._changed.clear()
                await self._changed.wait()

    async def received(self, count: int) -> None:
        """Wait for so many payloads."""
        await self.until(lambda: len(self.payloads) >= count)

    async def linked(self, count: int) -> None:
        """Wait until so many peers are connected."""
        await self.until(lambda: len(self.connected) == count)


async def eventually(holds: Callable[[], bool]) -> None:
    """Wait for a condition that no event announces, such as a counter."""
    async with asyncio.timeout(WAIT_S):
        while not holds():  # noqa: ASYNC110 (nothing announces a counter)
            await asyncio.sleep(0.005)


class Members:
    """`count` registered nodes in order of node id; `start` makes the network of one of them, until the `async with`
    ends."""

    def __init__(self, count: int, options: LinkOptions | None = None) -> None:
        self.identities: list[Identity] = sorted((make_identity() for _ in range(count)), key=lambda i: i.node_id)
        self.entries = [PeerEntry(i.node_id, i.certificate_der, "") for i in self.identities]
        self.networks: dict[int, PeerNetwork] = {}
        self.recorders: dict[int, Recorder] = {}
        self.options = options or LinkOptions()

    async def start(
        self, index: int, *, network_id: bytes = NETWORK_ID, port: int = 0, options: LinkOptions | None = None
    ) -> PeerNetwork:
        recorder = self.recorders[index] = Recorder()
        network = PeerNetwork(
            self.identities[index],
            network_id,
            self.entries,
            ("127.0.0.1", port),
            recorder,
            spawn,
            options or self.options,
            random.Random(index),
        )
        await network.start()
        self.entries[index] = PeerEntry(network.node_id, self.identities[index].certificate_der, network.address)
        self.networks[index] = network
        return network

    async def start_all(self) -> None:
        """Start every member and tell each where the others are."""
        for index in range(len(self.identities)):
            await self.start(index)
        self.introduce()

    def introduce(self) -> None:
        for network in self.networks.values():
            network.update_registry(self.entries)

    async def all_connected(self) -> None:
        others = len(self.networks) - 1
        for recorder in self.recorders.values():
            await recorder.linked(others)

    def port(self, index: int) -> int:
        return int(self.networks[index].address.rpartition(":")[2])

    async def __aenter__(self) -> Members:
        return self

    async def __aexit__(self, *_: object) -> None:
        for network in self.networks.values():
            await network.stop()

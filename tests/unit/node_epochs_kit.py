"""A node beside a consortium's chain: what the others do is executed there, and shown to the node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from epochs_kit import KNOWN, Consortium, key, make_genesis, node
from node_core_kit import STATUS_PERIOD_MS, Disk, Node

from ledger.state.store import MemoryStore
from node.chain_service import ChainService
from node.wire import BlocksAnswer, BlocksRequest, HeadAnswer, HeadRequest, decode_sync, encode_sync
from p2p.channels import Channel
from primitives.finality import FinalityCertificate

NAMES = {node(name): name for name in KNOWN}
"""Node id -> the short name that the consortium has for it."""


class Member:
    """The node `name` of a consortium's network. All others are played by a chain."""

    def __init__(
        self,
        name: str = "v0",
        world: Consortium | None = None,
        *,
        validators: int = 4,
        disk: Disk | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        self.world = world or Consortium(make_genesis(validators))
        self.service = ChainService(self.world.chain)
        self.answered = 0
        self.node = Node(
            index=KNOWN.index(name),
            genesis=self.world.genesis,
            names=[node(known) for known in KNOWN],
            keys=[key(known) for known in KNOWN],
            disk=disk,
            store=store,
        )
        members = self.world.members()
        self.node.links.peers = [node(other) for other in members if other != name]
        self.core = self.node.core

    def again(self, name: str) -> Member:
        """The same directory in another life."""
        self.core.stop()
        return Member(name, self.world, disk=self.node.disk, store=self.node.store)

    # --- what the others do

    def certify(self, height: int | None = None) -> FinalityCertificate:
        """Let the others certify a block, by default their head."""
        others = [name for name in KNOWN if node(name) != self.node.name]  # this node has signed nothing
        certificate = self.world.certify(self.world.chain.height if height is None else height, others)
        self.world.chain.add_certificate(certificate)
        return certificate

    def end_epoch(self, *operations: bytes) -> FinalityCertificate:
        """Execute what ends the epoch, and go up to its certified last block."""
        for operation in operations:
            assert self.world.code(operation) == ""
        end = self.world.chain.epoch.end
        assert end
        self.world.run_to(end)
        return self.certify()

    def show(self, certificate: FinalityCertificate) -> None:
        """Let a peer show a certificate, and all peers answer what the node asks for after it."""
        self._receive(self.node.links.peers[0], HeadAnswer(certificate))
        self.answer()

    def pass_time(self, duration_ms: int = STATUS_PERIOD_MS) -> None:
        """Let time pass while peers answer; as in other kits, an answer takes no time."""
        for _ in range(max(1, duration_ms // 250)):
            self.node.clock.advance(min(250, duration_ms))
            self.answer()

    def settle(self) -> None:
        """Let a node notice what it lacks, which takes it two periods, and fetch it."""
        self.pass_time()
        self.pass_time()

    def answer(self) -> None:
        """Answer as a peer that has the consortium's chain, until nothing is asked."""
        sent = self.node.links.sent
        while self.answered < len(sent):
            peer, channel, payload = sent[self.answered]
            self.answered += 1
            if channel is not Channel.SYNC:
                continue
            match decode_sync(payload):
                case BlocksRequest(request=request, first=first, last=last):
                    served = self.service.serve(first, last)
                    self._receive(peer, BlocksAnswer(request, *msgspec.structs.astuple(served)))
                case HeadRequest(epoch=epoch, height=height):
                    found = self.service.head_certificate(epoch, height)
                    if found is not None:
                        self._receive(peer, HeadAnswer(found))

    def _receive(self, peer: str, message: Any) -> None:
        self.core.on_payload(peer, Channel.SYNC, encode_sync(message))

    # --- what is

    @property
    def registered(self) -> list[str]:
        """Short names of the nodes that the links were told of last."""
        return short(self.node.links.registered[-1])


def short(nodes: Sequence[str]) -> list[str]:
    return sorted(NAMES[name] for name in nodes)

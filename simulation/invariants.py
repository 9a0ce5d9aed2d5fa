"""Laws that hold after every event, whatever was lost, delayed or crashed.

I1 agreement: one block a height. I2 total order: no gaps, no transaction twice. I5 no double sign, over all lives of a
node. I7 monotone: view and stable checkpoint never fall within a life. I9 root equality. I11 durability: what any node
reported as committed is in every node's ledger in the end.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from consensus.messages import (
    Batch,
    Checkpoint,
    Commit,
    Message,
    Prepare,
    PrePrepare,
    ViewChange,
    decode_message,
)
from p2p.channels import Channel
from simulation.node import SimulatedNode


class InvariantViolated(AssertionError):
    """The run found a bug. The message names the invariant; the seed replays it."""


class Invariants:
    """Checks the nodes of one run."""

    def __init__(self, nodes: Sequence[SimulatedNode], faulty: Container[int] = ()) -> None:
        """`faulty` members are Byzantine: no law is asked of them."""
        self._nodes = nodes
        self._faulty = faulty
        self._agreed: dict[int, bytes] = {}
        self._roots: dict[int, bytes] = {}
        self._checked = [0] * len(nodes)
        self._views: dict[tuple[int, int], tuple[int, int]] = {}
        self._signed: dict[tuple[object, ...], bytes] = {}

    def after_event(self) -> None:
        """I1 agreement, I2 total order, I7 monotone views, I9 equal roots, and what the nodes noted themselves."""
        for index, node in enumerate(self._nodes):
            if index in self._faulty:
                continue
            if node.violations:
                raise InvariantViolated(node.violations[0])
            while self._checked[index] + 1 in node.blocks:
                self._checked[index] += 1
                height = self._checked[index]
                if self._agreed.setdefault(height, node.blocks[height]) != node.blocks[height]:
                    raise InvariantViolated(f"I1: node {index} has another block {height}")
                if self._roots.setdefault(height, node.roots[height]) != node.roots[height]:
                    raise InvariantViolated(f"I9: node {index} has another state root at {height}")
            if node.core is not None:
                self._check_view(index, node)

    def _check_view(self, index: int, node: SimulatedNode) -> None:
        assert node.core is not None
        engine = node.core.engine_status()
        # What a crash took back was never durable, hence never shown to anyone: a new life starts a new count.
        view, stable = self._views.get((index, node.lives), (0, 0))
        if engine.view < view or engine.stable_checkpoint < stable:
            raise InvariantViolated(f"I7: node {index} fell back to view {engine.view}, {engine.stable_checkpoint}")
        self._views[index, node.lives] = (engine.view, engine.stable_checkpoint)

    def check_durable(self) -> None:
        """I11, when the faults are over and the nodes agree: what was reported as committed is everywhere."""
        honest = [node for node in self._nodes if node.index not in self._faulty]
        committed = set[bytes]().union(*(node.certified for node in honest))
        for node in honest:
            lost = committed - set(node.executed_ids)
            if lost:
                raise InvariantViolated(f"I11: node {node.index} lacks {len(lost)} committed transactions")

    def on_adversary_sent(self, channel: Channel, payload: bytes) -> None:
        """What Byzantine members say binds nobody; it is only looked at."""

    def on_sent(self, channel: Channel, payload: bytes) -> None:
        """I5, recorded at the network, over all lives of a node: one digest for one promise."""
        if channel not in (Channel.CONSENSUS, Channel.BATCHES):
            return
        message = decode_message(payload)
        promise = promised(message)
        if promise is not None:
            key, content = promise
            if self._signed.setdefault(key, content) != content:
                raise InvariantViolated(f"I5: replica {key[1]} signed two contents for {key}")


def promised(message: Message) -> tuple[tuple[object, ...], bytes] | None:
    """Return what a message commits its signer to: (what, content)."""
    match message:
        case PrePrepare():
            return ("pre-prepare", message.replica, message.epoch, message.view, message.sequence), message.digest
        case Prepare():
            return ("prepare", message.replica, message.epoch, message.view, message.sequence), message.digest
        case Commit():
            return ("commit", message.replica, message.epoch, message.view, message.sequence), message.digest
        case Checkpoint():
            return ("checkpoint", message.replica, message.epoch, message.sequence), message.block_hash
        case ViewChange():
            return ("view-change", message.replica, message.epoch, message.new_view), message.digest
        case Batch():
            return ("batch", message.author, message.epoch, message.number), message.digest
        case _:
            return None

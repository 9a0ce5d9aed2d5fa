"""Laws of what is said: checked at the network, outside the nodes, on everything that is sent.

I5 no double sign, over all lives of a node. I6 persist before send. I8 what was committed survives every later view,
and with it I1 as seen from the votes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import TypeAlias

from consensus.messages import (
    BatchRequest,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChangeRequest,
)
from p2p.channels import Channel
from primitives.quorum import quorum
from simulation.promises import InvariantViolated, Life, Promises
from simulation.signatures import decode_once

Slot: TypeAlias = tuple[int, int]
"""(epoch, sequence)"""


class WireLaws:
    """Checks all messages of one run."""

    def __init__(
        self, n: int, faulty: Container[int], members: Callable[[int], Sequence[int]], life: Callable[[int], Life]
    ) -> None:
        """Args:
        faulty: Byzantine nodes, which may sign what they like.
        members: (epoch) -> the nodes in its set, in order of replica id.
        life: (node) -> which life it is in, and whether it is up.
        """
        self._faulty = faulty
        self._members = members
        self.promises = Promises(n, faulty, members, life)
        self._committers: dict[tuple[int, int, int, bytes], set[int]] = {}
        """(epoch, view, sequence, digest) -> who said that it committed it."""
        self._committed: dict[Slot, tuple[int, bytes]] = {}
        """The lowest view in which a quorum committed, and the digest."""
        self._accepted: dict[Slot, tuple[int, bytes]] = {}
        """The highest view in which a correct replica accepted a proposal, and the digest."""
        self._last_payload: tuple[int, bytes] = (-1, b"")

    def on_sent(self, sender: int, channel: Channel, payload: bytes) -> None:
        """A correct node sends."""
        if channel not in (Channel.CONSENSUS, Channel.BATCHES) or (sender, payload) == self._last_payload:
            return
        self._last_payload = (sender, payload)
        message = decode_once(payload)
        if isinstance(message, Status | BatchRequest | ViewChangeRequest):
            return
        signer = self._members(message.epoch)[message.replica]
        if signer in self._faulty:
            if isinstance(message, Commit):
                self._count_commit(message)
            return
        if self.promises.note(message, payload, sender, signer):
            self._on_promise(sender, signer, message)

    def on_adversary_sent(self, sender: int, channel: Channel, payload: bytes) -> None:
        """A Byzantine member says something: it binds nobody, but its commits may be the last that a quorum lacks."""
        if channel is not Channel.CONSENSUS:
            return
        try:
            message = decode_once(payload)
        except Exception:  # whatever it is, the nodes have to cope with it
            return
        if isinstance(message, Commit) and sender in self._members(message.epoch)[message.replica :][:1]:
            self._count_commit(message)

    def _on_promise(self, sender: int, signer: int, message: Message) -> None:
        if sender == signer and not self.promises.logs[sender].holds(message.signature):  # type: ignore[union-attr]  # promises are votes
            raise InvariantViolated(f"I6: node {sender} sent a {message.kind} that its vote log does not hold")
        match message:
            case Commit():
                self._count_commit(message)
            case PrePrepare() | Prepare():
                self._on_accepted(message.epoch, message.view, message.sequence, message.digest)
            case NewView():
                for pre_prepare in message.pre_prepares:
                    self._on_accepted(message.epoch, message.view, pre_prepare.sequence, pre_prepare.digest)

    def _on_accepted(self, epoch: int, view: int, sequence: int, digest: bytes) -> None:
        slot = (epoch, sequence)
        committed = self._committed.get(slot)
        if committed is not None and view > committed[0] and digest != committed[1]:
            raise InvariantViolated(
                f"I8: sequence {sequence} was committed in view {committed[0]}, and view {view} orders another proposal"
            )
        if view >= self._accepted.get(slot, (-1, b""))[0]:
            self._accepted[slot] = (view, digest)

    def _count_commit(self, message: Commit) -> None:
        key = (message.epoch, message.view, message.sequence, message.digest)
        committers = self._committers.setdefault(key, set())
        if message.replica in committers:
            return
        committers.add(message.replica)
        if len(committers) != quorum(len(self._members(message.epoch))):
            return
        slot = (message.epoch, message.sequence)
        view, digest = self._committed.get(slot, (message.view, message.digest))
        if digest != message.digest:
            raise InvariantViolated(f"I1: sequence {message.sequence} was committed with two digests")
        self._committed[slot] = (min(view, message.view), digest)
        accepted_view, accepted = self._accepted.get(slot, (0, digest))
        if accepted_view > message.view and accepted != digest:
            raise InvariantViolated(
                f"I8: sequence {message.sequence} was committed in view {message.view}, but view {accepted_view} "
                "orders another proposal"
            )

"""What messages promise, and who knows of it. I5: over all lives, nobody promises two things that exclude each other.

One thing excuses a replica: nothing is left of what it promised before. A message that was under way, or had just come,
when the power went everywhere, and upon which nobody had acted durably, is known to the log that it was written to and
to nothing else. Who loses that log as well can be told by nobody that it ever spoke; and nobody can use what it said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator
from typing import Final, TypeAlias

from consensus.messages import (
    Batch,
    BatchRequest,
    Checkpoint,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    ViewChange,
    ViewChangeRequest,
)
from node.journal import FILE_NAME

SYNCS_REMEMBERED: Final = 4
"""The newest bytes that became durable in each node's vote log; older ones are looked up in the file."""

Key: TypeAlias = tuple[object, ...]
Life: TypeAlias = tuple[int, bool]
"""(which life a node is in, whether it is up)"""


class InvariantViolated(AssertionError):
    """The run found a bug. The message names the invariant; the seed replays it."""


class DurableLog:
    """What is durable in one node's vote log, as its disk says."""

    def __init__(self) -> None:
        self._recent: deque[bytes] = deque(maxlen=SYNCS_REMEMBERED)
        self._file = bytearray()

    def on_durable(self, data: bytes, replaces: bool) -> None:
        if replaces:
            self._recent.clear()
            self._file.clear()
        self._recent.appendleft(data)
        self._file += data

    def __len__(self) -> int:
        return len(self._file)

    def holds(self, signature: bytes) -> bool:
        return any(signature in data for data in self._recent) or signature in self._file


class Promises:
    """All that the correct members of one run promised."""

    def __init__(self, n: int, faulty: Container[int], life: Callable[[int], Life]) -> None:
        self.logs = [DurableLog() for _ in range(n)]
        self._faulty = faulty
        self._life = life
        self._content: dict[Key, bytes] = {}
        self._unheard: dict[bytes, list[Key]] = {}
        """Payloads that nobody may remember yet -> what they were the first to promise."""
        self._unheard_in: dict[Key, tuple[bytes, bytes]] = {}
        """The same by promise -> (payload, signature)."""
        self._heard: list[tuple[int, list[bytes]]] = [(0, []) for _ in range(n)]
        """By node: (a life, what reached it in that life since its log last became longer)."""
        self._void: set[bytes] = set()
        """Payloads of which nothing was left when their signer promised otherwise."""

    def note(self, message: Message, payload: bytes, sender: int, signer: int) -> bool:
        """Take note of what is sent. Tell whether it promises something that was not promised before.

        Raises:
            InvariantViolated: I5.
        """
        fresh: list[Key] = []
        for key, content in promises(message):
            known = self._content.get(key)
            if known not in (None, content):
                self._excuse(key, signer)
                known = None
            if known is None:
                self._content[key] = content
                fresh.append(key)
        if fresh and sender == signer:
            self._unheard[payload] = fresh
            signature: bytes = message.signature  # type: ignore[union-attr]  # a request promises nothing
            self._unheard_in.update(dict.fromkeys(fresh, (payload, signature)))
        return bool(fresh)

    def on_arrival(self, receiver: int, payload: bytes) -> None:
        """Something reaches a node."""
        if payload in self._void:
            raise InvariantViolated("I5: a message arrived after its signer had promised otherwise")
        if payload not in self._unheard:
            return
        if receiver in self._faulty:
            self._remember(payload)
            return
        life, _ = self._life(receiver)
        if self._heard[receiver][0] != life:
            self._heard[receiver] = (life, [])
        self._heard[receiver][1].append(payload)

    def on_durable(self, index: int, name: str, data: bytes, replaces: bool) -> None:
        """A node's disk changed. With each vote a log says how far the others were seen to sign."""
        if name != FILE_NAME:
            return  # a damaged log, put aside
        life, heard = self._heard[index]
        survived = replaces and len(data) > len(self.logs[index])  # what was not synced, after a loss of power
        if life == self._life(index)[0] or survived:
            for payload in heard:
                self._remember(payload)
            heard.clear()
        self.logs[index].on_durable(data, replaces)

    def _remember(self, payload: bytes) -> None:
        """From now on somebody may remember it for ever."""
        for key in self._unheard.pop(payload, ()):
            self._unheard_in.pop(key, None)

    def _excuse(self, key: Key, signer: int) -> None:
        """Void what was promised before, if nothing is left of it."""
        payload, signature = self._unheard_in.get(key, (b"", b""))
        remembered = any(
            payload in heard and self._life(node) == (life, True) for node, (life, heard) in enumerate(self._heard)
        )
        if not payload or remembered or self.logs[signer].holds(signature):
            raise InvariantViolated(f"I5: node {signer} signed two contents for {key}")
        self._void.add(payload)
        for promised in self._unheard.pop(payload):
            del self._unheard_in[promised], self._content[promised]


def promises(message: Message) -> Iterator[tuple[tuple[object, ...], bytes]]:
    """Yield what a message commits its signer to: (what, content)."""
    match message:
        case PrePrepare() | Prepare() | Commit():
            yield (message.kind, message.replica, message.epoch, message.view, message.sequence), message.digest
        case Checkpoint():
            yield ("checkpoint", message.replica, message.epoch, message.sequence), message.block_hash
        case ViewChange():
            yield ("view-change", message.replica, message.epoch, message.new_view), message.digest
        case Batch():
            yield ("batch", message.author, message.epoch, message.number), message.digest
        case NewView():
            yield ("new-view", message.replica, message.epoch, message.view), message.signature
            for inner in message.pre_prepares:
                yield ("pre-prepare", inner.replica, message.epoch, inner.view, inner.sequence), inner.digest
    if not isinstance(message, Checkpoint | Status | BatchRequest | ViewChangeRequest):
        yield ("position", message.replica, message.epoch, message.position), message.signature

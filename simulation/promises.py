"""What messages promise, and who knows of it. I5: over all lives, nobody promises two things that exclude each other.

One thing excuses a replica that lost its log: that hardly anybody can know what it promised before. It is let vote
again when a quorum, itself included, knows of nothing newer; so a few others that do know, and whose word comes late or
not at all, do not stop it. That happens when the power goes everywhere while its words are under way. As one of the f
that may fail, it can do no harm: what was agreed upon is the matter of the other laws. How far others know is read from
what reached them in the life that they are in, and from what their logs said when it lost its own; that a log says so
in time is a matter of the tests of `consensus.pbft.standing`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgpack  # type: ignore[import-untyped]  # ships no types

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
from primitives.quorum import quorum

_SEEN: Final = b"\xa4seen"
"""How `consensus.pbft.records.SeenPositions` begins."""
PAIRS_BYTES_MAX: Final = 4_096
"""Such a record takes at most 10 bytes a replica."""
SYNCS_REMEMBERED: Final = 4
"""The newest bytes that became durable in each node's vote log; older ones are looked up in the file."""

Key: TypeAlias = tuple[object, ...]
Signer: TypeAlias = tuple[int, int, int]
"""(epoch, replica, how often its node had lost its log)"""
Origin: TypeAlias = tuple[Signer, int]
"""(signer, position in its log)"""
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

    def seen(self) -> dict[int, int]:
        """Return how far the log says that the others were seen to sign: replica -> position."""
        highest: dict[int, int] = {}
        at = -1
        while (at := self._file.find(_SEEN, at + 1)) >= 0:
            for replica, position in _pairs(self._file, at + len(_SEEN)):
                highest[replica] = max(position, highest.get(replica, 0))
        return highest

    def holds(self, signature: bytes) -> bool:
        return any(signature in data for data in self._recent) or signature in self._file


class _Promise(NamedTuple):
    content: bytes
    signature: bytes
    origin: Origin | None
    """None for what bears no position; nothing excuses that."""


def _pairs(data: bytes | bytearray, at: int) -> list[tuple[int, int]]:
    """Read a list of pairs of numbers that begins at `at`, whatever is behind it; nothing where there is none."""
    unpacker = msgpack.Unpacker(max_buffer_size=0)
    unpacker.feed(bytes(data[at : at + PAIRS_BYTES_MAX]))
    try:
        return [(first, second) for first, second in unpacker.unpack()]
    except (msgpack.UnpackException, TypeError, ValueError):
        return []


class Promises:
    """All that the correct members of one run promised."""

    def __init__(
        self, n: int, faulty: Container[int], members: Callable[[int], Sequence[int]], life: Callable[[int], Life]
    ) -> None:
        """See `WireLaws`."""
        self.logs = [DurableLog() for _ in range(n)]
        self._faulty = faulty
        self._members = members
        self._life = life
        self._first: dict[Key, _Promise] = {}
        self._origins: dict[bytes, Origin] = {}
        """Of each payload that a correct member signed and sent."""
        self._heard: list[tuple[int, dict[Signer, int]]] = [(0, {}) for _ in range(n)]
        """By node: (a life, the highest position of each member that reached it in that life)."""
        self._lost: list[list[list[dict[int, int]]]] = [[] for _ in range(n)]
        """By node, for each time that it lost its log: how far each node's log had seen the others sign then."""

    def note(self, message: Message, payload: bytes, sender: int, signer: int) -> bool:
        """Take note of what is sent. Tell whether it promises something that was not promised before.

        Raises:
            InvariantViolated: I5.
        """
        origin = _origin(message, len(self._lost[signer]))
        if origin is not None and sender == signer:
            self._origins[payload] = origin
        fresh = False
        for key, content in promises(message):
            known = self._first.get(key)
            if known is not None and known.content != content:
                self._excuse(key, known, signer)
                known = None
            if known is None:
                signature: bytes = message.signature  # type: ignore[union-attr]  # a request promises nothing
                self._first[key] = _Promise(content, signature, origin if sender == signer else None)
                fresh = True
        return fresh

    def on_arrival(self, receiver: int, payload: bytes) -> None:
        """Something reaches a node."""
        origin = self._origins.get(payload)
        if origin is None:
            return
        life, _ = self._life(receiver)
        if self._heard[receiver][0] != life:
            self._heard[receiver] = (life, {})
        signer, position = origin
        heard = self._heard[receiver][1]
        heard[signer] = max(position, heard.get(signer, 0))

    def on_durable(self, index: int, name: str, data: bytes, replaces: bool) -> None:
        """A node's disk changed."""
        if name == FILE_NAME:  # else it is a damaged log, put aside
            self.logs[index].on_durable(data, replaces)

    def on_lost(self, index: int) -> None:
        """A node's log is lost, or no longer what it was."""
        self._lost[index].append([log.seen() for log in self.logs])

    def _excuse(self, key: Key, before: _Promise, signer: int) -> None:
        """Let pass what contradicts `before`, if its signer lost that and hardly anybody else can know of it."""
        if before.origin is None or self.logs[signer].holds(before.signature) or self._known(before.origin, signer):
            raise InvariantViolated(f"I5: node {signer} signed two contents for {key}")

    def _known(self, origin: Origin, signer: int) -> bool:
        """Tell whether its signer, or so many others that no quorum can do without them, know of this position."""
        (epoch, replica, losses), position = origin
        if losses == len(self._lost[signer]):
            return True
        seen, members = self._lost[signer][losses], self._members(epoch)
        knowing = 0
        for node in members:
            if node != signer and node not in self._faulty:
                life, heard = self._heard[node]
                remembers = self._life(node) == (life, True) and heard.get(origin[0], 0) >= position
                knowing += remembers or seen[node].get(replica, 0) >= position
        return knowing > len(members) - quorum(len(members))


def _origin(message: Message, losses: int) -> Origin | None:
    if isinstance(message, Checkpoint | Status | BatchRequest | ViewChangeRequest):
        return None
    return (message.epoch, message.replica, losses), message.position


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

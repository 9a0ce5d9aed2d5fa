"""A member that lies: its behaviors, what it remembers, and what it shares with those it conspires with.

Positions of forged messages never exceed those of the member's own node: its peers would else show the node that
somebody signs in its name, and a correct node then falls silent, which would end the attack.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from consensus.errors import ConsensusError
from consensus.messages import (
    BatchRequest,
    Message,
    NewView,
    Prepare,
    PreparedCertificate,
    PrePrepare,
    Proposal,
    S,
    Signed,
    ViewChange,
    ViewChangeRequest,
    decode_message,
    encode_message,
    sign,
)
from consensus.ports import Signer
from primitives.digest import tagged_hash
from primitives.quorum import quorum

REMEMBERED_MAX: Final = 256
"""Messages of others, and of its own, that a conspiracy keeps for later use; the oldest are forgotten."""
VIEWS_REMEMBERED: Final = 8
ALTERNATIVES_MAX: Final = 512

Saying: TypeAlias = tuple[int, Message | bytes, int]
"""(receiver, message or raw payload, delay in ms)"""


class Conspiracy:
    """What Byzantine members know together."""

    def __init__(self, members: Sequence[int]) -> None:
        self.members = frozenset(members)
        self.said: deque[Signed] = deque(maxlen=REMEMBERED_MAX)
        """What the members' nodes said, signed by them."""
        self.heard: deque[Signed] = deque(maxlen=REMEMBERED_MAX)
        self.view_changes: dict[int, dict[int, ViewChange]] = defaultdict(dict)
        """View -> replica -> a ViewChange for it."""
        self.certificates: deque[PreparedCertificate] = deque(maxlen=REMEMBERED_MAX)
        self._votes: dict[tuple[int, int, int, bytes], dict[int, PrePrepare | Prepare]] = {}
        """(epoch, view, sequence, digest) -> the proposal, under -1, and who prepared it."""
        self.alternatives: dict[tuple[int, int, int], Proposal] = {}
        """(epoch, view, sequence) -> the proposal that the other half is told of."""

    def collect(self, message: PrePrepare | Prepare, n: int) -> None:
        """Make prepared certificates of what is heard, as soon as anyone could."""
        key = (message.epoch, message.view, message.sequence, message.digest)
        if key not in self._votes:
            while len(self._votes) >= REMEMBERED_MAX:
                del self._votes[next(iter(self._votes))]
            self._votes[key] = {}
        votes = self._votes[key]
        votes[-1 if isinstance(message, PrePrepare) else message.replica] = message
        proposal = votes.get(-1)
        if len(votes) == quorum(n) and isinstance(proposal, PrePrepare):
            prepares = tuple(vote for _, vote in sorted(votes.items()) if isinstance(vote, Prepare))
            self.certificates.append(PreparedCertificate(proposal, prepares))

    def alternative(self, message: PrePrepare) -> Proposal:
        """Return the second proposal for the place of `message`: as good as the first, and another."""
        key = (message.epoch, message.view, message.sequence)
        if key not in self.alternatives:
            while len(self.alternatives) >= ALTERNATIVES_MAX:
                del self.alternatives[next(iter(self.alternatives))]
            proposal = message.proposal
            self.alternatives[key] = msgspec.structs.replace(proposal, timestamp_ms=proposal.timestamp_ms + 1)
        return self.alternatives[key]

    def wrong_hash(self, sequence: int) -> bytes:
        """Return the block hash that the members claim together for a height."""
        return tagged_hash("consensus-proposal", b"wrong block %d" % sequence)

    def remember(self, message: ViewChange) -> None:
        self.view_changes[message.new_view][message.replica] = message
        self.certificates.extend(message.prepared)
        while len(self.view_changes) > VIEWS_REMEMBERED:
            del self.view_changes[min(self.view_changes)]


class Behavior:
    """One way to be wrong. `chance` is how often it shows, per message."""

    name = "honest"

    def __init__(self, chance: float = 1.0) -> None:
        self.chance = chance

    def say(self, _liar: Liar, receiver: int, message: Signed) -> list[Saying]:
        """Return what leaves instead of a signed message that the node wants to send."""
        return [(receiver, message, 0)]

    def hear(self, _liar: Liar, _message: Signed) -> list[Saying]:
        """Return what is said because of a message that came in, or that the node itself is sending."""
        return []

    def speak(self, _liar: Liar) -> list[Saying]:
        """Return what is said unasked, now and then."""
        return []


class Liar:
    """Speaks for one member."""

    def __init__(
        self,
        index: int,
        n: int,
        network_id: bytes,
        signer: Signer,
        chance: random.Random,
        conspiracy: Conspiracy,
        draw: Callable[[random.Random], list[Behavior]],
    ) -> None:
        """`draw` chooses the behaviors of the next while; it is asked again from time to time."""
        self.index = index
        self.n = n
        self.network_id = network_id
        self.chance = chance
        self.conspiracy = conspiracy
        self.position = 0
        self.view = 0
        self.epoch = 0
        self.used: set[str] = set()
        """Names of all behaviors that were active at any time."""
        self._signer = signer
        self._draw = draw
        self._sides = 0
        self._reacted: deque[bytes] = deque(maxlen=REMEMBERED_MAX)
        self.behaviors: list[Behavior] = []
        self.change()

    @property
    def others(self) -> list[int]:
        return [replica for replica in range(self.n) if replica != self.index]

    @property
    def victims(self) -> list[int]:
        """Return those outside the conspiracy."""
        return [replica for replica in range(self.n) if replica not in self.conspiracy.members]

    def change(self) -> None:
        """Take up other behaviors, and divide the others anew."""
        self.behaviors = self._draw(self.chance)
        self.used |= {behavior.name for behavior in self.behaviors}
        self._sides = self.chance.getrandbits(self.n)

    def retire(self) -> None:
        """Lie no more."""
        self._draw = lambda _chance: []
        self.change()

    def side(self, receiver: int) -> int:
        """Return which half of the others a receiver is counted to, 0 or 1."""
        return self._sides >> receiver & 1

    def sign(self, message: S, network_id: bytes | None = None) -> S:
        """Sign with the member's own key, whatever name the message bears."""
        return sign(self.network_id if network_id is None else network_id, self._signer, message)

    def to_all(self, *messages: Signed, delay_ms: int = 0) -> list[Saying]:
        return [(receiver, message, delay_ms) for message in messages for receiver in self.others]

    # --- between the node and the network

    def says(self, receiver: int, message: Message) -> list[Saying]:
        """Return what leaves when the node wants to send `message`."""
        if isinstance(message, BatchRequest | ViewChangeRequest):
            return [(receiver, message, 0)]
        sayings: list[Saying] = []
        if message.replica == self.index:
            self._note_own(message)
            sayings += self._react(message)
        wanted: list[Saying] = [(receiver, message, 0)]
        for behavior in self.behaviors:
            if self.chance.random() < behavior.chance:
                wanted = [
                    (to, changed, delay_ms + later)
                    for target, said, delay_ms in wanted
                    for to, changed, later in (
                        [(target, said, 0)] if _raw(said) else behavior.say(self, target, said)  # type: ignore[arg-type]  # no raw ones
                    )
                ]
        return [*wanted, *sayings]

    def hears(self, message: Message) -> list[Saying]:
        """Take note of what came in; return what is said because of it."""
        if isinstance(message, BatchRequest | ViewChangeRequest):
            return []
        if message.replica in self.conspiracy.members:
            return []
        self.conspiracy.heard.append(message)
        if isinstance(message, ViewChange):
            self.conspiracy.remember(message)
        elif isinstance(message, PrePrepare | Prepare):
            self.conspiracy.collect(message, self.n)
        return self._react(message)

    def speaks(self) -> list[Saying]:
        """Return what is said unasked; now and then turn to other behaviors."""
        if self.chance.random() < 0.08:
            self.change()
        return [
            saying
            for behavior in self.behaviors
            if self.chance.random() < behavior.chance
            for saying in behavior.speak(self)
        ]

    def _note_own(self, message: Signed) -> None:
        self.conspiracy.said.append(message)
        self.position = max(self.position, getattr(message, "position", 0))
        self.epoch = message.epoch
        if isinstance(message, ViewChange):
            self.conspiracy.remember(message)
            self.view = max(self.view, message.new_view)
        elif isinstance(message, NewView):
            self.view = max(self.view, message.view)
        elif isinstance(message, PrePrepare | Prepare):
            self.conspiracy.collect(message, self.n)

    def _react(self, message: Signed) -> list[Saying]:
        """Each message has its effect once, to however many it is sent."""
        if message.signature in self._reacted:
            return []
        self._reacted.append(message.signature)
        return [
            saying
            for behavior in self.behaviors
            if self.chance.random() < behavior.chance
            for saying in behavior.hear(self, message)
        ]


def _raw(said: Message | bytes) -> bool:
    return isinstance(said, bytes | BatchRequest | ViewChangeRequest)


def well_formed(message: Any) -> Message | None:
    """Return the message as receivers would decode it, or None when they would not."""
    try:
        return decode_message(encode_message(message))
    except (ConsensusError, OverflowError):
        return None

"""Whom to ask for what: bookkeeping for fetching items by id from several peers at once.

No message is sent and no clock is read here. The caller asks `next_requests`, sends what it says, verifies what comes
back and reports `received` or `failed`; `expired` gives up on answers that are late. An id may be anything hashable: a
digest, a CID, a height.

Peers are asked by reputation, then by how little they have to do. A peer that served a wrong piece is never asked for
that piece again and comes last for all others; one that is slow or lacks the piece is asked again only after the other
holders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from enum import StrEnum
from typing import Final, Generic, TypeVar

import msgspec

Id = TypeVar("Id", bound=Hashable)

WANTED_MAX: Final = 65_536
"""Ids wanted at one time; `want` refuses more, and the caller comes back when some have arrived."""
HOLDERS_PER_ID_MAX: Final = 16
"""Peers remembered for one id; further ones are ignored while there are so many."""
PEERS_MAX: Final = 1_024
"""Peers with a record; beyond it one with the least penalty and nothing in flight is forgotten."""
ATTEMPTS_PER_PEER_MAX: Final = 3
"""Times one peer is asked for one id before it no longer counts as a holder."""
SCANNED_PER_CALL_MAX: Final = 2_048
"""Waiting ids that one call of `next_requests` looks at."""
PENALTY_MAX: Final = 64


class Failure(StrEnum):
    """Why a piece did not come."""

    WRONG = "wrong"
    """Its digest was not its id: the peer lies or is broken."""
    MISSING = "missing"
    """The peer says that it does not have it."""
    LATE = "late"
    DISCONNECTED = "disconnected"


_PENALTIES: Final = {Failure.WRONG: 16, Failure.MISSING: 1, Failure.LATE: 4, Failure.DISCONNECTED: 2}


class FetchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much is asked for at a time."""

    in_flight_max: int = 64
    """Ids under way from all peers."""
    in_flight_per_peer_max: int = 16
    ids_per_request_max: int = 8
    timeout_ms: int = 10_000
    """From a request to the last of its pieces."""


class PeerScore(msgspec.Struct):
    """What this node has seen of one peer as a source."""

    served: int = 0
    failures: Counter[Failure] = msgspec.field(default_factory=Counter)
    penalty: int = 0
    """0 is best; a good piece takes 1 off, a failure puts some on, up to `PENALTY_MAX`."""
    in_flight: int = 0


class _Wanted:
    __slots__ = ("asked", "asked_at_ms", "attempts", "holders", "liars")

    def __init__(self) -> None:
        self.holders: list[str] = []
        self.liars: set[str] = set()
        self.attempts: Counter[str] = Counter()
        self.asked: str | None = None
        self.asked_at_ms = 0


class Fetcher(Generic[Id]):
    """The ids one activity wants, in the order in which it named them."""

    def __init__(self, options: FetchOptions | None = None) -> None:
        self._options = options or FetchOptions()
        self._wanted: dict[Id, _Wanted] = {}
        self._waiting: dict[Id, None] = {}
        """Ids nobody is asked for now, in order."""
        self._in_flight: dict[Id, _Wanted] = {}
        """In order of asking."""
        self._scores: dict[str, PeerScore] = {}

    def __len__(self) -> int:
        return len(self._wanted)

    def __contains__(self, item: object) -> bool:
        return item in self._wanted

    # --- what is wanted, and who has it ---

    def want(self, item: Id, holders: Iterable[str]) -> bool:
        """Want `item` from any of `holders`, or learn of further holders; False at `WANTED_MAX`.

        A holder that was given up on because it was late or lacked the item gets another chance, a liar does not.
        """
        wanted = self._wanted.get(item)
        if wanted is None:
            if len(self._wanted) >= WANTED_MAX:
                return False
            wanted = self._wanted[item] = _Wanted()
            self._waiting[item] = None
        for peer in holders:
            if peer in wanted.liars:
                continue
            if peer not in wanted.holders and len(wanted.holders) < HOLDERS_PER_ID_MAX:
                wanted.holders.append(peer)
            if wanted.attempts[peer] >= ATTEMPTS_PER_PEER_MAX:
                wanted.attempts[peer] = 0
        return True

    def forget(self, item: Id) -> None:
        """No longer want `item`."""
        self._release(item)
        self._wanted.pop(item, None)
        self._waiting.pop(item, None)

    def peer_gone(self, peer: str) -> None:
        """The link to `peer` ended: what it was asked for is asked elsewhere, and it holds nothing until told again."""
        for item in [item for item, wanted in self._in_flight.items() if wanted.asked == peer]:
            self.failed(peer, item, Failure.DISCONNECTED)
        for wanted in self._wanted.values():
            if peer in wanted.holders:
                wanted.holders.remove(peer)

    # --- asking ---

    def next_requests(self, now_ms: int) -> list[tuple[str, list[Id]]]:
        """Choose whom to ask for what now, and count it as asked. A peer may occur more than once."""
        chosen: dict[str, list[Id]] = {}
        for scanned, item in enumerate(list(self._first_waiting())):
            if scanned >= SCANNED_PER_CALL_MAX or len(self._in_flight) >= self._options.in_flight_max:
                break
            wanted = self._wanted[item]
            peer = self._best_holder(wanted)
            if peer is None:
                if not self._askable(wanted):  # make room in front for those that can be asked for
                    self._waiting[item] = self._waiting.pop(item)
                continue
            del self._waiting[item]
            wanted.asked, wanted.asked_at_ms = peer, now_ms
            wanted.attempts[peer] += 1
            self._in_flight[item] = wanted
            self._score(peer).in_flight += 1
            chosen.setdefault(peer, []).append(item)
        size = self._options.ids_per_request_max
        return [
            (peer, items[start : start + size])
            for peer, items in chosen.items()
            for start in range(0, len(items), size)
        ]

    def next_deadline_ms(self) -> int | None:
        """When `expired` will have something to give up on; None when nothing is under way."""
        for wanted in self._in_flight.values():
            return wanted.asked_at_ms + self._options.timeout_ms
        return None

    # --- what became of it ---

    def received(self, peer: str, item: Id) -> bool:
        """`peer` served a verified `item`. Return whether it was wanted: late and unasked pieces are as good."""
        wanted = self._wanted.get(item)
        if wanted is None:
            return False
        score = self._score(peer)
        score.served += 1
        score.penalty = max(0, score.penalty - 1)
        self.forget(item)
        return True

    def failed(self, peer: str, item: Id, reason: Failure) -> None:
        """`peer` did not serve `item`. It is asked elsewhere; a liar is never asked for it again."""
        wanted = self._wanted.get(item)
        if wanted is None:
            return
        score = self._score(peer)
        score.failures[reason] += 1
        score.penalty = min(PENALTY_MAX, score.penalty + _PENALTIES[reason])
        if reason is Failure.WRONG:
            wanted.liars.add(peer)
            if peer in wanted.holders:
                wanted.holders.remove(peer)
        elif reason is Failure.MISSING:
            wanted.attempts[peer] = ATTEMPTS_PER_PEER_MAX
        if wanted.asked == peer:
            self._release(item)
            self._waiting[item] = None

    def expired(self, now_ms: int) -> list[tuple[str, Id]]:
        """Give up on answers that are late, and return whose they were; the ids will be asked for again."""
        late = []
        for item, wanted in list(self._in_flight.items()):
            if wanted.asked_at_ms + self._options.timeout_ms > now_ms:
                break
            assert wanted.asked is not None
            late.append((wanted.asked, item))
        for peer, item in late:
            self.failed(peer, item, Failure.LATE)
        return late

    # --- looking ---

    def in_flight(self) -> int:
        """How many ids are under way."""
        return len(self._in_flight)

    def stuck(self) -> list[Id]:
        """Return the wanted ids that nobody is left to be asked for; `want` with holders helps them."""
        return [item for item in self._waiting if not self._askable(self._wanted[item])]

    def scores(self) -> dict[str, PeerScore]:
        """Return what was seen of each peer; `failures[Failure.WRONG]` names the liars."""
        return dict(self._scores)

    # --- inside ---

    def _first_waiting(self) -> Iterable[Id]:
        for count, item in enumerate(self._waiting):
            if count >= SCANNED_PER_CALL_MAX:
                return
            yield item

    def _askable(self, wanted: _Wanted) -> list[str]:
        return [peer for peer in wanted.holders if wanted.attempts[peer] < ATTEMPTS_PER_PEER_MAX]

    def _best_holder(self, wanted: _Wanted) -> str | None:
        best: tuple[int, int, int, int] | None = None
        chosen = None
        for position, peer in enumerate(self._askable(wanted)):
            score = self._score(peer)
            if score.in_flight >= self._options.in_flight_per_peer_max:
                continue
            rank = (wanted.attempts[peer], score.penalty, score.in_flight, position)
            if best is None or rank < best:
                best, chosen = rank, peer
        return chosen

    def _release(self, item: Id) -> None:
        wanted = self._in_flight.pop(item, None)
        if wanted is not None and wanted.asked is not None:
            self._score(wanted.asked).in_flight -= 1
            wanted.asked = None

    def _score(self, peer: str) -> PeerScore:
        score = self._scores.get(peer)
        if score is None:
            if len(self._scores) >= PEERS_MAX:
                idle = (name for name, known in self._scores.items() if known.in_flight == 0)
                forgotten = min(idle, key=lambda name: self._scores[name].penalty, default=None)
                if forgotten is not None:
                    del self._scores[forgotten]
            score = self._scores[peer] = PeerScore()
        return score

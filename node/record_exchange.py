"""Records of the store between nodes: one that has lost some asks a peer for those of a range of keys.

What comes is checked by who asked (`ledger.mending`): a peer may be behind or ahead, so a record that is of no use here
is no lie. Records out of order or out of the range are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final

from ledger.mending import Record
from node.ports import Cancelable, Clock, ExecutorPort, Links
from node.token_buckets import TokenBuckets
from node.wire import RecordsAnswer, RecordsRequest, encode_sync
from p2p.channels import Channel

ANSWER_TIMEOUT_MS: Final = 2_000
SERVED_AT_ONCE_MAX: Final = 2
"""Requests of one peer that wait for the ledger; more are dropped."""
REQUESTS_PER_SECOND: Final = 100
"""Requests of one peer that are heard; for further ones the ledger's thread has no time. A correct one waits for each
answer, and asks somebody else when none comes."""
PEERS_MAX: Final = 1_024
"""Peers whose requests are counted."""

Told = Callable[[list[Record] | None], None]
"""Hears what a peer has; None where it says nothing in time, or there is none to ask."""


class RecordExchange:
    """Asks one peer at a time, and answers all. Belongs to the deciding thread."""

    def __init__(self, clock: Clock, links: Links, executor: ExecutorPort) -> None:
        self._clock = clock
        self._links = links
        self._executor = executor
        self._serving: dict[str, int] = {}
        self._rates = TokenBuckets(REQUESTS_PER_SECOND, PEERS_MAX)
        self._number = 0
        self._asked: tuple[str, int, bytes, bytes, Told] | None = None
        self._timer: Cancelable | None = None
        self._stopped = False

    def ask(self, turn: int, height: int, first: bytes, behind: bytes, told: Told) -> None:
        """Ask the peer whose turn it is, counted from 0, for records from `first` to below `behind`, those of the state
        as after block `height`."""
        # In another order for other records: nobody is first for all of them, whatever node ids he has made.
        peers = sorted(self._links.connected(), key=lambda peer: hashlib.sha256(first + peer.encode()).digest())
        self._answered(None)
        if self._stopped or turn >= len(peers):
            told(None)
            return
        self._number += 1
        peer = peers[turn]
        self._asked = (peer, self._number, first, behind, told)
        self._timer = self._clock.call_later(ANSWER_TIMEOUT_MS, lambda: self._answered(None))
        self._links.send(peer, Channel.SYNC, encode_sync(RecordsRequest(self._number, height, first, behind)))

    def on_answer(self, peer: str, answer: RecordsAnswer) -> None:
        if self._asked is None or self._asked[:2] != (peer, answer.request):
            return
        _, _, first, behind, _ = self._asked
        keys = [key for key, _ in answer.records]
        rising = all(earlier < later for earlier, later in pairwise(keys))
        if not rising or (keys and not first <= keys[0] <= keys[-1] < behind):
            self._links.misbehaved(peer, "told records that it was not asked for")
            self._answered(None)
        else:
            self._answered(list(answer.records))

    def serve(self, peer: str, request: RecordsRequest) -> None:
        """Tell a peer what is here of a range."""
        if self._stopped or self._serving.get(peer, 0) >= SERVED_AT_ONCE_MAX or request.first >= request.behind:
            return
        if not self._rates.take(peer, self._clock.now_ms() / 1_000):
            return
        self._serving[peer] = self._serving.get(peer, 0) + 1

        def found(result: Any, error: BaseException | None) -> None:
            self._serving[peer] -= 1
            if not self._serving[peer]:
                del self._serving[peer]
            if not self._stopped and error is None:
                self._links.send(peer, Channel.SYNC, encode_sync(RecordsAnswer(request.request, tuple(result))))

        self._executor.call("tell_records", (request.first, request.behind, request.height), found)

    def stop(self) -> None:
        self._stopped = True
        self._answered(None)

    def _answered(self, records: list[Record] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        asked, self._asked = self._asked, None
        if asked is not None:
            asked[-1](records)

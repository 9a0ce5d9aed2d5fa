"""Offering the load.

At a rate, the load is open: every request is sent when it is due, whatever became of earlier ones, and its latency
counts from when it was due. A network that stalls is then charged for everything that was due meanwhile, not for the
one request that a waiting client would have sent (coordinated omission).

A saturated run asks for the most that the network commits. Offering above that without bound would fill every queue and
measure refusals. Here so many transactions are kept on their way that no validator's pool runs empty: a new request is
sent when a certified block, or a refusal, has made room. Latency then counts from the sending, and by Little's law is
about the number on their way divided by the throughput; it says nothing about a network that is not saturated.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy
from numpy.typing import NDArray

from benchmarks.generator.bundles import Bundles
from benchmarks.generator.connection import Answer
from benchmarks.generator.nodes import Validators, Waiting
from benchmarks.generator.plan import Fate, Plan
from benchmarks.generator.signing import SignedChunk

CONNECTIONS_AT_START: Final = 8
"""To each validator; more are opened when they are all busy."""
UNANSWERED: Final = "connection.lost"
ANSWERS_WAIT_S: Final = 15.0
"""How long answers are waited for after the last request."""
EXPIRY_MARGIN_MS: Final = 15_000
"""A chunk that expires sooner is not begun."""
_ALL_TAKEN: Final = b'"refused":{}'

ChunkSource = Callable[[int], SignedChunk | Bundles | None]
"""The chunk that holds a request, when it is signed."""


class _Batch(msgspec.Struct):
    refused: dict[str, list[int]]


class _Problem(msgspec.Struct):
    code: str = "unknown"


class Ledger:
    """What became of every request and transaction: columns, by number."""

    def __init__(self, due_ns: NDArray[numpy.int64], transactions_each: int) -> None:
        requests = len(due_ns)
        self.each = transactions_each
        self.due_ns = due_ns
        self.sent_ns = numpy.zeros(requests, dtype=numpy.int64)
        self.answered_ns = numpy.zeros(requests, dtype=numpy.int64)
        self.node = numpy.full(requests, -1, dtype=numpy.int8)
        self.fate = numpy.zeros(requests * transactions_each, dtype=numpy.uint8)
        self.codes: list[str] = []

    def settle(self, request: int, answer: Answer | None) -> int:
        """Note an answer; return how many of its transactions were taken."""
        first, last = request * self.each, (request + 1) * self.each
        if answer is None:
            self.fate[first:last] = Fate.UNANSWERED
            return 0
        self.answered_ns[request] = time.monotonic_ns()
        if answer.status != 200:
            self.fate[first:last] = self._code(_problem(answer.body))
            return 0
        self.fate[first:last] = Fate.ACKNOWLEDGED
        if _ALL_TAKEN in answer.body:
            return self.each
        refused = msgspec.json.decode(answer.body, type=_Batch).refused
        for code, positions in refused.items():
            self.fate[[first + at for at in positions]] = self._code(code)
        return self.each - sum(map(len, refused.values()))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "due_ns": self.due_ns,
            "sent_ns": self.sent_ns,
            "answered_ns": self.answered_ns,
            "node": self.node,
            "fate": self.fate,
        }

    def _code(self, code: str) -> int:
        if code not in self.codes:
            self.codes.append(code)
        return min(255, Fate.REFUSED + self.codes.index(code))


class Offering:
    """One run: from the first request until the last answer."""

    def __init__(self, plan: Plan, ledger: Ledger, chunk: ChunkSource) -> None:
        self._plan = plan
        self._ledger = ledger
        self._chunk = chunk
        self._validators = Validators(plan.urls, self._on_node_lost)
        self._current: SignedChunk | Bundles | None = None
        self._next = 0
        self._in_flight = 0
        self._on_the_way = 0
        """Transactions taken or sent, and not certified as far as is known."""
        self._ends_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._share = max(1, plan.outstanding // plan.transactions // max(1, len(plan.urls)))
        """Requests that one validator may leave unanswered in a saturated run."""
        self.began_ns = 0
        self.starved = 0
        """Times that a request was wanted and none was signed."""

    async def connect(self) -> None:
        """Open connections before the time counts."""
        for node in self._validators.nodes:
            for _ in range(CONNECTIONS_AT_START):
                node.connect()
        await asyncio.sleep(0.1)

    async def run(self) -> None:
        """Offer the load until its end, and wait for what is unanswered."""
        loop = asyncio.get_running_loop()
        self.began_ns = time.monotonic_ns()
        self._ledger.due_ns += self.began_ns
        began_s = loop.time()
        self._ends_s = began_s + self._plan.total_s
        self._pump()
        await asyncio.sleep(max(0.0, self._ends_s - loop.time()))
        if self._timer is not None:
            self._timer.cancel()
        deadline_s = loop.time() + ANSWERS_WAIT_S
        while self._in_flight and loop.time() < deadline_s:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.02)
        for node in self._validators.nodes:
            node.close()

    @property
    def offered(self) -> int:
        """Requests so far."""
        return self._next

    def on_certified(self, transactions: int) -> None:
        """Room was made."""
        self._on_the_way = max(0, self._on_the_way - transactions)
        if self._plan.outstanding:
            self._pump()

    def _on_node_lost(self) -> None:
        """What a dead node had taken may never be certified: its share must not keep the others waiting."""
        count = len(self._validators.nodes)
        self._on_the_way -= self._on_the_way // max(1, count)

    # --- sending

    def _pump(self) -> None:
        """Send what is due, or what there is room for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        again_s = self._fill(loop.time()) if self._plan.outstanding else self._keep_schedule()
        if again_s is not None and loop.time() + again_s < self._ends_s:
            self._timer = loop.call_later(again_s, self._pump)

    def _keep_schedule(self) -> float | None:
        due, now_ns = self._ledger.due_ns, time.monotonic_ns()
        while self._next < len(due):
            wait_ns = int(due[self._next]) - now_ns
            if wait_ns > 0:
                return wait_ns / 1e9
            if not self._send_next(None):
                return 0.005
            now_ns = time.monotonic_ns()
        return None

    def _fill(self, now_s: float) -> float | None:
        each = self._ledger.each
        while self._on_the_way + each <= self._plan.outstanding and now_s < self._ends_s:
            # Who has stopped answering must not end up with everything that is on its way.
            node = self._validators.choose(now_s, self._share)
            if node is None:
                break
            if self._next >= len(self._ledger.due_ns):
                self.starved += 1
                break
            if not self._send_next(node):
                break
        # Answers and blocks call again; this is for when there are none.
        return 0.05

    def _send_next(self, node: int | None) -> bool:
        """Send one request; False when none is signed or nobody would take it."""
        loop = asyncio.get_running_loop()
        chosen = self._validators.choose(loop.time()) if node is None else node
        if chosen is None:
            chosen = 0  # all are down: it is due nevertheless, and its fate will tell
        body = self._body()
        if body is None:
            self.starved += 1
            return False
        request, ledger = self._next, self._ledger
        self._next += 1
        self._in_flight += 1
        self._on_the_way += ledger.each
        if self._plan.outstanding:
            ledger.due_ns[request] = time.monotonic_ns()
        self._offer(request, body, chosen, len(self._validators.nodes))
        return True

    def _offer(self, request: int, body: memoryview, chosen: int, attempts: int) -> None:
        """Give a request to a validator; to another one where it could not even be sent."""
        ledger, node = self._ledger, self._validators.nodes[chosen]
        ledger.node[request] = chosen
        node.unanswered += 1

        def sent() -> None:
            ledger.sent_ns[request] = time.monotonic_ns()

        def answered(answer: Answer | None) -> None:
            node.unanswered -= 1
            if answer is None and not ledger.sent_ns[request] and attempts > 1:
                other = self._validators.choose(asyncio.get_running_loop().time())
                if other is not None:
                    self._offer(request, body, other, attempts - 1)
                    return
            self._on_answer(request, answer)

        node.offer(Waiting(body, sent, answered))

    def _body(self) -> memoryview | None:
        current = self._current
        if current is None or self._next >= current.chunk.first + current.chunk.requests:
            current = self._current = self._fresh_chunk()
        return None if current is None else current.body(self._next)

    def _fresh_chunk(self) -> SignedChunk | Bundles | None:
        while self._next < len(self._ledger.due_ns):
            chunk = self._chunk(self._next)
            if chunk is None or chunk.expires_at_ms > time.time() * 1000 + EXPIRY_MARGIN_MS:
                return chunk
            if not self._plan.outstanding:
                return chunk  # it is due, and too old: the network will say so
            self._next = chunk.chunk.first + chunk.chunk.requests
        return None

    def _on_answer(self, request: int, answer: Answer | None) -> None:
        self._in_flight -= 1
        taken = self._ledger.settle(request, answer)
        self._on_the_way = max(0, self._on_the_way - (self._ledger.each - taken))
        if not self._plan.outstanding:
            return
        if answer is not None and answer.retry_after_s:
            node = self._validators.nodes[int(self._ledger.node[request])]
            node.paused_until_s = asyncio.get_running_loop().time() + answer.retry_after_s
        self._pump()


def _problem(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Problem).code
    except msgspec.MsgspecError:
        return "unknown"

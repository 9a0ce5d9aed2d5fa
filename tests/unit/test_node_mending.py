"""How a node gets lost records back while it runs: who is asked, how long, and what the request sees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from node_core_kit import Clock, Executor, Links

from ledger.errors import Damage, StorageError
from ledger.mending import Record
from ledger.scrubbing import STEP_BYTES_MAX, ScrubStep
from node.executor import ThreadExecutor
from node.mender import MENDS_MAX, PEERS_ASKED_MAX, USELESS_ANSWERS_MAX, Mender
from node.record_exchange import ANSWER_TIMEOUT_MS, REQUESTS_PER_SECOND, SERVED_AT_ONCE_MAX, RecordExchange
from node.scrubber import INTERVAL_MS_MAX, INTERVAL_MS_MIN, Scrubber
from node.token_buckets import BURST_FACTOR
from node.wire import RecordsAnswer, RecordsRequest, decode_sync
from p2p.channels import Channel

HEIGHT = 7
"""Of the node that mends itself."""


class Store:
    """What `ChainService` says of records."""

    def tell_records(self, first: bytes, behind: bytes, height: int) -> list[Record]:
        assert height == HEIGHT
        return [(key, b"value") for key in (b"a", b"b", b"c") if first <= key < behind]


@pytest.fixture
def links() -> Links:
    return Links("p1", "p2")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def exchange(clock: Clock, links: Links) -> RecordExchange:
    return RecordExchange(clock, links, Executor(Store()))


def last(links: Links) -> tuple[str, Any]:
    peer, channel, payload = links.sent[-1]
    assert channel is Channel.SYNC
    return peer, decode_sync(payload)


def test_a_peer_is_told_what_is_here_of_a_range(exchange: RecordExchange, links: Links) -> None:
    exchange.serve("p1", RecordsRequest(7, HEIGHT, b"a", b"c"))
    assert last(links) == ("p1", RecordsAnswer(7, ((b"a", b"value"), (b"b", b"value"))))
    exchange.serve("p1", RecordsRequest(8, HEIGHT, b"b", b"b"))
    assert len(links.sent) == 1, "an empty range asks for nothing"


def test_a_peer_that_asks_without_end_waits(clock: Clock, links: Links) -> None:
    """N8"""
    executor = Executor(Store(), held=True)
    exchange = RecordExchange(clock, links, executor)
    for request in range(10):
        exchange.serve("p1", RecordsRequest(request, HEIGHT, b"a", b"c"))
    exchange.serve("p2", RecordsRequest(1, HEIGHT, b"a", b"c"))
    assert len(executor.calls) == SERVED_AT_ONCE_MAX + 1
    executor.go_on()
    exchange.serve("p1", RecordsRequest(99, HEIGHT, b"a", b"c"))
    assert len(executor.calls) == SERVED_AT_ONCE_MAX + 2


def test_a_peer_that_asks_faster_than_any_correct_one_is_heard_now_and_then(clock: Clock, links: Links) -> None:
    """N8: each of its requests is short, and all of them together would take the ledger's thread from consensus."""
    exchange = RecordExchange(clock, links, Executor(Store()))

    def flood() -> int:
        before = len(links.sent)
        for request in range(10 * REQUESTS_PER_SECOND):
            exchange.serve("p1", RecordsRequest(request, HEIGHT, b"a", b"c"))
        return len(links.sent) - before

    assert flood() == BURST_FACTOR * REQUESTS_PER_SECOND
    assert flood() == 0
    exchange.serve("p2", RecordsRequest(1, HEIGHT, b"a", b"c"))
    assert last(links)[0] == "p2", "others are heard"
    clock.advance(1_000)
    assert flood() == REQUESTS_PER_SECOND


def test_one_peer_is_asked_and_its_answer_is_heard_once(exchange: RecordExchange, links: Links) -> None:
    heard: list[Any] = []
    exchange.ask(1, HEIGHT, b"a", b"c", heard.append)
    peer, request = last(links)
    (other,) = {"p1", "p2"} - {peer}
    assert (request.first, request.behind) == (b"a", b"c")
    answer = RecordsAnswer(request.request, ((b"a", b"1"),))
    exchange.on_answer(other, answer)
    exchange.on_answer(peer, RecordsAnswer(request.request + 1, ()))
    assert heard == []
    exchange.on_answer(peer, answer)
    exchange.on_answer(peer, answer)
    assert heard == [[(b"a", b"1")]]
    assert links.complaints == []


@pytest.mark.parametrize(
    "records", [((b"c", b""),), ((b"0", b""),), ((b"b", b""), (b"a", b"")), ((b"a", b""), (b"a", b""))]
)
def test_a_peer_that_tells_what_was_not_asked_is_named(
    exchange: RecordExchange, links: Links, records: tuple[tuple[bytes, bytes], ...]
) -> None:
    heard: list[Any] = []
    exchange.ask(0, HEIGHT, b"a", b"c", heard.append)
    asked, request = last(links)
    exchange.on_answer(asked, RecordsAnswer(request.request, records))
    assert heard == [None]
    assert [peer for peer, _ in links.complaints] == [asked]


def test_no_peer_is_asked_first_about_everything(exchange: RecordExchange, links: Links) -> None:
    """N8: whoever registers nodes with the lowest ids would otherwise be asked about all damage, and nobody else."""
    first = set()
    for number in range(64):
        asked = []
        for turn in (0, 1):
            exchange.ask(turn, HEIGHT, b"%d" % number, b"x", lambda _: None)
            asked.append(last(links)[0])
        assert sorted(asked) == ["p1", "p2"]
        first.add(asked[0])
    assert first == {"p1", "p2"}


def test_silence_and_nobody_to_ask_are_answered_too(exchange: RecordExchange, links: Links, clock: Clock) -> None:
    heard: list[Any] = []
    exchange.ask(0, HEIGHT, b"a", b"c", heard.append)
    clock.advance(ANSWER_TIMEOUT_MS)
    assert heard == [None]
    exchange.ask(2, HEIGHT, b"a", b"c", heard.append)
    exchange.ask(0, HEIGHT, b"a", b"c", heard.append)
    exchange.stop()
    exchange.ask(0, HEIGHT, b"a", b"c", heard.append)
    assert heard == [None] * 4
    assert clock.timers == 0


class Service:
    """A ledger that misses records until they are put back."""

    def __init__(self, missing: dict[bytes, bytes], *, physical: bool = False) -> None:
        self.missing = dict(missing)
        self.made: list[tuple[bytes, bytes, bytes]] = []
        self.physical = physical
        self.reads = 0

    def head(self) -> str:
        return "head"

    def read(self) -> str:
        self.reads += 1
        for key in sorted(self.missing):
            raise Damage(key, key + b"\x00", "lost", physical=self.physical)
        return "sound"

    def take_records(self, records: list[Record], wrong: bytes) -> int:
        assert wrong in (b"", *self.missing)
        taken = [key for key, value in records if self.missing.get(key) == value]
        for key in taken:
            del self.missing[key]
        return len(taken)

    def height_to_mend(self) -> int:
        return HEIGHT

    def make_records(self, first: bytes, behind: bytes, wrong: bytes) -> int:
        self.made.append((first, behind, wrong))
        return 0


class Node:
    """An executor with a mender; peers answer at once with what they hold."""

    def __init__(self, service: Service, *peers: dict[bytes, bytes]) -> None:
        self.fatal: list[BaseException] = []
        self.answers: list[Any] = []
        self.asked: list[int] = []
        self.peers = peers
        self.mender = Mender(self.post)
        self.mender.ask = self.ask
        self.executor = ThreadExecutor(lambda: service, self.post, self.fatal.append, self.mender)  # type: ignore[arg-type, return-value]
        self.executor.start(lambda _, error: self.answers.append(error))

    def post(self, callback: Callable[[], None]) -> None:
        callback()

    def ask(
        self, turn: int, height: int, first: bytes, behind: bytes, told: Callable[[list[Record] | None], None]
    ) -> None:
        assert height == HEIGHT
        self.asked.append(turn)
        held = self.peers[turn] if turn < len(self.peers) else {}
        told([(key, value) for key, value in sorted(held.items()) if first <= key < behind] or None)

    def read(self, method: str = "read") -> None:
        self.executor.call(method, (), lambda result, error: self.answers.append(error or result))
        self.executor.call("head", (), lambda _, __: None)

    def end(self) -> None:
        """Wait for what was asked."""
        import threading

        done = threading.Event()
        self.executor.call("head", (), lambda *_: done.set())
        assert done.wait(30)
        self.executor.stop()


TRUE = {b"a": b"1", b"b": b"2", b"c": b"3"}


def test_a_request_that_meets_damage_is_answered_when_it_is_mended() -> None:
    """D1: liars first, then one who knows; the asker sees nothing of it."""
    service = Service(TRUE)
    node = Node(service, dict.fromkeys(TRUE, b"lie"), {}, TRUE)
    node.read()
    node.end()
    assert node.answers == [None, "sound"]
    assert node.fatal == []
    assert (service.reads, node.mender.found, node.mender.mended) == (4, 3, 3)
    assert node.asked == [0, 1, 2] * 3


def test_a_mended_file_ends_the_life_and_the_answer_is_given_first() -> None:
    service = Service({b"a": b"1"}, physical=True)
    node = Node(service, TRUE)
    node.read()
    node.end()
    assert node.answers == [None, "sound"]
    (error,) = node.fatal
    assert isinstance(error, StorageError)
    assert error.code == "storage.rewrite"


def test_a_peer_that_makes_up_records_without_end_is_left_for_another() -> None:
    """N8: each answer is in order, in the range, and good for nothing."""
    service = Service({b"a": b"1"})

    class Endless(Node):
        def ask(
            self, turn: int, height: int, first: bytes, behind: bytes, told: Callable[[list[Record] | None], None]
        ) -> None:
            if turn:
                super().ask(turn, height, first, behind, told)
            else:
                self.asked.append(turn)
                told([(first + b"\x00", b"lie")])

    node = Endless(service, {}, TRUE)
    service.read = lambda: "sound" if not service.missing else _raise(Damage(b"a", b"b", "lost", physical=False))  # type: ignore[method-assign]
    node.read()
    node.end()
    assert node.answers == [None, "sound"]
    assert node.asked == [0] * USELESS_ANSWERS_MAX + [1, 1]


def _raise(error: Exception) -> str:
    raise error


def test_of_a_damaged_file_every_peer_is_asked() -> None:
    """D1: what one has otherwise by now another may still have as it was here."""
    service = Service({b"a": b"1", b"b": b"2"}, physical=True)
    service.read = lambda: "sound" if b"a" not in service.missing else _raise(Damage(b"a", b"c", "lost", physical=True))  # type: ignore[method-assign]
    node = Node(service, {b"a": b"1", b"b": b"later"}, TRUE)
    node.read()
    node.end()
    assert node.answers == [None, "sound"]
    assert service.missing == {}


def test_what_nobody_has_ends_the_life_with_the_damage() -> None:
    service = Service(TRUE)
    node = Node(service, {}, {})
    node.read()
    node.end()
    assert [type(error) for error in node.fatal] == [Damage]
    assert isinstance(node.answers[1], Damage)
    assert node.asked == list(range(PEERS_ASKED_MAX))
    assert service.made == [(b"a", b"a\x00", b"a")]


def test_a_mender_without_links_or_of_a_stopping_node_asks_nobody() -> None:
    service = Service(TRUE)
    node = Node(service, TRUE)
    node.mender.ask = None
    node.read()
    node.end()
    assert [type(error) for error in node.fatal] == [Damage]
    assert node.asked == []
    assert not node.mender.mend(service, Damage(b"a", b"b", "", physical=False))  # type: ignore[arg-type]


def test_one_request_is_mended_so_often_and_no_more() -> None:
    class Endless(Service):
        def take_records(self, records: list[Record], wrong: bytes) -> int:
            return 1

    service = Endless({b"a": b"1"})
    node = Node(service, TRUE)
    node.read()
    node.end()
    assert service.reads == MENDS_MAX + 1
    assert [type(error) for error in node.fatal] == [Damage]


class Steps:
    """A ledger of so many steps."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[bytes] = []

    def scrub(self, cursor: bytes) -> ScrubStep:
        self.asked.append(cursor)
        at = int(cursor or b"0") + 1
        return ScrubStep(b"" if at == self.count else b"%d" % at, 10, STEP_BYTES_MAX)


def test_the_scrub_reads_everything_in_its_time_again_and_again(clock: Clock, links: Links) -> None:
    """D7"""
    steps = Steps(100)
    scrubber = Scrubber(clock, links, Executor(steps), 3_600, lambda: 100 * STEP_BYTES_MAX)
    scrubber.start()
    clock.advance(3_600_000)
    assert scrubber.passes == 1
    assert steps.asked[:3] == [b"", b"1", b"2"]
    clock.advance(3_600_000)
    assert scrubber.passes == 2
    assert scrubber.read_bytes >= 200 * STEP_BYTES_MAX
    count = len(steps.asked)
    scrubber.stop()
    clock.advance(3_600_000)
    assert len(steps.asked) == count


def test_the_scrub_has_a_slowest_and_a_fastest_pace(clock: Clock, links: Links) -> None:
    steps = Steps(10**6)
    scrubber = Scrubber(clock, links, Executor(steps), 1, lambda: 10**12)
    scrubber.start()
    clock.advance(100 * INTERVAL_MS_MIN)
    assert len(steps.asked) == 100
    scrubber.stop()
    slow = Scrubber(clock, links, Executor(Steps(10)), 31_536_000, lambda: 0)
    slow.start()
    clock.advance(10 * INTERVAL_MS_MAX)
    assert slow.passes == 1
    slow.stop()


def test_the_scrub_waits_while_nobody_could_help_and_ends_with_the_ledger(clock: Clock) -> None:
    steps = Steps(3)
    links = Links()
    scrubber = Scrubber(clock, links, Executor(steps), 1, lambda: 1)
    scrubber.start()
    clock.advance(60_000)
    assert steps.asked == []
    links.peers.append("p1")
    clock.advance(60_000)
    assert scrubber.passes > 1
    scrubber.stop()
    off = Scrubber(clock, links, Executor(Steps(1)), 0, lambda: 1)
    off.start()
    assert clock.timers == 0

    class Failing:
        def scrub(self, cursor: bytes) -> ScrubStep:
            raise StorageError("storage.failed", "gone")

    ended = Scrubber(clock, links, Executor(Failing()), 1, lambda: 1)
    ended.start()
    clock.advance(60_000)
    assert clock.timers == 0

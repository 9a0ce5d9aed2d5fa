"""The generator against a server that is slow, refuses, breaks off or falls silent; relays that delay; late chunks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy
import pytest

from benchmarks.errors import BenchError
from benchmarks.generator.connection import Answer, Connection, request_head
from benchmarks.generator.following import Follower
from benchmarks.generator.offering import Ledger, Offering
from benchmarks.generator.plan import Fate, Plan
from benchmarks.generator.signing import Chunk
from benchmarks.results.schema import Configuration
from benchmarks.running.delays import Relay, one_way_ms, serve

Handle = Callable[[bytes], Awaitable[bytes]]
BODY = msgspec.msgpack.encode([b"a", b"b"])


def taken(count: int, code: str = "") -> bytes:
    """What `POST /v1/transactions:batch` answers; with a code, all are refused."""
    refused = {code: list(range(count))} if code else {}
    body = msgspec.json.encode({"taken": 0 if code else count, "refused": refused})
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


REFUSED = (
    b'HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\ncontent-length: 20\r\nConnection: close\r\n\r\n{"code":"pool.full"}'
)


class Signed:
    """Endless requests of two transactions."""

    chunk = Chunk(0, 0, 1_000_000)
    expires_at_ms = 2**53

    def body(self, request: int) -> memoryview:
        return memoryview(BODY)


@asynccontextmanager
async def server(handle: Handle) -> AsyncIterator[str]:
    """A server that answers each request with what `handle` makes of its body; empty closes the connection."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                answer = await handle(await reader.readexactly(length))
                if not answer:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    made = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{made.sockets[0].getsockname()[1]}"
    finally:
        made.close()


def offering(
    urls: tuple[str, ...], due_ms: list[int], *, total_s: float, outstanding: int = 0
) -> tuple[Offering, Ledger]:
    asked = Configuration(warmup_s=0.0, duration_s=total_s, batch_submit=2)
    plan = Plan(asked, bytes(32), 120_000, (), bytes(16), urls, b"\x80", 1.0, outstanding, False)
    ledger = Ledger(numpy.array(due_ms, dtype=numpy.int64) * 1_000_000, 2)
    return Offering(plan, ledger, lambda _: Signed()), ledger  # type: ignore[arg-type, return-value]  # enough of one


def offer(handle: Handle, due_ms: list[int], **options: Any) -> Ledger:
    async def run() -> Ledger:
        async with server(handle) as url:
            made, ledger = offering((url,), due_ms, **options)
            await made.connect()
            await made.run()
            return ledger

    return asyncio.run(run())


def test_requests_are_sent_when_due_though_earlier_ones_are_not_answered() -> None:
    """A server that stalls for 300 ms delays nobody's sending, and every latency counts from when it was due."""
    release = 0.0

    async def stall(body: bytes) -> bytes:
        await asyncio.sleep(max(0.0, release - time.monotonic()))
        return taken(2)

    release = time.monotonic() + 0.6
    ledger = offer(stall, [0, 50, 100, 150], total_s=0.3)
    late_ms = (ledger.sent_ns - ledger.due_ns) / 1e6
    assert (late_ms < 150).all()
    assert (late_ms >= 0).all()
    assert (ledger.answered_ns > ledger.sent_ns).all()
    assert set(ledger.fate) == {Fate.ACKNOWLEDGED}


def test_refusals_are_counted_by_their_codes() -> None:
    answers = iter([taken(2), REFUSED, taken(2, "pool.full"), taken(2, "transaction.expired"), taken(2)])

    async def answer(body: bytes) -> bytes:
        return next(answers)

    ledger = offer(answer, [0, 20, 40, 60, 80], total_s=0.2)
    assert ledger.codes == ["pool.full", "transaction.expired"]
    full, expired = Fate.REFUSED, Fate.REFUSED + 1
    assert ledger.fate.tolist() == [1, 1, full, full, full, full, expired, expired, 1, 1]


def test_a_broken_connection_leaves_the_outcome_open() -> None:
    answers = iter([taken(2), b"", taken(2)])

    async def answer(body: bytes) -> bytes:
        return next(answers)

    ledger = offer(answer, [0, 30, 60], total_s=0.3)
    assert ledger.fate.tolist() == [1, 1, Fate.UNANSWERED, Fate.UNANSWERED, 1, 1]
    assert ledger.answered_ns[1] == 0


def test_a_saturated_run_keeps_no_more_on_the_way_than_it_may() -> None:
    """Nothing more is sent until certified blocks make room; then as much as there is room for."""
    seen = 0

    async def answer(body: bytes) -> bytes:
        nonlocal seen
        seen += 1
        return taken(2)

    async def run() -> None:
        async with server(answer) as url:
            made, _ = offering((url,), [0] * 100, total_s=0.6, outstanding=10)
            await made.connect()
            running = asyncio.ensure_future(made.run())
            await asyncio.sleep(0.2)
            assert seen == 5
            made.on_certified(6)
            await asyncio.sleep(0.2)
            assert seen == 8
            await running
            assert made.offered == 8

    asyncio.run(run())


def test_who_is_down_is_passed_over_and_what_waited_for_it_goes_on() -> None:
    async def answer(body: bytes) -> bytes:
        return taken(2)

    async def run() -> Ledger:
        async with server(answer) as url:
            made, ledger = offering(("http://127.0.0.1:9", url), [10 * at for at in range(20)], total_s=0.4)
            await made.connect()
            await made.run()
            return ledger

    ledger = asyncio.run(run())
    assert set(ledger.node.tolist()) == {1}
    assert set(ledger.fate) == {Fate.ACKNOWLEDGED}


def test_an_answer_in_pieces_is_put_together_and_the_next_one_begins_where_it_ended() -> None:
    answers: list[Answer | None] = []
    connection = Connection(lambda _: None, lambda _: None)

    class Transport:
        def writelines(self, parts: list[bytes]) -> None:
            pass

    connection.connection_made(Transport())  # type: ignore[arg-type]  # enough of one
    data = taken(1) + taken(2, "pool.full")
    for expected in (1, 2):
        connection.send(request_head("here", "/", 2), b"ab", answers.append)
        for byte in range(len(taken(expected, "" if expected == 1 else "pool.full"))):
            connection.data_received(data[byte : byte + 1])
        data = data[len(taken(1)) :]
    assert [answer.status for answer in answers if answer is not None] == [200, 200]
    assert [answer.body.count(b"pool.full") for answer in answers if answer is not None] == [0, 1]


def test_blocks_are_counted_once_however_many_validators_tell_of_them() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for height in (1, 2):
            event = b'event: block\nid: %d\ndata: {"height":%d,"block_hash":"","count":5}\n\n' % (height, height)
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
        await reader.read()
        writer.close()

    async def run() -> None:
        servers = [await asyncio.start_server(stream, "127.0.0.1", 0) for _ in range(2)]
        urls = tuple(f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}" for one in servers)
        told: list[int] = []
        follower = Follower(urls, told.append)
        follower.start()
        async with asyncio.timeout(10):
            while [sorted(of_one) for of_one in follower.heard] != [[1, 2], [1, 2]]:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.01)
        await follower.stop()
        for one in servers:
            one.close()
        assert told == [5, 5]

    asyncio.run(run())


def test_a_relay_keeps_bytes_for_as_long_as_their_way_takes(unused_port: int) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1_000):
            writer.write(data)
        writer.close()

    async def run() -> None:
        target = await asyncio.start_server(echo, "127.0.0.1", 0)
        relay = Relay(unused_port, target.sockets[0].getsockname()[1], 40.0, 60.0)
        serving = asyncio.ensure_future(serve([relay]))
        async with asyncio.timeout(10):
            while True:
                try:
                    reader, writer = await asyncio.open_connection("127.0.0.1", unused_port)
                    break
                except OSError:
                    await asyncio.sleep(0.01)
            writer.write(b"first")
            assert await reader.readexactly(5) == b"first"
            began = time.monotonic()
            for number in range(20):
                writer.write(b"%03d" % number)
            received = await reader.readexactly(60)
            took_s = time.monotonic() - began
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(0.2)  # the other side hears of it as late as of everything
        assert received == b"".join(b"%03d" % number for number in range(20))
        assert took_s >= 0.1
        serving.cancel()
        target.close()

    asyncio.run(run())


def test_delays_come_from_regions_or_from_a_file(tmp_path: Path) -> None:
    wide = one_way_ms("wan", 4)
    assert all(wide[a][b] > 1 for a in range(4) for b in range(4) if a != b)
    path = tmp_path / "matrix.json"
    path.write_text('{"round_trip_ms": [[0, 80], [70, 0]]}')
    assert one_way_ms(str(path), 2) == [[0, 40], [35, 0]]
    for wrong, code in [("nowhere", "unknown"), (str(path), "malformed")]:
        with pytest.raises(BenchError, match=rf"latency\.{code}"):
            one_way_ms(wrong, 3)


@pytest.fixture
def unused_port() -> int:
    from guildmark.cluster.ports import choose_ports

    return choose_ports(1)[0]


def test_a_validator_that_stops_answering_does_not_get_everything_that_is_on_its_way() -> None:
    answered = 0

    async def answer(body: bytes) -> bytes:
        nonlocal answered
        answered += 1
        return taken(2)

    async def never(body: bytes) -> bytes:
        await asyncio.sleep(1.0)
        return b""

    async def run() -> Ledger:
        async with server(answer) as good, server(never) as silent:
            made, ledger = offering((good, silent), [0] * 1_000, total_s=0.5, outstanding=40)
            await made.connect()
            running = asyncio.ensure_future(made.run())
            for _ in range(20):
                await asyncio.sleep(0.02)
                made.on_certified(2 * answered)  # more than there are: everything that was answered
            await running
            return ledger

    ledger = asyncio.run(run())
    sent_to = ledger.node[ledger.node >= 0].tolist()
    assert sent_to.count(1) == 10  # its share of 40 transactions, two in a request
    assert sent_to.count(0) > 100

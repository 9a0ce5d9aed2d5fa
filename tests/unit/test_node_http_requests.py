"""The API against malformed, oversize, slow and escaping requests. No node: the services are in memory."""

from __future__ import annotations

import asyncio
import zlib

import aiohttp
import msgspec
import pytest
from node_http_kit import problem, served
from yarl import URL

HASH = "ab" * 32
CID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


def run(coroutine: object) -> None:
    asyncio.run(coroutine)  # type: ignore[arg-type]  # any test's coroutine


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "request.no_such_resource"),
        ("GET", "/", 404, "request.no_such_resource"),
        ("GET", "/v1/" + "a/" * 50, 404, "request.no_such_resource"),
        ("DELETE", "/v1/status", 405, "request.method"),
        ("PATCH", "/v1/transactions", 405, "request.method"),
        ("GET", "/v1/transactions/abc", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH.upper()}", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=-1", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=1e3", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=%EF%BC%91%EF%BC%92", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=" + "9" * 5000, 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=1&wait_ms=2", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wiat_ms=1", 400, "request.unknown_field"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=%ff", 400, "request.malformed"),
        ("GET", f"/v1/transactions/{HASH}?wait_ms=%zz", 400, "request.malformed"),
        ("GET", "/v1/blocks/007", 400, "request.malformed"),
        ("GET", "/v1/blocks/" + "9" * 18, 400, "request.malformed"),
        ("GET", "/v1/blocks/3/certificate", 404, "certificate.not_found"),
        ("GET", "/v1/query/no.such", 404, "query.not_found"),
        ("GET", "/v1/query/NoSuch", 400, "request.malformed"),
        ("GET", f"/v1/certificates/assets/{HASH}", 404, "query.not_found"),
        ("GET", "/v1/proofs/xyz", 400, "request.malformed"),
        ("GET", "/v1/proofs/ab?height=x", 400, "request.malformed"),
        ("GET", "/v1/proofs/ab?height=4", 404, "proof.future"),
        ("GET", "/v1/proofs/ab?height=0", 410, "proof.pruned"),
        ("POST", "/v1/development/anything", 404, "request.no_such_resource"),
    ],
)
def test_a_wrong_request_gets_a_problem_with_a_code(method: str, path: str, status: int, code: str) -> None:
    """A1: malformed numbers, names and paths are 400 or 404, never 500."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession(api.url) as session:
            answer = await session.request(method, URL(api.url + path, encoded=True))
            document = problem(await answer.read())
            assert (answer.status, document["code"]) == (status, code)
            assert answer.content_type == "application/problem+json"
            assert document["status"] == status
            assert document["request_id"] == answer.headers["X-Request-Id"]
            if status == 405:
                assert "Allow" in answer.headers

    run(check())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not msgpack",
        b"{}",
        b"\x91" * 60_000,
        b"\xc1",
        b"\x92\xc0\x01",
        msgspec.msgpack.encode(True),
        msgspec.json.encode({"amount": 1}),
        b'{"a": NaN}',
        b'"\\ud800"',
        b"9" * 5000,
    ],
)
def test_a_body_that_is_no_transaction_is_refused(body: bytes) -> None:
    """A1: nesting, foreign types and other formats are refused by the typed decoder."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            for path in ("/v1/transactions", "/v1/transactions/bulk"):
                answer = await session.post(api.url + path, data=body)
                assert answer.status == 400, await answer.text()
                assert problem(await answer.read())["code"] in ("transaction.malformed", "request.malformed")
            assert api.services.submitted == []

    run(check())


def test_bodies_beyond_the_limit_are_refused_without_being_held() -> None:
    """A2: an announced gigabyte, endless chunks, and a body where none belongs."""

    async def check() -> None:
        async with served() as api:
            announced = await api.raw(
                b"POST /v1/transactions HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n" + bytes(1000)
            )
            assert announced.startswith(b"HTTP/1.1 413")
            assert b"request.too_large" in announced
            chunks = b"1\r\na\r\n" * 70_000
            endless = await api.raw(
                b"POST /v1/transactions HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
            )
            assert endless.startswith(b"HTTP/1.1 413")
            surplus = await api.raw(b"GET /v1/genesis HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd")
            assert surplus.startswith(b"HTTP/1.1 413")

    run(check())


def test_a_compressed_body_is_not_unpacked() -> None:
    """A2: a deflate bomb stays a few bytes."""

    async def check() -> None:
        bomb = zlib.compress(bytes(50_000_000), 9)
        async with served() as api, aiohttp.ClientSession() as session:
            answer = await session.post(
                api.url + "/v1/transactions", data=bomb[:60_000], headers={"Content-Encoding": "deflate"}
            )
            assert answer.status == 400
            assert problem(await answer.read())["code"] == "request.encoding"

    run(check())


def test_multipart_forms_are_no_transactions() -> None:
    """A2: ten thousand fields are one body that is too large, or malformed."""

    async def check() -> None:
        form = aiohttp.FormData()
        for index in range(300):
            form.add_field(f"f{index}", "x", content_type="text/plain")
        async with served() as api, aiohttp.ClientSession() as session:
            answer = await session.post(api.url + "/v1/transactions", data=form)
            assert answer.status in (400, 413)
            problem(await answer.read())

    run(check())


@pytest.mark.parametrize(
    "path",
    [
        "/v1/artifacts/../../etc/passwd",
        f"/v1/artifacts/{CID}/blocks/..%2f..%2fetc%2fpasswd",
        f"/v1/artifacts/%2e%2e/blocks/{CID}",
        f"/v1/artifacts/{CID}/blocks/%00",
        f"/v1/artifacts/{CID}/blocks//etc/passwd",
        f"/v1/artifacts/{CID}/blocks/..%5c..%5cwindows",
        f"/v1/artifacts/{CID}/blocks/{CID}%00",
        f"/v1/artifacts/{CID.upper()}/blocks/{CID}",
        f"/v1/artifacts/{CID[:-1]}/blocks/{CID}",
        f"/v1/artifacts/Qm{'a' * 44}/blocks/{CID}",
        f"/v1/artifacts/{CID}/blocks/{CID[:-1]}7",
        f"/v1/artifacts/{CID}/blocks/b{'a' * 58}",
        f"/v1/artifacts/{CID}/blocks/{CID}",
    ],
)
def test_paths_and_cids_never_leave_their_place(path: str) -> None:
    """A4, A5: escapes, absolute paths and other spellings of a CID are 400 or 404; a valid unknown CID is 404."""

    async def check() -> None:
        async with served() as api:
            answer = await api.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            assert answer.split(b" ", 2)[1] in (b"400", b"404"), answer

    run(check())


def test_a_failure_of_ours_shows_no_traceback() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            api.services.crash = True
            answer = await session.get(api.url + "/metrics")
            body = await answer.read()
            assert answer.status == 500
            assert problem(body)["code"] == "node.internal"
            assert b"secret" not in body
            assert b"Traceback" not in body
            api.services.crash = False
            assert (await session.get(api.url + "/metrics")).status == 200

    run(check())


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: nine\r\n\r\n",
        b"\x00" * 200,
    ],
)
def test_what_is_no_http_is_refused_with_a_problem(data: bytes) -> None:
    async def check() -> None:
        async with served(head_deadline_ms=500) as api:
            answer = await api.raw(data)
            assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), answer
            if answer:
                assert b"application/problem+json" in answer

    run(check())


def test_slow_clients_are_cut_off_while_others_are_served() -> None:
    """A3: silent connections, dripping heads, dripping bodies and clients that never read."""

    async def drip(port: int, first: bytes, piece: bytes) -> None:
        """Send `piece` again and again until the node closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        closed = asyncio.ensure_future(reader.read(-1))
        writer.write(first)
        try:
            while not closed.done():
                writer.write(piece)
                await asyncio.wait([closed], timeout=0.05)
            await closed
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def check() -> None:
        limits = {"head_deadline_ms": 400, "body_deadline_ms": 400, "write_deadline_ms": 400}
        async with served(**limits) as api:
            api.services.artifacts.registered[CID] = HASH
            api.services.answers["assets.get", (("asset", HASH),)] = {"visibility": "public"}
            api.services.artifacts.blocks[CID] = bytes(2 << 20)
            body = b"POST /v1/transactions HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
            many = f"GET /v1/artifacts/{CID}/blocks/{CID} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 8
            _, silent = await asyncio.open_connection("127.0.0.1", api.port)
            unread, deaf = await asyncio.open_connection("127.0.0.1", api.port, limit=1)
            deaf.write(many)
            slow = [drip(api.port, b"GET /v1/genesis HTTP/1.1\r\n", b"X-A: b\r\n") for _ in range(20)]
            slow += [drip(api.port, body, b"x") for _ in range(20)]
            async with asyncio.timeout(20), aiohttp.ClientSession() as session:
                waiting = asyncio.gather(*slow)
                for _ in range(20):
                    assert (await session.get(api.url + "/v1/genesis")).status == 200
                await waiting
                while api.server.open_connections > 1:  # noqa: ASYNC110 - nothing tells of a closed connection
                    await asyncio.sleep(0.02)
            del unread
            silent.close()
            deaf.close()

    run(check())


def test_connections_beyond_the_cap_are_closed_at_once() -> None:
    async def check() -> None:
        async with served(connections_max=8) as api:
            held = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(8)]
            for _, writer in held:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            for reader, _ in held:
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            assert await api.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n") == b""
            for _, writer in held:
                writer.close()

    run(check())


def test_many_records_come_with_one_proof_and_the_height_that_it_is_of() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession(api.url) as session:
            for height, at in ((None, 3), (2, 2)):
                body = msgspec.msgpack.encode([[b"k", b"l"], height])
                answer = await session.post("/v1/proofs", data=body)
                assert answer.status == 200
                assert msgspec.msgpack.decode(await answer.read()) == [at, [None, None], b"proof of kl"]

    run(check())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        msgspec.msgpack.encode([[], None]),
        msgspec.msgpack.encode([[b"k"]]),
        msgspec.msgpack.encode([[b"k"], -1]),
        msgspec.msgpack.encode([["k"], None]),
        msgspec.msgpack.encode([[b"k"] * 65, None]),
        msgspec.msgpack.encode([[b"k" * 513], None]),
        msgspec.msgpack.encode([[b"k"], None, None]),
    ],
)
def test_a_request_for_records_that_is_none_is_refused(body: bytes) -> None:
    """A1: too many keys, no keys, other shapes."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession(api.url) as session:
            answer = await session.post("/v1/proofs", data=body)
            assert (answer.status, problem(await answer.read())["code"]) == (400, "request.malformed")

    run(check())

"""Submitting, asking and waiting over HTTP, and streams of blocks. No node: the services are in memory."""

from __future__ import annotations

import asyncio

import aiohttp
import msgspec
import pytest
from node_http_kit import problem, served

from ledger.modules.credits.operations import Transfer
from ledger.transaction import build, transaction_id
from node.http.services import BlockSummary, TransactionState
from node.http.waiters import STREAM_BLOCKS_MAX
from primitives.codec import encode
from primitives.keys import SigningKey

KEY = SigningKey(bytes(range(32)))


def transaction(memo: str = "") -> bytes:
    return build(
        network_id=bytes(32),
        sender=bytes(32),
        key=KEY,
        operations=[Transfer(recipient=bytes(32), amount=1)],
        expires_at_ms=1,
        memo=memo,
    )


def test_a_transaction_is_taken_once_and_sending_it_again_is_harmless() -> None:
    async def check() -> None:
        data = transaction()
        identifier = transaction_id(data).hex()
        async with served() as api, aiohttp.ClientSession() as session:
            first = await session.post(api.url + "/v1/transactions", data=data)
            assert (first.status, await first.json()) == (202, {"id": identifier, "state": "pending"})
            again = await session.post(api.url + "/v1/transactions", data=data)
            assert (again.status, await again.json()) == (200, {"id": identifier, "state": "pending"})
            assert len(api.services.submitted) == 1

    asyncio.run(check())


def test_a_bad_signature_is_refused_with_the_id_it_would_have_had() -> None:
    async def check() -> None:
        data = bytearray(transaction())
        data[-1] ^= 1
        async with served() as api, aiohttp.ClientSession() as session:
            answer = await session.post(api.url + "/v1/transactions", data=bytes(data))
            document = problem(await answer.read())
            assert (answer.status, document["code"]) == (400, "transaction.bad_signature")
            assert document["id"] == transaction_id(bytes(data)).hex()

    asyncio.run(check())


def test_a_batch_is_answered_by_what_was_refused_of_it() -> None:
    async def check() -> None:
        good, other = transaction("a"), transaction("b")
        async with served() as api, aiohttp.ClientSession() as session:
            url = api.url + "/v1/transactions:batch"
            answer = await session.post(url, data=encode([good, b"junk", good, other]))
            assert await answer.json() == {"taken": 3, "refused": {"transaction.malformed": [1]}}
            assert (await (await session.post(url, data=encode([b"junk"]))).json())["taken"] == 0
            api.services.full = True
            full = await session.post(url, data=encode([good, other]))
            assert (full.status, full.headers["Retry-After"]) == (429, "1")
            assert (await full.json())["refused"] == {"pool.full": [0, 1]}
            assert (await session.post(url, data=encode({"a": 1}))).status == 400

    asyncio.run(check())


def test_a_bulk_submission_judges_each_transaction_for_itself() -> None:
    async def check() -> None:
        good, other = transaction("a"), transaction("b")
        async with served() as api, aiohttp.ClientSession() as session:
            answer = await session.post(api.url + "/v1/transactions/bulk", data=encode([good, b"junk", good, other]))
            results = (await answer.json())["results"]
            assert [result["code"] for result in results] == ["", "transaction.malformed", "", ""]
            assert [result["id"] for result in results] == [
                transaction_id(good).hex(),
                "",
                transaction_id(good).hex(),
                transaction_id(other).hex(),
            ]
            for body in (encode([]), encode([b"x"] * 1001), encode({"a": 1})):
                assert (await session.post(api.url + "/v1/transactions/bulk", data=body)).status == 400

    asyncio.run(check())


def test_a_wait_ends_with_the_certified_outcome_and_not_with_the_execution() -> None:
    async def check() -> None:
        data = transaction()
        identifier = transaction_id(data).hex()
        async with served() as api, aiohttp.ClientSession() as session:
            await session.post(api.url + "/v1/transactions", data=data)
            waiting = asyncio.ensure_future(session.get(f"{api.url}/v1/transactions/{identifier}?wait_ms=20000"))
            while api.api.waiters.waiting == 0:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.005)
            api.services.states[identifier] = TransactionState(identifier, "executed", 6)
            api.api.waiters.wake(identifier)
            api.services.states[identifier] = TransactionState(identifier, "committed", 6, "ab" * 32)
            api.api.waiters.on_certified(BlockSummary(6, "ab" * 32, (identifier,)))
            document = await (await waiting).json()
            assert (document["state"], document["height"]) == ("committed", 6)
            assert api.api.waiters.waiting == 0

    asyncio.run(check())


def test_a_wait_that_runs_out_answers_what_is_known() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            answer = await session.get(f"{api.url}/v1/transactions/{'cd' * 32}?wait_ms=30")
            assert await answer.json() == {"id": "cd" * 32, "state": "unknown"}

    asyncio.run(check())


def test_waits_are_bounded_and_leave_with_their_client() -> None:
    async def check() -> None:
        path = f"/v1/transactions/{'cd' * 32}?wait_ms=30000"
        async with served(waiters_max=8) as api:
            async with aiohttp.ClientSession() as session:
                tasks = [asyncio.ensure_future(session.get(api.url + path)) for _ in range(8)]
                while api.api.waiters.waiting < 8:  # noqa: ASYNC110 - seen from outside
                    await asyncio.sleep(0.005)
                refused = await session.get(api.url + path)
                assert refused.status == 429
                assert problem(await refused.read())["code"] == "pool.waiters"
                assert "Retry-After" in refused.headers
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            while api.api.waiters.waiting:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.005)

    asyncio.run(check())


def test_a_query_can_wait_for_a_height() -> None:
    """A10: an answer names its height, and never describes an older one than was asked for."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            api.services.answers["organizations.list", ()] = []
            waiting = asyncio.ensure_future(session.get(api.url + "/v1/query/organizations.list?at_least=7"))
            while api.api.waiters.waiting == 0:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.005)
            api.services.head = 7
            api.api.waiters.on_executed(7)
            assert (await (await waiting).json())["height"] == 7

    asyncio.run(check())


def test_a_stream_tells_of_certified_blocks_and_ends_for_who_lags() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            async with session.get(api.url + "/v1/events") as stream:
                assert stream.content_type == "text/event-stream"
                assert await stream.content.readline() == b": certified blocks\n"
                assert api.api.waiters.wants_ids
                api.api.waiters.on_certified(BlockSummary(6, "ab" * 32, ("cd" * 32,), 1))
                lines = [await stream.content.readline() for _ in range(4)]
                assert lines[1:3] == [b"event: block\n", b"id: 6\n"]
                assert msgspec.json.decode(lines[3].removeprefix(b"data: ")) == {
                    "height": 6,
                    "block_hash": "ab" * 32,
                    "transactions": ["cd" * 32],
                    "count": 1,
                }
            with api.api.waiters.stream() as lagging:
                for height in range(STREAM_BLOCKS_MAX + 1):
                    api.api.waiters.on_certified(BlockSummary(height, "", ()))
                seen = [block async for block in lagging.blocks(1.0)]
                assert len(seen) == STREAM_BLOCKS_MAX

    asyncio.run(check())


def test_a_stream_without_ids_makes_nobody_collect_them() -> None:
    async def check() -> None:
        async with (
            served() as api,
            aiohttp.ClientSession() as session,
            session.get(api.url + "/v1/events?ids=0") as got,
        ):
            await got.content.readline()
            assert api.api.waiters.listening
            assert not api.api.waiters.wants_ids
            api.api.waiters.on_certified(BlockSummary(6, "ab" * 32, (), 1000))
            lines = [await got.content.readline() for _ in range(4)]
            told = msgspec.json.decode(lines[3].removeprefix(b"data: "))
            assert told == {"height": 6, "block_hash": "ab" * 32, "count": 1000}

    asyncio.run(check())


@pytest.mark.parametrize(("reasons", "status"), [((), 200), (("catching up: 5 of 9",), 503)])
def test_readiness_says_why_not(reasons: tuple[str, ...], status: int) -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            api.services.reasons = reasons
            answer = await session.get(api.url + "/readyz")
            assert answer.status == status
            assert await answer.json() == {"ready": not reasons, "reasons": list(reasons)}
            assert (await session.get(api.url + "/healthz")).status == 200

    asyncio.run(check())


def test_the_specification_names_every_route() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            document = await (await session.get(api.url + "/v1/openapi.json")).json()
            operations = sum(len(path) for path in document["paths"].values())
            assert operations == len(api.api.router.routes)
            assert document["paths"]["/v1/transactions/{id}"]["get"]["parameters"][0]["in"] == "path"

    asyncio.run(check())

"""The route of the search: its parameters, heights that are waited for, and the thread that answers."""

from __future__ import annotations

import asyncio
import re
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ledger.errors import LedgerError
from ledger.search import request
from ledger.search.reader import SearchAnswer
from ledger.search.request import PARAMETERS, Search
from node import search_desk
from node.http import search as route
from node.search_desk import SearchDesk
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import World
from tests.unit.node_http_kit import NOW_MS, problem, served
from tests.unit.search_kit import HOSTILE_TEXTS, Searched

URL = "/v1/search/assets"


def test_the_specification_has_every_parameter_and_the_answers_type() -> None:
    """What is told of a parameter is what its reader takes."""
    assert [word.name for word in route.PARAMETERS] == list(PARAMETERS)

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            document = await (await session.get(api.url + "/v1/openapi.json")).json()
            operation = document["paths"][URL]["get"]
            told = {parameter["name"]: parameter["schema"] for parameter in operation["parameters"]}
            assert set(told) == {*PARAMETERS, "at_least"}
            reference = operation["responses"]["2XX"]["content"]["application/json"]["schema"]["$ref"]
            assert reference.endswith("/SearchAnswer")
            schemas = document["components"]["schemas"]
            assert {"price", "owners", "excerpt"} <= schemas["AssetFound"]["properties"].keys()
            for name, schema in told.items():
                for choice in schema.get("enum", ()):
                    request.read({name: choice})

    asyncio.run(check())


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("owner", account_to_text(bytes(range(32))), "gm2x"),
        ("parent", "ab" * 32, "AB" * 32),
        ("right", "download,inference", "download,"),
        ("price_max", "9223372036854775807", "-1"),
        ("limit", "200", "1000"),
        ("tag", "a,b", ",a"),
    ],
)
def test_a_pattern_takes_what_the_reader_takes(name: str, good: str, bad: str) -> None:
    (word,) = (word for word in route.PARAMETERS if word.name == name)
    assert re.fullmatch(word.pattern, good)
    assert not re.fullmatch(word.pattern, bad)
    request.read({name: good})


def test_a_request_reaches_the_search_checked() -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            query = {"text": "owl wea*", "kind": "model", "price_max": "7", "retired": "any", "sort": "price"}
            answer = await (await session.get(api.url + URL, params=query)).json()
            assert answer == {"height": 5, "block_time_ms": NOW_MS, "items": [], "cursor": None}
            assert api.services.searches == [
                Search(words=("owl", "wea*"), kind="model", price_max=7, retired=None, sort="price")
            ]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("kind=film", "query.argument"),
        ("limit=201", "query.argument"),
        ("cursor=abc", "query.cursor"),
        ("at_least=x", "request.malformed"),
        ("colour=blue", "request.unknown_field"),
        ("text=a&text=b", "request.malformed"),
        ("text=%ff", "request.malformed"),
    ],
)
def test_a_wrong_parameter_is_a_problem_with_a_code(query: str, code: str) -> None:
    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            answer = await session.get(f"{api.url}{URL}?{query}", allow_redirects=False)
            assert answer.status == 400
            assert problem(await answer.read())["code"] == code
            assert api.services.searches == []

    asyncio.run(check())


def test_an_answer_is_of_the_height_that_was_asked_for_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waited for as for any query; and a search that has fallen behind its chain says so."""

    async def check() -> None:
        async with served() as api, aiohttp.ClientSession() as session:
            waiting = asyncio.ensure_future(session.get(api.url + URL + "?at_least=7"))
            while api.api.waiters.waiting == 0:  # noqa: ASYNC110 - seen from outside
                await asyncio.sleep(0.005)
            api.services.head = api.services.searched = 7
            api.api.waiters.on_executed(7)
            assert (await (await waiting).json())["height"] == 7
            api.services.head = 8
            answer = await session.get(api.url + URL + "?at_least=8")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            told = problem(await answer.read())
            assert (told["code"], told["detail"]) == ("query.height", "this node is at height 7, not yet at 8")
            monkeypatch.setattr(route, "AT_LEAST_WAIT_S", 0.01)
            answer = await session.get(api.url + URL + "?at_least=9")
            assert problem(await answer.read())["code"] == "query.height"

    asyncio.run(check())


class _Held:
    """A reader whose search ends when it is told to."""

    def __init__(self, *_: Any) -> None:
        self.gate = threading.Event()

    def search(self, _search: Search) -> SearchAnswer:
        self.gate.wait(60)
        return SearchAnswer(1, 2, (), None)

    def close(self) -> None:
        pass


def test_searches_that_wait_are_bounded_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_desk, "SearchReader", _Held)
    monkeypatch.setattr(search_desk, "SEARCHES_MAX", 3)

    async def check() -> None:
        desk = SearchDesk(Path("unused"))
        under_way = [asyncio.ensure_future(desk.search(Search())) for _ in range(3)]
        await asyncio.sleep(0)
        assert desk.waiting == 3
        with pytest.raises(LedgerError) as caught:
            await desk.search(Search())
        assert caught.value.code == "search.busy"
        desk._reader.gate.set()  # type: ignore[attr-defined]
        assert [answer.height for answer in await asyncio.gather(*under_way)] == [1, 1, 1]
        assert desk.waiting == 0
        desk.stop()

    asyncio.run(check())


def test_the_desk_reads_what_the_owner_of_the_ledger_writes(tmp_path: Path) -> None:
    searched = Searched(World(), tmp_path / "search" / "assets.sqlite")
    searched.world.register("alice", "work")
    searched.follow()

    async def check() -> None:
        desk = SearchDesk(searched.path)
        answer = await desk.search(request.read({"text": "work"}))
        assert (answer.height, [item.name for item in answer.items]) == (1, ["work"])
        searched.world.register("alice", "other work")
        searched.follow()
        answer = await desk.search(request.read({"text": "work"}))
        assert (answer.height, len(answer.items)) == (2, 2)
        desk.stop()

    asyncio.run(check())
    searched.close()


def test_nothing_that_is_typed_is_an_error_of_ours(tmp_path: Path) -> None:
    """Whatever stands in the URL, through the whole node's side of it: an answer, or a problem with a code."""
    searched = Searched(World(), tmp_path / "search" / "assets.sqlite")
    searched.world.register("alice", "work")
    searched.follow()

    async def check() -> None:
        desk = SearchDesk(searched.path)
        async with served() as api, aiohttp.ClientSession() as session:
            api.services.search = desk.search  # type: ignore[method-assign]
            for name in PARAMETERS:
                for text in HOSTILE_TEXTS:
                    answer = await session.get(api.url + URL, params={name: text})
                    assert answer.status in (200, 400), (name, text)
                    if answer.status == 400:
                        assert problem(await answer.read())["code"] in ("query.argument", "query.cursor")
            whole = await (await session.get(api.url + URL, params={"text": "work"})).json()
            assert [item["name"] for item in whole["items"]] == ["work"]
        desk.stop()

    asyncio.run(check())
    searched.close()

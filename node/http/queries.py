"""/v1/query: the named queries of the ledger."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.http.application import Api, json_response
from node.http.blocks import AT_LEAST, AT_LEAST_WAIT_S, behind, wait_for_height
from node.http.routing import Request, Route
from node.http.services import QueryAnswer


async def ask(api: Api, request: Request) -> web.StreamResponse:
    """Answer a query at the executed head, or at one of at least the height `at_least`."""
    height = AT_LEAST.read(request.query)
    await wait_for_height(api, height, AT_LEAST_WAIT_S)
    if api.services.height() < height:
        raise behind(api.services.height(), height)
    arguments: dict[str, str | int] = {name: text for name, text in request.query.items() if name != AT_LEAST.name}
    return json_response(await api.services.query(request.parameters["name"], arguments))


ROUTES: Final = (
    Route(
        "GET",
        "/v1/query/{name:query name}",
        ask,
        "A named query; further parameters are its arguments",
        query=(AT_LEAST,),
        free_query=True,
        answer=QueryAnswer,
    ),
)

"""What the node says of itself: /v1/status, /v1/consensus, /v1/genesis, /healthz, /readyz, /metrics."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from node.http.application import Api, json_response
from node.http.routing import Request, Route
from node.http.services import NodeStatus


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    reasons: tuple[str, ...]


async def status(api: Api, _request: Request) -> web.StreamResponse:
    """The node's state in one document."""
    return json_response(await api.services.status())


async def consensus(api: Api, _request: Request) -> web.StreamResponse:
    """The ordering engine's state, and what the node makes of it."""
    document = msgspec.to_builtins(api.services.engine_status(), str_keys=True)
    said = msgspec.to_builtins(api.services.explanation())
    return json_response({**document, **said})


async def genesis(api: Api, _request: Request) -> web.StreamResponse:
    """The genesis file, byte for byte."""
    return web.Response(body=api.services.genesis, content_type="application/json")


async def health(_api: Api, _request: Request) -> web.StreamResponse:
    """200 as long as the process answers at all."""
    return json_response({"alive": True})


async def ready(api: Api, _request: Request) -> web.StreamResponse:
    """200 when the node takes part and serves, else 503 with reasons."""
    reasons = api.services.readiness()
    return json_response(Readiness(not reasons, reasons), status=503 if reasons else 200)


async def metrics(api: Api, _request: Request) -> web.StreamResponse:
    """Prometheus text exposition."""
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=api.services.metrics(), headers=headers)


ROUTES: Final = (
    Route("GET", "/v1/status", status, "The node's state", answer=NodeStatus),
    Route(
        "GET", "/v1/consensus", consensus, "The ordering engine's state, who is missing, and why nothing is committed"
    ),
    Route("GET", "/v1/genesis", genesis, "The genesis file"),
    Route("GET", "/healthz", health, "Whether the process is alive"),
    Route("GET", "/readyz", ready, "Whether the node takes part", answer=Readiness),
    Route("GET", "/metrics", metrics, "Metrics for Prometheus", media_type="text/plain"),
)

"""/v1/light: certified headers with their validator sets, for clients that follow the chain without its state."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.http.application import Api, bytes_response
from node.http.blocks import height_of
from node.http.routing import Request, Route

_BYTES: Final = "application/octet-stream"


async def latest(api: Api, _request: Request) -> web.StreamResponse:
    """The highest certified block."""
    return bytes_response(await api.services.certificates.light_block(None))


async def block(api: Api, request: Request) -> web.StreamResponse:
    """The block of a height; where it has no certificate of its own, with the headers up to the next one."""
    return bytes_response(await api.services.certificates.light_block(height_of(request)))


async def epoch_end(api: Api, request: Request) -> web.StreamResponse:
    """The last block of an epoch that has ended: it names the next validator set."""
    return bytes_response(await api.services.certificates.epoch_end(height_of(request)))


ROUTES: Final = (
    Route("GET", "/v1/light/blocks/latest", latest, "The highest certified header, with its set", media_type=_BYTES),
    Route("GET", "/v1/light/blocks/{height:height}", block, "A certified header, with its set", media_type=_BYTES),
    Route("GET", "/v1/light/epochs/{height:height}", epoch_end, "An epoch's end, with its set", media_type=_BYTES),
)

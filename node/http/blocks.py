"""/v1/blocks: headers, what they hold, and their certificates."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from aiohttp import web

from node.http.application import Api, bytes_response, json_response
from node.http.parameters import Natural
from node.http.problems import Problem, malformed
from node.http.routing import Request, Route
from node.http.transactions import WAIT

HEIGHT_MAX: Final = 2**53
AT_LEAST: Final = Natural("at_least", HEIGHT_MAX, "Wait until this height is executed, then answer")
AT_LEAST_WAIT_S: Final = 30.0
EXECUTED_BLOCKS_MAX: Final = 64
COUNT: Final = Natural("count", EXECUTED_BLOCKS_MAX, "How many blocks, from this one on; 1 when not given")


class CertificateAnswer(msgspec.Struct, frozen=True):
    """A finality certificate in JSON."""

    epoch: int
    height: int
    block_hash: str
    epoch_end: int
    """The height at which the epoch ends; 0 while no end is known. The signatures cover it."""
    signatures: tuple[tuple[int, str], ...]
    """(index in the epoch's validator set, signature in hex)"""


async def latest(api: Api, _request: Request) -> web.StreamResponse:
    """The head."""
    return json_response((await api.services.query("blocks.get", {})).result)


async def show(api: Api, request: Request) -> web.StreamResponse:
    """A block by height; one above the head can be waited for."""
    height = height_of(request)
    await wait_for_height(api, height, WAIT.read(request.query) / 1000)
    return json_response((await api.services.query("blocks.get", {"height": height})).result)


async def certificate(api: Api, request: Request) -> web.StreamResponse:
    """A block's finality certificate, with its signatures."""
    height = height_of(request)
    found = await api.services.block_certificate(height)
    if found is None:
        raise Problem(404, "certificate.not_found", f"there is no certificate for block {height} here")
    return json_response(
        CertificateAnswer(
            found.epoch,
            found.height,
            found.block_hash.hex(),
            found.epoch_end,
            tuple((index, signature.hex()) for index, signature in found.signatures),
        )
    )


async def executed(api: Api, request: Request) -> web.StreamResponse:
    """Which transactions blocks have executed, as MessagePack: [[height, hash, state root, ids, refusals], ...]."""
    count = COUNT.read(request.query, 1)
    if not 1 <= count <= EXECUTED_BLOCKS_MAX:
        raise malformed(f"count: from 1 to {EXECUTED_BLOCKS_MAX}")
    return bytes_response(msgspec.msgpack.encode(await api.services.executed_ids(height_of(request), count)))


def height_of(request: Request) -> int:
    height = int(request.parameters["height"])
    if height > HEIGHT_MAX:
        raise malformed(f"height: at most {HEIGHT_MAX}")
    return height


def behind(height: int, wanted: int) -> Problem:
    """Say that a height that was waited for is not there."""
    return Problem(
        503, "query.height", f"this node is at height {height}, not yet at {wanted}", headers={"Retry-After": "1"}
    )


async def wait_for_height(api: Api, height: int, seconds: float) -> None:
    """Wait until a height is executed here; the time may run out before."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while api.services.height() < height and (left_s := deadline - loop.time()) > 0 and not api.waiters.closed:
        await api.waiters.height(height, left_s)


ROUTES: Final = (
    Route("GET", "/v1/blocks/latest", latest, "The newest executed block"),
    Route("GET", "/v1/blocks/{height:height}", show, "A block by height", query=(WAIT,)),
    Route(
        "GET",
        "/v1/blocks/{height:height}/certificate",
        certificate,
        "A block's finality certificate",
        answer=CertificateAnswer,
    ),
    Route(
        "GET",
        "/v1/blocks/{height:height}/executed",
        executed,
        "The ids of what blocks have executed",
        query=(COUNT,),
        media_type="application/octet-stream",
    ),
)

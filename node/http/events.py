"""/v1/events: server-sent events (WHATWG HTML, section 9.2), one `block` for each certified block."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from node.http.application import Api
from node.http.parameters import Natural
from node.http.routing import Request, Route
from node.http.services import BlockSummary

KEEP_ALIVE_S: Final = 10.0
"""After so long without a block a comment is sent, so that a dead connection is noticed."""
IDS: Final = Natural("ids", 1, "0: tell how many transactions a block has, but not which")


class BlockCount(msgspec.Struct, frozen=True):
    """A certified block for readers that need no ids."""

    height: int
    block_hash: str
    count: int


async def stream(api: Api, request: Request) -> web.StreamResponse:
    """Send certified blocks as they come, until the client leaves, lags too far behind, or the node stops."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    with_ids = IDS.read(request.query, 1) == 1
    with api.waiters.stream(with_ids=with_ids) as blocks:
        await response.prepare(request.raw)
        await response.write(b": certified blocks\n\n")
        async for block in blocks.blocks(KEEP_ALIVE_S):
            if block is None:
                await response.write(b": waiting\n\n")
            else:
                data = msgspec.json.encode(block if with_ids else _count(block))
                await response.write(b"event: block\nid: %d\ndata: %s\n\n" % (block.height, data))
    response.force_close()
    await response.write_eof()
    return response


def _count(block: BlockSummary) -> BlockCount:
    return BlockCount(block.height, block.block_hash, block.count)


ROUTES: Final = (
    Route(
        "GET",
        "/v1/events",
        stream,
        "Certified blocks as they come",
        query=(IDS,),
        media_type="text/event-stream",
    ),
)

"""/v1/events: server-sent events (WHATWG HTML, section 9.2), one `block` for each certified block."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from node.http.application import Api
from node.http.routing import Request, Route

KEEP_ALIVE_S: Final = 10.0
"""After so long without a block a comment is sent, so that a dead connection is noticed."""


async def stream(api: Api, request: Request) -> web.StreamResponse:
    """Send certified blocks as they come, until the client leaves, lags too far behind, or the node stops."""
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
    response = web.StreamResponse(headers=headers)
    with api.waiters.stream() as blocks:
        await response.prepare(request.raw)
        await response.write(b": certified blocks\n\n")
        async for block in blocks.blocks(KEEP_ALIVE_S):
            if block is None:
                await response.write(b": waiting\n\n")
            else:
                data = msgspec.json.encode(block)
                await response.write(b"event: block\nid: %d\ndata: %s\n\n" % (block.height, data))
    response.force_close()
    await response.write_eof()
    return response


ROUTES: Final = (Route("GET", "/v1/events", stream, "Certified blocks as they come", media_type="text/event-stream"),)

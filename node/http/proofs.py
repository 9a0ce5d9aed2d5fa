"""/v1/proofs: what others check without us."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.http.application import Api, bytes_response
from node.http.routing import Request, Route

_BYTES: Final = "application/octet-stream"


async def state_proof(api: Api, request: Request) -> web.StreamResponse:
    """Prove that a record is in the state at the head, or that none is."""
    return bytes_response(await api.services.prove(bytes.fromhex(request.parameters["key"])))


ROUTES: Final = (Route("GET", "/v1/proofs/{key:key}", state_proof, "A proof of a state record", media_type=_BYTES),)

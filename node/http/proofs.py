"""/v1/proofs and /v1/certificates: files that others check without us."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.http.application import Api, bytes_response
from node.http.routing import Request, Route

_BYTES: Final = "application/octet-stream"


async def state_proof(api: Api, request: Request) -> web.StreamResponse:
    """Prove that a record is in the state at the head, or that none is."""
    return bytes_response(await api.services.prove(bytes.fromhex(request.parameters["key"])))


async def ownership_certificate(api: Api, request: Request) -> web.StreamResponse:
    """Export an asset's ownership certificate at a certified height."""
    return bytes_response(await api.services.ownership_certificate(bytes.fromhex(request.parameters["asset"])))


ROUTES: Final = (
    Route("GET", "/v1/proofs/{key:key}", state_proof, "A proof of a state record", media_type=_BYTES),
    Route(
        "GET",
        "/v1/certificates/assets/{asset:hash}",
        ownership_certificate,
        "An ownership certificate",
        media_type=_BYTES,
    ),
)

"""/v1/proofs: what others check without us."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web

from node.http.application import Api, bytes_response
from node.http.blocks import HEIGHT_MAX
from node.http.parameters import Natural
from node.http.problems import malformed
from node.http.routing import Request, Route
from primitives.codec import CodecError, decode, encode

KEYS_MAX: Final = 64
"""Keys of one request: with a large state each costs the ledger up to a millisecond, in which no block executes."""
KEY_BYTES_MAX: Final = 512
HEIGHT: Final = Natural("height", HEIGHT_MAX, "After the block of this height; the head when not given")
_BYTES: Final = "application/octet-stream"
_BODY_BYTES_MAX: Final = KEYS_MAX * (KEY_BYTES_MAX + 3) + 32


class _Wanted(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    keys: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=KEY_BYTES_MAX)], ...],
        msgspec.Meta(min_length=1, max_length=KEYS_MAX),
    ]
    height: Annotated[int, msgspec.Meta(ge=0, le=HEIGHT_MAX)] | None


async def state_proof(api: Api, request: Request) -> web.StreamResponse:
    """Prove that a record is in the state, or that none is: at the head, or after the block of a height."""
    height = HEIGHT.read(request.query) if HEIGHT.name in request.query else None
    return bytes_response(await api.services.prove(bytes.fromhex(request.parameters["key"]), height))


async def records_proof(api: Api, request: Request) -> web.StreamResponse:
    """Read records at one height, with one proof of all. MessagePack in, [[key, ...], height or nil], and out,
    [height, [value or nil, ...], proof]."""
    try:
        wanted = decode(request.body, _Wanted)
    except CodecError as error:
        raise malformed(f"the body is MessagePack, [keys, height or nil], of 1 to {KEYS_MAX} keys: {error}") from error
    return bytes_response(encode(await api.services.prove_records(wanted.keys, wanted.height)))


ROUTES: Final = (
    Route("GET", "/v1/proofs/{key:key}", state_proof, "A proof of a state record", query=(HEIGHT,), media_type=_BYTES),
    Route(
        "POST",
        "/v1/proofs",
        records_proof,
        "Many state records, with one proof of all",
        body_bytes_max=_BODY_BYTES_MAX,
        media_type=_BYTES,
    ),
)

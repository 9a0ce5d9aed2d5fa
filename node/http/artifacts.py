"""/v1/artifacts: the bytes of registered versions, block by block."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from artifacts import cid as cids
from artifacts.chunk_store import BLOCK_BYTES_MAX
from node.http.application import Api, bytes_response, json_response
from node.http.authorization import (
    asset_of_root,
    contribution_of_root,
    require_download,
    require_review,
)
from node.http.problems import Problem
from node.http.routing import Request, Route
from node.http.services import ArtifactMissing, ArtifactStatus, BlockUpload, UnknownArtifact

_BLOCK: Final = "/v1/artifacts/{root:cid}/blocks/{cid:cid}"


async def put_block(api: Api, request: Request) -> web.StreamResponse:
    """Take a block of a registered version, if a held part links to it and its bytes hash to its name."""
    root, cid = _cid(request, "root"), _cid(request, "cid")
    _require_keeping(api)
    try:
        upload = await api.services.artifacts.store(root, cid, request.body)
    except UnknownArtifact as error:
        raise Problem(
            409, "artifact.not_registered", "no executed block registers this artifact; register first"
        ) from error
    return json_response(upload, status=201 if upload.new else 200)


async def get_block(api: Api, request: Request) -> web.StreamResponse:
    """Return a block to whoever may download the artifact."""
    root, cid = _cid(request, "root"), _cid(request, "cid")
    _require_keeping(api)
    asset = await _require_read(api, request, root)
    other = await asset_of_root(api.services, cid) if cid != root else None
    if other not in (None, asset):
        # Anybody may register a directory that names somebody else's artifact: that must not open it.
        await require_download(api.services, str(other), request.authorization, root, "GET")
    return bytes_response(await api.services.artifacts.read(root, cid), cache=True)


async def show(api: Api, request: Request) -> web.StreamResponse:
    """Tell what this node holds of an artifact, and who says to hold all of it."""
    return json_response(await api.services.artifacts.status(_cid(request, "root")))


async def _require_read(api: Api, request: Request, root: str) -> str | None:
    """Let pass who may read an artifact; return the asset (hex) that it belongs to, None while it is proposed only."""
    contribution = await contribution_of_root(api.services, root)
    if contribution is not None:
        await require_review(api.services, contribution, request.authorization, root, "GET")
        return None
    asset = await api.services.artifacts.owner_asset(root)
    await require_download(api.services, asset, request.authorization, root, "GET")
    return asset


def _require_keeping(api: Api) -> None:
    """Send clients on to another node. Raises Problem `artifact.not_kept_here`."""
    if not api.services.keeps_artifacts():
        raise Problem(
            503, "artifact.not_kept_here", "only validators keep artifacts, and this node is none: ask one of them"
        )


async def missing(api: Api, request: Request) -> web.StreamResponse:
    """Tell who may read the artifact which of its blocks this node lacks, for an upload to go on."""
    _require_keeping(api)
    root = _cid(request, "root")
    # The names of blocks tell what is in them to whoever has the same blocks: not for everybody.
    await _require_read(api, request, root)
    return json_response(await api.services.artifacts.missing(root))


def _cid(request: Request, name: str) -> str:
    """Return a CID in its one spelling. Raises InvalidCid."""
    text = request.parameters[name]
    cids.parse(text)
    return text


ROUTES: Final = (
    Route("PUT", _BLOCK, put_block, "Upload a block", body_bytes_max=BLOCK_BYTES_MAX, answer=BlockUpload),
    Route("GET", _BLOCK, get_block, "Download a block (signed)", media_type="application/octet-stream"),
    Route("GET", "/v1/artifacts/{root:cid}/missing", missing, "Blocks that lack (signed)", answer=ArtifactMissing),
    Route("GET", "/v1/artifacts/{root:cid}", show, "What is held of an artifact", answer=ArtifactStatus),
)

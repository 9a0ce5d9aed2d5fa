"""/v1/certificates: what the state says of one subject, as one file that others check without us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from ledger.certificates.subjects import (
    AbsenceSubject,
    AccountSubject,
    AssetSubject,
    GrantSubject,
    LicenseSubject,
    Subject,
    VersionSubject,
)
from ledger.certificates.subjects.absence import What
from node.http.application import Api, bytes_response
from node.http.blocks import HEIGHT_MAX
from node.http.parameters import Natural
from node.http.problems import malformed
from node.http.routing import Handler, Request, Route

SINCE: Final = Natural("since", HEIGHT_MAX, "Start from this block, which the verifier must know, not from the genesis")
HEIGHT: Final = Natural("height", HEIGHT_MAX, "Of the state after this block; the newest when not given")
_VERSION_MAX: Final = 2**32 - 1
_BYTES: Final = "application/octet-stream"


def _asset(request: Request) -> Subject:
    return AssetSubject(_id(request))


def _version(request: Request) -> Subject:
    number = int(request.parameters["version"])
    if not 1 <= number <= _VERSION_MAX:
        raise malformed(f"version: from 1 to {_VERSION_MAX}")
    return VersionSubject(_id(request), number)


def _license(request: Request) -> Subject:
    return LicenseSubject(_id(request))


def _grant(request: Request) -> Subject:
    return GrantSubject(_id(request))


def _account(request: Request) -> Subject:
    return AccountSubject(_id(request))


def _absence(what: What) -> Callable[[Request], Subject]:
    return lambda request: AbsenceSubject(what, _id(request))


def _absent_artifact(request: Request) -> Subject:
    return AbsenceSubject("artifact", request.parameters["cid"].encode("ascii"))


def _id(request: Request) -> bytes:
    return bytes.fromhex(request.parameters["id"])


def _serve(subject: Callable[[Request], Subject]) -> Handler:
    async def handler(api: Api, request: Request) -> web.StreamResponse:
        since = SINCE.read(request.query) if SINCE.name in request.query else None
        height = HEIGHT.read(request.query) if HEIGHT.name in request.query else None
        return bytes_response(await api.services.certificates.certificate(subject(request), since, height))

    return handler


def _route(path: str, subject: Callable[[Request], Subject], summary: str) -> Route:
    where = f"/v1/certificates/{path}"
    return Route("GET", where, _serve(subject), summary, query=(SINCE, HEIGHT), media_type=_BYTES)


ROUTES: Final = (
    _route("assets/{id:hash}", _asset, "A certificate of an asset: who owns it, its latest version"),
    _route("assets/{id:hash}/versions/{version:height}", _version, "A certificate of a version"),
    _route("licenses/{id:hash}", _license, "A certificate of an open license offer with its terms"),
    _route("grants/{id:hash}", _grant, "A certificate of a license that somebody holds"),
    _route("accounts/{id:hash}", _account, "A certificate of an account and its balance"),
    _route("absence/artifacts/{cid:cid}", _absent_artifact, "A certificate that no asset has this artifact"),
    _route("absence/tensors/{id:hash}", _absence("tensors"), "A certificate that no asset has these tensors"),
    _route("absence/assets/{id:hash}", _absence("asset"), "A certificate that there is no such asset"),
    _route("absence/licenses/{id:hash}", _absence("license"), "A certificate that there is no such open offer"),
    _route("absence/grants/{id:hash}", _absence("grant"), "A certificate that there is no such license"),
)

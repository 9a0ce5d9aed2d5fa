"""Errors of the API: problem documents (RFC 9457) with stable codes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp import web

MEDIA_TYPE: Final = "application/problem+json"
DETAIL_CHARACTERS_MAX: Final = 1_024
_TYPE: Final = "urn:guildmark:problem:"


class Problem(Exception):
    """An error answer. `code` is stable, `detail` is for people and may name values, never secrets."""

    def __init__(self, status: int, code: str, detail: str, *, headers: dict[str, str] | None = None, **members: Any):
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = headers or {}
        self.members = members
        """Further members of the document, JSON values."""

    def response(self, request_id: str = "") -> web.Response:
        """Write the document."""
        document = {
            "type": _TYPE + self.code,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail[:DETAIL_CHARACTERS_MAX],
            "code": self.code,
            **({"request_id": request_id} if request_id else {}),
            **self.members,
        }
        body = msgspec.json.encode(document)
        return web.Response(status=self.status, body=body, content_type=MEDIA_TYPE, headers=self.headers)


def malformed(detail: str) -> Problem:
    """A request that cannot be understood."""
    return Problem(400, "request.malformed", detail)


_STATUS_BY_CODE: Final = {
    "transaction.too_large": 413,
    "transaction.unknown_signer": 403,
    "organizations.key_not_allowed": 403,
    "organizations.suspended": 403,
    "organizations.removed": 403,
    "organizations.frozen": 403,
    "ledger.replay_ids_full": 429,
    "query.unknown": 404,
    "query.not_found": 404,
    "certificate.present": 409,
    "certificate.start": 404,
    "certificate.too_many_epochs": 409,
    "certificate.trail": 404,
    "cid.invalid": 400,
    "block.mismatch": 400,
    "block.invalid": 400,
    "block.pruned": 410,
    "proof.pruned": 410,
    "proof.future": 404,
    "artifact.taken_down": 451,
    "chunk.missing": 404,
    "chunk.damaged": 404,
    "chunk.too_large": 413,
    "chunk_store.full": 507,
    "chunk_store.failed": 503,
    "manifest.not_linked": 409,
}
_STATUS_BY_FAMILY: Final = {
    "pool": 429,
    "node": 503,
    "storage": 503,
    "executor": 503,
    "search": 503,
    "certificate": 503,
    "manifest": 400,
}
RETRY_AFTER_S: Final = 1


def of_code(code: str, detail: str, **members: Any) -> Problem:
    """Return the problem for an error code of another room; 400 where nothing else fits."""
    status = _STATUS_BY_CODE.get(code) or _STATUS_BY_FAMILY.get(code.partition(".")[0], 400)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status in (429, 503) else None
    return Problem(status, code, detail, headers=headers, **members)

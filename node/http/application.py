"""What every request goes through: an id, the limits, its route, its body, and one way to answer errors.

No exception leaves here: what a client did wrong is a problem with a code, what we did wrong is a 500 without details
and a line in the log with all of them.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import structlog
from aiohttp import web

from artifacts.errors import ArtifactError
from ledger.errors import LedgerError
from node.configuration import Api as ApiSettings
from node.http.connections import Server, read_body
from node.http.parameters import refuse_unknown, split_path, split_query
from node.http.problems import Problem, of_code
from node.http.rate_limits import RateLimits
from node.http.routing import Request, Router
from node.http.services import Services, UnknownArtifact
from node.http.waiters import Waiters

REQUEST_ID: Final = "X-Request-Id"
AUTHORIZATION_CHARACTERS_MAX: Final = 1_024
_REQUEST_ID_FORM: Final = re.compile(r"\A[A-Za-z0-9._-]{1,64}\Z")
_HEADERS: Final = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

log: Final = structlog.get_logger("node.http")

Observer = Callable[[str, str, int], None]
"""(method, route's path or "unmatched", status) of every request that was answered."""


class Api:
    """The API of one node: what handlers need, and the entrance for aiohttp."""

    def __init__(
        self, services: Services, router: Router, settings: ApiSettings, observe: Observer | None = None
    ) -> None:
        self.services = services
        self.settings = settings
        self.router = router
        self.waiters = Waiters(settings.waiters_max)
        self._observe = observe or (lambda _method, _route, _status: None)
        self._rate_limits = RateLimits(settings.requests_per_second_per_client)
        self._in_progress = 0

    def server(self) -> Server:
        """Return a factory of connections for `loop.create_server`. Call it on the running loop."""
        return Server(self.handle, self.settings)

    async def handle(self, raw: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        given = raw.headers.get(REQUEST_ID, "")
        request_id = given if _REQUEST_ID_FORM.match(given) else secrets.token_hex(8)
        route = "unmatched"
        try:
            self._admit(raw)
            self._in_progress += 1
            try:
                match = self.router.match(raw.method, split_path(raw.rel_url.raw_path))
                route = match.route.path
                request = await self._read(raw, match.route, match.parameters)
                response = await match.route.handler(self, request)
            finally:
                self._in_progress -= 1
        except Problem as error:
            response = self._problem(raw, error, request_id)
        except (LedgerError, ArtifactError) as error:
            response = self._problem(raw, of_code(error.code, error.message), request_id)
        except UnknownArtifact as error:
            problem = Problem(404, "artifact.not_registered", str(error) or "no version registers this artifact")
            response = self._problem(raw, problem, request_id)
        except (ConnectionError, asyncio.CancelledError):
            self._observe(raw.method, route, 499)
            raise
        except Exception:  # the outermost frame: a client never sees a traceback, and the log has it
            log.exception("a request failed", request_id=request_id, method=raw.method, route=route)
            problem = Problem(500, "node.internal", "the node failed to answer; its log says why")
            response = self._problem(raw, problem, request_id)
        self._observe(raw.method, route, response.status)
        if not response.prepared:
            response.headers[REQUEST_ID] = request_id
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    def network_time_ms(self, clock_offset_ms: int) -> int:
        return self.services.now_ms() + clock_offset_ms

    def _admit(self, raw: web.BaseRequest) -> None:
        headers = {"Retry-After": "1"}
        if not self._rate_limits.take(raw.remote or "", time.monotonic()):
            raise Problem(429, "request.rate", "too many requests from this address", headers=headers)
        if self._in_progress >= self.settings.requests_in_progress_max:
            raise Problem(503, "node.busy", "too many requests at once", headers=headers)

    async def _read(self, raw: web.BaseRequest, route: Any, parameters: dict[str, str]) -> Request:
        query = split_query(raw.rel_url.raw_query_string)
        if not route.free_query:
            known = route.known_query()
            refuse_unknown(query, known)
            for parameter in known.values():
                parameter.read(query)
        authorization = raw.headers.get("Authorization", "")
        if len(authorization) > AUTHORIZATION_CHARACTERS_MAX:
            raise Problem(400, "request.malformed", "the Authorization header is too long")
        body = await read_body(raw, route.body_bytes_max, self.settings.body_deadline_ms)
        return Request(raw.method, parameters, query, body, authorization, raw)

    @staticmethod
    def _problem(raw: web.BaseRequest, problem: Problem, request_id: str) -> web.Response:
        response = problem.response(request_id)
        if not raw.content.at_eof():
            response.force_close()  # what is left of the body is not worth reading
        return response


def json_response(value: Any, status: int = 200) -> web.Response:
    """Answer with a msgspec Struct or plain value as JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def bytes_response(data: bytes, status: int = 200, *, cache: bool = False) -> web.Response:
    """Answer with bytes; `cache` where they can never change."""
    headers = {"Cache-Control": "private, max-age=31536000, immutable"} if cache else {}
    return web.Response(status=status, body=data, content_type="application/octet-stream", headers=headers)

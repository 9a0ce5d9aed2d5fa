"""The typed route table: a path, a method, what may be sent and what comes back.

Everything a client may do is one row; a specification can be generated from the rows. Paths are matched segment by
segment against decoded text; `{name:kind}` is a parameter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from aiohttp import web

from node.http.parameters import KINDS, Kind, Natural, Word
from node.http.problems import Problem

if TYPE_CHECKING:
    from node.http.application import Api

Method = Literal["GET", "POST", "PUT"]


class Request(msgspec.Struct, frozen=True):
    """A request as handlers see it: everything checked that can be checked without the node."""

    method: str
    parameters: dict[str, str]
    """Path parameters, of their kinds."""
    query: dict[str, str]
    """Query parameters that the route has; numbers are still text."""
    body: bytes
    authorization: str
    """The header, or empty."""
    raw: web.BaseRequest
    """For streams only."""


Handler = Callable[["Api", Request], Awaitable[web.StreamResponse]]


class Route(msgspec.Struct, frozen=True):
    method: Method
    path: str
    handler: Handler
    summary: str
    query: tuple[Natural | Word, ...] = ()
    free_query: bool = False
    """Query parameters are the handler's affair."""
    body_bytes_max: int = 0
    """0: the request has no body."""
    answer: Any = None
    """The Struct of a JSON answer; None where it is bytes or free."""
    media_type: str = "application/json"

    def known_query(self) -> dict[str, Natural | Word]:
        return {parameter.name: parameter for parameter in self.query}


class Match(msgspec.Struct, frozen=True):
    route: Route
    parameters: dict[str, str]


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self.routes = tuple(routes)
        self._compiled = [(route, _compile(route.path)) for route in routes]

    def match(self, method: str, segments: Sequence[str]) -> Match:
        """Return the route and its parameters. HEAD is answered as GET.

        Raises:
            Problem: `request.no_such_resource` (404), `request.method` (405), `request.malformed`.
        """
        wanted = "GET" if method == "HEAD" else method
        allowed = []
        for route, pattern in self._compiled:
            if not _fits(pattern, segments):
                continue
            if route.method == wanted:
                return Match(route, _parameters(pattern, segments))
            allowed.append(route.method)
        if not allowed:
            raise Problem(404, "request.no_such_resource", "there is nothing at this path")
        allow = ", ".join(sorted({*allowed, *(["HEAD"] if "GET" in allowed else [])}))
        raise Problem(405, "request.method", f"this resource takes {allow}", headers={"Allow": allow})


_Pattern = list[str | tuple[str, Kind]]


def _compile(path: str) -> _Pattern:
    pattern: _Pattern = []
    for segment in path.strip("/").split("/"):
        if segment.startswith("{"):
            name, _, kind = segment[1:-1].partition(":")
            pattern.append((name, KINDS[kind]))
        else:
            pattern.append(segment)
    return pattern


def _fits(pattern: _Pattern, segments: Sequence[str]) -> bool:
    """Compare the fixed segments only: a parameter of a wrong kind is a 400 and no 404."""
    if len(pattern) != len(segments):
        return False
    return all(
        bool(segment) if isinstance(part, tuple) else part == segment
        for part, segment in zip(pattern, segments, strict=True)
    )


def _parameters(pattern: _Pattern, segments: Sequence[str]) -> dict[str, str]:
    return {
        part[0]: part[1].check(part[0], segment)
        for part, segment in zip(pattern, segments, strict=True)
        if isinstance(part, tuple)
    }

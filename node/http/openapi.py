"""/v1/openapi.json: the route table as an OpenAPI 3.1 document."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from aiohttp import web

from node.http.application import Api, json_response
from node.http.parameters import KINDS
from node.http.routing import Request, Route

_PROBLEM: Final = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "request_id": {"type": "string"},
    },
}


def document(routes: tuple[Route, ...], version: str) -> dict[str, Any]:
    """Return the specification of `routes`."""
    answers = [route.answer for route in routes if route.answer is not None]
    schemas, components = msgspec.json.schema_components(answers, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(id, answers), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path, parameters = _path(route)
        schema = schema_of.get(id(route.answer), {})
        operation: dict[str, Any] = {
            "summary": route.summary,
            "operationId": f"{route.handler.__module__.rpartition('.')[2]}.{route.handler.__name__}",
            "parameters": parameters,
            "responses": {
                "2XX": {"description": "Success", "content": {route.media_type: {"schema": schema}}},
                "default": {
                    "description": "A problem document (RFC 9457) with a stable code",
                    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
                },
            },
        }
        if route.body_bytes_max:
            operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {"schema": {}}}}
        paths.setdefault(path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Guildmark node", "version": version},
        "paths": paths,
        "components": {"schemas": {**components, "Problem": _PROBLEM}},
    }


def _path(route: Route) -> tuple[str, list[dict[str, Any]]]:
    segments, parameters = [], []
    for segment in route.path.split("/"):
        if segment.startswith("{"):
            name, _, kind = segment[1:-1].partition(":")
            schema = {"type": "string", "pattern": f"^({KINDS[kind].pattern})$"}
            description = KINDS[kind].meaning
            parameters.append(
                {"name": name, "in": "path", "required": True, "schema": schema, "description": description}
            )
            segment = "{" + name + "}"
        segments.append(segment)
    parameters += [
        {"name": given.name, "in": "query", "schema": given.schema(), "description": given.meaning}
        for given in route.query
    ]
    return "/".join(segments), parameters


@lru_cache(maxsize=1)
def _cached(routes: tuple[Route, ...], version: str) -> dict[str, Any]:
    return document(routes, version)


async def show(api: Api, _request: Request) -> web.StreamResponse:
    """The specification of this API."""
    return json_response(_cached(api.router.routes, "1"))


ROUTES: Final = (Route("GET", "/v1/openapi.json", show, "This specification"),)

"""All routes of the API."""

from __future__ import annotations

from node.http import (
    artifacts,
    blocks,
    certificates,
    events,
    light,
    node_state,
    openapi,
    proofs,
    queries,
    search,
    transactions,
)
from node.http.routing import Router

ROUTES = (
    *transactions.ROUTES,
    *blocks.ROUTES,
    *queries.ROUTES,
    *search.ROUTES,
    *proofs.ROUTES,
    *certificates.ROUTES,
    *light.ROUTES,
    *artifacts.ROUTES,
    *events.ROUTES,
    *node_state.ROUTES,
    *openapi.ROUTES,
)


def router() -> Router:
    """Return a router over the whole table."""
    return Router(ROUTES)

"""What may be asked about observers."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from ledger.modules import texts
from ledger.modules.fields import Result
from ledger.modules.observers.records import OBSERVERS, ORGANIZATION_OBSERVERS, Observer
from ledger.modules.organizations.accounts import membership
from ledger.modules.organizations.records import ORGANIZATIONS, organization_part
from ledger.state.view import Readable


class ObserverResult(Result, frozen=True):
    node_id: str
    organization: str
    address: str
    """host:port; empty for a node that is never dialed."""
    tls_certificate: str
    """Base64 of the DER certificate."""
    registered_at_ms: int
    admitted: bool
    """Whether the others let it connect: its organization is neither suspended nor removed."""


def list_observers(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    organization: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[ObserverResult]:
    """Observers of one organization or of all, in order of node id, beginning behind the node `after`."""
    behind = after.encode("utf-8")
    if not organization:
        return [_result(view, key, record) for key, record in texts.page(OBSERVERS.items(view, after=behind), limit)]
    if ORGANIZATIONS.get(view, organization.encode("utf-8")) is None:
        raise texts.not_found("organization")
    part = organization_part(organization)
    found = []
    for key, _ in texts.page(ORGANIZATION_OBSERVERS.items(view, part, after=behind), limit):
        record = OBSERVERS.get(view, key)
        assert record is not None, "the index names what is there"
        found.append(_result(view, key, record))
    return found


def _result(view: Readable, key: bytes, record: Observer) -> ObserverResult:
    return ObserverResult(
        node_id=key.decode("utf-8"),
        organization=record.organization,
        address=record.address,
        tls_certificate=base64.b64encode(record.tls_certificate).decode("ascii"),
        registered_at_ms=record.registered_at_ms,
        admitted=membership(view, record.organization) == "active",
    )


QUERIES: Final[dict[str, Callable[..., Any]]] = {"observers.list": list_observers}

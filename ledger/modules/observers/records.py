"""The registered observers.

observer/               + node id                                    Observer
~organization-observer/ + length of id (1) + organization + node id  Marker
"""

from __future__ import annotations

from typing import Final

from ledger.modules.fields import Marker, Record, TimeMs
from ledger.modules.organizations.records import organization_part
from ledger.state.indexes import Index
from ledger.state.view import Table

OBSERVERS_PER_ORGANIZATION_MAX: Final = 16
"""Observers of one organization; a further one is refused. Every node keeps the certificates of all of them."""


class Observer(Record, frozen=True):
    organization: str
    tls_certificate: bytes
    """DER."""
    address: str
    """host:port; empty for a node that is never dialed."""
    registered_at_ms: TimeMs
    """When it was registered first."""


OBSERVERS: Final = Table[Observer](b"observer/", Observer)
ORGANIZATION_OBSERVERS: Final = Table[Marker](b"~organization-observer/", Marker)

INDEXES: Final = (
    Index(
        ORGANIZATION_OBSERVERS,
        OBSERVERS,
        lambda node, record: [(organization_part(record.organization), node)],
    ),
)

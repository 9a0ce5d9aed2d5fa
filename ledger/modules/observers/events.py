"""What happened to observers."""

from __future__ import annotations

from ledger.modules.fields import Event


class Registered(Event, frozen=True, tag="observers.registered"):
    node_id: str
    organization: str
    address: str


class Withdrawn(Event, frozen=True, tag="observers.withdrawn"):
    """By its organization, or because it was let in as a validator."""

    node_id: str
    organization: str

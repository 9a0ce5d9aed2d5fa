"""Terms, offers, grants, and what must be found quickly about them.

terms/            + digest (32)                               Terms
license-offer/    + offer (32)                                OfferRecord
~asset-offer/     + asset (32) + offer (32)                   Marker
grant/            + grant (32)                                Grant
~licensee-grant/  + account (32) + asset (32) + grant (32)    Marker
~asset-grant/     + asset (32) + grant (32)                   Marker
reserving-grant/  + asset (32) + grant (32)                   Marker   sole and exclusive grants that may be live
~waiting-grant/   + asset (32) + version (4) + grant (32)     Marker   escrows that wait for the version
editions/         + asset (32) + terms (32)                   Editions
seats/            + grant (32)                                Seats
~seat-grant/      + account (32) + asset (32) + grant (32)    Marker
purchase/         + account (32) + commitment (32)            ledger.modules.assets.commitments
"""

from __future__ import annotations

from typing import Final, Literal

from ledger.modules.assets.records import version_part
from ledger.modules.fields import Amount, Bytes32, Marker, Part, Record, TimeMs, VersionNumber
from ledger.modules.licenses.operations import Terms
from ledger.state.indexes import Index
from ledger.state.view import Table

GrantState = Literal["escrowed", "active", "refunded"]
"""As stored; the other states follow from block time, use and the record's other fields
(`ledger.modules.licenses.grants.state_at`)."""

WAITING_MAX: Final = 100
"""Escrows that wait for one version: the statement that completes its quorum settles them all. Further buyers are
refused."""
RESERVING_MAX: Final = 64
"""Sole and exclusive grants of one asset that may be live at a time."""
SCAN_MAX: Final = 10_000
"""Grants that are searched for a collision with a new sole or exclusive one; where there are more it is refused."""


class OfferRecord(Record, frozen=True):
    asset: Bytes32
    version: VersionNumber
    terms: Bytes32
    maker: Bytes32
    organization: str
    """The maker's, on whose quota the offer is."""
    buyer: Bytes32 | None
    transfers: int
    """Of the asset when the offer was made: a later owner is not bound by it."""
    made_at_ms: TimeMs
    expires_at_ms: TimeMs


class Revocation(Part, frozen=True):
    cause: str
    evidence: str | None
    """CID."""
    by: Bytes32
    """Who paid the refund."""
    announced_at_ms: TimeMs
    effect_ms: TimeMs
    """Exclusive end of the grant."""


class Grant(Record, frozen=True):
    asset: Bytes32
    version: VersionNumber
    """The version that was offered; the grant covers all."""
    terms: Bytes32
    offer: Bytes32
    licensee: Bytes32
    organization: str
    """The licensee's, on whose quota the grant is."""
    edition: int
    """1, 2, ... for each asset and terms."""
    price: Amount
    """Units paid for each term."""
    state: GrantState
    granted_at_ms: TimeMs
    start_ms: TimeMs
    """While escrowed: the earliest."""
    end_ms: TimeMs | None
    """Exclusive; None never ends. While escrowed: the latest, so that no other grant is sold into the time."""
    due_ms: TimeMs | None
    """While the payment is in escrow: when it returns (escrowed) or is settled (active)."""
    exempt: bool
    """Licensee and owner were of one organization when it was bought: no least royalties."""
    approved: bool = False
    """For derivatives, where the terms ask for approval."""
    used: int = 0
    """Of the quota."""
    locked_by: Bytes32 | None = None
    """The transfer, listing or auction that the grant is locked in."""
    quota: int | None = None
    """Units that may be used in all: the terms' quota for every term paid; None where the terms have none."""
    terms_paid: int = 1
    """The purchase and its renewals."""
    renewed_from_ms: TimeMs | None = None
    """While the payment for a renewal is in escrow: where the grant would end without it."""
    usage_due_ms: TimeMs | None = None
    """While an active grant has a deposit for use: when what is left of it returns."""
    revocation: Revocation | None = None
    refunded: Amount = 0
    """Units of the price that the licensee got back by a revocation."""
    predecessor: Bytes32 | None = None
    """The grant that this one renews under other terms."""
    successor: Bytes32 | None = None
    """The grant that renews this one under other terms."""
    superseded_at_ms: TimeMs | None = None
    """Where the successor takes over."""
    disputed: bool = False
    """Its licensee asks for the price back: the grant gives no right, and a payment in escrow has no deadline
    meanwhile."""


class Editions(Record, frozen=True):
    issued: int = 0
    """Numbers given out; none is given twice."""
    outstanding: int = 0
    """Without those whose whole price went back. Revoked and superseded ones still count: nobody gains an edition to
    sell by ending one that was sold."""


class Seats(Record, frozen=True):
    asset: Bytes32
    licensee: Bytes32
    """Who named the accounts; seats given by an earlier licensee are void."""
    organization: str
    """The licensee's, on whose quota the seats are."""
    accounts: tuple[Bytes32, ...]
    """Sorted, without the licensee's own."""


TERMS: Final = Table[Terms](b"terms/", Terms)
OFFERS: Final = Table[OfferRecord](b"license-offer/", OfferRecord)
OFFERS_BY_ASSET: Final = Table[Marker](b"~asset-offer/", Marker)
GRANTS: Final = Table[Grant](b"grant/", Grant)
GRANTS_BY_LICENSEE: Final = Table[Marker](b"~licensee-grant/", Marker)
GRANTS_BY_ASSET: Final = Table[Marker](b"~asset-grant/", Marker)
RESERVING: Final = Table[Marker](b"reserving-grant/", Marker)
WAITING: Final = Table[Marker](b"~waiting-grant/", Marker)
EDITIONS: Final = Table[Editions](b"editions/", Editions)
SEATS: Final = Table[Seats](b"seats/", Seats)
SEATS_BY_ACCOUNT: Final = Table[Marker](b"~seat-grant/", Marker)

INDEXES: Final = (
    Index(OFFERS_BY_ASSET, OFFERS, lambda offer, record: [(record.asset, offer)]),
    Index(GRANTS_BY_LICENSEE, GRANTS, lambda grant, record: [(record.licensee, record.asset, grant)]),
    Index(GRANTS_BY_ASSET, GRANTS, lambda grant, record: [(record.asset, grant)] if record.state != "refunded" else []),
    Index(
        WAITING,
        GRANTS,
        lambda grant, record: (
            [(record.asset, version_part(record.version), grant)] if record.state == "escrowed" else []
        ),
    ),
    Index(
        SEATS_BY_ACCOUNT,
        SEATS,
        lambda grant, record: [(account, record.asset, grant) for account in record.accounts],
    ),
)

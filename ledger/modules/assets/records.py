"""Assets, their versions, who owns them, and what is claimed for ever.

asset/          + asset (32)                                    Asset
ownership/      + asset (32)                                    Ownership
~asset-owner/   + account (32) + asset (32)                     Marker
~asset-kind/    + kind (1) + asset (32)                         Marker
version/        + asset (32) + version (4)                      Version
artifact/       + CID                                           Claim
tensors/        + digest (32)                                   Claim
derivation/     + child (32) + parent (32)                      Link
~derived/       + parent (32) + child (32)                      Marker
taken-down/     + CID                                           TakenDown
held/           + asset (32) + version (4) + validator (32)     Held
contributor/    + asset (32) + version (4)                      Contributor
alias/          + asset (32) + alias                            AliasTarget
share-lock/     + asset (32) + account (32)                     ShareLock
bought/         + asset (32) + account (32)                     Bought
consent/        + asset (32) + account (32) + action (32)       Consented
commitment/     + account (32) + commitment (32)                ledger.modules.assets.commitments
reserved/       + CID, or digest (32)                           ledger.modules.assets.reservations
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from ledger.modules.assets.operations import Artifact, DerivingRight, Kind, Provenance, TransferTerms, Visibility
from ledger.modules.fields import BPS, Amount, Bytes32, Marker, Part, Rate, Record, TimeMs
from ledger.state.indexes import Index
from ledger.state.view import Table

SOURCES_MAX: Final = 8
"""Accounts that answer for one owner's share; of more, the least is counted to the greatest."""
OWNERS_MAX: Final = 64
"""Owners of one asset; a share is not split further."""
ALIASES_MAX: Final = 16
CONSENTS_MAX: Final = 16
"""Consents of one account about one asset at a time. A removed organization still consents, and no quota binds it."""
CONTRIBUTORS_MAX: Final = 64
"""Contributors that an asset is shown with; `contributions.list` tells all accepted contributions."""
CONTRIBUTED_MAX: Final = 1_024
"""Contributed versions, the first ones, among which these are looked for: an asset may have any number of them."""
LATEST: Final = "latest"
"""The alias that nobody sets: it follows the versions by itself."""
LINK_TERMS_MAX: Final = 16
"""Different terms under which one asset derives from one parent; a further one is refused."""
DENIED_USES_MAX: Final = 256
"""Fields of use that an asset's ancestors deny together; a version that would bring more is refused."""
VERSION_BYTES: Final = 4
KINDS: Final[tuple[Kind, ...]] = ("model", "dataset", "algorithm", "software", "artwork", "object3d")


class Share(Part, frozen=True):
    account: Bytes32
    bps: Rate


class Asset(Record, frozen=True):
    kind: Kind
    name: str
    description: str
    tags: tuple[str, ...]
    metadata: tuple[tuple[str, str], ...]
    visibility: Visibility
    organization: str
    """The registrant's, on whose quota the asset's records stay."""
    manager: Bytes32
    creators: tuple[Share, ...]
    transfer_terms: TransferTerms
    registered_at_ms: TimeMs
    versions: int
    transfers: int
    """How often the asset has changed hands; what an earlier owner offered is void."""
    denied_uses: tuple[str, ...]
    """Field-of-use codes that the terms of its ancestors deny; every license on the asset must deny them too."""
    commercial: bool
    """False where an ancestor's license is not commercial: nothing of the asset can then be sold."""
    aliases: int = 0
    locked_by: Bytes32 | None = None
    """The transfer, listing or auction that the asset is locked in."""
    retired: bool = False
    freezes: int = 0
    """Disputes whose decision keeps the asset from being sold. Each lifts its own freeze only."""
    recall: Bytes32 | None = None
    """The dispute that takes the asset back as soon as what locks it has ended; nothing more is sold or given away."""
    recalls: int = 0
    """How often a dispute has taken the asset back: earlier disputes cannot reach who got it then."""


class Ownership(Record, frozen=True):
    """Who owns an asset, in one record so that one proof shows all of it. The shares sum to 10_000 bps."""

    shares: tuple[Share, ...]
    since_ms: TimeMs
    transfers: int


class Version(Record, frozen=True):
    artifact: Artifact
    provenance: Provenance
    notes: str
    registered_at_ms: TimeMs
    available_at_ms: TimeMs | None = None
    """When a quorum of validators had stated that they hold it; it can be sold from then on."""


class Claim(Record, frozen=True):
    """Which asset an artifact or a set of tensors belongs to, for ever."""

    asset: Bytes32
    version: int


TakedownReason: TypeAlias = Literal["unlawful", "infringing", "personal-data", "malicious", "other"]
"""unlawful: to have or to spread. infringing: somebody else's rights. personal-data: of people who do not agree.
malicious: it harms who loads it. other: the report says."""


class TakenDown(Record, frozen=True):
    """The consortium has decided that nobody shall serve or fetch an artifact's bytes. Who registered and owns what it
    belongs to stays as it was."""

    reason: TakedownReason
    report: str | None
    """CID of a longer explanation."""
    proposal: Bytes32
    since_ms: TimeMs


class Link(Record, frozen=True):
    """What a child owes to a parent. Links are never removed."""

    rate_bps: Rate
    cap: Amount | None
    """Units that the child pays to the parent in all; None is without limit."""
    least: Amount
    """Units for each grant, resale and gift, when that is more than the rate gives."""
    depth: int
    """Generations that pay the parent; 0 when nothing is owed."""
    right: DerivingRight
    grant: Bytes32 | None
    terms: tuple[Bytes32, ...]
    """Digests of the terms of all grants under which versions derive from the parent; each demands its share-alike."""
    same_organization: bool
    """Such an edge uses no depth."""
    version: int
    """The child's version that brought the link."""


class Held(Record, frozen=True):
    node_id: str
    reported_at_ms: TimeMs


class Contributor(Record, frozen=True):
    """Who made a version of somebody else's asset. It stays in the lineage, whoever owns the asset."""

    account: Bytes32
    contribution: Bytes32


class AliasTarget(Record, frozen=True):
    version: int


class ShareLock(Record, frozen=True):
    """How much of an owner's share is in transfers, listings and auctions."""

    bps: Annotated[int, msgspec.Meta(ge=1, le=BPS)]


class Source(Part, frozen=True):
    """Who sold a part of a share without having bought it, and answers for that part in disputes."""

    account: Bytes32
    bps: Annotated[int, msgspec.Meta(ge=1, le=BPS)]


class Bought(Record, frozen=True):
    """How much of an owner's share another organization was paid for, by this owner or by one who gave it away. No
    dispute takes it back."""

    sources: Annotated[tuple[Source, ...], msgspec.Meta(min_length=1, max_length=8)]
    """In order of account."""

    @property
    def bps(self) -> int:
        """All of it."""
        return sum(source.bps for source in self.sources)


class Consented(Record, frozen=True):
    """An owner's consent to one operation."""

    organization: str
    """On whose quota it is."""
    expires_at_ms: TimeMs


ASSETS: Final = Table[Asset](b"asset/", Asset)
OWNERSHIP: Final = Table[Ownership](b"ownership/", Ownership)
BY_OWNER: Final = Table[Marker](b"~asset-owner/", Marker)
BY_KIND: Final = Table[Marker](b"~asset-kind/", Marker)
VERSIONS: Final = Table[Version](b"version/", Version)
ARTIFACTS: Final = Table[Claim](b"artifact/", Claim)
TENSORS: Final = Table[Claim](b"tensors/", Claim)
TAKEN_DOWN: Final = Table[TakenDown](b"taken-down/", TakenDown)
LINKS: Final = Table[Link](b"derivation/", Link)
DERIVED: Final = Table[Marker](b"~derived/", Marker)
HELD: Final = Table[Held](b"held/", Held)
CONTRIBUTORS: Final = Table[Contributor](b"contributor/", Contributor)
ALIASES: Final = Table[AliasTarget](b"alias/", AliasTarget)
SHARE_LOCKS: Final = Table[ShareLock](b"share-lock/", ShareLock)
BOUGHT: Final = Table[Bought](b"bought/", Bought)
CONSENTS: Final = Table[Consented](b"consent/", Consented)


def version_part(version: int) -> bytes:
    """Return a version number as a key part."""
    return version.to_bytes(VERSION_BYTES, "big")


def kind_part(kind: Kind) -> bytes:
    """Return a kind as a key part."""
    return bytes([KINDS.index(kind)])


INDEXES: Final = (
    Index(BY_OWNER, OWNERSHIP, lambda asset, record: [(share.account, asset) for share in record.shares]),
    Index(BY_KIND, ASSETS, lambda asset, record: [(kind_part(record.kind), asset)]),
    Index(DERIVED, LINKS, lambda pair, _: [(pair[32:], pair[:32])]),
)

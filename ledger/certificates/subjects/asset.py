"""Who owns an asset, and its latest version."""

from __future__ import annotations

import msgspec

from ledger.certificates.reading import Records, need
from ledger.certificates.subjects.subject import SubjectBase, fields
from ledger.certificates.verified import Verified, Where
from ledger.modules.assets.records import ASSETS, OWNERSHIP, VERSIONS, version_part
from primitives.finality import Bytes32
from primitives.identifiers import account_to_text


class Owner(msgspec.Struct, frozen=True):
    account: str
    """gm1..."""
    bps: int


class VerifiedAsset(Verified, frozen=True, kw_only=True):
    asset: str
    """Asset id in hex."""
    kind: str
    name: str
    retired: bool
    owners: tuple[Owner, ...]
    owned_since_ms: int
    registered_at_ms: int
    version: int
    """The latest, whose artifact is `cid`."""
    cid: str

    def lines(self) -> list[str]:
        owners = ", ".join(f"{owner.account} ({owner.bps // 100}.{owner.bps % 100:02} %)" for owner in self.owners)
        return [
            f"{self.kind} {self.name!r}, asset {self.asset}",
            f"owned by {owners}",
            f"version {self.version}, artifact {self.cid}" + (", retired" if self.retired else ""),
        ]


class AssetSubject(SubjectBase, frozen=True, tag="asset"):
    asset: Bytes32

    def read(self, records: Records, where: Where) -> VerifiedAsset:
        asset = need(records, f"asset {self.asset.hex()}", ASSETS, self.asset)
        ownership = need(records, "owner", OWNERSHIP, self.asset)
        latest = need(records, "version", VERSIONS, self.asset, version_part(asset.versions))
        return VerifiedAsset(
            proves="asset",
            **fields(where),
            asset=self.asset.hex(),
            kind=asset.kind,
            name=asset.name,
            retired=asset.retired,
            owners=tuple(Owner(account_to_text(share.account), share.bps) for share in ownership.shares),
            owned_since_ms=ownership.since_ms,
            registered_at_ms=asset.registered_at_ms,
            version=asset.versions,
            cid=latest.artifact.cid,
        )

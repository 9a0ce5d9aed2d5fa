"""One version of an asset: its artifact, and since when."""

from __future__ import annotations

from ledger.certificates.reading import Records, need
from ledger.certificates.subjects.subject import SubjectBase, fields
from ledger.certificates.verified import Verified, Where
from ledger.modules.assets.records import ASSETS, VERSIONS, version_part
from ledger.modules.fields import VersionNumber
from primitives.finality import Bytes32


class VerifiedVersion(Verified, frozen=True, kw_only=True):
    asset: str
    kind: str
    name: str
    version: int
    versions: int
    """How many the asset has."""
    cid: str
    size_bytes: int
    tensors_digest: str | None
    """Of a model, in hex."""
    registered_at_ms: int
    available_at_ms: int | None
    """When a quorum of validators had stated that they hold it; None while it has not."""

    def lines(self) -> list[str]:
        return [
            f"version {self.version} of {self.versions} of the {self.kind} {self.name!r}, asset {self.asset}",
            f"artifact {self.cid} of {self.size_bytes} bytes, registered at {self.registered_at_ms} ms",
        ]


class VersionSubject(SubjectBase, frozen=True, tag="version"):
    asset: Bytes32
    version: VersionNumber

    def read(self, records: Records, where: Where) -> VerifiedVersion:
        asset = need(records, f"asset {self.asset.hex()}", ASSETS, self.asset)
        version = need(records, f"version {self.version}", VERSIONS, self.asset, version_part(self.version))
        digest = version.artifact.tensors_digest
        return VerifiedVersion(
            proves="version",
            **fields(where),
            asset=self.asset.hex(),
            kind=asset.kind,
            name=asset.name,
            version=self.version,
            versions=asset.versions,
            cid=version.artifact.cid,
            size_bytes=version.artifact.size_bytes,
            tensors_digest=None if digest is None else digest.hex(),
            registered_at_ms=version.registered_at_ms,
            available_at_ms=version.available_at_ms,
        )

"""Registering assets and versions: reveal, scarcity, provenance, first owner."""

from __future__ import annotations

from typing import Final

import msgspec

from ledger.errors import OperationError
from ledger.modules.assets import events, reservations
from ledger.modules.assets.cid_text import check_cid
from ledger.modules.assets.claims import check_claims
from ledger.modules.assets.commitments import CommitmentBook
from ledger.modules.assets.labels import check_labels
from ledger.modules.assets.lineage import Maker, derive
from ledger.modules.assets.operations import (
    AddVersion,
    Artifact,
    Commit,
    Kind,
    Provenance,
    Register,
    asset_id,
    commitment,
)
from ledger.modules.assets.reads import require_asset, require_manageable, sole_owner
from ledger.modules.assets.records import (
    ARTIFACTS,
    ASSETS,
    BY_KIND,
    BY_OWNER,
    OWNERSHIP,
    TENSORS,
    VERSIONS,
    Asset,
    Claim,
    Ownership,
    Share,
    Version,
    kind_part,
    version_part,
)
from ledger.modules.charters.adoption import adopt, check_charter
from ledger.modules.fields import BPS, MARKER
from ledger.modules.module import ArtifactRecord, Context
from ledger.modules.organizations import quota
from ledger.modules.organizations.accounts import organization_of, require_party, sender_organization
from primitives.identifiers import account_to_text

COMMITMENTS: Final = CommitmentBook("assets", b"commitment/")


def commit(context: Context, operation: Commit) -> None:
    """Commit to an artifact."""
    COMMITMENTS.add(context, operation.commitment)
    context.emit(events.Committed(context.sender, operation.commitment))


def register(context: Context, operation: Register) -> None:
    """Register an asset with its first version. Its id is `asset_id(network, sender, CID)`."""
    artifact = operation.artifact
    check_artifact(context, artifact, operation.kind)
    check_claims(context.view, operation.provenance.metrics)
    reveal(context, artifact, operation.salt)
    identifier = asset_id(context.network_id, context.sender, artifact.cid)
    assert ASSETS.get(context.view, identifier) is None  # the artifact would be claimed
    manager = context.sender if operation.manager is None else operation.manager
    require_party(context.view, manager, "assets.invalid_manager")
    check_labels(operation.name, operation.tags, operation.metadata)
    if operation.transfer_terms.least_royalty and not operation.transfer_terms.resale_royalty_bps:
        raise OperationError("assets.transfer_terms", "a least royalty needs a resale royalty")
    if operation.charter is not None:
        check_charter(operation.charter)
    asset = Asset(
        kind=operation.kind,
        name=operation.name,
        description=operation.description,
        tags=operation.tags,
        metadata=operation.metadata,
        visibility=operation.visibility,
        organization=sender_organization(context),
        manager=manager,
        creators=_creators(context, operation.creators),
        transfer_terms=operation.transfer_terms,
        registered_at_ms=context.block_time_ms,
        versions=1,
        transfers=0,
        denied_uses=(),
        commercial=True,
    )
    maker = Maker(context.sender, context.sender, context.sender)
    asset = derive(context, identifier, asset, maker, 1, operation.provenance.derivations)
    organization, tally = asset.organization, quota.Tally(context)
    tally.store(organization, ASSETS, asset, identifier)
    owners = Ownership((Share(context.sender, BPS),), context.block_time_ms, 0)
    tally.put(organization, OWNERSHIP.key(identifier), None, owners)
    tally.put(organization, BY_OWNER.key(context.sender, identifier), None, MARKER)
    tally.put(organization, BY_KIND.key(kind_part(operation.kind), identifier), None, MARKER)
    write_version(context, tally, identifier, organization, 1, artifact, operation.provenance, "")
    tally.settle()
    context.emit(events.Registered(identifier, operation.kind, context.sender, artifact.cid))
    if operation.charter is not None:
        adopt(context, identifier, organization, operation.charter)


def add_version(context: Context, operation: AddVersion) -> None:
    """Register the next version. Only the manager, who must have committed to the artifact."""
    asset = require_manageable(context.view, operation.asset)
    if asset.manager != context.sender:
        raise OperationError("assets.not_manager", "only the asset's manager adds versions")
    artifact = operation.artifact
    check_artifact(context, artifact, asset.kind, own=operation.asset)
    check_claims(context.view, operation.provenance.metrics)
    reveal(context, artifact, operation.salt)
    number = asset.versions + 1
    maker = Maker(context.sender, sole_owner(context.view, operation.asset), context.sender)
    asset = derive(context, operation.asset, asset, maker, number, operation.provenance.derivations)
    asset = msgspec.structs.replace(asset, versions=number)
    tally = quota.Tally(context)
    tally.store(asset.organization, ASSETS, asset, operation.asset)
    write_version(
        context, tally, operation.asset, asset.organization, number, artifact, operation.provenance, operation.notes
    )
    tally.settle()
    context.emit(events.VersionAdded(operation.asset, number, artifact.cid))


def reveal(context: Context, artifact: Artifact, salt: bytes) -> None:
    """Use up the sender's commitment to an artifact. Raises `assets.commitment_*`."""
    committed = commitment(artifact.cid, context.sender, salt, artifact.tensors_digest)
    COMMITMENTS.reveal(context, committed)


def check_artifact(context: Context, artifact: Artifact, kind: Kind, own: bytes | None = None) -> None:
    """Check form and scarcity: an artifact, and a model's tensors, belong to one asset for ever, and before that to
    who has proposed them to one. `own` is the asset whose artifacts may be used again.

    Raises:
        OperationError: `assets.invalid_cid`, `assets.artifact_too_large`, `assets.tensors_digest`,
            `assets.artifact_claimed`, `assets.tensors_claimed`, `assets.artifact_reserved`, `assets.tensors_reserved`.
    """
    check_cid(artifact.cid, "assets.invalid_cid")
    if not 0 <= artifact.size_bytes <= context.parameters.artifact_bytes_max:
        largest = context.parameters.artifact_bytes_max
        raise OperationError("assets.artifact_too_large", f"{artifact.size_bytes} bytes of at most {largest}")
    if (kind == "model") != (artifact.tensors_digest is not None):
        raise OperationError("assets.tensors_digest", "a model has the digest of its tensors, and nothing else has one")
    _check_unclaimed(context, "assets.artifact_claimed", ARTIFACTS.get(context.view, artifact.cid.encode("ascii")), own)
    if artifact.tensors_digest is not None:
        _check_unclaimed(context, "assets.tensors_claimed", TENSORS.get(context.view, artifact.tensors_digest), own)
    reservations.require_unreserved(context.view, artifact, context.sender)


def _check_unclaimed(context: Context, code: str, claim: Claim | None, own: bytes | None) -> None:
    """Refuse what another asset has, and say whose that is: the sender needs a license of it, or something else."""
    if claim is None or claim.asset == own:
        return
    where = f"it belongs to asset {claim.asset.hex()}, version {claim.version}"
    manager = require_asset(context.view, claim.asset).manager
    if manager == context.sender:
        raise OperationError(code, f"{where}, which the sender manages: it needs no second registration")
    who = f"{account_to_text(manager)} of {organization_of(context.view, manager)}"
    raise OperationError(code, f"{where}, which {who} manages: ask there for a license, or register something else")


def _creators(context: Context, creators: tuple[tuple[bytes, int], ...]) -> tuple[Share, ...]:
    if not creators:
        return (Share(context.sender, BPS),)
    if len({account for account, _ in creators}) != len(creators):
        raise OperationError("assets.creator_repeated", "a creator is named twice")
    if sum(bps for _, bps in creators) != BPS or any(bps <= 0 for _, bps in creators):
        raise OperationError("assets.creator_shares", f"the creators' shares are positive and sum to {BPS} bps")
    for account, _ in creators:
        require_party(context.view, account, "assets.invalid_creator")
    return tuple(Share(account, bps) for account, bps in creators)


def write_version(
    context: Context,
    tally: quota.Tally,
    asset: bytes,
    organization: str,
    number: int,
    artifact: Artifact,
    provenance: Provenance,
    notes: str,
) -> None:
    """Record a version, claim what it is made of, and tell the node. What is written is charged to `tally`."""
    record = Version(artifact, provenance, notes, context.block_time_ms)
    tally.put(organization, VERSIONS.key(asset, version_part(number)), None, record)
    claim = Claim(asset, number)
    cid = artifact.cid.encode("ascii")
    if ARTIFACTS.get(context.view, cid) is None:
        tally.put(organization, ARTIFACTS.key(cid), None, claim)
    if artifact.tensors_digest is not None and TENSORS.get(context.view, artifact.tensors_digest) is None:
        tally.put(organization, TENSORS.key(artifact.tensors_digest), None, claim)
    reservations.clear(context, tally, artifact)
    context.announce_artifact(ArtifactRecord(asset, number, artifact.cid, artifact.size_bytes))

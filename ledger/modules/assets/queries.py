"""What may be asked about assets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from ledger.errors import LedgerError
from ledger.modules import texts
from ledger.modules.assets.availability import holders
from ledger.modules.assets.graph import get_lineage
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.reads import children, contributors_of, links, ownership
from ledger.modules.assets.records import (
    ALIASES,
    ARTIFACTS,
    ASSETS,
    BY_KIND,
    BY_OWNER,
    CONTRIBUTORS,
    KINDS,
    LATEST,
    TAKEN_DOWN,
    TENSORS,
    VERSIONS,
    Asset,
    Claim,
    Link,
    Share,
    TakenDown,
    Version,
    kind_part,
    version_part,
)
from ledger.modules.assets.standing import AuditsResult, StandingResult, found_by_others
from ledger.modules.assets.takedowns import taken_down
from ledger.modules.fields import Result
from ledger.modules.organizations.accounts import validators
from ledger.state.view import Readable
from primitives.identifiers import account_to_text
from primitives.quorum import quorum

T = TypeVar("T")


class ShareResult(Result, frozen=True):
    account: str
    bps: int


class TakedownResult(Result, frozen=True):
    cid: str
    reason: str
    """`unlawful`, `infringing`, `personal-data`, `malicious` or `other`."""
    report: str | None
    """CID of a longer explanation."""
    proposal: str
    since_ms: int


class HolderResult(Result, frozen=True):
    node_id: str
    account: str
    reported_at_ms: int


class DerivationResult(Result, frozen=True):
    parent: str
    right: str
    grant: str | None


class VersionResult(Result, frozen=True):
    asset: str
    version: int
    cid: str
    size_bytes: int
    tensors_digest: str | None
    derivations: tuple[DerivationResult, ...]
    hyperparameters: dict[str, str]
    preprocessing: tuple[str, ...]
    metrics_ppm: dict[str, int]
    """Name -> parts per million."""
    claims: tuple[StandingResult, ...]
    """The same with data set and tolerance, and what others have found."""
    reproduced: int
    """By how many organizations the least reproduced one of the claims that name a data set; 0 without such claims."""
    contradicted: int
    """By how many organizations the most contradicted one of them."""
    audits: AuditsResult
    code_version: str
    notes: str
    registered_at_ms: int
    available: bool
    """A quorum of validators has stated that it holds the artifact: the version can be sold."""
    available_at_ms: int | None
    holders: tuple[HolderResult, ...]
    held_quorum: int
    """Statements needed."""
    contributor: str | None
    """Who made it, where it was contributed by somebody else."""
    contribution: str | None
    taken_down: TakedownResult | None
    """Where the consortium has taken the artifact down: nobody serves its bytes, and nobody gets a new license."""


class LinkResult(Result, frozen=True):
    parent: str
    parent_name: str
    right: str
    grant: str | None
    rate_bps: int
    cap: int | None
    least: int
    depth: int
    version: int


class AssetResult(Result, frozen=True):
    asset: str
    kind: str
    name: str
    description: str
    tags: tuple[str, ...]
    metadata: dict[str, str]
    visibility: str
    organization: str
    manager: str
    owners: tuple[ShareResult, ...]
    owned_since_ms: int
    creators: tuple[ShareResult, ...]
    resale_royalty_bps: int
    least_royalty: int
    gifts: bool
    registered_at_ms: int
    versions: int
    latest: VersionResult
    contributors: tuple[str, ...]
    """Accounts whose contributions became versions, in order of the first one; at most 64."""
    aliases: dict[str, int]
    parents: tuple[LinkResult, ...]
    denied_uses: tuple[str, ...]
    commercial: bool
    transfers: int
    locked_by: str | None
    """The transfer, listing or auction that the asset is in."""
    retired: bool
    frozen: bool
    """Disputes keep it, and everything of it, from being sold."""
    recall: str | None
    """The dispute that takes it back as soon as its lock has ended."""


class AssetSummary(Result, frozen=True):
    asset: str
    kind: str
    name: str
    tags: tuple[str, ...]
    visibility: str
    owners: tuple[ShareResult, ...]
    versions: int
    registered_at_ms: int
    retired: bool


class ClaimResult(Result, frozen=True):
    asset: str
    version: int
    """The first version that had it."""
    name: str


def get_asset(view: Readable, _network_id: bytes, block_time_ms: int, *, asset: str) -> AssetResult:
    """An asset with owners, latest version, links and aliases."""
    asset_id, record = named_asset(view, asset)
    owners = ownership(view, asset_id)
    return AssetResult(
        asset=asset,
        kind=record.kind,
        name=record.name,
        description=record.description,
        tags=record.tags,
        metadata=dict(record.metadata),
        visibility=record.visibility,
        organization=record.organization,
        manager=account_to_text(record.manager),
        owners=_shares(owners.shares),
        owned_since_ms=owners.since_ms,
        creators=_shares(record.creators),
        resale_royalty_bps=record.transfer_terms.resale_royalty_bps,
        least_royalty=record.transfer_terms.least_royalty,
        gifts=record.transfer_terms.gifts,
        registered_at_ms=record.registered_at_ms,
        versions=record.versions,
        latest=_version(view, asset_id, record.versions, block_time_ms),
        contributors=tuple(account_to_text(account) for account in contributors_of(view, asset_id)),
        aliases={key.decode("ascii"): target.version for key, target in ALIASES.items(view, asset_id)},
        parents=tuple(_link(view, parent, link) for parent, link in links(view, asset_id).items()),
        denied_uses=record.denied_uses,
        commercial=record.commercial,
        transfers=record.transfers,
        locked_by=None if record.locked_by is None else record.locked_by.hex(),
        retired=record.retired,
        frozen=record.freezes > 0,
        recall=None if record.recall is None else record.recall.hex(),
    )


def list_assets(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    owner: str = "",
    kind: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[AssetSummary]:
    """Assets in order of id, beginning behind the asset `after`; of one owner, of one kind, or both."""
    start = texts.identifier(after) if after else b""
    if kind and kind not in KINDS:
        raise LedgerError("query.argument", f"no kind {kind[:80]!r}; there are {', '.join(KINDS)}")
    if owner:
        keys = (key for key, _ in BY_OWNER.items(view, texts.account(owner), after=start))
    elif kind:
        keys = (key for key, _ in BY_KIND.items(view, kind_part(kind), after=start))
    else:
        keys = (key for key, _ in ASSETS.items(view, after=start))
    behind = ((key, _require(ASSETS.get(view, key))) for key in keys)
    chosen = (pair for pair in behind if not kind or pair[1].kind == kind)
    return [_summary(view, key, record) for key, record in texts.page(chosen, limit)]


def by_artifact(view: Readable, _network_id: bytes, _block_time_ms: int, *, cid: str) -> ClaimResult:
    """The asset that an artifact belongs to."""
    return _claim(view, ARTIFACTS.get(view, cid.encode()))


def by_tensors(view: Readable, _network_id: bytes, _block_time_ms: int, *, digest: str) -> ClaimResult:
    """The asset that a set of tensors belongs to, by the digest of their sorted digests."""
    return _claim(view, TENSORS.get(view, texts.identifier(digest)))


def get_version(
    view: Readable, _network_id: bytes, block_time_ms: int, *, asset: str, version: str | int = ""
) -> VersionResult:
    """A version by number or alias; the latest when none is named, or `latest`."""
    asset_id, record = named_asset(view, asset)
    if version in ("", LATEST):
        return _version(view, asset_id, record.versions, block_time_ms)
    text = str(version)
    if text.isdigit():
        number = texts.number(text)
    else:
        alias = ALIASES.get(view, asset_id, text.encode())
        if alias is None:
            raise texts.not_found("version or alias")
        number = alias.version
    if not 1 <= number <= record.versions:
        raise texts.not_found("version")
    return _version(view, asset_id, number, block_time_ms)


def list_versions(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str,
    after: int | str = 0,
    limit: int | str = texts.PAGE_MAX,
) -> list[VersionResult]:
    """The versions of an asset, oldest first, beginning behind the number `after`."""
    asset_id, record = named_asset(view, asset)
    numbers = iter(range(texts.number(after) + 1, record.versions + 1))
    return [_version(view, asset_id, number, block_time_ms) for number in texts.page(numbers, limit)]


def get_holders(
    view: Readable, _network_id: bytes, _block_time_ms: int, *, asset: str, version: int | str
) -> list[HolderResult]:
    """The validators that state that they hold a version."""
    asset_id, record = named_asset(view, asset)
    number = texts.number(version)
    if not 1 <= number <= record.versions:
        raise texts.not_found("version")
    return list(_holders(view, asset_id, number))


def list_takedowns(
    view: Readable, _network_id: bytes, _block_time_ms: int, *, after: str = "", limit: int | str = texts.PAGE_MAX
) -> list[TakedownResult]:
    """The artifacts that are down, in order of CID, beginning behind the CID `after`."""
    found = TAKEN_DOWN.items(view, after=after.encode("ascii", "replace"))
    return [_takedown(key.decode("ascii"), decision) for key, decision in texts.page(found, limit)]


def list_children(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    asset: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[AssetSummary]:
    """The assets that are derived from an asset, in order of id, beginning behind the asset `after`."""
    asset_id, _ = named_asset(view, asset)
    start = texts.identifier(after) if after else b""
    keys = texts.page(children(view, asset_id, after=start), limit)
    return [_summary(view, key, _require(ASSETS.get(view, key))) for key in keys]


def _require(record: T | None) -> T:
    assert record is not None  # an index names it
    return record


def _summary(view: Readable, asset_id: bytes, record: Asset) -> AssetSummary:
    return AssetSummary(
        asset=asset_id.hex(),
        kind=record.kind,
        name=record.name,
        tags=record.tags,
        visibility=record.visibility,
        owners=_shares(ownership(view, asset_id).shares),
        versions=record.versions,
        registered_at_ms=record.registered_at_ms,
        retired=record.retired,
    )


def _shares(shares: tuple[Share, ...]) -> tuple[ShareResult, ...]:
    return tuple(ShareResult(account_to_text(share.account), share.bps) for share in shares)


def _holders(view: Readable, asset_id: bytes, version: int) -> tuple[HolderResult, ...]:
    return tuple(
        HolderResult(held.node_id, account_to_text(account), held.reported_at_ms)
        for account, held in holders(view, asset_id, version)
    )


def _version(view: Readable, asset_id: bytes, number: int, at_ms: int) -> VersionResult:
    record: Version = _require(VERSIONS.get(view, asset_id, version_part(number)))
    artifact, provenance = record.artifact, record.provenance
    decision = taken_down(view, artifact.cid)
    made = CONTRIBUTORS.get(view, asset_id, version_part(number))
    return VersionResult(
        asset=asset_id.hex(),
        version=number,
        cid=artifact.cid,
        size_bytes=artifact.size_bytes,
        tensors_digest=None if artifact.tensors_digest is None else artifact.tensors_digest.hex(),
        derivations=tuple(
            DerivationResult(d.parent.hex(), d.right, None if d.grant is None else d.grant.hex())
            for d in provenance.derivations
        ),
        hyperparameters=dict(provenance.hyperparameters),
        preprocessing=provenance.preprocessing,
        metrics_ppm={metric.name: metric.value_ppm for metric in provenance.metrics},
        **found_by_others(view, asset_id, number, at_ms),
        code_version=provenance.code_version,
        notes=record.notes,
        registered_at_ms=record.registered_at_ms,
        available=record.available_at_ms is not None,
        available_at_ms=record.available_at_ms,
        holders=_holders(view, asset_id, number),
        held_quorum=quorum(len(validators(view))),
        contributor=None if made is None else account_to_text(made.account),
        contribution=None if made is None else made.contribution.hex(),
        taken_down=None if decision is None else _takedown(artifact.cid, decision),
    )


def _takedown(cid: str, decision: TakenDown) -> TakedownResult:
    return TakedownResult(cid, decision.reason, decision.report, decision.proposal.hex(), decision.since_ms)


def _link(view: Readable, parent: bytes, link: Link) -> LinkResult:
    return LinkResult(
        parent=parent.hex(),
        parent_name=_require(ASSETS.get(view, parent)).name,
        right=link.right,
        grant=None if link.grant is None else link.grant.hex(),
        rate_bps=link.rate_bps,
        cap=link.cap,
        least=link.least,
        depth=link.depth,
        version=link.version,
    )


def _claim(view: Readable, claim: Claim | None) -> ClaimResult:
    if claim is None:
        raise texts.not_found("artifact")
    return ClaimResult(claim.asset.hex(), claim.version, _require(ASSETS.get(view, claim.asset)).name)


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "assets.get": get_asset,
    "assets.list": list_assets,
    "assets.by_artifact": by_artifact,
    "assets.by_tensors": by_tensors,
    "assets.version": get_version,
    "assets.versions": list_versions,
    "assets.holders": get_holders,
    "assets.takedowns": list_takedowns,
    "assets.children": list_children,
    "assets.lineage": get_lineage,
}

"""Registering and managing assets and their versions.

Nobody who sees a registration before it is ordered can be first: the account commits to the artifact, waits until the
commitment is old enough, reveals it by registering, and uploads the bytes only then. The reveal goes to every node that
the client knows: a node that alone has it could keep it until a commitment of its own is old enough.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.artifact_transfer import LocalArtifact, Progress
from guildmark.claims import require_tolerances
from guildmark.errors import InvalidArgument, Refused
from guildmark.open_until import open_until
from guildmark.transactions import Outcome
from guildmark.transport import AT_LEAST_WAIT_S, path, pause
from ledger.modules.assets.charter import Charter
from ledger.modules.assets.operations import (
    AddVersion,
    Artifact,
    Commit,
    Consent,
    Kind,
    Provenance,
    Register,
    Retire,
    SetAlias,
    SetManager,
    TransferTerms,
    UpdateMetadata,
    Visibility,
    WithdrawConsent,
    action_digest,
    asset_id,
    commitment,
)
from ledger.operations import Operation

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

REVEALS_MAX: Final = 20
"""How often a reveal is tried again when block time lags behind the network's clock."""
CONSENT_LIFETIME_MS: Final = 7 * 24 * 3_600_000
"""How long a consent counts when nothing else is said; the network's own limit wins where it is lower."""


class Committed(msgspec.Struct, frozen=True):
    """A commitment in a certified block, and what is needed to reveal it."""

    cid: str
    size_bytes: int
    salt: bytes
    tensors_digest: bytes | None
    ready_at_ms: int
    """Network time from which it may be revealed."""


class RegisteredVersion(msgspec.Struct, frozen=True):
    asset: str
    """64 hex digits."""
    version: int
    cid: str
    size_bytes: int
    transaction: str
    height: int


def asset_bytes(asset: str | bytes) -> bytes:
    """Read a 32-byte id.

    Raises:
        InvalidArgument: `argument.id`.
    """
    if isinstance(asset, bytes):
        return asset
    try:
        value = bytes.fromhex(asset)
    except ValueError:
        value = b""
    if len(value) != 32 or value.hex() != asset:
        raise InvalidArgument("argument.id", f"not an id of 64 lower-case hex digits: {asset[:80]!r}")
    return value


def digest_of_tensors(source: Path) -> bytes:
    """The digest of the tensors of a `.keras` file, which every version of a model states.

    Raises:
        Refused: `model.*`, the file cannot be indexed; `assets.tensors_digest`, it is of another format.
    """
    if source.suffix != ".keras":
        raise Refused(
            "assets.tensors_digest",
            f"{source}: a model states the digest of its tensors, which is computed for .keras files only; "
            "state it yourself, by --tensors-digest on the command line or as tensors_digest in Python, where "
            "`artifacts.tensors.tensors_digest` makes it of the tensors",
        )
    from artifacts.errors import ArtifactError
    from artifacts.tensors import tensor_index, tensors_digest

    try:
        return tensors_digest(tensor_index(source))
    except ArtifactError as error:
        raise Refused(error.code, f"{source}: {error.message}") from error


class AsyncAssets:
    """What an account does with assets."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    # Registering

    async def commit(self, artifact: LocalArtifact, tensors_digest: bytes | None = None) -> Committed:
        """Commit to an artifact, of a model with its tensors' digest, without showing it. For who wants to do
        something while the commitment ages."""
        salt = secrets.token_bytes(16)
        account = self._client.signer().id
        committed = commitment(artifact.cid, account, salt, tensors_digest)
        outcome = await self._client.submit_and_wait(Commit(committed))
        assert outcome.height is not None
        block = await self._client.wait_for_height(outcome.height)
        age_ms = (await self._client.parameters()).commitment_age_ms
        ready_at_ms = int(block["timestamp_ms"]) + age_ms
        return Committed(artifact.cid, artifact.size_bytes, salt, tensors_digest, ready_at_ms)

    async def register(
        self,
        source: Path | str | LocalArtifact,
        *,
        kind: Kind,
        name: str,
        description: str = "",
        tags: Sequence[str] = (),
        metadata: Mapping[str, str] | None = None,
        visibility: Visibility = "licensed",
        provenance: Provenance | None = None,
        creators: Sequence[tuple[AnyAccount, int]] = (),
        manager: AnyAccount | None = None,
        transfer_terms: TransferTerms | None = None,
        charter: Charter | None = None,
        tensors_digest: bytes | None = None,
        committed: Committed | None = None,
        progress: Progress | None = None,
    ) -> RegisteredVersion:
        """Register a new asset with its first version and upload its bytes; the client's account owns it.

        `creators` are (account, bps) that sum to 10,000. `manager` makes offers, versions and aliases in place of the
        client's account. `charter` says how its later owners decide together. A `.keras` file's tensor digest is
        computed when not given.

        Raises:
            InvalidArgument: `argument.tolerance`, before anything is sent.
            Refused: `assets.*`, for instance because the artifact belongs to an asset already.
            OutcomeUnknown, Unreachable: as every transaction; then nothing was uploaded.
        """
        provenance = provenance or Provenance()
        require_tolerances(provenance.metrics)
        async with opened(source) as artifact:
            ready = committed or await self.commit(artifact, tensors_digest or model_digest(artifact, kind))
            operation = Register(
                artifact=Artifact(ready.cid, ready.size_bytes, ready.tensors_digest),
                salt=ready.salt,
                kind=kind,
                name=name,
                description=description,
                tags=tuple(tags),
                metadata=tuple(sorted((metadata or {}).items())),
                visibility=visibility,
                provenance=provenance,
                creators=tuple((account_bytes(account), bps) for account, bps in creators),
                manager=None if manager is None else account_bytes(manager),
                transfer_terms=transfer_terms or TransferTerms(),
                charter=charter,
            )
            outcome = await self._reveal(ready, operation)
            asset = asset_id(await self._client.network_id(), self._client.signer().id, ready.cid).hex()
            await self._client.artifacts.upload(artifact, progress)
            return _registered(asset, 1, ready, outcome)

    async def add_version(
        self,
        asset: str | bytes,
        source: Path | str | LocalArtifact,
        *,
        provenance: Provenance | None = None,
        notes: str = "",
        tensors_digest: bytes | None = None,
        committed: Committed | None = None,
        progress: Progress | None = None,
    ) -> RegisteredVersion:
        """Register the next version of an asset that the client's account manages, and upload its bytes.

        Raises as `register`.
        """
        provenance = provenance or Provenance()
        require_tolerances(provenance.metrics)
        async with opened(source) as artifact:
            kind = (await self.get(asset))["kind"]
            ready = committed or await self.commit(artifact, tensors_digest or model_digest(artifact, kind))
            operation = AddVersion(
                asset=asset_bytes(asset),
                artifact=Artifact(ready.cid, ready.size_bytes, ready.tensors_digest),
                salt=ready.salt,
                provenance=provenance,
                notes=notes,
            )
            outcome = await self._reveal(ready, operation)
            version = int(outcome.event("assets.version_added")["version"])
            await self._client.artifacts.upload(artifact, progress)
            return _registered(asset_bytes(asset).hex(), version, ready, outcome)

    async def _reveal(self, committed: Committed, operation: Operation) -> Outcome:
        await self._client.wait_until(committed.ready_at_ms)
        return await reveal(self._client, operation, "assets.commitment_too_young")

    # Reading

    async def get(self, asset: str | bytes) -> dict[str, Any]:
        """An asset's record with its owners."""
        result: dict[str, Any] = await self._client.query("assets.get", asset=asset_bytes(asset))
        return result

    async def find(
        self,
        *,
        owner: AnyAccount | None = None,
        kind: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Assets in order of id, beginning behind the asset `after`; a page at a time."""
        text = None if owner is None else account_text(owner)
        result: list[dict[str, Any]] = await self._client.query(
            "assets.list", owner=text, kind=kind, after=after, limit=limit
        )
        return result

    async def search(
        self,
        text: str = "",
        *,
        owner: AnyAccount | None = None,
        creator: AnyAccount | None = None,
        contributor: AnyAccount | None = None,
        kind: str | None = None,
        tags: Sequence[str] = (),
        organization: str | None = None,
        parent: str | bytes | None = None,
        ancestor: str | bytes | None = None,
        available: bool | None = None,
        retired: bool | None = False,
        reproduced: int | None = None,
        contradicted: bool | None = None,
        offered: bool | None = None,
        sells: str | None = None,
        rights: Sequence[str] = (),
        commercial: bool | None = None,
        exclusivity: str | None = None,
        spdx: str | None = None,
        price_min: int | None = None,
        price_max: int | None = None,
        reputation_min: int | None = None,
        buyer: AnyAccount | None = None,
        sort: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        at_least: int | None = None,
    ) -> dict[str, Any]:
        """Find assets; a page of `items`, and with it `height`, `block_time_ms` and the `cursor` of the next page.

        All words of `text` stand in name, tags, metadata or description; `wor*` is the beginning of one. What is said
        of rights, terms and prices holds of one open offer, listing or auction; `sells` says of what: license, asset,
        share, or grant (a license that its holder passes on). An item's `price` is the least at the answer's block
        time, and `sells`, `format` and `offer` say for what, how, and where. `reproduced` asks that at least so many
        organizations have reproduced what the latest version claims, `reputation_min` for the least mean score of the
        creators in millionths, and an item says both. None asks for nothing, also as `retired`.
        Who has seen a transaction committed at a height finds what it did with that height as `at_least`.

        Raises:
            Refused: `query.argument`, `query.cursor`, or `query.too_expensive`: ask for less.
            Unreachable: no node has reached the height, or answers searches.
        """
        asked: dict[str, Any] = {
            "text": text or None,
            "owner": None if owner is None else account_text(owner),
            "creator": None if creator is None else account_text(creator),
            "contributor": None if contributor is None else account_text(contributor),
            "tag": ",".join(tags) or None,
            "parent": None if parent is None else asset_bytes(parent).hex(),
            "ancestor": None if ancestor is None else asset_bytes(ancestor).hex(),
            "contradicted": _choice(contradicted),
            "right": ",".join(rights) or None,
            "commercial": _choice(commercial),
            "buyer": None if buyer is None else account_text(buyer),
        }
        asked |= {"available": _choice(available), "retired": _choice(retired), "offered": _choice(offered)}
        asked |= {
            "kind": kind,
            "organization": organization,
            "reproduced": reproduced,
            "reputation_min": reputation_min,
        }
        asked |= {"sells": sells, "exclusivity": exclusivity, "spdx": spdx, "price_min": price_min}
        asked |= {"price_max": price_max, "sort": sort, "limit": limit, "cursor": cursor, "at_least": at_least}
        wait_s = AT_LEAST_WAIT_S if at_least else 0.0
        answer: dict[str, Any] = await self._client.transport.get_json(path("search", "assets"), asked, wait_s)
        return answer

    async def lineage(
        self, asset: str | bytes, *, direction: str = "both", depth: int = 8, at_least: int | None = None
    ) -> dict[str, Any]:
        """What an asset derives from (`up`), what derives from it (`down`), or `both`, as `nodes` and `edges`.

        At most the 1,000 nearest assets within `depth` generations (1 to 8); `truncated` says that there are more.
        """
        result: dict[str, Any] = await self._client.query(
            "assets.lineage", asset=asset_bytes(asset), direction=direction, depth=depth, at_least=at_least
        )
        return result

    async def versions(self, asset: str | bytes, *, after: int | str | None = None) -> list[dict[str, Any]]:
        """An asset's versions, oldest first, beginning behind the number `after`; a page at a time."""
        result: list[dict[str, Any]] = await self._client.query(
            "assets.versions", asset=asset_bytes(asset), after=after
        )
        return result

    async def version(self, asset: str | bytes, version: int | str | None = None) -> dict[str, Any]:
        """One version by number or alias, the latest when none is named. Raises NotFound."""
        result: dict[str, Any] = await self._client.query("assets.version", asset=asset_bytes(asset), version=version)
        return result

    async def download(
        self,
        asset: str | bytes,
        destination: Path | str,
        *,
        version: int | str | None = None,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Fetch a version's bytes, every block checked; raises as `artifacts.download`."""
        entry = await self.version(asset, version)
        return await self._client.artifacts.download(
            entry["cid"], int(entry["size_bytes"]), destination, progress=progress, overwrite=overwrite
        )

    # Managing

    async def set_alias(self, asset: str | bytes, alias: str, version: int | None) -> Outcome:
        """Let `alias` name a version; None removes it."""
        return await self._client.submit_and_wait(SetAlias(asset=asset_bytes(asset), alias=alias, version=version))

    async def set_manager(self, asset: str | bytes, manager: AnyAccount) -> Outcome:
        """Replace the account that makes offers, versions and aliases."""
        return await self._client.submit_and_wait(SetManager(asset=asset_bytes(asset), manager=account_bytes(manager)))

    async def update_metadata(
        self,
        asset: str | bytes,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Describe an asset anew; what is not given stays as it is."""
        now = await self.get(asset)
        operation = UpdateMetadata(
            asset=asset_bytes(asset),
            name=now["name"] if name is None else name,
            description=now["description"] if description is None else description,
            tags=tuple(now["tags"] if tags is None else tags),
            metadata=tuple(sorted((now["metadata"] if metadata is None else metadata).items())),
        )
        return await self._client.submit_and_wait(operation)

    async def retire(self, asset: str | bytes) -> Outcome:
        """End an asset's further use in trade; its grants live on."""
        return await self._client.submit_and_wait(Retire(asset=asset_bytes(asset)))

    # What several owners do together

    async def consent(
        self, asset: str | bytes, operation: Operation, *, lifetime_ms: int = CONSENT_LIFETIME_MS
    ) -> Outcome:
        """Consent to an operation on the whole asset that another owner is to send, exactly as it is."""
        expires_at_ms = await open_until(self._client, lifetime_ms, CONSENT_LIFETIME_MS)
        given = Consent(asset=asset_bytes(asset), action=action_digest(operation), expires_at_ms=expires_at_ms)
        return await self._client.submit_and_wait(given)

    async def withdraw_consent(self, asset: str | bytes, operation: Operation) -> Outcome:
        """Take a consent back that was not used yet."""
        return await self._client.submit_and_wait(WithdrawConsent(asset_bytes(asset), action_digest(operation)))


async def reveal(client: AsyncClient, operation: Operation, too_young: str) -> Outcome:
    """Show an operation that reveals a commitment to all nodes; try again while block time says that it is too young.

    The rule compares block times, and a block's may lie a little behind the clocks that were waited for.
    """
    for attempt in range(1, REVEALS_MAX + 1):
        try:
            return await client.deliver(await client.prepare(operation), everywhere=True)
        except Refused as error:
            if error.code != too_young or attempt == REVEALS_MAX:
                raise
            await pause(0.25)
    raise AssertionError("the last attempt returns or raises")


def _choice(value: bool | None) -> str:
    return "any" if value is None else str(value).lower()


def model_digest(artifact: LocalArtifact, kind: str) -> bytes | None:
    """The digest of a model's tensors; None of what is no model. Raises as `digest_of_tensors`."""
    return digest_of_tensors(artifact.source) if kind == "model" else None


def _registered(asset: str, version: int, committed: Committed, outcome: Outcome) -> RegisteredVersion:
    assert outcome.height is not None
    return RegisteredVersion(asset, version, committed.cid, committed.size_bytes, outcome.id, outcome.height)


class opened:
    """A `LocalArtifact` of its own for a path, closed afterwards; the caller's own stays open."""

    def __init__(self, source: Path | str | LocalArtifact) -> None:
        self._source = source
        self._own: LocalArtifact | None = None

    async def __aenter__(self) -> LocalArtifact:
        if isinstance(self._source, LocalArtifact):
            return self._source
        self._own = await asyncio.to_thread(LocalArtifact, self._source)
        return self._own

    async def __aexit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.close()

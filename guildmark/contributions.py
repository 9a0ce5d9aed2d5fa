"""Contributions and bounties: proposing a version of somebody else's asset, deciding on it, and paying for it.

bounty = await owner.contributions.open_bounty(asset, 50_000)
made = await maker.contributions.propose(asset, "better.keras", grant=grant, bounty=bounty)
await owner.contributions.accept(made["contribution"])
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.artifact_transfer import LocalArtifact, Progress
from guildmark.assets import Committed, asset_bytes, model_digest, opened, reveal
from guildmark.claims import require_tolerances
from guildmark.deriving import require_right
from guildmark.errors import InvalidArgument
from guildmark.open_until import open_until
from guildmark.transactions import Outcome
from ledger.modules.assets.operations import Artifact, DerivingRight, Provenance
from ledger.modules.contributions.operations import (
    Accept,
    AwardBounty,
    CancelBounty,
    ClaimBounty,
    Comment,
    Condition,
    OpenBounty,
    Propose,
    Refuse,
    Reward,
    Withdraw,
    bounty_id,
    contribution_id,
)

if TYPE_CHECKING:
    from guildmark.client import AsyncClient
__all__ = ["AsyncContributions", "Condition"]

CONTRIBUTION_LIFETIME_MS: Final = 14 * 24 * 3_600_000
"""How long a contribution waits for a decision when nothing else is said; the network's own limit wins."""
BOUNTY_LIFETIME_MS: Final = 28 * 24 * 3_600_000
"""How long a bounty stays open when nothing else is said; the network's own limit wins."""


class AsyncContributions:
    """What an account proposes to others' assets, and decides on what is proposed to its own."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    # Contributing

    async def propose(
        self,
        asset: str | bytes,
        source: Path | str | LocalArtifact,
        *,
        right: DerivingRight = "fine-tune",
        grant: str | bytes | None = None,
        parent_version: int | None = None,
        provenance: Provenance | None = None,
        message: str = "",
        share_bps_min: int = 0,
        bounty: str | bytes | None = None,
        lifetime_ms: int = CONTRIBUTION_LIFETIME_MS,
        tensors_digest: bytes | None = None,
        committed: Committed | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Commit to an artifact, reveal it as a version that is proposed to `asset`, and upload its bytes for those who
        decide; return the contribution.

        `grant` gives the right to derive, unless the client's account owns a share. `parent_version` is the latest one
        when nothing else is said.

        Raises:
            InvalidArgument: `argument.tolerance`, `argument.id`; NotFound, Refused: `licenses.unknown_grant`,
                `assets.derivation_*`. All before anything is sent, as far as a node can tell.
            Refused: `contributions.*`, `assets.*`, for instance because the artifact is somebody's already.
        """
        provenance = provenance or Provenance()
        require_tolerances(provenance.metrics)
        by = None if grant is None else asset_bytes(grant)
        wanted = None if bounty is None else asset_bytes(bounty)
        shown = await self._client.assets.get(asset)
        await require_right(self._client, shown, right, by)
        async with opened(source) as artifact:
            digest = tensors_digest or model_digest(artifact, shown["kind"])
            ready = committed or await self._client.assets.commit(artifact, digest)
            operation = Propose(
                asset=asset_bytes(asset),
                parent_version=parent_version or int(shown["versions"]),
                right=right,
                artifact=Artifact(ready.cid, ready.size_bytes, ready.tensors_digest),
                salt=ready.salt,
                expires_at_ms=await open_until(self._client, lifetime_ms, CONTRIBUTION_LIFETIME_MS),
                grant=by,
                provenance=provenance,
                message=message,
                share_bps_min=share_bps_min,
                bounty=wanted,
            )
            await self._client.wait_until(ready.ready_at_ms)
            outcome = await reveal(self._client, operation, "assets.commitment_too_young")
            await self._client.artifacts.upload(artifact, progress)
        identifier = contribution_id(bytes.fromhex(outcome.id), operation.asset, ready.cid)
        return await self.get(identifier, at_least=outcome.height)

    async def withdraw(self, contribution: str | bytes) -> Outcome:
        """Take a contribution back. Its artifact stays reserved for the client's account."""
        return await self._client.submit_and_wait(Withdraw(asset_bytes(contribution)))

    async def comment(self, contribution: str | bytes, text: str) -> dict[str, Any]:
        """Say something about a contribution: `text` is a CID. Return the contribution as it is then."""
        outcome = await self._client.submit_and_wait(Comment(asset_bytes(contribution), text))
        return await self.get(contribution, at_least=outcome.height)

    # Deciding

    async def download(
        self,
        contribution: str | bytes,
        destination: Path | str,
        *,
        progress: Progress | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Fetch what a contribution proposes, as its contributor, as an owner or the manager of the asset, or as an
        accredited evaluator.

        Raises:
            Denied: `artifact.proposed`. Others as `artifacts.download`.
        """
        shown = await self.get(contribution)
        return await self._client.artifacts.download(
            shown["cid"], shown["size_bytes"], destination, progress=progress, overwrite=overwrite
        )

    async def acceptance(
        self, contribution: str | bytes, *, share_bps: int | None = None, giver: AnyAccount | None = None
    ) -> Accept:
        """The operation that accepts a contribution for what it asks, or for more of a share that it asks. Of an asset
        with several owners the others consent to it first (`assets.consent`); then the manager sends it with
        `accept_for_all`."""
        asked = await self.get(contribution)
        reward = Reward(
            share_bps=asked["share_bps_min"] if share_bps is None else share_bps,
            giver=None if giver is None else account_bytes(giver),
            bounty=None if asked["bounty"] is None else asset_bytes(asked["bounty"]),
        )
        return Accept(asset_bytes(contribution), reward)

    async def accept_for_all(self, operation: Accept) -> dict[str, Any]:
        """Send what `acceptance` has made; return the contribution as it is then.

        Raises:
            Refused: `contributions.*`, `assets.*`, `transfers.*`, `royalties.*`.
        """
        outcome = await self._client.submit_and_wait(operation)
        return await self.get(operation.contribution, at_least=outcome.height)

    async def accept(
        self, contribution: str | bytes, *, share_bps: int | None = None, giver: AnyAccount | None = None
    ) -> dict[str, Any]:
        """Accept a contribution to an asset that the client's account owns alone. Raises as `accept_for_all`."""
        return await self.accept_for_all(await self.acceptance(contribution, share_bps=share_bps, giver=giver))

    async def refuse(self, contribution: str | bytes, reason: str = "") -> Outcome:
        """End a contribution to an asset that the client's account manages."""
        return await self._client.submit_and_wait(Refuse(asset_bytes(contribution), reason))

    # Bounties

    async def open_bounty(
        self,
        asset: str | bytes,
        amount: int,
        *,
        condition: Condition | None = None,
        description: str | None = None,
        lifetime_ms: int = BOUNTY_LIFETIME_MS,
    ) -> str:
        """Put `amount` into escrow for a contribution to `asset`; return the bounty's id (hex). With a `condition` it
        is paid by what evaluators state, else with the acceptance, by the client's word. `description` is a CID.

        Raises:
            Refused: `contributions.*`, `assets.*`, `credits.insufficient`.
        """
        closes_at_ms = await open_until(self._client, lifetime_ms, BOUNTY_LIFETIME_MS)
        operation = OpenBounty(asset_bytes(asset), amount, closes_at_ms, description, condition)
        transaction = await self._client.prepare(operation)
        await self._client.deliver(transaction)
        return bounty_id(bytes.fromhex(transaction.id), operation).hex()

    async def claim_bounty(self, bounty: str | bytes, contribution: str | bytes) -> dict[str, Any]:
        """Have a bounty paid to the contributor of an accepted contribution that fulfils its condition; return the
        contribution.

        Raises:
            Refused: `contributions.condition_unmet`, `contributions.*`.
        """
        operation = ClaimBounty(asset_bytes(bounty), asset_bytes(contribution))
        outcome = await self._client.submit_and_wait(operation)
        return await self.get(contribution, at_least=outcome.height)

    async def award_bounty(self, bounty: str | bytes, contribution: str | bytes | None) -> dict[str, Any]:
        """Say which open contribution the client's bounty is paid for once it is accepted, or with None that it is for
        none; return the bounty."""
        meant = None if contribution is None else asset_bytes(contribution)
        outcome = await self._client.submit_and_wait(AwardBounty(asset_bytes(bounty), meant))
        return await self.bounty(bounty, at_least=outcome.height)

    async def cancel_bounty(self, bounty: str | bytes) -> Outcome:
        """Take a bounty back that no contribution names."""
        return await self._client.submit_and_wait(CancelBounty(asset_bytes(bounty)))

    # Reading

    async def get(self, contribution: str | bytes, *, at_least: int | None = None) -> dict[str, Any]:
        """A contribution that is open or was accepted, and what was said about it. Raises NotFound."""
        result: dict[str, Any] = await self._client.query(
            "contributions.get", at_least=at_least, contribution=asset_bytes(contribution)
        )
        return result

    async def find(
        self,
        *,
        asset: str | bytes | None = None,
        contributor: AnyAccount | None = None,
        state: str = "open",
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Contributions to an asset or of a contributor (the client's account by default) that are `open` or
        `accepted`.

        Raises:
            InvalidArgument: `argument.contributor`, neither is named and the client has no account.
            NotFound: there is no such asset.
        """
        if asset is None and contributor is None:
            contributor = self._client.account
            if contributor is None:
                raise InvalidArgument(
                    "argument.contributor", "name an asset or a contributor: the client has no account"
                )
        result: list[dict[str, Any]] = await self._client.query(
            "contributions.list",
            asset=None if asset is None else asset_bytes(asset),
            contributor=None if contributor is None else account_text(contributor),
            state=state,
            after=after,
            limit=limit,
        )
        return result

    async def bounty(self, bounty: str | bytes, *, at_least: int | None = None) -> dict[str, Any]:
        """A bounty that is not paid yet. Raises NotFound."""
        result: dict[str, Any] = await self._client.query(
            "contributions.bounty", at_least=at_least, bounty=asset_bytes(bounty)
        )
        return result

    async def bounties(
        self,
        *,
        asset: str | bytes | None = None,
        opener: AnyAccount | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The bounties on an asset, of an opener, or all."""
        result: list[dict[str, Any]] = await self._client.query(
            "contributions.bounties",
            asset=None if asset is None else asset_bytes(asset),
            opener=None if opener is None else account_text(opener),
            after=after,
            limit=limit,
        )
        return result

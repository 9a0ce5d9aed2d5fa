"""Attestations: what accredited accounts state of versions, what licensees think of them, and what owners answer.

statement = await client.attestations.evaluate(asset, 1, "accuracy", 903_000, samples=10_000, dataset=pictures,
                                               dataset_version=1, code=digest, environment=digest)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guildmark.accounts import AnyAccount, account_text
from guildmark.assets import asset_bytes
from guildmark.errors import NotFound
from ledger.modules.attestations.operations import (
    Answer,
    Audit,
    Evaluate,
    MetricName,
    Review,
    Statement,
    Verdict,
    statement_id,
)

if TYPE_CHECKING:
    from guildmark.client import AsyncClient


class AsyncAttestations:
    """What the client's account states, and what others have."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def evaluate(
        self,
        asset: str | bytes,
        version: int,
        metric: MetricName,
        value_ppm: int,
        *,
        samples: int,
        dataset: str | bytes,
        dataset_version: int,
        code: str | bytes,
        environment: str | bytes,
        report: str | None = None,
        supersedes: str | bytes | None = None,
        until_ms: int | None = None,
    ) -> str:
        """State what a version reaches on a data set; returns the statement's id (hex).

        `code` and `environment` are digests of 32 bytes, as bytes or in hex, `report` is a CID. Where the account has
        stated something about the same before, that is superseded whether `supersedes` names it or not.

        Raises:
            Refused: `attestations.*`, `assets.*`.
        """
        identifier, data = asset_bytes(asset), asset_bytes(dataset)
        if supersedes is None:
            supersedes = await self._latest(
                asset=identifier,
                version=version,
                metric=metric,
                dataset=data,
                dataset_version=dataset_version,
            )
        return await self._state(
            Evaluate(
                asset=identifier,
                version=version,
                metric=metric,
                value_ppm=value_ppm,
                samples=samples,
                dataset=data,
                dataset_version=dataset_version,
                code=asset_bytes(code),
                environment=asset_bytes(environment),
                report=report,
                supersedes=None if supersedes is None else asset_bytes(supersedes),
                until_ms=until_ms,
            )
        )

    async def audit(
        self,
        asset: str | bytes,
        version: int,
        verdict: Verdict,
        report: str,
        *,
        supersedes: str | bytes | None = None,
        until_ms: int | None = None,
    ) -> str:
        """State what an audit of a version came to; `report` is a CID. Returns the statement's id (hex), and supersedes
        as `evaluate` does."""
        identifier = asset_bytes(asset)
        if supersedes is None:
            supersedes = await self._latest(asset=identifier, version=version)
        before = None if supersedes is None else asset_bytes(supersedes)
        return await self._state(Audit(identifier, version, verdict, report, before, until_ms))

    async def review(
        self,
        grant: str | bytes,
        version: int,
        rating_ppm: int,
        *,
        text: str | None = None,
        supersedes: str | bytes | None = None,
    ) -> str:
        """Rate what a grant of the account was paid for, 0 to 1_000_000; `text` is a CID. Returns the statement's id
        (hex), and supersedes as `evaluate` does."""
        identifier = asset_bytes(grant)
        if supersedes is None:
            supersedes = await self._latest(grant=identifier)
        before = None if supersedes is None else asset_bytes(supersedes)
        return await self._state(Review(identifier, version, rating_ppm, text, before))

    async def answer(self, statement: str | bytes, text: str) -> dict[str, Any]:
        """Answer a statement about an asset of the client's account; `text` is a CID. Returns the statement."""
        outcome = await self._client.submit_and_wait(Answer(asset_bytes(statement), text))
        return await self.get(statement, at_least=outcome.height)

    async def get(self, statement: str | bytes, *, at_least: int | None = None) -> dict[str, Any]:
        """A statement with its answers. Raises NotFound."""
        result: dict[str, Any] = await self._client.query(
            "attestations.statement", at_least=at_least, statement=asset_bytes(statement)
        )
        return result

    async def find(
        self,
        *,
        asset: str | bytes | None = None,
        version: int | None = None,
        account: AnyAccount | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The statements about a version of an asset, its latest by default, or those of an account."""
        result: list[dict[str, Any]] = await self._client.query(
            "attestations.statements",
            asset=None if asset is None else asset_bytes(asset),
            version=version,
            account=None if account is None else account_text(account),
            after=after,
            limit=limit,
        )
        return result

    async def _state(self, operation: Statement) -> str:
        transaction = await self._client.prepare(operation)
        await self._client.deliver(transaction)
        return statement_id(bytes.fromhex(transaction.id), operation).hex()

    async def _latest(self, **about: Any) -> str | None:
        """The account's statement about this that it has not superseded."""
        try:
            found = await self._client.query("attestations.latest", account=self._client.signer().text, **about)
        except NotFound:
            return None
        return str(found["statement"])

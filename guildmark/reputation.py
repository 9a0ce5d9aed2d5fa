"""Reputation: what speaks for and against accounts and organizations, every piece of it, and the score that follows.

standing = await client.reputation.score(account)
for piece in await client.reputation.evidence(account):
    print(piece["kind"], piece["original"], piece["steps"])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from guildmark.accounts import AnyAccount, account_text

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

_PAGE: Final = 200
"""What a node lists in one answer."""


class AsyncReputation:
    """Read-only: payments, statements and disputes bring reputation about."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def score(
        self, account: AnyAccount | None = None, *, organization: str | None = None, at_least: int | None = None
    ) -> dict[str, Any]:
        """The score and confidence (millionths) of an account, the client's by default, or of all accounts of an
        organization together, with the weights for and against at the answer's block time. Raises NotFound."""
        if account is None and organization is None:
            account = self._client.signer()
        result: dict[str, Any] = await self._client.query(
            "reputation.score",
            at_least=at_least,
            account=None if account is None else account_text(account),
            organization=organization,
        )
        return result

    async def evidence(self, account: AnyAccount | None = None) -> list[dict[str, Any]]:
        """Every piece of evidence about an account, the client's by default, in order of height: what it weighed, what
        each rule left of it, and what it weighs now. Raises NotFound."""
        text = account_text(self._client.signer() if account is None else account)
        found: list[dict[str, Any]] = []
        while len(found) % _PAGE == 0:
            after = found[-1]["evidence"] if found else ""
            page = await self._client.query("reputation.evidence", account=text, after=after)
            if not page:
                break
            found += page
        return found

    async def ranking(
        self,
        kind: Literal["account", "organization"] = "account",
        *,
        organization: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """The best scores first: of accounts about which there is evidence, of one organization where it is named, or
        of all organizations."""
        result: list[dict[str, Any]] = await self._client.query(
            "reputation.list", kind=kind, organization=organization, limit=limit
        )
        return result


def explain(piece: Mapping[str, Any]) -> str:
    """Say in a line what a piece of evidence weighed, what each rule left of it, and what it weighs now."""
    by = f" by {piece['rater']} of {piece['organization']}" if piece["rater"] else ""
    paid = f", {piece['paid']} units paid" if piece["kind"] == "review" else ""
    steps = "".join(f" -> {step['rule']} {step['weight']}" for step in piece["steps"])
    return (
        f"height {piece['height']}: {piece['kind']} {piece['evidence']}{by}, rating {piece['rating_ppm']}{paid}:"
        f" weight {piece['original']}{steps}; now {piece['weight_for']} for, {piece['weight_against']} against"
    )

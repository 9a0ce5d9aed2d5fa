"""Accreditations: whom the consortium lets state what versions reach or what an audit came to, and the bonds for it.

proposal = await client.accreditations.propose(evaluator, ("evaluate",), tier=5, bond=5_000_000, until_ms=later)
await client.acting_as(evaluator).accreditations.post_bond()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.errors import InvalidArgument
from ledger.modules.attestations.operations import PostBond, Resign
from ledger.modules.attestations.records import AttestorRole
from ledger.modules.governance.operations import (
    Accredit,
    EndAccreditation,
    Propose,
    ReinstateAccreditation,
    SuspendAccreditation,
)

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

TIERS: Final = range(1, 11)
_PAGE: Final = 200
"""What a node lists in one answer."""


class AsyncAccreditations:
    """Proposing them for an organization, and what an attestor does with its own."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def propose(
        self,
        account: AnyAccount,
        roles: Sequence[AttestorRole],
        *,
        tier: int,
        bond: int,
        until_ms: int,
        title: str = "",
    ) -> dict[str, Any]:
        """Propose that an account may state something, once `bond` minor units are up, until a block time (Unix ms).
        It takes the place of what was decided about the account before. Returns the proposal.

        Raises:
            InvalidArgument: `argument.tier`, `argument.roles`. Refused: `attestations.*`, `governance.*`.
        """
        if tier not in TIERS:
            raise InvalidArgument("argument.tier", f"a tier is an integer from {TIERS[0]} to {TIERS[-1]}")
        if not 1 <= len(roles) <= 2 or not set(roles) <= {"evaluate", "audit"}:
            raise InvalidArgument("argument.roles", "the roles are evaluate, audit or both")
        change = Accredit(account_bytes(account), tuple(roles), tier, bond, until_ms)
        return await self._propose(change, title or f"accredit {account_text(account)} to {' and '.join(roles)}")

    async def propose_suspension(self, account: AnyAccount, title: str = "") -> dict[str, Any]:
        """Propose that an account states nothing new, and that what it has stated does not count meanwhile."""
        change = SuspendAccreditation(account_bytes(account))
        return await self._propose(change, title or f"suspend the accreditation of {account_text(account)}")

    async def propose_reinstatement(self, account: AnyAccount, title: str = "") -> dict[str, Any]:
        """Propose to end the suspension of an accreditation."""
        change = ReinstateAccreditation(account_bytes(account))
        return await self._propose(change, title or f"reinstate the accreditation of {account_text(account)}")

    async def propose_end(self, account: AnyAccount, title: str = "") -> dict[str, Any]:
        """Propose to end an accreditation for good."""
        change = EndAccreditation(account_bytes(account))
        return await self._propose(change, title or f"end the accreditation of {account_text(account)}")

    async def get(self, account: AnyAccount | None = None, *, at_least: int | None = None) -> dict[str, Any]:
        """What the consortium lets an account state (the client's by default), and its bond. Raises NotFound."""
        result: dict[str, Any] = await self._client.query(
            "attestations.accreditation", at_least=at_least, account=account_text(account or self._client.signer())
        )
        return result

    async def all(self) -> list[dict[str, Any]]:
        """All accreditations, ended ones too, in order of account."""
        found: list[dict[str, Any]] = []
        while len(found) % _PAGE == 0:
            after = found[-1]["account"] if found else ""
            page = await self._client.query("attestations.accreditations", after=after)
            if not page:
                break
            found += page
        return found

    async def post_bond(self, account: AnyAccount | None = None) -> dict[str, Any]:
        """Put up what is missing of the bond of an account of the client's organization, its own by default. Returns
        the accreditation."""
        chosen = account or self._client.signer()
        outcome = await self._client.submit_and_wait(PostBond(account_bytes(chosen)))
        return await self.get(chosen, at_least=outcome.height)

    async def resign(self) -> dict[str, Any]:
        """Give the client's accreditation up. The bond returns when no dispute can be filed in time any more. Returns
        the accreditation."""
        outcome = await self._client.submit_and_wait(Resign())
        return await self.get(at_least=outcome.height)

    async def _propose(
        self, change: Accredit | SuspendAccreditation | ReinstateAccreditation | EndAccreditation, title: str
    ) -> dict[str, Any]:
        outcome = await self._client.submit_and_wait(Propose(change, title[:128]))
        proposal = outcome.event("governance.proposal_opened")["proposal"]
        return await self._client.governance.proposal(proposal, at_least=outcome.height)

"""Disputes: claims with a bond and evidence, answers, votes of the organizations that are no party, appeals, debts.

dispute = await client.disputes.file(asset(stolen), "transfer_back", evidence=cid, amount=50_000)
await client.acting_as(arbiter).disputes.vote(dispute, True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guildmark.accounts import AnyAccount, account_text
from guildmark.assets import asset_bytes
from guildmark.errors import InvalidArgument
from guildmark.transactions import Outcome
from ledger.modules.disputes.operations import (
    Answer,
    Appeal,
    Collect,
    File,
    Ground,
    Lift,
    Relief,
    Subject,
    Vote,
    dispute_id,
)
from ledger.modules.disputes.records import APPEAL_FACTOR, bond_due

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

_GROUNDS: Final[dict[Relief, Ground]] = {
    "freeze_sales": "infringement",
    "transfer_back": "infringement",
    "refund": "wrong-content",
    "payment": "unpaid",
    "lift": "settled",
    "refute": "false-statement",
}
"""The ground of a claim where none is named."""


def asset(identifier: str | bytes) -> Subject:
    """A claim about a whole asset."""
    return Subject("asset", asset_bytes(identifier))


def version(identifier: str | bytes, number: int) -> Subject:
    """A claim about one version of an asset."""
    return Subject("version", asset_bytes(identifier), number)


def grant(identifier: str | bytes) -> Subject:
    """A claim about a bought license."""
    return Subject("grant", asset_bytes(identifier))


def freeze(dispute: str | bytes) -> Subject:
    """A claim that what a dispute froze may be sold again."""
    return Subject("freeze", asset_bytes(dispute))


def attestation(statement: str | bytes) -> Subject:
    """A claim that an evaluation, an audit or a review is false."""
    return Subject("attestation", asset_bytes(statement))


class AsyncDisputes:
    """What an account claims and answers, and how its organization decides."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def file(
        self,
        subject: Subject,
        relief: Relief,
        *,
        evidence: str,
        ground: Ground | None = None,
        amount: int | None = None,
        bond: int | None = None,
        statement: str = "",
    ) -> str:
        """Claim `relief`; returns the dispute's id (hex). `evidence` is a CID.

        The amount in dispute is a grant's price for a refund, else 0, unless it is given: of a refutation it is what
        the attestor's bond is to pay. The bond is the least that the network asks for.

        Raises:
            Refused: `disputes.*`, `licenses.not_disputable`, `credits.insufficient`. NotFound: no such grant.
        """
        if relief not in _GROUNDS:
            raise InvalidArgument("argument.relief", f"one of {', '.join(_GROUNDS)}, not {relief!r}")
        if amount is None:
            amount = await self._price(subject) if relief == "refund" and subject.kind == "grant" else 0
        if bond is None:
            bond = bond_due(amount, (await self._client.parameters()).dispute_bond_min)
        transaction = await self._client.prepare(
            File(subject, ground or _GROUNDS[relief], relief, amount, bond, evidence, statement)
        )
        await self._client.deliver(transaction)
        return dispute_id(bytes.fromhex(transaction.id), subject).hex()

    async def answer(
        self, dispute: str | bytes, *, bonded: bool = False, evidence: str | None = None, statement: str = ""
    ) -> dict[str, Any]:
        """Answer a claim against the client's account, with the same bond as the claimant's where `bonded`; return the
        dispute as it is then."""
        return await self._act(dispute, Answer(asset_bytes(dispute), bonded, evidence, statement))

    async def vote(self, dispute: str | bytes, uphold: bool) -> dict[str, Any]:
        """Cast the vote of the client's organization: whether the claim is right."""
        return await self._act(dispute, Vote(asset_bytes(dispute), uphold))

    async def appeal(
        self, dispute: str | bytes, *, bond: int | None = None, evidence: str | None = None, statement: str = ""
    ) -> dict[str, Any]:
        """Have the arbiters vote once more, by who lost; the bond is the least unless it is given."""
        if bond is None:
            bond = APPEAL_FACTOR * int((await self.get(dispute))["claim"]["bond"])
        return await self._act(dispute, Appeal(asset_bytes(dispute), bond, evidence, statement))

    async def lift(self, dispute: str | bytes) -> dict[str, Any]:
        """Let the asset be sold again whose sales the client's claim has frozen."""
        return await self._act(dispute, Lift(asset_bytes(dispute)))

    async def collect(self, debt: str | bytes) -> Outcome:
        """Pay a debt from what its debtor has now."""
        return await self._client.submit_and_wait(Collect(asset_bytes(debt)))

    async def get(self, dispute: str | bytes, *, at_least: int | None = None) -> dict[str, Any]:
        """A dispute, what was said in it, and the votes. Raises NotFound."""
        result: dict[str, Any] = await self._client.query(
            "disputes.get", at_least=at_least, dispute=asset_bytes(dispute)
        )
        return result

    async def find(
        self,
        *,
        asset: str | bytes | None = None,
        account: AnyAccount | None = None,
        lost: AnyAccount | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Disputes about an asset, or with an account as a party, or that an account has lost; all open ones without
        any of these."""
        result: list[dict[str, Any]] = await self._client.query(
            "disputes.list",
            asset=None if asset is None else asset_bytes(asset),
            account=None if account is None else account_text(account),
            lost=None if lost is None else account_text(lost),
            after=after,
            limit=limit,
        )
        return result

    async def debts(
        self,
        debtor: AnyAccount | None = None,
        *,
        creditor: AnyAccount | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """What an account owes by disputes (the client's by default), or what is owed to the account `creditor`."""
        if debtor is None and creditor is None:
            debtor = self._client.signer()
        result: list[dict[str, Any]] = await self._client.query(
            "disputes.debts",
            debtor=None if debtor is None else account_text(debtor),
            creditor=None if creditor is None else account_text(creditor),
            after=after,
            limit=limit,
        )
        return result

    async def _price(self, subject: Subject) -> int:
        return int((await self._client.query("licenses.grant", grant=subject.id))["price"])

    async def _act(self, dispute: str | bytes, operation: Answer | Vote | Appeal | Lift) -> dict[str, Any]:
        outcome = await self._client.submit_and_wait(operation)
        return await self.get(dispute, at_least=outcome.height)

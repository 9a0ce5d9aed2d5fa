"""Governance: proposing changes of the validators and of the members, voting, and seeing what came of it. What waits
for a delay is in `guildmark.decisions`."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from guildmark.accounts import AnyAccount, account_bytes, account_text, key_bytes
from guildmark.decisions import proposal_bytes, propose
from guildmark.errors import InvalidArgument, NotFound, VerificationFailed
from ledger.errors import LedgerError
from ledger.modules.assets.records import TakedownReason
from ledger.modules.governance.operations import (
    AddValidator,
    AdmitOrganization,
    Founding,
    FoundingAccount,
    RecoverAccount,
    ReinstateOrganization,
    RekeyValidator,
    RemoveOrganization,
    RemoveValidator,
    RestoreArtifact,
    SetQuota,
    SuspendOrganization,
    TakeDown,
    Vote,
)
from ledger.modules.organizations.operations import Quota
from primitives.identifiers import key_from_text

if TYPE_CHECKING:
    from guildmark.client import AsyncClient
    from ledger.member_descriptor import MemberDescriptor

PAGE: Final = 200
"""What a node lists in one answer."""
States = Literal["", "open", "approved", "rejected", "expired", "lapsed", "waiting", "executed", "failed", "stopped"]


class AsyncGovernance:
    """For organizations: an account of the genesis, or of the organization's founding, speaks for it."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def propose_add(self, member: Path | str, title: str = "") -> dict[str, Any]:
        """Propose the validator that a descriptor (`member.toml`) describes. Its organization comes with it when the
        consortium does not know it yet, with the accounts that the descriptor names.

        Raises:
            VerificationFailed: the descriptor does not hold. Refused: `governance.*`.
        """
        described = _load(member)
        known = await self._organizations()
        change = AddValidator(
            organization=described.organization,
            node_id=described.node_id,
            signing_key=key_from_text(described.signing_key),
            tls_certificate=base64.b64decode(described.tls_certificate),
            address=described.address,
            founding=None if described.organization in known else _founding(described),
        )
        return await propose(self._client, change, title or f"add a validator of {described.organization}")

    async def propose_remove(self, node_id: str, title: str = "") -> dict[str, Any]:
        """Propose to remove the validator `node_id`, or to withdraw the approved candidate of that id."""
        candidates = [change for change in await self.pending() if change["kind"] == "add"]
        member = next((change for change in candidates if change["node_id"] == node_id), None)
        if member is None:
            member = await self._validator(node_id)
        return await propose(
            self._client, RemoveValidator(node_id), title or f"remove a validator of {member['organization']}"
        )

    async def propose_rekey(self, node_id: str, member: Path | str, title: str = "") -> dict[str, Any]:
        """Propose that the validator `node_id` goes on with the keys and the address of a descriptor.

        Raises:
            VerificationFailed: the descriptor does not hold, or is of another organization.
        """
        described, present = _load(member), await self._validator(node_id)
        if described.organization != present["organization"]:
            raise VerificationFailed(
                "descriptor.organization",
                f"{node_id} is a validator of {present['organization']}, the descriptor of {described.organization}",
            )
        change = RekeyValidator(
            node_id=node_id,
            signing_key=key_from_text(described.signing_key),
            tls_certificate=base64.b64decode(described.tls_certificate),
            address=described.address,
        )
        return await propose(self._client, change, title or f"new keys for a validator of {described.organization}")

    async def propose_admission(
        self, organization: str, name: str, keys: Mapping[str, str], title: str = ""
    ) -> dict[str, Any]:
        """Propose an organization that runs no validator, with a first account for each of `keys`: did:key -> a name
        for the account. The proposal lists the ids of these as `founding_accounts`."""
        accounts = tuple(FoundingAccount(key_bytes(key), secrets.token_bytes(16), named) for key, named in keys.items())
        change = AdmitOrganization(organization, Founding(name, accounts))
        return await propose(self._client, change, title or f"admit {organization}")

    async def propose_suspension(self, organization: str, title: str = "") -> dict[str, Any]:
        """Propose that an organization begins nothing new until it is reinstated."""
        return await propose(self._client, SuspendOrganization(organization), title or f"suspend {organization}")

    async def propose_reinstatement(self, organization: str, title: str = "") -> dict[str, Any]:
        """Propose that an organization which was suspended or removed is a full member again."""
        return await propose(self._client, ReinstateOrganization(organization), title or f"reinstate {organization}")

    async def propose_expulsion(self, organization: str, title: str = "") -> dict[str, Any]:
        """Propose to remove an organization without validators from the consortium."""
        return await propose(self._client, RemoveOrganization(organization), title or f"remove {organization}")

    async def propose_quota(self, organization: str, quota: Quota | None, title: str = "") -> dict[str, Any]:
        """Propose what the records of an organization may take up; None is what the chain's parameters say."""
        return await propose(self._client, SetQuota(organization, quota), title or f"another quota for {organization}")

    async def propose_recovery(self, account: AnyAccount, owner_key: str, title: str = "") -> dict[str, Any]:
        """Propose the owner key `owner_key` (did:key) in place of all keys of an account, whose keys are lost or stolen
        and whose organization cannot help by itself."""
        change = RecoverAccount(account_bytes(account), key_bytes(owner_key))
        return await propose(self._client, change, title or f"recover {account_text(account)}")

    async def propose_takedown(
        self, artifact: str, reason: TakedownReason, *, report: str | None = None, title: str = ""
    ) -> dict[str, Any]:
        """Propose that nobody serves or keeps the bytes of a registered artifact (its root CID) any more, and that no
        new license is given on them. `report` is the CID of a longer explanation."""
        return await propose(
            self._client, TakeDown(artifact, reason, report), title or f"take down {artifact} ({reason})"
        )

    async def propose_restoration(self, artifact: str, title: str = "") -> dict[str, Any]:
        """Propose that an artifact which was taken down is up again."""
        return await propose(self._client, RestoreArtifact(artifact), title or f"restore {artifact}")

    async def takedowns(self) -> list[dict[str, Any]]:
        """The artifacts that are down, with reason and proposal."""
        found: list[dict[str, Any]] = []
        while len(found) % PAGE == 0:
            after = {"after": found[-1]["cid"]} if found else {}
            page = await self._client.query("assets.takedowns", **after)
            if not page:
                break
            found += page
        return found

    async def vote(self, proposal: str, approve: bool) -> dict[str, Any]:
        """Cast the vote of the client's organization; return the proposal as it is then."""
        identifier = proposal_bytes(proposal)
        outcome = await self._client.submit_and_wait(Vote(identifier, approve))
        return await self.proposal(proposal, at_least=outcome.height)

    async def proposal(self, proposal: str, *, at_least: int | None = None) -> dict[str, Any]:
        """A proposal and its votes."""
        proposal_bytes(proposal)
        found: dict[str, Any] = await self._client.query("governance.proposal", at_least=at_least, proposal=proposal)
        return found

    async def proposals(self, state: States = "") -> list[dict[str, Any]]:
        """All proposals, or those of one state, the oldest first."""
        found: list[dict[str, Any]] = []
        while len(found) % PAGE == 0:
            after = {"after": found[-1]["proposal"]} if found else {}
            page = await self._client.query("governance.proposals", state=state, **after)
            if not page:
                break
            found += page
        return sorted(found, key=lambda item: (item["proposed_at_ms"], item["proposal"]))

    async def validators(self, epoch: int | None = None) -> list[dict[str, Any]]:
        """The validator set of an epoch, in order of index; that of the next block when none is named."""
        arguments = {} if epoch is None else {"epoch": epoch}
        found: list[dict[str, Any]] = await self._client.query("validators.list", **arguments)
        if not found:
            raise NotFound("query.not_found", f"there is no epoch {epoch} on this network yet")
        return found

    async def pending(self) -> list[dict[str, Any]]:
        """Approved changes that wait for their validator's readiness, or for the epoch's end."""
        found: list[dict[str, Any]] = await self._client.query("validators.pending")
        return found

    async def epoch(self) -> dict[str, Any]:
        """The epoch of the next block: number, base, and end as soon as it is known."""
        found: dict[str, Any] = await self._client.query("validators.epoch")
        return found

    async def _organizations(self) -> set[str]:
        return {item["organization"] for item in await self._client.query("organizations.list")}

    async def _validator(self, node_id: str) -> dict[str, Any]:
        for member in await self.validators():
            if member["node_id"] == node_id:
                return member
        raise NotFound("governance.unknown_validator", f"no validator of the current set has the node id {node_id}")


def _founding(described: MemberDescriptor) -> Founding:
    accounts: Sequence[FoundingAccount] = [
        FoundingAccount(key_from_text(account.key), bytes.fromhex(account.salt), account.name)
        for account in described.accounts
    ]
    if not accounts:
        raise InvalidArgument(
            "descriptor.accounts",
            f"{described.organization} is new to the consortium, and its descriptor names no account to vote with: "
            "make one with `guildmark node keys create --account ...`",
        )
    return Founding(described.organization_name, tuple(accounts))


def _load(member: Path | str) -> MemberDescriptor:
    from ledger.member_descriptor import load

    try:
        return load(Path(member))
    except LedgerError as error:
        raise VerificationFailed(error.code, error.message) from error

"""What may be asked about proposals."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any, Final

from ledger.epochs import is_development
from ledger.modules import texts
from ledger.modules.fields import Result
from ledger.modules.governance.kinds import kind_of
from ledger.modules.governance.operations import (
    Accredit,
    AddValidator,
    AdmitOrganization,
    Burn,
    EndAccreditation,
    Founding,
    Mint,
    Pay,
    RecoverAccount,
    ReinstateAccreditation,
    RekeyValidator,
    RemoveValidator,
    RestoreArtifact,
    SetParameters,
    SetQuota,
    SuspendAccreditation,
    TakeDown,
)
from ledger.modules.governance.parameters import FIXED
from ledger.modules.governance.records import OPEN, PROPOSALS, Change, Proposal, carries, judges, passes, stops
from ledger.modules.organizations.accounts import organizations
from ledger.parameters import DEFAULTS, bounds, coming_parameters, read_parameters
from ledger.state.view import Readable
from primitives.identifiers import AccountId, account_id, account_to_text, key_to_text

REASONS: Final[dict[str, str]] = {
    "credits.insufficient": "at the end of the delay the credits were not there any more",
    "governance.parameter_rules": "another change of parameters took effect first, and the two do not hold together",
    "governance.supply": "with what was minted meanwhile the supply would exceed what an amount can be",
    "governance.unknown_organization": "the account's organization was removed meanwhile",
    "organizations.frozen": "at the end of the delay the account was frozen for its recovery",
}
"""Codes with which a proposal can fail after its delay, in words. The chain holds the code alone, so that words may be
mended."""


class ChangeResult(Result, frozen=True):
    kind: str
    """Tag of the change."""
    node_id: str | None = None
    organization: str | None = None
    signing_key: str | None = None
    tls_certificate: str | None = None
    """Base64 of the DER certificate."""
    address: str | None = None
    founding: str | None = None
    """Name of the organization that the change lets in."""
    founding_accounts: tuple[str, ...] = ()
    quota_records: int | None = None
    """None, as the next two, in a change that goes back to the chain's parameters."""
    quota_bytes: int | None = None
    quota_deadlines: int | None = None
    account: str | None = None
    owner_key: str | None = None
    artifact: str | None = None
    reason: str | None = None
    """Of a takedown."""
    report: str | None = None
    """CID of a takedown's longer explanation."""
    parameters: dict[str, int] | None = None
    """What is set to what."""
    amount: int | None = None
    """Minor units that are minted, burned or paid. Without an `account`, of the treasury."""
    roles: tuple[str, ...] = ()
    """Of an accreditation, as the next three."""
    tier: int | None = None
    bond: int | None = None
    until_ms: int | None = None


class ProposalResult(Result, frozen=True):
    proposal: str
    state: str
    """`open`, `rejected`, `expired`. Without a delay: `approved`, or `lapsed`: approved, but it could not take effect
    in time. With one: `waiting`, then `executed`, `failed` or `stopped`."""
    title: str
    text: str | None
    """CID of a longer explanation."""
    organization: str
    proposer: str
    change: ChangeResult
    proposed_at_ms: int
    closes_at_ms: int
    approvals: tuple[str, ...]
    refusals: tuple[str, ...]
    organizations: int
    """All there are now; votes and objections of those that were removed count no more."""
    threshold: str
    """`all`: more than two thirds of all organizations must approve. `voters`: more than half of all, and more than two
    thirds of those that voted."""
    approvals_needed: int
    """The least number of approvals that can be enough: as many as are a quorum."""
    objections: tuple[str, ...]
    objections_needed: int
    """How many stop it while it waits."""
    executes_at_ms: int
    """The end of the delay while it is `waiting`; else 0: it executes no more, or not by a delay."""
    failure: str
    """The code with which it failed."""
    failure_reason: str
    """The same in words."""


class ParameterResult(Result, frozen=True):
    name: str
    value: int
    coming: int
    """What it is after the end of the epoch, where that is decided; else the same."""
    low: int
    high: int
    """The hard range on this network, ends included."""
    default: int
    changeable: bool
    """Whether a vote can change it."""


def list_parameters(view: Readable, _network_id: bytes, _block_time_ms: int) -> list[ParameterResult]:
    """The chain's parameters with their hard ranges, in order of name."""
    now, coming = read_parameters(view), coming_parameters(view)
    ranges = bounds(development=is_development(view))
    rows = [
        ParameterResult(name, now.value(name), coming.value(name), low, high, DEFAULTS[name], True)
        for name, (low, high) in ranges.items()
    ]
    rows += [ParameterResult(name, now.value(name), now.value(name), 0, 1, DEFAULTS[name], False) for name in FIXED]
    return sorted(rows, key=lambda row: row.name)


def get_proposal(view: Readable, network_id: bytes, _block_time_ms: int, *, proposal: str) -> ProposalResult:
    """A proposal and its votes."""
    identifier = texts.identifier(proposal)
    record = PROPOSALS.get(view, identifier)
    if record is None:
        raise texts.not_found("proposal")
    return _proposal(view, network_id, identifier, record)


def list_proposals(
    view: Readable,
    network_id: bytes,
    _block_time_ms: int,
    *,
    state: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[ProposalResult]:
    """Proposals of one state or of all, in order of id, beginning behind the proposal `after`."""
    start = texts.identifier(after) if after else b""
    found = _open(view, start) if state == "open" else PROPOSALS.items(view, after=start)
    chosen = ((key, record) for key, record in found if state in ("", record.state))
    return [_proposal(view, network_id, key, record) for key, record in texts.page(chosen, limit)]


def _open(view: Readable, start: bytes) -> Iterator[tuple[bytes, Proposal]]:
    for identifier in sorted(key[-32:] for key, _ in OPEN.items(view) if key[-32:] > start):
        record = PROPOSALS.get(view, identifier)
        assert record is not None
        yield identifier, record


def _proposal(view: Readable, network_id: bytes, identifier: bytes, record: Proposal) -> ProposalResult:
    count, threshold = len(organizations(view)), kind_of(record.change).threshold

    def enough(approvals: int) -> bool:
        return passes(approvals, count) if threshold == "all" else carries(approvals, 0, count)

    return ProposalResult(
        proposal=identifier.hex(),
        state=record.state,
        title=record.title,
        text=record.text,
        organization=record.organization,
        proposer=account_to_text(record.proposer),
        change=_change(network_id, record.change),
        proposed_at_ms=record.proposed_at_ms,
        closes_at_ms=record.closes_at_ms,
        approvals=record.approvals,
        refusals=record.refusals,
        organizations=count,
        threshold=threshold,
        approvals_needed=next(n for n in range(count + 2) if enough(n)),
        objections=record.objections,
        objections_needed=next(n for n in range(count + 1) if stops(n, judges(record, count))),
        executes_at_ms=record.executes_at_ms if record.state == "waiting" else 0,
        failure=record.failure,
        failure_reason=REASONS.get(record.failure, ""),
    )


def _change(network_id: bytes, change: Change) -> ChangeResult:
    kind = str(type(change).__struct_config__.tag)
    match change:
        case RemoveValidator():
            return ChangeResult(kind, node_id=change.node_id)
        case AddValidator() | RekeyValidator():
            return _validator_change(network_id, kind, change)
        case AdmitOrganization():
            return ChangeResult(
                kind,
                organization=change.organization,
                founding=change.founding.name,
                founding_accounts=_founders(network_id, change.organization, change.founding),
            )
        case SetQuota():
            quota = change.quota
            return ChangeResult(
                kind,
                organization=change.organization,
                quota_records=None if quota is None else quota.records,
                quota_bytes=None if quota is None else quota.bytes,
                quota_deadlines=None if quota is None else quota.deadlines,
            )
        case RecoverAccount():
            return ChangeResult(
                kind, account=account_to_text(AccountId(change.account)), owner_key=key_to_text(change.owner_key)
            )
        case TakeDown():
            return ChangeResult(kind, artifact=change.artifact, reason=change.reason, report=change.report)
        case RestoreArtifact():
            return ChangeResult(kind, artifact=change.artifact)
        case SetParameters():
            return ChangeResult(kind, parameters={entry.name: entry.value for entry in change.values})
        case Mint() | Burn() | Pay():
            account = None if change.account is None else account_to_text(AccountId(change.account))
            return ChangeResult(kind, account=account, amount=change.amount)
        case Accredit():
            return ChangeResult(
                kind,
                account=account_to_text(AccountId(change.account)),
                roles=change.roles,
                tier=change.tier,
                bond=change.bond,
                until_ms=change.until_ms,
            )
        case SuspendAccreditation() | ReinstateAccreditation() | EndAccreditation():
            return ChangeResult(kind, account=account_to_text(AccountId(change.account)))
        case _:
            return ChangeResult(kind, organization=change.organization)


def _validator_change(network_id: bytes, kind: str, change: AddValidator | RekeyValidator) -> ChangeResult:
    founding = change.founding if isinstance(change, AddValidator) else None
    organization = change.organization if isinstance(change, AddValidator) else None
    return ChangeResult(
        kind=kind,
        node_id=change.node_id,
        organization=organization,
        signing_key=key_to_text(change.signing_key),
        tls_certificate=base64.b64encode(change.tls_certificate).decode("ascii"),
        address=change.address,
        founding=None if founding is None else founding.name,
        founding_accounts=() if founding is None else _founders(network_id, str(organization), founding),
    )


def _founders(network_id: bytes, organization: str, founding: Founding) -> tuple[str, ...]:
    return tuple(
        account_to_text(account_id(network_id, organization, founder.key, founder.salt))
        for founder in founding.accounts
    )


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "governance.proposal": get_proposal,
    "governance.proposals": list_proposals,
    "governance.parameters": list_parameters,
}

"""What may be asked about contributions and bounties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.errors import LedgerError
from ledger.modules import pages, texts
from ledger.modules.assets.named import named_asset
from ledger.modules.assets.records import ASSETS
from ledger.modules.assets.reservations import RESERVED
from ledger.modules.contributions.fulfilment import confirmations
from ledger.modules.contributions.operations import Condition
from ledger.modules.contributions.reads import is_concerned
from ledger.modules.contributions.records import (
    BOUNTIES,
    BOUNTIES_BY_ASSET,
    BOUNTIES_BY_OPENER,
    BY_ASSET,
    BY_MAKER,
    COMMENTS,
    CONTRIBUTIONS,
    STATES,
    Bounty,
    Contribution,
)
from ledger.modules.fields import Result
from ledger.state.view import Readable
from primitives.identifiers import account_to_text

_CONTRIBUTION_ENDED: Final = (
    "One that was refused or withdrawn, or has expired, is gone; the receipt of the transaction or deadline that ended "
    "it tells so: contributions.ended"
)
_BOUNTY_ENDED: Final = (
    "One that was paid or cancelled, or has expired, is gone; the receipt of the transaction or deadline that ended it "
    "tells so: contributions.bounty_paid or contributions.bounty_ended"
)


class ParentResult(Result, frozen=True):
    parent: str
    right: str
    grant: str | None


class CommentResult(Result, frozen=True):
    account: str
    text: str
    """CID."""
    at_ms: int


class ContributionResult(Result, frozen=True):
    contribution: str
    asset: str
    contributor: str
    state: str
    """open or accepted. What was refused, withdrawn or expired is gone; its receipt tells."""
    open: bool
    """It can be accepted: its time is not over, and the asset has not changed hands since it was proposed."""
    cid: str
    size_bytes: int
    tensors_digest: str | None
    parent_version: int
    right: str
    grant: str | None
    derivations: tuple[ParentResult, ...]
    """Other parents; once it is accepted, the version tells."""
    metrics_ppm: dict[str, int]
    """Name -> parts per million, as the contributor states it; once it is accepted, the version tells."""
    message: str
    """Once it is accepted, these are the version's notes."""
    share_bps_min: int
    bounty: str | None
    proposed_at_ms: int
    expires_at_ms: int
    comments: tuple[CommentResult, ...]
    version: int | None
    """What it became."""
    share_bps: int
    """Of the asset, given for it."""
    accepted_at_ms: int | None
    confirmed: int | None
    """Organizations that state that it fulfils the condition of its bounty, while that waits for them."""


class ProposedResult(Result, frozen=True):
    contribution: str
    asset: str
    cid: str
    size_bytes: int


class MayReadResult(Result, frozen=True):
    allowed: bool


class ConditionResult(Result, frozen=True):
    metric: str
    bound_ppm: int
    """At least; at most, where less is better."""
    dataset: str
    dataset_version: int
    evaluators: int
    """So many organizations must state it."""


class BountyResult(Result, frozen=True):
    bounty: str
    asset: str
    opener: str
    amount: int
    """In escrow."""
    description: str | None
    """CID."""
    opened_at_ms: int
    closes_at_ms: int
    due_ms: int
    """When it returns, as things stand: later than it closes where what was accepted may still fulfil its condition."""
    condition: ConditionResult | None
    """Without one its opener decides."""
    named: int
    """Open contributions that name it."""
    accepted: int
    """Accepted ones that wait for what evaluators say."""
    awarded: str | None
    """The contribution that it is paid for as soon as it is accepted, where its opener has said so."""


def get_contribution(
    view: Readable, _network_id: bytes, block_time_ms: int, *, contribution: str
) -> ContributionResult:
    """A contribution, and what was said about it."""
    identifier = texts.identifier(contribution)
    record = pages.found(view, CONTRIBUTIONS, identifier, "contribution", _CONTRIBUTION_ENDED)
    return _contribution(view, identifier, record, block_time_ms)


def list_contributions(
    view: Readable,
    _network_id: bytes,
    block_time_ms: int,
    *,
    asset: str = "",
    contributor: str = "",
    state: str = "open",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[ContributionResult]:
    """The contributions to an asset or of a contributor that are `open` or `accepted`; in order of id, beginning behind
    the contribution `after`."""
    if bool(asset) == bool(contributor):
        raise LedgerError("query.argument", "name an asset or a contributor")
    if state not in STATES:
        raise LedgerError("query.argument", f"no state {state[:80]!r}; there are {', '.join(STATES)}")
    part = STATES[state]
    if asset:
        keys = pages.behind(view, BY_ASSET, named_asset(view, asset)[0], part, after=after)
    else:
        keys = pages.behind(view, BY_MAKER, texts.account(contributor), part, after=after)
    return [_contribution(view, *row, block_time_ms) for row in pages.page(view, CONTRIBUTIONS, keys, limit)]


def by_artifact(view: Readable, _network_id: bytes, _block_time_ms: int, *, cid: str) -> ProposedResult:
    """The open contribution that proposes an artifact."""
    reserved = RESERVED.get(view, cid.encode("ascii", "replace"))
    if reserved is None or reserved.contribution is None:
        raise texts.not_found("proposed artifact")
    record = CONTRIBUTIONS.get(view, reserved.contribution)
    assert record is not None  # the reservation names it while it is open
    return ProposedResult(reserved.contribution.hex(), record.asset.hex(), cid, record.artifact.size_bytes)


def may_read(
    view: Readable, _network_id: bytes, block_time_ms: int, *, contribution: str, account: str
) -> MayReadResult:
    """Whether an account may download what a contribution proposes: its contributor, the owners and the manager of the
    asset, and accredited evaluators."""
    record = pages.found(view, CONTRIBUTIONS, texts.identifier(contribution), "contribution", _CONTRIBUTION_ENDED)
    return MayReadResult(is_concerned(view, record, texts.account(account), block_time_ms))


def get_bounty(view: Readable, _network_id: bytes, _block_time_ms: int, *, bounty: str) -> BountyResult:
    """A bounty. What is paid, cancelled or over is gone."""
    identifier = texts.identifier(bounty)
    return _bounty(identifier, pages.found(view, BOUNTIES, identifier, "bounty", _BOUNTY_ENDED))


def list_bounties(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    asset: str = "",
    opener: str = "",
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[BountyResult]:
    """The bounties on an asset, of an opener, or all; in order of id, beginning behind the bounty `after`."""
    if asset and opener:
        raise LedgerError("query.argument", "name an asset or an opener, not both")
    if asset:
        keys = pages.behind(view, BOUNTIES_BY_ASSET, named_asset(view, asset)[0], after=after)
    elif opener:
        keys = pages.behind(view, BOUNTIES_BY_OPENER, texts.account(opener), after=after)
    else:
        keys = pages.behind(view, BOUNTIES, after=after)
    return [_bounty(*row) for row in pages.page(view, BOUNTIES, keys, limit)]


def _contribution(view: Readable, identifier: bytes, record: Contribution, block_time_ms: int) -> ContributionResult:
    asset = ASSETS.get(view, record.asset)
    assert asset is not None  # assets are never deleted
    in_time = record.state == "open" and block_time_ms < record.expires_at_ms
    artifact, provenance = record.artifact, record.provenance
    return ContributionResult(
        contribution=identifier.hex(),
        asset=record.asset.hex(),
        contributor=account_to_text(record.contributor),
        state=record.state,
        open=in_time and asset.transfers == record.transfers and not asset.retired,
        cid=artifact.cid,
        size_bytes=artifact.size_bytes,
        tensors_digest=_hex(artifact.tensors_digest),
        parent_version=record.parent_version,
        right=record.right,
        grant=_hex(record.grant),
        derivations=tuple(ParentResult(d.parent.hex(), d.right, _hex(d.grant)) for d in provenance.derivations),
        metrics_ppm={metric.name: metric.value_ppm for metric in provenance.metrics},
        message=record.message,
        share_bps_min=record.share_bps_min,
        bounty=_hex(record.bounty),
        proposed_at_ms=record.proposed_at_ms,
        expires_at_ms=record.expires_at_ms,
        comments=tuple(
            CommentResult(account_to_text(said.account), said.text, said.at_ms)
            for _, said in COMMENTS.items(view, identifier)
        ),
        version=record.version,
        share_bps=record.share_bps,
        accepted_at_ms=record.accepted_at_ms,
        confirmed=_confirmed(view, record, block_time_ms),
    )


def _confirmed(view: Readable, record: Contribution, at_ms: int) -> int | None:
    bounty = None if record.bounty is None or record.version is None else BOUNTIES.get(view, record.bounty)
    if bounty is None or bounty.condition is None:
        return None
    return confirmations(view, bounty, bounty.condition, record, at_ms)


def _condition(condition: Condition) -> ConditionResult:
    return ConditionResult(
        condition.metric,
        condition.bound_ppm,
        condition.dataset.hex(),
        condition.dataset_version,
        condition.evaluators,
    )


def _bounty(identifier: bytes, record: Bounty) -> BountyResult:
    condition = record.condition
    return BountyResult(
        bounty=identifier.hex(),
        asset=record.asset.hex(),
        opener=account_to_text(record.opener),
        amount=record.amount,
        description=record.description,
        opened_at_ms=record.opened_at_ms,
        closes_at_ms=record.closes_at_ms,
        due_ms=record.due_ms,
        condition=None if condition is None else _condition(condition),
        named=record.named,
        accepted=record.accepted,
        awarded=_hex(record.awarded),
    )


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "contributions.get": get_contribution,
    "contributions.list": list_contributions,
    "contributions.by_artifact": by_artifact,
    "contributions.may_read": may_read,
    "contributions.bounty": get_bounty,
    "contributions.bounties": list_bounties,
}

"""What may be asked about charters and proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.modules import texts
from ledger.modules.assets.charter import Charter
from ledger.modules.assets.named import named_asset
from ledger.modules.charters import treasury
from ledger.modules.charters.adopted import CHARTERS
from ledger.modules.charters.fair_price import fair_price
from ledger.modules.charters.operations import (
    AcceptContribution,
    Action,
    ChangeCharter,
    ListWhole,
    NameManager,
    OfferTerms,
    Pay,
    PointAlias,
    SellWhole,
    WithdrawTerms,
)
from ledger.modules.charters.records import BY_ASSET, PROPOSALS, Proposal
from ledger.modules.fields import Result
from ledger.modules.licenses.operations import terms_digest
from ledger.modules.licenses.queries import terms_fields
from ledger.modules.pages import behind, found, page
from ledger.state.view import Readable
from primitives.identifiers import AccountId, account_to_text


class MajorityResult(Result, frozen=True):
    quorum_bps: int
    """Of all shares: so many must vote."""
    threshold_bps: int
    """Of the shares that vote: so many must be in favor."""


class RulesResult(Result, frozen=True):
    """A charter's fields."""

    voting_period_ms: int
    terms: MajorityResult
    aliases: MajorityResult
    contributions: MajorityResult
    management: MajorityResult
    payments: MajorityResult
    charter: MajorityResult
    dissolution: MajorityResult
    drag_along_bps: int
    least_price: int
    treasury_bps: int
    voted: tuple[str, ...]
    voted_aliases: tuple[str, ...]


class CharterResult(Result, frozen=True):
    asset: str
    rules: RulesResult
    revision: int
    """How often it has been changed."""
    since_ms: int
    treasury: int
    """Units that the owners have set aside together."""
    fair_price: int
    """For the whole: the charter's least price, or what shares were sold for of late where that is more."""


class ActionResult(Result, frozen=True):
    kind: str
    """Tag of the action."""
    terms_digest: str | None = None
    terms: dict[str, Any] | None = None
    """Of the licenses that are to be offered."""
    price: int | None = None
    expires_at_ms: int | None = None
    version: int | None = None
    buyer: str | None = None
    offer: str | None = None
    alias: str | None = None
    manager: str | None = None
    contribution: str | None = None
    share_bps: int | None = None
    """Of the asset, for the contributor."""
    giver: str | None = None
    """None: all owners, by their shares."""
    bounty: str | None = None
    recipient: str | None = None
    amount: int | None = None
    price_min: int | None = None
    charter: RulesResult | None = None


class VoterResult(Result, frozen=True):
    account: str
    bps: int
    """The share that the account had when this was proposed."""
    approve: bool | None
    """None has not voted."""


class ProposalResult(Result, frozen=True):
    proposal: str
    asset: str
    state: str
    """`open`, `selling` (decided; shares are still locked), `executed`, `failed` (decided, but not done), `rejected` or
    `withdrawn`."""
    code: str
    """Why it failed."""
    title: str
    text: str | None
    """CID of a longer explanation."""
    proposer: str
    action: ActionResult
    quorum_bps: int
    """Of the voting power there is: so much must be used."""
    threshold_bps: int
    """Of what is used: so much must be in favor."""
    of_all_bps: int
    """Of the voting power there is: so much must be in favor."""
    power_bps: int
    """The voting power there is: all shares, but of who would be paid."""
    approving_bps: int
    refusing_bps: int
    voters: tuple[VoterResult, ...]
    proposed_at_ms: int
    closes_at_ms: int
    decided_at_ms: int | None


def get_charter(view: Readable, _network_id: bytes, block_time_ms: int, *, asset: str) -> CharterResult:
    """The charter of an asset, and what is in its treasury."""
    identifier = texts.identifier(asset)
    adopted = found(view, CHARTERS, identifier, "charter")
    fair = max(adopted.rules.least_price, fair_price(view, identifier, block_time_ms))
    return CharterResult(
        asset=asset,
        rules=_rules(adopted.rules),
        revision=adopted.revision,
        since_ms=adopted.since_ms,
        treasury=treasury.held(view, identifier),
        fair_price=fair,
    )


def get_proposal(view: Readable, _network_id: bytes, _block_time_ms: int, *, proposal: str) -> ProposalResult:
    """A proposal, its votes, and who may vote."""
    identifier = texts.identifier(proposal)
    return _proposal(identifier, found(view, PROPOSALS, identifier, "proposal of an asset's owners"))


def list_proposals(
    view: Readable,
    _network_id: bytes,
    _block_time_ms: int,
    *,
    asset: str,
    after: str = "",
    limit: int | str = texts.PAGE_MAX,
) -> list[ProposalResult]:
    """What the owners of an asset have proposed, in order of id, beginning behind the proposal `after`."""
    keys = behind(view, BY_ASSET, named_asset(view, asset)[0], after=after)
    return [_proposal(key, record) for key, record in page(view, PROPOSALS, keys, limit)]


def _proposal(identifier: bytes, record: Proposal) -> ProposalResult:
    needed, voters = record.required, record.voters
    return ProposalResult(
        proposal=identifier.hex(),
        asset=record.asset.hex(),
        state=record.state,
        code=record.code,
        title=record.title,
        text=record.text,
        proposer=_account(record.proposer),
        action=_action(record.action),
        quorum_bps=needed.quorum_bps,
        threshold_bps=needed.threshold_bps,
        of_all_bps=needed.of_all_bps,
        power_bps=sum(voter.bps for voter in voters),
        approving_bps=sum(voter.bps for voter in voters if voter.approve is True),
        refusing_bps=sum(voter.bps for voter in voters if voter.approve is False),
        voters=tuple(VoterResult(_account(voter.account), voter.bps, voter.approve) for voter in voters),
        proposed_at_ms=record.proposed_at_ms,
        closes_at_ms=record.closes_at_ms,
        decided_at_ms=record.decided_at_ms,
    )


def _action(action: Action) -> ActionResult:
    kind = str(type(action).__struct_config__.tag)
    match action:
        case OfferTerms():
            return ActionResult(
                kind,
                terms_digest=terms_digest(action.terms).hex(),
                terms=terms_fields(action.terms),
                expires_at_ms=action.expires_at_ms,
                version=action.version,
                buyer=None if action.buyer is None else _account(action.buyer),
            )
        case WithdrawTerms():
            return ActionResult(kind, offer=action.offer.hex())
        case PointAlias():
            return ActionResult(kind, alias=action.alias, version=action.version)
        case NameManager():
            return ActionResult(kind, manager=_account(action.manager))
        case AcceptContribution():
            reward = action.reward
            return ActionResult(
                kind,
                contribution=action.contribution.hex(),
                share_bps=reward.share_bps,
                giver=None if reward.giver is None else _account(reward.giver),
                bounty=None if reward.bounty is None else reward.bounty.hex(),
            )
        case Pay():
            return ActionResult(kind, recipient=_account(action.recipient), amount=action.amount)
        case SellWhole():
            return ActionResult(kind, offer=action.offer.hex(), price_min=action.price_min)
        case ListWhole():
            return ActionResult(kind, price=action.price, expires_at_ms=action.expires_at_ms)
        case ChangeCharter():
            return ActionResult(kind, charter=_rules(action.charter))
        case _:
            return ActionResult(kind)


def _rules(charter: Charter) -> RulesResult:
    kinds = ("terms", "aliases", "contributions", "management", "payments", "charter", "dissolution")
    majorities = {name: getattr(charter, name) for name in kinds}
    return RulesResult(
        voting_period_ms=charter.voting_period_ms,
        drag_along_bps=charter.drag_along_bps,
        least_price=charter.least_price,
        treasury_bps=charter.treasury_bps,
        voted=charter.voted,
        voted_aliases=charter.voted_aliases,
        **{name: MajorityResult(one.quorum_bps, one.threshold_bps) for name, one in majorities.items()},
    )


def _account(account: bytes) -> str:
    return account_to_text(AccountId(account))


QUERIES: Final[dict[str, Callable[..., Any]]] = {
    "charters.get": get_charter,
    "charters.proposal": get_proposal,
    "charters.proposals": list_proposals,
}

"""What a proposal takes, and what its votes come to. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ledger.modules.assets.charter import Charter, Majority
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
from ledger.modules.charters.records import Required, Voter
from ledger.modules.fields import BPS

HALF_BPS: Final = BPS // 2 + 1
"""What decides about the charter itself is never done against half of all shares, however few vote."""


def required(charter: Charter, action: Action) -> Required:
    """Return what `action` takes under a charter."""
    match action:
        case OfferTerms() | WithdrawTerms():
            return _of(charter.terms)
        case PointAlias():
            return _of(charter.aliases)
        case NameManager():
            return _of(charter.management)
        case AcceptContribution():
            given = action.reward.share_bps and action.reward.giver is None
            return Required(charter.contributions.quorum_bps, charter.contributions.threshold_bps, BPS if given else 0)
        case Pay():
            return _of(charter.payments)
        case SellWhole() | ListWhole():
            return Required(0, 0, charter.drag_along_bps)
        case ChangeCharter():
            return _of_change(charter, action.charter)
        case _:
            return Required(charter.dissolution.quorum_bps, charter.dissolution.threshold_bps, HALF_BPS)


def outcome(voters: Iterable[Voter], needed: Required, *, over: bool) -> bool | None:
    """Tell whether a proposal is accepted (True) or rejected (False); None while it may still become either.

    `over` says that nobody votes any more. Before that it is decided as soon as no further vote can change it: those
    who have not voted may all vote against it, all for it, or not at all.
    """
    approving = refusing = silent = 0
    for voter in voters:
        if voter.approve is None:
            silent += voter.bps
        elif voter.approve:
            approving += voter.bps
        else:
            refusing += voter.bps
    if over:
        return _passes(approving, refusing, silent, needed)
    if _passes(approving, refusing, silent, needed) and _passes(approving, refusing + silent, 0, needed):
        return True
    return None if _passes(approving + silent, refusing, 0, needed) else False


def carried(voters: tuple[Voter, ...], needed: Required, held: Mapping[bytes, int]) -> bool:
    """Tell whether a proposal is accepted by what its voters still hold of the shares that they have voted for it with;
    what they have sold counts as not voted."""
    approving = sum(min(voter.bps, held.get(voter.account, 0)) for voter in voters if voter.approve)
    refusing = sum(voter.bps for voter in voters if voter.approve is False)
    return _passes(approving, refusing, sum(voter.bps for voter in voters) - approving - refusing, needed)


def _passes(approving: int, refusing: int, silent: int, needed: Required) -> bool:
    used = approving + refusing
    power = used + silent
    return (
        approving > 0
        and used * BPS >= needed.quorum_bps * power
        and approving * BPS >= needed.threshold_bps * used
        and approving * BPS >= needed.of_all_bps * power
    )


def _of(majority: Majority) -> Required:
    return Required(majority.quorum_bps, majority.threshold_bps)


def _of_change(before: Charter, after: Charter) -> Required:
    """A change takes the charter's own majority, and that of each kind of decision that it touches. What protects the
    few from being sold with the others is weakened by all owners only."""
    names = ("terms", "aliases", "contributions", "management", "payments", "dissolution")
    touched = [name for name in names if getattr(before, name) != getattr(after, name)]
    kinds: list[Majority] = [before.charter, *(getattr(before, name) for name in touched)]
    weaker = after.drag_along_bps < before.drag_along_bps or after.least_price < before.least_price
    return Required(
        max(kind.quorum_bps for kind in kinds),
        max(kind.threshold_bps for kind in kinds),
        BPS if weaker else HALF_BPS,
    )

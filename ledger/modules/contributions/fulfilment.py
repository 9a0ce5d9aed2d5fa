"""Whether a contribution fulfils the condition of a bounty: a pure function of what accredited evaluators state."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import ownership, require_asset, require_version
from ledger.modules.attestations.reading import confirming
from ledger.modules.contributions.operations import Condition
from ledger.modules.contributions.records import Bounty, Contribution
from ledger.modules.organizations.accounts import organization_of
from ledger.state.view import Readable


def check_condition(view: Readable, condition: Condition) -> None:
    """Refuse a condition that nobody can ever fulfil.

    Raises:
        OperationError: `assets.unknown_asset`, `assets.unknown_version`, `contributions.not_a_dataset`.
    """
    if require_asset(view, condition.dataset).kind != "dataset":
        raise OperationError("contributions.not_a_dataset", "a condition is measured on a data set")
    require_version(view, condition.dataset, condition.dataset_version)


def confirmations(view: Readable, bounty: Bounty, condition: Condition, record: Contribution, at_ms: int) -> int:
    """Return how many organizations without an interest state that an accepted contribution fulfils the condition.

    An interest have those of the asset's owners, creators and registrant, of the manager when it was accepted, of the
    contributor, and of the opener. The manager of now is none of these: who owns the asset names a manager without
    asking him, and could so silence one evaluator after another.
    """
    assert record.version is not None
    assert record.manager is not None
    asset = require_asset(view, record.asset)
    shares = (*ownership(view, record.asset).shares, *asset.creators)
    accounts = {share.account for share in shares} | {record.manager, record.contributor, bounty.opener}
    return confirming(
        view,
        record.asset,
        record.version,
        condition.metric,
        condition.dataset,
        condition.dataset_version,
        condition.bound_ppm,
        at_ms=at_ms,
        concerned=frozenset({organization_of(view, account) for account in accounts} | {asset.organization}),
    )

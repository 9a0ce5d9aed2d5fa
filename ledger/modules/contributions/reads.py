"""Reading contributions. Handlers ask here; what must exist raises a code when it does not."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import ownership, require_asset
from ledger.modules.attestations.accreditation import is_active
from ledger.modules.attestations.records import ACCREDITATIONS
from ledger.modules.contributions.records import BOUNTIES, CONTRIBUTIONS, Bounty, Contribution
from ledger.modules.module import Context
from ledger.state.view import Readable


def require_contribution(view: Readable, contribution: bytes) -> Contribution:
    """Return a contribution's record. Raises `contributions.unknown_contribution`."""
    record = CONTRIBUTIONS.get(view, contribution)
    if record is None:
        raise OperationError("contributions.unknown_contribution", f"no contribution {contribution.hex()}")
    return record


def require_open(context: Context, contribution: bytes) -> Contribution:
    """Return the record of a contribution that can still be accepted, as far as its time goes.

    Raises:
        OperationError: `contributions.unknown_contribution`, `contributions.not_open`.
    """
    record = require_contribution(context.view, contribution)
    if record.state != "open" or context.block_time_ms >= record.expires_at_ms:
        raise OperationError("contributions.not_open", "it is accepted, or its time is over")
    return record


def require_bounty(view: Readable, bounty: bytes) -> Bounty:
    """Return a bounty's record. Raises `contributions.unknown_bounty`."""
    record = BOUNTIES.get(view, bounty)
    if record is None:
        raise OperationError("contributions.unknown_bounty", f"no bounty {bounty.hex()}, or it is paid or has ended")
    return record


def concerned(context: Context, record: Contribution) -> bool:
    """Tell whether the sender has to do with a contribution: as its contributor, as an owner or the manager of the
    asset, or as who is accredited to evaluate."""
    return is_concerned(context.view, record, context.sender, context.block_time_ms)


def is_concerned(view: Readable, record: Contribution, account: bytes, at_ms: int) -> bool:
    """Tell the same of an account at a block time."""
    if account in (record.contributor, require_asset(view, record.asset).manager):
        return True
    if any(share.account == account for share in ownership(view, record.asset).shares):
        return True
    accredited = ACCREDITATIONS.get(view, account)
    return accredited is not None and "evaluate" in accredited.roles and is_active(accredited, at_ms)

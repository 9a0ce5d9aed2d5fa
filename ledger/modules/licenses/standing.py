"""The checks that every step runs which makes a grant live: buying, and taking it over."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import ownership
from ledger.modules.licenses.grants import colliding_grant
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.records import Grant
from ledger.modules.licenses.terms import ORGANIZATION_CREDENTIAL
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import organization_of


def require_holdable(context: Context, grant_id: bytes, grant: Grant, terms: Terms, licensee: bytes) -> None:
    """Refuse a licensee who may not hold the grant, and a grant that another one excludes.

    Raises:
        OperationError: `licenses.self_purchase`, `licenses.credential_missing`, `licenses.collision`.
    """
    if any(share.account == licensee for share in ownership(context.view, grant.asset).shares):
        raise OperationError("licenses.self_purchase", "an owner of the asset cannot hold a license on it")
    wanted = [code for code in terms.credentials if code.startswith(ORGANIZATION_CREDENTIAL)]
    if wanted and ORGANIZATION_CREDENTIAL + organization_of(context.view, licensee) not in wanted:
        raise OperationError("licenses.credential_missing", f"the terms ask for one of {wanted}")
    other = colliding_grant(
        context.view, grant.asset, terms, grant.start_ms, grant.end_ms, context.block_time_ms, besides=grant_id
    )
    if other is not None:
        raise OperationError("licenses.collision", f"grant {other.hex()} excludes this one, or this one excludes it")

"""May this account hold this grant? What every step that makes a grant live asks again: purchase, renewal, transfer,
the end of a dispute."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.reads import sole_owner
from ledger.modules.licenses.grants import colliding_grant
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.records import SEATS, Grant
from ledger.modules.licenses.terms import ORGANIZATION_CREDENTIAL
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import organization_of
from ledger.state.view import Readable


def require_holdable(context: Context, grant_id: bytes, grant: Grant, terms: Terms, licensee: bytes) -> None:
    """Refuse a grant that `licensee`, an existing account, may not hold from now on.

    `grant` is the record as it would be: with the period for which it is to be live. It is not compared with the record
    under `grant_id`, which need not exist yet. Where the licensee is, the chain does not know: territory is a matter
    of collision, and of `check` when it is told a country.

    Raises:
        OperationError: `licenses.self_purchase`, `licenses.credential_missing`, `licenses.too_many_seats`,
            `licenses.collision`, `licenses.too_many_grants` or `licenses.family_too_large`.
    """
    # One of several owners has income and votes by its share, and needs a grant like everybody else.
    if sole_owner(context.view, grant.asset) == licensee:
        raise OperationError("licenses.self_purchase", "who owns all of the asset needs no license on it")
    require_unopposed(context, grant_id, grant, terms, licensee)


def require_unopposed(context: Context, grant_id: bytes, grant: Grant, terms: Terms, licensee: bytes) -> None:
    """Refuse what `require_holdable` refuses, but for what the licensee brings about itself by buying the asset.

    Raises:
        OperationError: as `require_holdable`, without `licenses.self_purchase`.
    """
    _check_credentials(context.view, terms, licensee)
    _check_seats(context.view, grant_id, terms, licensee)
    other = colliding_grant(context.view, grant_id, grant, terms, context.block_time_ms)
    if other is not None:
        raise OperationError("licenses.collision", f"grant {other.hex()} excludes this one, or this one excludes it")


def seats_named(view: Readable, grant_id: bytes, licensee: bytes) -> tuple[bytes, ...]:
    """Return the accounts that `licensee` has given a seat, beside its own. Those of an earlier licensee are void."""
    record = SEATS.get(view, grant_id)
    return record.accounts if record is not None and record.licensee == licensee else ()


def _check_credentials(view: Readable, terms: Terms, licensee: bytes) -> None:
    wanted = [code for code in terms.credentials if code.startswith(ORGANIZATION_CREDENTIAL)]
    if wanted and ORGANIZATION_CREDENTIAL + organization_of(view, licensee) not in wanted:
        raise OperationError("licenses.credential_missing", f"the terms ask for one of {wanted}")


def _check_seats(view: Readable, grant_id: bytes, terms: Terms, licensee: bytes) -> None:
    used = 1 + len(seats_named(view, grant_id, licensee))
    if used > (terms.seats or 1):
        raise OperationError("licenses.too_many_seats", f"{used} seats of at most {terms.seats or 1} are taken")

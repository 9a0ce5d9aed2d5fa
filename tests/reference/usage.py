"""Metered use: counted by trainings and vouchers, paid from a deposit that always holds (quota - used) * price."""

from __future__ import annotations

from typing import Any

from ledger.modules.licenses import operations as ops
from primitives.codec import encode
from primitives.digest import domain, tagged_hash
from primitives.keys import verify
from tests.reference import royalties
from tests.reference.credits import add, move, take_from
from tests.reference.grants import end_of, known_grant
from tests.reference.state import Call, drop_deadline, need, organization_of, set_deadline
from tests.reference.terms import COUNTED_BY_VOUCHERS

LAST_REPORTS_MS = 7 * 86_400_000
VOUCHER = domain("usage-voucher")


def deposit_name(grant: bytes) -> bytes:
    return tagged_hash("usage-deposit", grant)


def deposited(state: Any, grant: bytes) -> int:
    return int(state.escrows.get(deposit_name(grant), (b"", 0))[1])


def deposit(call: Call, identifier: bytes, terms: dict[str, Any]) -> None:
    """Put the price of one term's whole quota aside."""
    if terms["usage_price"]:
        add(call.state, deposit_name(identifier), call.sender, terms["quota"] * terms["usage_price"])


def set_return(state: Any, identifier: bytes) -> None:
    """What is left of a deposit returns seven days after the grant's end, wherever that has moved."""
    grant = state.grants[identifier]
    drop_return(state, identifier)
    if deposited(state, identifier):
        grant["usage_due"] = (end_of(grant) or 0) + LAST_REPORTS_MS
        organization = organization_of(state, grant["licensee"])
        set_deadline(state, grant["usage_due"], "licenses.usage_due", identifier, organization)


def drop_return(state: Any, identifier: bytes) -> None:
    grant = state.grants[identifier]
    if grant["usage_due"] is not None:
        drop_deadline(state, grant["usage_due"], "licenses.usage_due", identifier)
        grant["usage_due"] = None


def give_deposit_back(state: Any, identifier: bytes, keep_units: int = 0) -> None:
    """Return what is left to the licensee, but for what so many units cost: only these can still be used."""
    grant = state.grants[identifier]
    price = state.terms[grant["terms"]]["usage_price"]
    left = deposited(state, identifier) - keep_units * price
    if left > 0:
        move(state, take_from(state, deposit_name(identifier), left), grant["licensee"], left)
        grant["quota"] = grant["used"] + keep_units


def return_due(call: Call, identifier: bytes) -> None:
    call.state.grants[identifier]["usage_due"] = None
    give_deposit_back(call.state, identifier)


def count(state: Any, identifier: bytes, used: int) -> None:
    """Pay for the units that are new: fee, ancestors by their rates, the rest to the owners."""
    grant = state.grants[identifier]
    amount = (used - grant["used"]) * state.terms[grant["terms"]]["usage_price"]
    grant["used"] = used
    if amount:
        royalties.pay(state, grant["asset"], take_from(state, deposit_name(identifier), amount), amount, True)
        if not deposited(state, identifier):
            drop_return(state, identifier)


def count_training(state: Any, identifier: bytes) -> None:
    grant = state.grants[identifier]
    if state.terms[grant["terms"]]["quota_unit"] == "trainings":
        count(state, identifier, grant["used"] + 1)


def report_usage(call: Call, operation: ops.ReportUsage) -> None:
    state = call.state
    grant = known_grant(state, operation.grant)
    need(state.assets[grant["asset"]]["manager"] == call.sender, "licenses.not_manager")
    need(state.terms[grant["terms"]]["quota_unit"] in COUNTED_BY_VOUCHERS, "licenses.not_metered")
    if operation.count <= grant["used"]:
        return
    end = end_of(grant)
    need(grant["state"] == "active" and grant["start"] <= call.now, "licenses.not_active")
    need(end is None or call.now < end + LAST_REPORTS_MS, "licenses.reports_closed")
    need(operation.count <= grant["quota"], "licenses.above_quota")
    role = state.accounts[grant["licensee"]]["keys"].get(operation.key)
    need(role in ("owner", "operator"), "licenses.voucher_key")
    message = VOUCHER + encode((state.network, operation.grant, operation.count))
    need(verify(operation.key, message, operation.signature), "licenses.voucher_signature")
    count(state, operation.grant, operation.count)


OPERATIONS = {ops.ReportUsage: report_usage}
DEADLINES = {"licenses.usage_due": return_due}

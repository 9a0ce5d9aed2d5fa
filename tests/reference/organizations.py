"""Accounts and keys: account -> organization, name, {key: role}, whether it vouches for others, and until when what it
has is frozen."""

from __future__ import annotations

from typing import Any

from ledger.modules.development import operations as clock
from ledger.modules.organizations import operations as ops
from primitives.identifiers import account_id
from primitives.keys import InvalidPublicKey, check_public_key
from tests.reference.state import Call, drop_deadline, is_party, need, set_deadline

KEYS_MAX = 16
OFFSET_MAX = 36_600 * 86_400_000
FREEZE_MAX = 14 * 86_400_000
REQUESTS_APART = 30 * 86_400_000

SIGNED_BY_VALIDATORS = {"assets.report_held", "validators.ready", "validators.rejoin", "validators.report_evidence"}
SIGNED_BY_OPERATORS = {
    # Versions, offers and reports.
    "assets.commit",
    "assets.add_version",
    "assets.set_alias",
    "assets.update_metadata",
    "licenses.offer",
    "licenses.withdraw_offer",
    "licenses.approve_derivatives",
    "licenses.report_usage",
    "licenses.set_seats",
    "attestations.evaluate",
    "attestations.audit",
    "attestations.review",
    "attestations.answer",
    "contributions.comment",
    "contributions.refuse",
    "contributions.withdraw",
    "contributions.claim_bounty",
}
GIVES_AWAY = {
    # What pays, hands on, gives up or grants to others what an account has: not while its recovery freezes that.
    "credits.transfer",
    "assets.set_manager",
    "assets.consent",
    "assets.retire",
    "licenses.offer",
    "licenses.purchase",
    "licenses.renew",
    "licenses.revoke",
    "transfers.offer",
    "transfers.offer_gift",
    "transfers.accept",
    "market.list",
    "market.buy",
    "market.make_offer",
    "market.accept_offer",
    "market.open_auction",
    "market.bid",
    "market.open_dutch_auction",
    "market.take",
    "attestations.evaluate",
    "attestations.audit",
    "attestations.review",
    "attestations.post_bond",
    "attestations.resign",
    "disputes.file",
    "disputes.appeal",
    "disputes.lift",
    "charters.propose",
    "charters.vote",
    "contributions.propose",
    "contributions.accept",
    "contributions.open_bounty",
    "contributions.award_bounty",
}


def may_sign(role: str, tag: str) -> bool:
    """An owner's key signs all that is not a validator's word, and nobody else speaks as a validator."""
    if role == "validator" or tag in SIGNED_BY_VALIDATORS:
        return role == "validator" and tag in SIGNED_BY_VALIDATORS
    return role == "owner" or (role == "operator" and tag in SIGNED_BY_OPERATORS)


def sound(key: bytes) -> bool:
    """Whether the library of signatures takes the key."""
    try:
        check_public_key(key)
    except InvalidPublicKey:
        return False
    return True


def check_key(state: Any, key: bytes) -> None:
    need(sound(key), "organizations.invalid_key")
    roles = {account["keys"].get(key) for account in state.accounts.values()}
    need("validator" not in roles, "organizations.validator_key")


def speaker(call: Call) -> dict[str, Any]:
    """The sender, where it speaks for its organization: the accounts of the genesis do."""
    sender: dict[str, Any] = call.state.accounts[call.sender]
    need(sender["vouches"], "organizations.not_vouching")
    return sender


def open_account(call: Call, operation: ops.OpenAccount) -> None:
    sender = speaker(call)
    check_key(call.state, operation.key)
    account = account_id(call.state.network, sender["organization"], operation.key, operation.salt)
    need(account not in call.state.accounts, "organizations.account_exists")
    call.state.accounts[account] = {
        "organization": sender["organization"],
        "name": operation.name,
        "keys": {operation.key: "owner"},
        "vouches": False,
        "frozen": 0,
    }


def add_key(call: Call, operation: ops.AddKey) -> None:
    keys = call.state.accounts[call.sender]["keys"]
    check_key(call.state, operation.key)
    need(operation.key not in keys, "organizations.key_exists")
    need(len(keys) < KEYS_MAX, "organizations.too_many_keys")
    keys[operation.key] = operation.role


def revoke_key(call: Call, operation: ops.RevokeKey) -> None:
    keys = call.state.accounts[call.sender]["keys"]
    need(operation.key in keys, "organizations.unknown_key")
    del keys[operation.key]
    need("owner" in keys.values(), "organizations.last_owner_key")


def rotate_key(call: Call, operation: ops.RotateKey) -> None:
    keys = call.state.accounts[call.sender]["keys"]
    need(operation.old_key in keys, "organizations.unknown_key")
    check_key(call.state, operation.new_key)
    need(operation.new_key not in keys, "organizations.key_exists")
    keys[operation.new_key] = keys.pop(operation.old_key)


# --- recovery


def of_my_organization(call: Call, account: bytes) -> dict[str, Any]:
    sender = speaker(call)
    need(account in call.state.accounts, "organizations.unknown_account")
    record: dict[str, Any] = call.state.accounts[account]
    need(record["organization"] == sender["organization"], "organizations.another_organization")
    return record


def request_recovery(call: Call, operation: ops.RequestRecovery) -> None:
    """Freeze what an account has for at most 14 days; remember the request for 30."""
    state, account = call.state, operation.account
    record = of_my_organization(call, account)
    need(account != call.sender, "organizations.own_account")
    need(is_party(state, account), "organizations.validator_account")
    check_key(state, operation.owner_key)
    need(not waits(call, account), "organizations.recovery_pending")
    known = state.recoveries.get(account)
    need(known is None or known["forgotten"] <= call.now, "organizations.recovery_needs_vote")
    if known is not None:
        drop_deadline(state, known["forgotten"], "organizations.recovery_forgotten", account)
    state.recoveries[account] = {
        "key": operation.owner_key,
        "completable": call.now + state.recovery_delay,
        "lapses": call.now + FREEZE_MAX,
        "forgotten": call.now + REQUESTS_APART,
        "state": "waiting",
    }
    record["frozen"] = call.now + FREEZE_MAX
    forgotten = call.now + REQUESTS_APART
    set_deadline(state, forgotten, "organizations.recovery_forgotten", account, record["organization"])


def waits(call: Call, account: bytes) -> bool:
    known = call.state.recoveries.get(account)
    return known is not None and known["state"] == "waiting" and bool(call.now < known["lapses"])


def complete_recovery(call: Call, operation: ops.CompleteRecovery) -> None:
    """After the delay the account has one key, the requested one."""
    record = of_my_organization(call, operation.account)
    need(waits(call, operation.account), "organizations.no_recovery")
    known = call.state.recoveries[operation.account]
    need(known["completable"] <= call.now, "organizations.recovery_too_young")
    check_key(call.state, known["key"])
    record.update(keys={known["key"]: "owner"}, frozen=0)
    known["state"] = "completed"


def veto_recovery(call: Call, operation: ops.VetoRecovery) -> None:
    need(waits(call, call.sender), "organizations.no_recovery")
    call.state.recoveries[call.sender]["state"] = "vetoed"
    call.state.accounts[call.sender]["frozen"] = 0


def advance_clock(call: Call, operation: clock.AdvanceClock) -> None:
    """From the next block on."""
    need(call.state.offset + operation.ms <= OFFSET_MAX, "development.out_of_range")
    call.state.offset += operation.ms


OPERATIONS = {
    ops.OpenAccount: open_account,
    ops.AddKey: add_key,
    ops.RevokeKey: revoke_key,
    ops.RotateKey: rotate_key,
    ops.RequestRecovery: request_recovery,
    ops.CompleteRecovery: complete_recovery,
    ops.VetoRecovery: veto_recovery,
    clock.AdvanceClock: advance_clock,
}
DEADLINES = {"organizations.recovery_forgotten": lambda call, subject: call.state.recoveries.pop(subject)}

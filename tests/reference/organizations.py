"""Accounts and keys: account -> organization, name, {key: role}, and whether it vouches for others."""

from __future__ import annotations

from typing import Any

from ledger.modules.development import operations as clock
from ledger.modules.organizations import operations as ops
from primitives.identifiers import account_id
from primitives.keys import InvalidPublicKey, check_public_key
from tests.reference.state import Call, need

KEYS_MAX = 16
OFFSET_MAX = 36_600 * 86_400_000

SIGNED_BY_VALIDATORS = {"assets.report_held", "validators.ready", "validators.rejoin", "validators.report_evidence"}
SIGNED_BY_OPERATORS = {
    # Versions, offers and reports.
    "assets.commit",
    "assets.add_version",
    "assets.set_alias",
    "licenses.offer",
    "licenses.withdraw_offer",
    "licenses.approve_derivatives",
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


def open_account(call: Call, operation: ops.OpenAccount) -> None:
    sender = call.state.accounts[call.sender]
    need(sender["vouches"], "organizations.not_vouching")
    check_key(call.state, operation.key)
    account = account_id(call.state.network, sender["organization"], operation.key, operation.salt)
    need(account not in call.state.accounts, "organizations.account_exists")
    call.state.accounts[account] = {
        "organization": sender["organization"],
        "name": operation.name,
        "keys": {operation.key: "owner"},
        "vouches": False,
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


def advance_clock(call: Call, operation: clock.AdvanceClock) -> None:
    """From the next block on."""
    need(call.state.offset + operation.ms <= OFFSET_MAX, "development.out_of_range")
    call.state.offset += operation.ms


OPERATIONS = {
    ops.OpenAccount: open_account,
    ops.AddKey: add_key,
    ops.RevokeKey: revoke_key,
    ops.RotateKey: rotate_key,
    clock.AdvanceClock: advance_clock,
}

"""The reference ledger: a genesis, blocks of transactions, and the tables of what each operation and deadline does.

An operation of the ledger without an entry here, and without a reason in `NOT_MODELED`, fails a test.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ledger.genesis import Genesis, network_id, organization_account, validator_account
from ledger.modules.royalties.operations import Withdraw
from primitives.identifiers import key_from_text
from tests.reference import (
    assets,
    attestations,
    charters,
    contributions,
    credits,
    decisions,
    disputes,
    governance,
    licenses,
    market,
    observers,
    organizations,
    renewals,
    transfers,
    usage,
)
from tests.reference.state import Call, Refused, copy_of, empty, return_to

OPERATIONS: dict[type, Callable[[Call, Any], object]] = {
    **organizations.OPERATIONS,
    **credits.OPERATIONS,
    **assets.OPERATIONS,
    **licenses.OPERATIONS,
    **usage.OPERATIONS,
    **renewals.OPERATIONS,
    **transfers.OPERATIONS,
    **market.OPERATIONS,
    **attestations.OPERATIONS,
    **decisions.OPERATIONS,
    **disputes.OPERATIONS,
    **charters.OPERATIONS,
    **observers.OPERATIONS,
    **contributions.OPERATIONS,
    **governance.OPERATIONS,
    Withdraw: disputes.withdraw,
}
DEADLINES: dict[str, Callable[[Call, bytes], object]] = {
    **organizations.DEADLINES,
    **assets.DEADLINES,
    **licenses.DEADLINES,
    **usage.DEADLINES,
    **transfers.DEADLINES,
    **market.DEADLINES,
    **attestations.DEADLINES,
    **disputes.DEADLINES,
    **charters.DEADLINES,
    **contributions.DEADLINES,
    **governance.DEADLINES,
}

_MEMBERSHIP = (
    "the validator set and the members have random tests of their own: tests/unit/test_ledger_epochs_random.py,"
    " tests/property/test_modules_members_properties.py"
)
NOT_MODELED = {
    "governance.change_expiry": _MEMBERSHIP,
    "validators.ready": _MEMBERSHIP,
    "validators.rejoin": _MEMBERSHIP,
    "validators.report_evidence": _MEMBERSHIP,
}
"""Tags of operations and kinds of deadlines that this ledger knows nothing of, and why not."""


class Sent(NamedTuple):
    """A transaction as it arrives: its decoded parts, and what is wrong with it."""

    id: bytes
    network: bytes
    sender: bytes
    signer: bytes
    expires: int
    operations: Sequence[Any]
    signed: bool = True
    """Whether the signature holds."""
    malformed: bool = False


class Fate(NamedTuple):
    """What became of a transaction."""

    mark: str
    """Why it did not execute: the mark's code; empty when it did."""
    code: str = ""
    """Why it was refused; empty when it succeeded."""
    failed: int | None = None
    """The operation that was refused."""


def begin(genesis: Genesis) -> Any:
    """Return the state before the first block."""
    network = network_id(genesis)
    state = empty(
        network=network,
        parameters=governance.begin(genesis.parameters),
        epoch_end=0,
        supply=sum(member.credits for member in genesis.accounts),
        organizations=sorted(organization.id for organization in genesis.organizations),
        executed=set(),
        validators=[validator_account(network, validator) for validator in genesis.validators],
        nodes=[validator.node_id for validator in genesis.validators],
    )
    state.now = genesis.created_at_ms
    governance.put_in_force(state)
    for member in genesis.accounts:
        account = organization_account(network, member)
        keys = {key_from_text(member.key): "owner"}
        state.accounts[account] = _account(member.organization, member.name, keys, vouches=True)
        state.balances[account] = state.balances.get(account, 0) + member.credits
    for index, validator in enumerate(genesis.validators):
        keys = {key_from_text(validator.signing_key): "validator"}
        name = f"validator {index}"
        account = validator_account(network, validator)
        state.accounts[account] = _account(validator.organization, name, keys, vouches=False)
    return state


def _account(organization: str, name: str, keys: dict[Any, str], vouches: bool) -> dict[str, Any]:
    return {"organization": organization, "name": name, "keys": keys, "vouches": vouches, "frozen": 0}


def begin_block(state: Any, proposed_ms: int) -> int:
    """Set block time and do what fell due, in order of time, kind and subject, as many as a block takes. Return how
    many that were."""
    state.height += 1
    governance.put_in_force(state)
    state.now = max(state.now + 1, proposed_ms + state.offset)
    done = 0
    for deadline in sorted(key for key in state.deadlines if key[0] <= state.now)[: state.deadlines_per_block]:
        if state.deadlines.pop(deadline, None) is not None:
            DEADLINES[deadline[1]](Call(state, b"", b""), deadline[2])
            done += 1
    return done


def end_block(state: Any) -> None:
    """Finish the block."""
    governance.end_block(state)


def mark_of(state: Any, sent: Sent) -> str:
    """Say why a transaction does not execute, or nothing."""
    if sent.malformed:
        return "transaction.malformed"
    if sent.network != state.network:
        return "transaction.wrong_network"
    if sent.expires <= state.now:
        return "transaction.expired"
    if sent.expires > state.now + state.lifetime:
        return "transaction.expiry_too_far"
    if sent.id in state.executed:
        return "transaction.duplicate"
    if sent.signer not in state.accounts.get(sent.sender, {"keys": {}})["keys"]:
        return "transaction.unknown_signer"
    return "" if sent.signed else "transaction.bad_signature"


def execute(state: Any, sent: Sent) -> Fate:
    """Run all operations of a transaction, or none (E5)."""
    if mark := mark_of(state, sent):
        return Fate(mark)
    state.executed.add(sent.id)
    role, frozen = state.accounts[sent.sender]["keys"][sent.signer], state.now < state.accounts[sent.sender]["frozen"]
    for index, operation in enumerate(sent.operations):
        if not organizations.may_sign(role, tag_of(operation)):
            return Fate("", "organizations.key_not_allowed", index)
        if frozen and tag_of(operation) in organizations.GIVES_AWAY:
            return Fate("", "organizations.frozen", index)
    before = copy_of(state)
    for index, operation in enumerate(sent.operations):
        try:
            OPERATIONS[type(operation)](Call(state, sent.sender, sent.id), operation)
        except Refused as refused:
            return_to(state, before)
            return Fate("", refused.code, index)
    return Fate("")


def tag_of(operation: Any) -> str:
    return str(operation.__struct_config__.tag)

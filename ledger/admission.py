"""Whether a transaction would execute if it were ordered now: what execution asks of it, before anybody orders it."""

from __future__ import annotations

from typing import Final

from ledger.block import Mark
from ledger.errors import InvalidTransaction, LedgerError, OperationError
from ledger.execution import lifetime_mark
from ledger.opaque import DecodedBundle
from ledger.operations import Registry
from ledger.parameters import read_parameters
from ledger.replay import ReplayIds
from ledger.state.view import Readable
from ledger.transaction import DecodedTransaction

_MARK_MESSAGES: Final = {
    Mark.FOREIGN: "the transaction is for another network",
    Mark.DUPLICATE: "the transaction has already executed",
    Mark.EXPIRED: "the transaction's expiry has passed",
    Mark.TOO_EARLY: "the transaction expires further ahead than a lifetime",
    Mark.MALFORMED: "this network orders no opaque bundles, signed transactions only",
    Mark.UNKNOWN_SIGNER: "the sender is unknown, or the key is not one of its keys",
}


def admission_error(
    transaction: DecodedTransaction | DecodedBundle,
    time_ms: int,
    *,
    network_id: bytes,
    registry: Registry,
    state: Readable,
    replay: ReplayIds,
) -> LedgerError | None:
    """Say why a transaction or bundle would not execute in a block of `time_ms` over `state`; None when nothing is
    against it. The signature is not checked."""
    body = transaction.body
    parameters = read_parameters(state)
    mark = Mark.EXECUTED
    if isinstance(transaction, DecodedBundle) and parameters.opaque_bundles is not True:
        mark = Mark.MALFORMED
    elif body.network_id != network_id:
        mark = Mark.FOREIGN
    elif transaction.id in replay:  # what executed before that has expired
        mark = Mark.DUPLICATE
    else:
        mark = lifetime_mark(body.expires_at_ms, time_ms, parameters.lifetime_ms)
    if mark is not Mark.EXECUTED:
        return InvalidTransaction(mark.code, _MARK_MESSAGES[mark])
    if len(replay) >= parameters.replay_ids_max:
        return LedgerError("ledger.replay_ids_full", "too many transactions executed lately; try again in a minute")
    if isinstance(transaction, DecodedBundle):
        return None
    standing = registry.standing(state, transaction.body.sender, transaction.body.signer)
    if standing is None:
        return InvalidTransaction(Mark.UNKNOWN_SIGNER.code, _MARK_MESSAGES[Mark.UNKNOWN_SIGNER])
    try:
        for operation in transaction.body.operations:
            registry.require_permitted(standing, operation, time_ms)
    except OperationError as error:
        return error
    return None

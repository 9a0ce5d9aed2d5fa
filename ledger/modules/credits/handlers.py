"""Transfers between accounts, and the first balances."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.genesis import Genesis, organization_account
from ledger.modules.credits.accounting import balance, move
from ledger.modules.credits.events import Transferred
from ledger.modules.credits.operations import Transfer
from ledger.modules.credits.records import BALANCES, SUPPLY, Balance, Supply
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.module import Context
from ledger.modules.organizations.accounts import require_party, sender_organization
from ledger.modules.reputation import flows


def transfer(context: Context, operation: Transfer) -> None:
    """Move credits. A transfer to oneself is refused: it would look like a payment and be none."""
    if type(operation.amount) is not int or not 1 <= operation.amount <= AMOUNT_MAX:
        raise OperationError("credits.amount_invalid", f"an amount is an integer from 1 to {AMOUNT_MAX}")
    if operation.recipient == context.sender:
        raise OperationError("credits.self_transfer", "the recipient is the sender")
    recipient = require_party(context.view, operation.recipient, "credits.invalid_recipient")
    move(context, context.sender, operation.recipient, operation.amount)
    flows.moved_between(context, sender_organization(context), recipient.organization, operation.amount)
    context.emit(Transferred(context.sender, operation.recipient, operation.amount))


def write_genesis(context: Context, genesis: Genesis) -> None:
    """Write the first balances and the supply, which is their sum."""
    for member in genesis.accounts:
        if member.credits:
            account = organization_account(context.network_id, member)
            amount = balance(context.view, account) + member.credits
            BALANCES.put(context.view, Balance(amount), account)
    SUPPLY.put(context.view, Supply(sum(member.credits for member in genesis.accounts)))

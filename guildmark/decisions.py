"""Decisions that wait before they take effect: parameters, the supply, payments from the treasury, and objections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from guildmark.accounts import AnyAccount, account_bytes, account_text
from guildmark.errors import InvalidArgument
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.governance.operations import Burn, Mint, NamedValue, Object, Pay, Propose, SetParameters
from ledger.modules.governance.records import Change

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

INTEGERS: Final = range(-(2**63), 2**64)
"""What a transaction can carry."""


class AsyncDecisions:
    """For organizations, beside `client.governance`: what is proposed here waits, and others may object."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def propose_parameters(self, values: Mapping[str, int], title: str = "") -> dict[str, Any]:
        """Propose other values of chain parameters: all of them or none, after the delay. `parameters` lists what there
        is and how far each may go.

        Raises:
            InvalidArgument: no value, or one that is no integer of 64 bits. Refused: `governance.parameter_*`.
        """
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int) or value not in INTEGERS:
                raise InvalidArgument("argument.parameter", f"{name}: an integer of 64 bits, not {str(value)[:40]}")
        if not values:
            raise InvalidArgument("argument.parameter", "name a parameter and what it is to be")
        change = SetParameters(tuple(NamedValue(name, value) for name, value in values.items()))
        described = ", ".join(f"{name} = {value}" for name, value in values.items())
        return await propose(self._client, change, (title or described)[:128])

    async def propose_minting(self, amount: int, account: AnyAccount | None = None, title: str = "") -> dict[str, Any]:
        """Propose to make `amount` minor units, for the treasury or for an account of a member."""
        change = Mint(_amount(amount), None if account is None else account_bytes(account))
        return await propose(self._client, change, title or f"mint {amount}")

    async def propose_burning(self, amount: int, *, own: bool = False, title: str = "") -> dict[str, Any]:
        """Propose to end `amount` minor units of the treasury, or of the client's `own` account; nobody can propose to
        burn another's."""
        change = Burn(_amount(amount), self._client.signer().id if own else None)
        return await propose(self._client, change, title or f"burn {amount}")

    async def propose_payment(self, account: AnyAccount, amount: int, title: str = "") -> dict[str, Any]:
        """Propose to pay `amount` minor units from the treasury to an account."""
        change = Pay(account_bytes(account), _amount(amount))
        return await propose(self._client, change, title or f"pay {amount} to {account_text(account)}")

    async def object(self, proposal: str) -> dict[str, Any]:
        """Object, for the client's organization, to what was approved and waits for its delay; return the proposal as
        it is then.

        Raises:
            Refused: `governance.not_waiting`, `governance.already_objected`.
        """
        identifier = proposal_bytes(proposal)
        outcome = await self._client.submit_and_wait(Object(identifier))
        return await self._client.governance.proposal(proposal, at_least=outcome.height)

    async def parameters(self) -> list[dict[str, Any]]:
        """The chain's parameters by name: what each is, what it will be after this epoch, and how far it may go."""
        found: list[dict[str, Any]] = await self._client.query("governance.parameters")
        return found


def _amount(amount: int) -> int:
    if not 1 <= amount <= AMOUNT_MAX:
        raise InvalidArgument("argument.amount", f"an amount is an integer from 1 to {AMOUNT_MAX}")
    return amount


async def propose(client: AsyncClient, change: Change, title: str) -> dict[str, Any]:
    """Propose a change, and return the proposal as it is then."""
    outcome = await client.submit_and_wait(Propose(change, title))
    opened = outcome.event("governance.proposal_opened")["proposal"]
    return await client.governance.proposal(opened, at_least=outcome.height)


def proposal_bytes(proposal: str) -> bytes:
    """Read a proposal's id. Raises InvalidArgument `argument.id`."""
    try:
        raw = bytes.fromhex(proposal)
    except ValueError:
        raw = b""
    if len(raw) != 32 or raw.hex() != proposal:
        raise InvalidArgument("argument.id", f"a proposal's id has 64 lower-case hex digits, not {proposal[:80]!r}")
    return raw

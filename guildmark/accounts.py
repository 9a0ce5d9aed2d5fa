"""Accounts, their keys and their balances."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Literal

from guildmark.errors import InvalidArgument
from guildmark.identity import Account
from guildmark.transactions import Outcome
from ledger.modules.credits.operations import Transfer
from ledger.modules.organizations.operations import (
    AddKey,
    CompleteRecovery,
    OpenAccount,
    RequestRecovery,
    RevokeKey,
    RotateKey,
    VetoRecovery,
)
from primitives.identifiers import InvalidIdentifier, account_from_text, account_to_text, key_from_text
from primitives.keys import SigningKey

if TYPE_CHECKING:
    from guildmark.client import AsyncClient

AnyAccount = Account | bytes | str
"""An account of ours, a 32-byte id, or `gm1...`."""


def account_bytes(account: AnyAccount) -> bytes:
    """The 32-byte id. Raises InvalidArgument `argument.account` for a wrong text."""
    if isinstance(account, Account):
        return account.id
    try:
        return account_from_text(account) if isinstance(account, str) else account
    except InvalidIdentifier as error:
        raise InvalidArgument("argument.account", str(error)) from error


def account_text(account: AnyAccount) -> str:
    """`gm1...`, whatever form the account comes in."""
    if isinstance(account, Account):
        return account.text
    return account if isinstance(account, str) else account_to_text(account)


def key_bytes(key: str) -> bytes:
    """The 32 bytes of a did:key. Raises InvalidArgument `argument.key` for a wrong text."""
    try:
        return key_from_text(key)
    except InvalidIdentifier as error:
        raise InvalidArgument("argument.key", str(error)) from error


class AsyncAccounts:
    """Opening accounts and changing their keys."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def get(self, account: AnyAccount | None = None, *, at_least: int | None = None) -> dict[str, Any]:
        """An account's organization, keys, balance, freeze and recovery; the client's own when none is named."""
        result: dict[str, Any] = await self._client.query(
            "accounts.get", at_least=at_least, account=account_text(account or self._client.signer())
        )
        return result

    async def open(self, key: SigningKey | None = None, name: str = "") -> Account:
        """Open a further account in the organization of the client's account, which must be one of the genesis."""
        key = key or SigningKey.generate()
        salt = secrets.token_bytes(16)
        organization = str((await self.get())["organization"])
        opened = Account.first_of(await self._client.network_id(), organization, key, salt, name)
        await self._client.submit_and_wait(OpenAccount(key=key.public_key, salt=salt, name=name))
        return opened

    async def add_key(self, key: str, role: Literal["owner", "operator", "release"] = "operator") -> Outcome:
        """Give the client's account the further key `key` (did:key)."""
        return await self._client.submit_and_wait(AddKey(key=key_bytes(key), role=role))

    async def revoke_key(self, key: str) -> Outcome:
        """Take a key (did:key) from the client's account."""
        return await self._client.submit_and_wait(RevokeKey(key=key_bytes(key)))

    async def rotate_key(self, new_key: SigningKey) -> Account:
        """Replace the key that signs by `new_key`; returns the account with it. The old key then signs nothing."""
        account = self._client.signer()
        await self._client.submit_and_wait(RotateKey(old_key=account.key.public_key, new_key=new_key.public_key))
        return Account(account.id, new_key, account.name)

    async def request_recovery(self, account: AnyAccount, owner_key: str) -> dict[str, Any]:
        """Ask for the owner key `owner_key` (did:key) in place of all keys of another account of the client's
        organization. Nothing of value leaves the account meanwhile. Returns the account as it is then."""
        operation = RequestRecovery(account=account_bytes(account), owner_key=key_bytes(owner_key))
        outcome = await self._client.submit_and_wait(operation)
        return await self.get(account, at_least=outcome.height)

    async def complete_recovery(self, account: AnyAccount) -> dict[str, Any]:
        """Give the account its requested key, once the time for a veto is over. Returns the account as it is then."""
        outcome = await self._client.submit_and_wait(CompleteRecovery(account=account_bytes(account)))
        return await self.get(account, at_least=outcome.height)

    async def veto_recovery(self) -> dict[str, Any]:
        """End the requested recovery of the client's account, with one of its owner keys. Returns the account."""
        outcome = await self._client.submit_and_wait(VetoRecovery())
        return await self.get(at_least=outcome.height)


class AsyncCredits:
    """Balances and payments, in minor units."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def balance(self, account: AnyAccount | None = None) -> int:
        """The balance of an account; the client's own when none is named."""
        result = await self._client.query("credits.balance", account=account_text(account or self._client.signer()))
        return int(result["balance"])

    async def transfer(self, recipient: AnyAccount, amount: int) -> Outcome:
        """Pay `amount` to another account."""
        return await self._client.submit_and_wait(Transfer(recipient=account_bytes(recipient), amount=amount))

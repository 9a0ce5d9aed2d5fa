"""`guildmark account`: opening accounts, balances, payments, keys, and new keys for accounts whose own are lost."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from guildmark.cli.numbers import UNITS
from guildmark.cli.output import emit, emit_table, note
from guildmark.cli.session import Session, with_session
from guildmark.errors import NotFound, WalletError

if TYPE_CHECKING:
    from primitives.keys import SigningKey


@click.group()
def account() -> None:
    """Open accounts, see balances, pay, change keys, recover."""


@account.command("open")
@click.argument("name")
@with_session(nodes=True, account=True)
def open_account(session: Session, name: str) -> None:
    """Open an account in the organization of the acting account, with the key NAME of the wallet, which is made where
    the wallet has none."""
    session.acting_key()
    passphrase, wallet = session.passphrase(), session.wallet
    if name in wallet.names() and wallet.read(name).account:
        raise WalletError("wallet.assigned", f"the key {name!r} belongs to an account already: name another one")
    key = _wallet_key(session, name)
    with session.client(acting=True) as client:
        opened = client.accounts.open(key, name)
        wallet.assign(name, passphrase, account=opened.text, network_id=client.network_id())
        emit(client.accounts.get(opened), json=session.json)


@account.command("show")
@click.argument("who", required=False)
@with_session(nodes=True, account=True)
def show(session: Session, who: str | None) -> None:
    """Show an account (gm1... or a key's name; the acting one by default): organization, keys, balance, recovery."""
    target = session.resolve(who or session.account_name())
    with session.client() as client:
        emit(client.accounts.get(target), json=session.json)


@account.command("list")
@click.option("--organization", metavar="ID", help="All accounts of one organization as well.")
@with_session(nodes=True, wallet=True)
def list_accounts(session: Session, organization: str | None) -> None:
    """List the accounts that keys of the wallet belong to: what the ledger says of each, and the role of the key there.

    An account that the ledger does not have belongs to another network. One whose key has no role there any more has
    other keys now.
    """
    wallet = session.wallet
    held = [wallet.read(name) for name in wallet.names()]
    with session.client() as client:
        theirs = client.organizations.accounts(organization) if organization else []
        told = {entry["account"]: entry for entry in theirs}
        for account in {file.account for file in held if file.account} - set(told):
            with suppress(NotFound):
                told[account] = client.accounts.get(account)
    rows = [_row(file.name, file.account, told.get(file.account), file.public_key) for file in held if file.account]
    named = {file.account for file in held}
    rows += [_row("", account, entry, "") for account, entry in told.items() if account not in named]
    emit_table(rows, ("key", "account", "organization", "name", "balance", "role", "known"), json=session.json)


def _row(key: str, account: str, told: dict[str, Any] | None, public_key: str) -> dict[str, Any]:
    """One key and what the ledger says of its account, or one account for which there is no key."""
    found = told or {"organization": None, "name": None, "balance": None, "keys": []}
    role = next((entry["role"] for entry in found["keys"] if entry["key"] == public_key), None)
    kept = {name: found[name] for name in ("organization", "name", "balance")}
    return {"key": key, "account": account, **kept, "role": role, "known": told is not None}


@account.command("pay")
@click.argument("recipient")
@click.argument("amount", type=UNITS)
@with_session(nodes=True, account=True)
def pay(session: Session, recipient: str, amount: int) -> None:
    """Pay AMOUNT minor units to RECIPIENT (gm1... or a key's name)."""
    with session.client(acting=True) as client:
        emit(client.credits.transfer(session.resolve(recipient), amount), json=session.json)


@account.command("add-key")
@click.argument("key")
@click.option("--role", type=click.Choice(("owner", "operator", "release")), default="operator", show_default=True)
@with_session(nodes=True, account=True)
def add_key(session: Session, key: str, role: Literal["owner", "operator", "release"]) -> None:
    """Give the acting account the further key KEY: the did:key of somebody else's, or a name in the wallet.

    Where the wallet has no key of that name, it is made. An owner key may do everything, the others the daily work
    that neither pays nor hands on.
    """
    named, text = not key.startswith("did:key:"), key
    if named:
        text = _text(_wallet_key(session, key))
    with session.client(acting=True) as client:
        outcome = client.accounts.add_key(text, role)
        if named:
            _assign(session, key, client.network_id())
        emit(client.accounts.get(at_least=outcome.height), json=session.json)


@account.command("revoke-key")
@click.argument("key")
@with_session(nodes=True, account=True)
def revoke_key(session: Session, key: str) -> None:
    """Take KEY (did:key or a key's name) from the acting account. The last owner key stays, and every file."""
    with session.client(acting=True) as client:
        outcome = client.accounts.revoke_key(session.resolve_key(key))
        emit(client.accounts.get(at_least=outcome.height), json=session.json)


@account.command("rotate-key")
@click.argument("name")
@with_session(nodes=True, account=True)
def rotate_key(session: Session, name: str) -> None:
    """Replace the acting key by the key NAME of the wallet, in the same role. Where the wallet has none, it is made.

    From then on --account NAME acts; the old key signs nothing any more. Its file stays.
    """
    key = _wallet_key(session, name)
    with session.client(acting=True) as client:
        rotated = client.accounts.rotate_key(key)
        _assign(session, name, client.network_id())
        emit(client.accounts.get(rotated), json=session.json)


def _wallet_key(session: Session, name: str) -> SigningKey:
    """Return the key `name` of the wallet, which is on disk before any account has it: a crash in between leaves a key
    too many, never an account without one. A second try finds it.

    Raises:
        WalletError: as `Wallet.create` and `Wallet.open_key`; `wallet.assigned`, it is another account's.
    """
    from primitives.keys import SigningKey

    session.acting_key()  # before a key is made that nobody can add to an account
    passphrase, wallet = session.passphrase(), session.wallet
    if name not in wallet.names():
        key = SigningKey.generate()
        wallet.create(name, passphrase, key=key)
        return key
    assigned = wallet.read(name).account
    if assigned not in ("", session.account().text):
        raise WalletError("wallet.assigned", f"the key {name!r} belongs to the account {assigned}: name another one")
    return wallet.open_key(name, passphrase)


def _assign(session: Session, name: str, network_id: bytes) -> None:
    """Note in the wallet that the key `name` belongs to the acting account now."""
    session.wallet.assign(name, session.passphrase(), account=session.account().text, network_id=network_id)


def _text(key: SigningKey) -> str:
    from primitives.identifiers import key_to_text

    return key_to_text(key.public_key)


@account.command("recover")
@click.argument("who")
@click.argument("key")
@with_session(nodes=True, account=True)
def recover(session: Session, who: str, key: str) -> None:
    """Request KEY (did:key or a key's name) as the only key of the account WHO (gm1... or a key's name).

    By an account that speaks for the organization of both. Nothing of value leaves WHO meanwhile, and its owners
    may veto for `recovery_delay_ms`, 7 days as a rule. Then, until 14 days after the request, complete-recovery.
    """
    with session.client(acting=True) as client:
        found = client.accounts.request_recovery(session.resolve(who), session.resolve_key(key))
        emit(found, json=session.json)


@account.command("complete-recovery")
@click.argument("who")
@with_session(nodes=True, account=True)
def complete_recovery(session: Session, who: str) -> None:
    """Replace all keys of the account WHO (gm1... or a key's name) by the one that was requested. Where the wallet has
    that key, it acts for WHO from then on."""
    target, wallet = session.resolve(who), session.wallet
    with session.client(acting=True) as client:
        done = client.accounts.complete_recovery(target)
        for name in wallet.names():
            entry = wallet.read(name)
            if entry.public_key == done["keys"][0]["key"] and not entry.account:
                wallet.assign(name, session.passphrase(), account=target, network_id=client.network_id())
                note(f"the key {name!r} acts for {target} now")
        emit(done, json=session.json)


@account.command("veto-recovery")
@with_session(nodes=True, account=True)
def veto_recovery(session: Session) -> None:
    """End the requested recovery of the acting account. After that only the consortium can recover it for 30 days."""
    with session.client(acting=True) as client:
        emit(client.accounts.veto_recovery(), json=session.json)

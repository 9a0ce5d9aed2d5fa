"""`guildmark account`: opening accounts, balances, payments, keys, and new ones for accounts whose own are lost."""

from __future__ import annotations

from typing import Any

import rich_click as click

from guildmark.cli.output import emit
from guildmark.cli.session import Session, with_session
from guildmark.errors import InvalidArgument

ROLES = ("owner", "operator", "release")


@click.group()
def account() -> None:
    """Open accounts, see balances, pay, change keys, recover."""


@account.command("open")
@click.argument("name")
@with_session(nodes=True, account=True)
def open_account(session: Session, name: str) -> None:
    """Open an account in the organization of the acting account, with a new key NAME in the wallet."""
    from primitives.keys import SigningKey

    passphrase, wallet = session.passphrase(), session.wallet
    key = SigningKey.generate()
    with session.client(acting=True) as client:
        # The key is on disk before the account exists: a crash in between leaves a key too many, never an account
        # without one.
        wallet.create(name, passphrase, key=key)
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


@account.command("pay")
@click.argument("recipient")
@click.argument("amount", type=click.IntRange(min=1))
@with_session(nodes=True, account=True)
def pay(session: Session, recipient: str, amount: int) -> None:
    """Pay AMOUNT minor units to RECIPIENT (gm1... or a key's name)."""
    with session.client(acting=True) as client:
        emit(client.credits.transfer(session.resolve(recipient), amount), json=session.json)


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
    """Replace all keys of the account WHO (gm1... or a key's name) by the one that was requested."""
    with session.client(acting=True) as client:
        emit(client.accounts.complete_recovery(session.resolve(who)), json=session.json)


@account.command("veto-recovery")
@with_session(nodes=True, account=True)
def veto_recovery(session: Session) -> None:
    """End the requested recovery of the acting account. After that only the consortium can recover it for 30 days."""
    with session.client(acting=True) as client:
        emit(client.accounts.veto_recovery(), json=session.json)


@account.command("add-key")
@click.argument("key")
@click.option("--role", type=click.Choice(ROLES), default="operator", show_default=True, help="What the key may sign.")
@with_session(nodes=True, account=True)
def add_key(session: Session, key: str, role: Any) -> None:
    """Give the acting account the further key KEY (did:key or a key's name).

    owner signs everything; operator versions, offers and reports; release the release of keys only.
    """
    with session.client(acting=True) as client:
        client.accounts.add_key(session.resolve_key(key), role)
        emit(client.accounts.get(), json=session.json)


@account.command("revoke-key")
@click.argument("key")
@with_session(nodes=True, account=True)
def revoke_key(session: Session, key: str) -> None:
    """Take KEY (did:key or a key's name) from the acting account. One owner key stays."""
    with session.client(acting=True) as client:
        client.accounts.revoke_key(session.resolve_key(key))
        emit(client.accounts.get(), json=session.json)


@account.command("rotate-key")
@click.argument("name")
@with_session(nodes=True, account=True)
def rotate_key(session: Session, name: str) -> None:
    """Replace the acting account's key that signs by the key NAME of the wallet, which then belongs to the account.

    From then on the old key signs nothing.
    """
    passphrase, wallet = session.passphrase(), session.wallet
    known = wallet.read(name).account
    with session.client(acting=True) as client:
        acting = session.account()
        if known and known != acting.text:
            raise InvalidArgument(
                "wallet.other_account", f"the key {name!r} belongs to another account: make a new one"
            )
        rotated = client.accounts.rotate_key(wallet.open_key(name, passphrase))
        wallet.assign(name, passphrase, account=rotated.text, network_id=client.network_id())
        emit(client.accounts.get(rotated), json=session.json)

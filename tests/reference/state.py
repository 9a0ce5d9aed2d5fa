"""The reference ledger's state: plain dictionaries of plain values, and the few questions that every domain asks.

This is a second reading of the rules, made to be compared with the ledger: nothing here is fast, stored or encoded, and
whatever the ledger keeps up to date step by step is counted anew from what happened. It must not import the ledger's
handlers, records or reads; operations, identifiers and hashes are the language that both speak.

All values are numbers, texts, bytes, tuples, lists, sets and dictionaries, so that a copy of the whole state, which is
what a refused transaction returns to, is one call.
"""

from __future__ import annotations

import base64
import binascii
import marshal
from types import SimpleNamespace
from typing import Any, NamedTuple

from primitives.digest import tagged_hash

BPS = 10_000
TREASURY = tagged_hash("treasury", b"")
TABLES = (
    "accounts",
    "accreditations",
    "assets",
    "answers",
    "auctions",
    "balances",
    "bounties",
    "bought",
    "buyers_offers",
    "charters",
    "claims",
    "commitments",
    "consents",
    "contributions",
    "deadlines",
    "debts",
    "disputes",
    "down",
    "escrows",
    "flows",
    "grants",
    "listings",
    "motions",
    "next_limits",
    "observers",
    "offers",
    "owed",
    "proposals",
    "purses",
    "received",
    "recoveries",
    "reserved",
    "sales",
    "seats",
    "share_sales",
    "statements",
    "tensors",
    "terms",
    "transfers",
    "treasury_rests",
    "words",
)


class Refused(Exception):
    """An operation that the rules refuse, with the code that its receipt must have."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Call(NamedTuple):
    """What an operation or a deadline is given. Of a deadline, sender and id are empty."""

    state: Any
    sender: bytes
    id: bytes
    """The transaction's."""

    @property
    def now(self) -> int:
        """Block time in Unix ms."""
        return int(self.state.now)

    @property
    def organization(self) -> str:
        return organization_of(self.state, self.sender)


def empty(**settings: Any) -> SimpleNamespace:
    """Return a state with nothing in it but `settings`: chain parameters, validators, the network's id."""
    return SimpleNamespace(**{name: {} for name in TABLES}, now=0, height=0, offset=0, **settings)


def copy_of(state: Any) -> bytes:
    """Return everything there is, to return to."""
    return marshal.dumps(vars(state))


def return_to(state: Any, copy: bytes) -> None:
    vars(state).update(marshal.loads(copy))


def need(condition: object, code: str) -> None:
    """Refuse with `code` unless the condition holds."""
    if not condition:
        raise Refused(code)


def organization_of(state: Any, account: bytes) -> str:
    return str(state.accounts[account]["organization"])


def is_party(state: Any, account: bytes) -> bool:
    """Whether an account may own, buy and receive: it exists, and is not a validator's."""
    return account in state.accounts and set(state.accounts[account]["keys"].values()) != {"validator"}


def is_cid(text: str) -> bool:
    """CIDv1, base32, raw or dag-pb, sha2-256: the spelling that its own bytes have, and no other."""
    if len(text) != 59 or text[0] != "b" or not text.isascii():
        return False
    try:
        data = base64.b32decode(text[1:].upper() + "======")
    except binascii.Error:
        return False
    spelled = "b" + base64.b32encode(data).decode().lower().rstrip("=")
    return spelled == text and data[:2] in (b"\x01\x55", b"\x01\x70") and data[2:4] == b"\x12\x20"


def set_deadline(state: Any, at: int, kind: str, subject: bytes, organization: str) -> None:
    state.deadlines[at, kind, subject] = organization


def drop_deadline(state: Any, at: int, kind: str, subject: bytes) -> None:
    del state.deadlines[at, kind, subject]


def commit(call: Call, module: str, commitment: bytes) -> None:
    """Commitments of all modules: (module, account, commitment) -> (made, expires)."""
    key = (module, call.sender, commitment)
    need(key not in call.state.commitments, f"{module}.commitment_exists")
    expires = call.now + call.state.commitment_lifetime
    call.state.commitments[key] = (call.now, expires)
    subject = call.sender + commitment
    set_deadline(call.state, expires, f"{module}.commitment_expiry", subject, call.organization)


def reveal(call: Call, module: str, commitment: bytes) -> None:
    made, expires = call.state.commitments.get((module, call.sender, commitment), (0, 0))
    need(call.now < expires, f"{module}.commitment_missing")
    need(made + call.state.commitment_age <= call.now, f"{module}.commitment_too_young")
    del call.state.commitments[module, call.sender, commitment]
    drop_deadline(call.state, expires, f"{module}.commitment_expiry", call.sender + commitment)


def forget_commitment(call: Call, module: str, subject: bytes) -> None:
    del call.state.commitments[module, subject[:32], subject[32:]]

"""Chances for what accounts of a random ledger do next: a source of choices, and what the accounts know."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple, TypeVar

from ledger.modules.organizations import operations as organizations
from primitives.keys import SigningKey
from tests.reference.grants import state_of
from tests.reference.locks import lock_of

DAY_MS = 86_400_000
KINDS = ("dataset", "dataset", "model", "software")
DERIVING = ("distill-merge", "fine-tune", "train-on")
RIGHTS = ("distill-merge", "download", "fine-tune", "inference", "train-on")
AMOUNT_MAX = 2**63 - 1
ENDS = (0, 1, 1, 2, 9_999, 2**53 - 1, 2**53, 2**53 + 1, 2**58, 2**58, 2**60, 2**62, AMOUNT_MAX)
"""Amounts at the ends of their range, and of what others count exactly."""
PRICES = (0, 1, 1, 7, 29, 29, 500, 500, 5_000, 5_000, 123_457, 123_457, 123_457, 10**8)
LIFETIMES_MS = (1_500, 15_000, 15_000, 120_000, DAY_MS, 20 * DAY_MS, 20 * DAY_MS)
TRIES = 2
UNKNOWN = b"\x07" * 32

T = TypeVar("T")
Draft = tuple[bytes, list[Any]]


class Nothing(Exception):
    """There is no such situation now."""


class Secret(NamedTuple):
    """What somebody has committed to: an artifact to register, or an offer to buy under."""

    subject: Any
    salt: bytes
    asset: bytes | None = None
    """What it is going to be contributed to, where it was made for that."""


class Plan(NamedTuple):
    """What one of several owners of an asset is going to send, once the others have consented to it."""

    asset: bytes
    sender: bytes
    operation: Any


class Notebook:
    """What the accounts know and the chain does not."""

    def __init__(self, *, lineages: bool = False, ends: bool = False) -> None:
        self.count = 0
        self.lineages = lineages
        """Whether this life is about long lines of derivatives: most terms then ask for little and allow much."""
        self.ends = ends
        """Whether it is about amounts, counts and times at the ends of their ranges."""
        self.keys: dict[bytes, SigningKey] = {}
        self.secrets: dict[bytes, Secret] = {}
        self.tries: Counter[bytes] = Counter()
        """How often somebody has tried to use a secret: what is wrong with some of them is for ever."""
        self.opened: list[organizations.OpenAccount] = []
        self.plans: list[Plan] = []
        self.nodes: dict[str, str] = {}
        """Node id -> the word that its key is made of, of every observer that somebody tried to register."""

    def next(self, word: str) -> str:
        self.count += 1
        return f"{word} {self.count}"

    def new_key(self) -> bytes:
        key = SigningKey(hashlib.sha256(self.next("key").encode()).digest())
        self.keys[key.public_key] = key
        return key.public_key


class Draw:
    """One transaction's chances: a source of choices, the state, and who acts once that is decided."""

    def __init__(self, random: Random, state: Any, notebook: Notebook, actor: bytes | None = None) -> None:
        self.random = random
        self.state = state
        self.notebook = notebook
        self.actor = actor

    def some(self, rows: Sequence[T]) -> T:
        if not rows:
            raise Nothing
        return rows[self.random.randrange(len(rows))]

    def rarely(self, percent: int = 5) -> bool:
        return self.random.randrange(100) < percent

    def parties(self) -> list[bytes]:
        return [account for account in self.state.accounts if account not in self.state.validators]

    def price(self) -> int:
        return self.some(ENDS if self.notebook.ends else PRICES)

    def at_the_end(self, percent: int = 25) -> bool:
        """Whether something is chosen at the end of its range; only where the life is about that."""
        return self.notebook.ends and self.rarely(percent)

    def anyone(self) -> bytes:
        return self.actor or self.some(self.parties())

    def other(self, than: bytes) -> bytes:
        """A recipient, rarely one that cannot receive."""
        if self.rarely():
            return self.some([than, UNKNOWN, self.state.validators[0]])
        return self.some([account for account in self.parties() if account != than])

    def tradable(self) -> list[bytes]:
        """Assets that may be versioned, offered and sold."""
        found = self.state.assets.items()
        frozen = {row["asset"] for row in self.state.disputes.values() if row["freezing"]}
        return [
            key
            for key, asset in found
            if not asset["retired"]
            and lock_of(self.state, "asset", key) is None
            and (asset["recall"] is None or self.rarely())
            and (key not in frozen or self.rarely(20))
        ]

    def subject(self, rows: Sequence[T], by: Callable[[T], bytes]) -> tuple[bytes, T]:
        """Choose what to act on and who acts: nearly always whom it befits, one of the actor's own if it can be."""
        if self.actor is not None:
            row = self.some([row for row in rows if by(row) == self.actor] or rows)
            return self.actor, row
        row = self.some(rows)
        return (self.some(self.parties()) if self.rarely() else by(row)), row

    def asset(self, by: str = "manager", rows: Sequence[bytes] | None = None) -> tuple[bytes, bytes]:
        """Choose an asset, mostly one that is in trade, and its manager or owner."""
        known = self.state.assets
        if rows is None:
            rows = self.tradable()
            if self.rarely():
                rows = [*known, UNKNOWN] if self.rarely(20) else list(known)
        return self.subject(rows, lambda key: self._responsible(key, by))

    def _responsible(self, key: bytes, by: str) -> bytes:
        if key not in self.state.assets:
            return self.anyone()
        asset = self.state.assets[key]
        return bytes(asset["manager"]) if by == "manager" else bytes(next(iter(asset["shares"])))

    def expiry(self) -> int:
        """Within the bounds, at them, or one millisecond beyond."""
        now, latest = self.state.now, self.state.now + self.state.offer_lifetime
        if self.rarely(8):
            return int(self.some([now, now + 1, latest, latest + 1]))
        return int(now + self.some(LIFETIMES_MS))

    def salt(self) -> bytes:
        return hashlib.sha256(self.notebook.next("salt").encode()).digest()[:16]


def revealable(draw: Draw, module: str, age: int | None = None) -> list[tuple[bytes, Secret]]:
    """Return (account, secret) of the open commitments that are of some age, as a rule old enough to be used."""
    if age is None:
        age = 0 if draw.rarely(15) else draw.state.commitment_age
    secrets = draw.notebook.secrets
    return [
        (account, secrets[commitment])
        for (of, account, commitment), (made, _) in draw.state.commitments.items()
        if of == module
        and made + age <= draw.state.now
        and commitment in secrets
        and draw.notebook.tries[secrets[commitment].salt] < TRIES
    ]


def reveal_one(draw: Draw, module: str) -> tuple[bytes, tuple[bytes, Secret]]:
    """Choose (sender, (account, secret)): who reveals what, and rarely what was made for something else."""
    rows = [row for row in revealable(draw, module) if row[1].asset is None or draw.rarely()]
    if draw.actor is not None and not draw.rarely():
        rows = [row for row in rows if row[0] == draw.actor]
    if not draw.rarely(10):
        rows = [row for row in rows if not draw.notebook.tries[row[1].salt]] or rows
    sender, (account, secret) = draw.subject(rows, lambda row: row[0])
    draw.notebook.tries[secret.salt] += 1
    return sender, (account, secret)


def may_derive(state: Any, grant: dict[str, Any]) -> bool:
    """Whether a derivative can be made under a grant now."""
    terms = state.terms[grant["terms"]]
    allowed = terms["derivatives"] == "yes" or (terms["derivatives"] == "on-approval" and grant["approved"])
    rights = {"train-on"} if state.assets[grant["asset"]]["kind"] == "dataset" else set(DERIVING)
    return bool(allowed and state_of(state, grant) == "active" and set(terms["rights"]) & rights)

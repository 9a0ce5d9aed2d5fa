"""Operations that decode and make no sense: values at the ends of what their types allow, about what there is."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec
from msgspec import inspect

from ledger.state.view import StateView, table_of

ABOUT: Final = {
    "asset": ("asset/",),
    "parent": ("asset/",),
    "dataset": ("asset/",),
    "grant": ("grant/",),
    "offer": ("license-offer/", "market-offer/"),
    "terms_digest": ("terms/",),
    "bounty": ("bounty/",),
    "contribution": ("contribution/",),
    "dispute": ("dispute/",),
    "debt": ("debt/",),
    "statement": ("statement/",),
    "supersedes": ("statement/",),
    "proposal": ("proposal/", "charter-proposal/"),
    "auction": ("auction/",),
    "listing": ("listing/",),
    "transfer": ("transfer/",),
    "id": ("asset/", "grant/", "dispute/", "statement/"),
}
"""Field -> the tables whose ids it names; other ids are mostly accounts."""
WORDS: Final = (
    *("stable", "next", "latest", "breach", "accuracy", "fee_bps", "organization:org-bob", "org-bob", "org-x", "DE"),
    *("127.0.0.1:80", "a" * 32, "a" * 64),
)
LETTERS: Final = "ab2/A \x00\u00df\u00e9\u0130\u202e\U0001f600"
ID_BYTES: Final = 32
DAY_MS: Final = 86_400_000


class Hostile:
    """Makes operations about a state, at random."""

    def __init__(self, random: Random, view: StateView, now_ms: int) -> None:
        self.random = random
        self.now_ms = now_ms
        self.ids: dict[bytes, list[bytes]] = defaultdict(list)
        self.cids: list[str] = []
        for key, _ in view.iterate(b""):
            table = table_of(key)
            if len(key) == len(table) + ID_BYTES:
                self.ids[table].append(key[len(table) :])
            if table == b"artifact/":
                self.cids.append(key[len(table) :].decode("ascii"))

    def operation(self, kind: type[msgspec.Struct]) -> Any:
        return self._value(inspect.type_info(kind), "")

    def _value(self, kind: Any, name: str) -> Any:
        some = self.random.choice
        makers: dict[type, Callable[[Any, str], Any]] = {
            inspect.NoneType: lambda _kind, _name: None,
            inspect.BoolType: lambda _kind, _name: some([False, True]),
            inspect.LiteralType: lambda kind, _name: some(kind.values),
            inspect.UnionType: lambda kind, name: self._value(some(kind.types), name),
            inspect.TupleType: lambda kind, name: tuple(self._value(one, name) for one in kind.item_types),
            inspect.IntType: self._integer,
            inspect.StrType: self._text,
            inspect.BytesType: self._bytes,
            inspect.VarTupleType: self._tuple,
            inspect.StructType: self._struct,
        }
        return makers[type(kind)](kind, name)

    def _integer(self, kind: Any, _name: str) -> int:
        low = -(2**63) if kind.ge is None else kind.ge
        high = 2**63 - 1 if kind.le is None else kind.le
        times = [self.now_ms + later for later in (-1, 0, 1, 5_000, DAY_MS, 10 * DAY_MS)]
        near = [low, low + 1, high - 1, high, 0, 1, 2, 5_000, 10_000, 2**53, 2**62, *times]
        return self.random.choice([one for one in near if low <= one <= high])

    def _text(self, kind: Any, _name: str) -> str:
        if kind.pattern:
            return self.random.choice([word for word in WORDS if re.search(kind.pattern, word)])
        low, high = _lengths(kind, 300)
        if low == high and self.cids and self.random.randrange(3):
            return self.random.choice(self.cids)
        return self.random.choice(LETTERS) * self.random.choice([low, high, max(low, min(high, 1))])

    def _bytes(self, kind: Any, name: str) -> bytes:
        low, high = _lengths(kind, 200)
        if (low, high) != (ID_BYTES, ID_BYTES):
            return self.random.randbytes(self.random.choice([low, high]))
        tables = ABOUT.get(name, ("account/",))
        known = [one for table in tables for one in self.ids[table.encode("ascii")]]
        if not known or self.random.randrange(20) == 0:
            known = [one for rows in self.ids.values() for one in rows]
        return self.random.choice(known)

    def _tuple(self, kind: Any, name: str) -> tuple[Any, ...]:
        low, high = _lengths(kind, 4)
        length = self.random.choice([low, low, min(high, max(low, 1)), min(high, max(low, 2)), min(high, 70)])
        return tuple(self._value(kind.item_type, name) for _ in range(length))

    def _struct(self, kind: Any, _name: str) -> Any:
        fields = [field for field in kind.fields if field.required or self.random.randrange(2)]
        return kind.cls(**{field.name: self._value(field.type, field.name) for field in fields})


def _lengths(kind: Any, most: int) -> tuple[int, int]:
    return kind.min_length or 0, most if kind.max_length is None else kind.max_length

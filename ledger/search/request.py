"""What may be asked of the search, and the cursors that lead from page to page.

Nothing of a request ever becomes SQL, and its text becomes full-text syntax only word by word, each in quotes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args

import msgspec

from ledger.errors import LedgerError
from ledger.modules import texts
from ledger.modules.assets.records import KINDS
from ledger.modules.fields import AMOUNT_MAX
from ledger.modules.licenses.operations import Exclusivity
from ledger.search.sources import RIGHTS, SELLS
from primitives.codec import encode
from primitives.digest import tagged_hash

PAGE_MAX: Final = 200
PAGE_DEFAULT: Final = 50
TEXT_CHARACTERS_MAX: Final = 256
WORDS_MAX: Final = 16
TAGS_MAX: Final = 16
CURSOR_CHARACTERS_MAX: Final = 800

Sort = Literal["relevance", "newest", "name", "price", "reputation"]
SORTS: Final[tuple[Sort, ...]] = get_args(Sort)
EXCLUSIVITIES: Final[tuple[str, ...]] = get_args(Exclusivity)
CHOICE: Final = ("true", "false", "any")

_Whole = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request. Whatever is None, empty or zero-length asks for nothing."""

    words: tuple[str, ...] = ()
    """All of them stand in an asset's texts; one that ends in `*` as the beginning of a word."""
    owner: bytes | None = None
    creator: bytes | None = None
    contributor: bytes | None = None
    """Who made a version of somebody else's asset."""
    kind: str | None = None
    tags: tuple[str, ...] = ()
    organization: str | None = None
    parent: bytes | None = None
    ancestor: bytes | None = None
    available: bool | None = None
    retired: bool | None = False
    reputation_min: int | None = None
    """Millionths: the least mean score of the creators."""
    reproduced: int | None = None
    """By how many organizations each claim of the latest version must be, at least."""
    contradicted: bool | None = None
    """Whether a claim of the latest version is."""
    offered: bool | None = None
    """Whether a price must be asked for it; what follows is about one such offer, and demands one."""
    sells: str | None = None
    """What the price is for; None: for whatever is sold of it."""
    rights: tuple[str, ...] = ()
    commercial: bool | None = None
    exclusivity: str | None = None
    spdx: str | None = None
    price_min: int | None = None
    price_max: int | None = None
    buyer: bytes | None = None
    """Whose private offers count as well as those to all."""
    sort: Sort = "newest"
    limit: int = PAGE_DEFAULT
    after: Position | None = None

    def wants_offer(self) -> bool:
        """Tell whether only assets with an open offer of some kind are wanted."""
        named = (self.sells, self.commercial, self.exclusivity, self.spdx, self.price_min, self.price_max)
        return bool(self.rights) or any(value is not None for value in named)

    def digest(self) -> bytes:
        """Name what is asked for, the page aside."""
        asked = msgspec.structs.replace(self, limit=PAGE_DEFAULT, after=None)
        return tagged_hash("search", encode(msgspec.structs.astuple(asked)))[:8]


class Position(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last item of a page, by what its order depends on: what is inserted before it moves no later page."""

    numbers: Annotated[tuple[_Whole, ...], msgspec.Meta(max_length=2)]
    name: Annotated[str, msgspec.Meta(max_length=64)]
    asset: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: Literal[1]
    search: Annotated[bytes, msgspec.Meta(min_length=8, max_length=8)]
    """Whose page it continues: a cursor of another search would skip what nobody has seen."""
    position: Position


NUMBERS_OF: Final[Mapping[Sort, int]] = {"relevance": 2, "newest": 1, "name": 0, "price": 1, "reputation": 1}
"""How many numbers a position has in each order."""


def write_cursor(search: Search, position: Position) -> str:
    """Return the cursor behind `position`."""
    data = encode(_Cursor(1, search.digest(), position))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def read(arguments: Mapping[str, str]) -> Search:
    """Read a request from its parameters as they stand in a URL; absent and empty ones ask for nothing.

    Raises:
        LedgerError: `query.argument` names what is wrong, `query.cursor` says that a cursor is none of this search.
    """
    given = {name: text for name, text in arguments.items() if text}
    for name in given:
        if name not in PARAMETERS:
            raise LedgerError("query.argument", f"unknown argument {name[:80]!r}; there are {', '.join(PARAMETERS)}")
    fields: dict[str, Any] = {}
    for name, text in given.items():
        field, reader = PARAMETERS[name]
        fields[field] = reader(name, text)
    cursor = fields.pop("cursor", None)
    fields.setdefault("sort", "relevance" if fields.get("words") else "newest")
    search = Search(**fields)
    return search if cursor is None else msgspec.structs.replace(search, after=_position(search, cursor))


def _position(search: Search, cursor: _Cursor) -> Position:
    if cursor.search != search.digest():
        raise LedgerError("query.cursor", "the cursor continues another search: repeat all other parameters with it")
    if len(cursor.position.numbers) != NUMBERS_OF[search.sort]:
        raise _no_cursor()
    return cursor.position


def _no_cursor() -> LedgerError:
    return LedgerError("query.cursor", "not a cursor: take the `cursor` of the page before as it is")


def _cursor(_name: str, text: str) -> _Cursor:
    if len(text) > CURSOR_CHARACTERS_MAX or not text.isascii():
        raise _no_cursor()
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(data, type=_Cursor)
    except (ValueError, msgspec.MsgspecError) as error:
        raise _no_cursor() from error


def _words(name: str, text: str) -> tuple[str, ...]:
    if len(text) > TEXT_CHARACTERS_MAX:
        raise LedgerError("query.argument", f"{name}: at most {TEXT_CHARACTERS_MAX} characters")
    words = tuple("".join(c if c.isprintable() else " " for c in text).split())
    if len(words) > WORDS_MAX:
        raise LedgerError("query.argument", f"{name}: at most {WORDS_MAX} words")
    return words


def _account(name: str, text: str) -> bytes:
    value: bytes = _named(name, texts.account, text)
    return value


def _identifier(name: str, text: str) -> bytes:
    value: bytes = _named(name, texts.identifier, text)
    return value


def _named(name: str, reader: Any, text: str) -> Any:
    try:
        return reader(text)
    except LedgerError as error:
        raise LedgerError(error.code, f"{name}: {error.message}") from error


def _amount(name: str, text: str) -> int:
    return _bounded(name, text, 0, AMOUNT_MAX)


def _limit(name: str, text: str) -> int:
    return _bounded(name, text, 1, PAGE_MAX)


def _bounded(name: str, text: str, least: int, most: int) -> int:
    value: int = _named(name, texts.number, text)
    if not least <= value <= most:
        raise LedgerError("query.argument", f"{name}: from {least} to {most}")
    return value


def _one_of(name: str, text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise LedgerError("query.argument", f"{name}: {text[:80]!r} is none of {', '.join(known)}")
    return text


def _kind(name: str, text: str) -> str:
    return _one_of(name, text, KINDS)


def _exclusivity(name: str, text: str) -> str:
    return _one_of(name, text, EXCLUSIVITIES)


def _sells(name: str, text: str) -> str:
    return _one_of(name, text, SELLS)


def _sort(name: str, text: str) -> str:
    return _one_of(name, text, SORTS)


def _choice(name: str, text: str) -> bool | None:
    return {"true": True, "false": False, "any": None}[_one_of(name, text, CHOICE)]


def _rights(name: str, text: str) -> tuple[str, ...]:
    return tuple(sorted({_one_of(name, right, RIGHTS) for right in text.split(",")}))


def _tags(name: str, text: str) -> tuple[str, ...]:
    tags = tuple(sorted(set(text.split(","))))
    if len(tags) > TAGS_MAX:
        raise LedgerError("query.argument", f"{name}: at most {TAGS_MAX} tags")
    return tags


def _text(_name: str, text: str) -> str:
    return text


PARAMETERS: Final[Mapping[str, tuple[str, Any]]] = {
    "text": ("words", _words),
    "owner": ("owner", _account),
    "creator": ("creator", _account),
    "contributor": ("contributor", _account),
    "kind": ("kind", _kind),
    "tag": ("tags", _tags),
    "organization": ("organization", _text),
    "parent": ("parent", _identifier),
    "ancestor": ("ancestor", _identifier),
    "available": ("available", _choice),
    "retired": ("retired", _choice),
    "reproduced": ("reproduced", _amount),
    "reputation_min": ("reputation_min", _amount),
    "contradicted": ("contradicted", _choice),
    "offered": ("offered", _choice),
    "sells": ("sells", _sells),
    "right": ("rights", _rights),
    "commercial": ("commercial", _choice),
    "exclusivity": ("exclusivity", _exclusivity),
    "spdx": ("spdx", _text),
    "price_min": ("price_min", _amount),
    "price_max": ("price_max", _amount),
    "buyer": ("buyer", _account),
    "sort": ("sort", _sort),
    "limit": ("limit", _limit),
    "cursor": ("cursor", _cursor),
}
"""Name in a URL -> (field of `Search`, reader of the text)."""

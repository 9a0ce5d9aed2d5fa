"""What stands in a URL, checked before any handler sees it: path segments and query parameters by kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from node.http.problems import Problem, malformed

URL_BYTES_MAX: Final = 8_190
SEGMENTS_MAX: Final = 8
QUERY_PARAMETERS_MAX: Final = 32
VALUE_CHARACTERS_MAX: Final = 1_024
_NATURAL: Final = re.compile(r"\A(0|[1-9][0-9]{0,17})\Z", re.ASCII)
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Kind(msgspec.Struct, frozen=True):
    """A kind of value: its pattern, and its words for people and for a specification."""

    name: str
    pattern: str
    meaning: str

    def check(self, parameter: str, text: str) -> str:
        """Return `text`. Raises Problem `request.malformed` when it is not of this kind."""
        if re.fullmatch(self.pattern, text, re.ASCII) is None:
            raise malformed(f"{parameter}: {text[:80]!r} is not {self.meaning}")
        return text


HASH: Final = Kind("hash", r"[0-9a-f]{64}", "64 lower-case hex digits")
KEY: Final = Kind("key", r"([0-9a-f]{2}){1,512}", "a record key of 1 to 512 bytes in lower-case hex")
CID: Final = Kind("cid", r"b[a-z2-7]{58}", "a CIDv1 in base32 (59 characters)")
HEIGHT: Final = Kind("height", r"0|[1-9][0-9]{0,17}", "a height")
QUERY_NAME: Final = Kind("query name", r"[a-z_]{1,32}\.[a-z_]{1,32}", "a query name like assets.get")
KINDS: Final = {kind.name: kind for kind in (HASH, KEY, CID, HEIGHT, QUERY_NAME)}


class Natural(msgspec.Struct, frozen=True):
    """A query parameter that is a whole number."""

    name: str
    maximum: int
    meaning: str

    def read(self, query: Mapping[str, str], default: int = 0) -> int:
        """Return the value. Raises Problem `request.malformed`."""
        text = query.get(self.name)
        if text is None:
            return default
        if _NATURAL.match(text) is None or int(text) > self.maximum:
            raise malformed(f"{self.name}: {text[:80]!r} is not a whole number from 0 to {self.maximum}")
        return int(text)

    def schema(self) -> dict[str, Any]:
        """Describe it in JSON Schema."""
        return {"type": "integer", "minimum": 0, "maximum": self.maximum}


class Word(msgspec.Struct, frozen=True):
    """A query parameter that is a text. What it may be is told here, and judged by who is asked."""

    name: str
    meaning: str
    choices: tuple[str, ...] = ()
    """All that it may be; empty where there are too many to name."""
    pattern: str = ""

    def read(self, query: Mapping[str, str], default: str = "") -> str:
        """Return the value."""
        return query.get(self.name, default)

    def schema(self) -> dict[str, Any]:
        """Describe it in JSON Schema."""
        schema: dict[str, Any] = {"type": "string", "maxLength": VALUE_CHARACTERS_MAX}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.pattern:
            schema["pattern"] = f"^({self.pattern})$"
        return schema


def split_path(raw_path: str) -> list[str]:
    """Split a raw URL path into decoded segments.

    A segment that decodes to something with a slash, a control character or dots alone is refused: no segment may mean
    anything to a file system.

    Raises:
        Problem: `request.malformed`.
    """
    if not raw_path.startswith("/"):
        raise malformed("the path does not begin with /")
    segments = raw_path[1:].split("/")
    if len(segments) > SEGMENTS_MAX:
        raise Problem(404, "request.no_such_resource", "there is nothing so deep")
    return [_decode(segment) for segment in segments]


def _decode(segment: str) -> str:
    if _ESCAPE.search(segment):
        raise malformed("the path has a broken percent escape")
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise malformed("the path is not UTF-8") from error
    if "/" in text or "\\" in text or text in (".", "..") or any(ord(c) < 0x20 or ord(c) == 0x7F for c in text):
        raise malformed("the path has a segment that names nothing here")
    return text


def split_query(raw_query: str) -> dict[str, str]:
    """Decode a query string; every name at most once.

    Raises:
        Problem: `request.malformed`.
    """
    if not raw_query:
        return {}
    if _ESCAPE.search(raw_query):
        raise malformed("the query has a broken percent escape")
    try:
        pairs = parse_qsl(
            raw_query,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=QUERY_PARAMETERS_MAX,
        )
    except (ValueError, UnicodeError) as error:
        raise malformed(f"the query cannot be read, or has more than {QUERY_PARAMETERS_MAX} parameters") from error
    query = dict(pairs)
    if len(query) != len(pairs):
        raise malformed("the query names a parameter twice")
    for name, value in pairs:
        if len(name) > VALUE_CHARACTERS_MAX or len(value) > VALUE_CHARACTERS_MAX:
            raise malformed(f"a query parameter has at most {VALUE_CHARACTERS_MAX} characters")
    return query


def refuse_unknown(query: Mapping[str, str], known: Mapping[str, Any]) -> None:
    """Refuse query parameters that the route does not have. Raises Problem `request.unknown_field`."""
    for name in query:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise Problem(400, "request.unknown_field", f"unknown query parameter {name[:80]!r}; there are: {there}")

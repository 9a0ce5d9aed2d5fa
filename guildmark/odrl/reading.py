"""The JSON-LD of a policy, read strictly: names expanded to IRIs, every member known, every list bounded.

This is no JSON-LD processor. It takes the form in which policies are written (ODRL's context, prefixes, single values
in the place of lists) and refuses every other, so that nothing in a document can change what we read there.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn

from guildmark.errors import OdrlRefused
from guildmark.odrl.exporting import is_iri
from guildmark.odrl.values import read_whole
from guildmark.odrl.vocabulary import CONTEXT, ODRL, OURS, PREFIXES, PROFILE, XSD

DOCUMENT_BYTES_MAX: Final = 256 * 1024
DEPTH_MAX: Final = 16
MEMBERS_MAX: Final = 64
"""Of one object."""
ITEMS_MAX: Final = 64
"""Of one list."""
CONTEXTS_MAX: Final = 8

_KEYWORDS: Final = {"@id": "uid", "@type": "type"}
_PREFIX: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_PLAIN: Final = re.compile(r"[@A-Za-z0-9_:#/.-]{1,80}")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_RESERVED: Final = frozenset({"http", "https", "urn", "did"})
"""No prefixes: what begins with them is an IRI already."""


def refuse(code: str, path: str, why: str) -> NoReturn:
    """Raise OdrlRefused with the place in the document in front of the reason."""
    raise OdrlRefused(f"odrl.{code}", path, why)


def step(path: str, name: str) -> str:
    """Return the place of an object's member; odd names are quoted, so that a message stays one line of text."""
    return f"{path}.{name}" if _PLAIN.fullmatch(name) else f"{path}[{shown(name)}]"


def shown(value: Any) -> str:
    """Return a value as an error message may show it: scalars cut short, the rest by kind only."""
    if isinstance(value, str):
        return repr(value[:60]) + ("..." if len(value) > 60 else "")
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a very large number"
    names = {float: "a number with a fraction", dict: "an object", list: "a list"}
    return names.get(type(value), f"a value of type {type(value).__name__[:40]}")


def parse(data: bytes) -> Any:
    """Decode JSON, without repeated members, without NaN and with bounded depth.

    Raises:
        OdrlRefused: `odrl.too_large`, `odrl.json`, `odrl.duplicate`, `odrl.too_deep`.
    """
    if len(data) > DOCUMENT_BYTES_MAX:
        refuse("too_large", "$", f"{len(data)} bytes; at most {DOCUMENT_BYTES_MAX} are read")
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_members, parse_constant=_constant)
    except UnicodeDecodeError as error:
        refuse("json", "$", f"not UTF-8: {error.reason}")
    except RecursionError:
        refuse("too_deep", "$", f"nested more than {DEPTH_MAX} deep")
    except ValueError as error:
        refuse("json", "$", f"not JSON: {str(error)[:200]}")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        refuse("duplicate", "$", f"the member {shown(twice)} stands twice in one object")
    return made


def _constant(name: str) -> NoReturn:
    refuse("json", "$", f"{name} is not JSON")


def check_size(value: Any, path: str = "$", depth: int = 0) -> None:
    """Refuse what is nested too deep or too long anywhere, and what JSON cannot hold. Raises OdrlRefused."""
    if depth > DEPTH_MAX:
        refuse("too_deep", path, f"nested more than {DEPTH_MAX} deep")
    if isinstance(value, dict):
        if len(value) > MEMBERS_MAX:
            refuse("too_many", path, f"{len(value)} members; an object has at most {MEMBERS_MAX}")
        for name, item in value.items():
            if not isinstance(name, str) or _SURROGATE.search(name):
                refuse("type", path, "the names of members are whole texts")
            check_size(item, step(path, name), depth + 1)
    elif isinstance(value, list):
        if len(value) > ITEMS_MAX:
            refuse("too_many", path, f"{len(value)} items; a list has at most {ITEMS_MAX}")
        for at, item in enumerate(value):
            check_size(item, f"{path}[{at}]", depth + 1)
    elif isinstance(value, str) and _SURROGATE.search(value):
        refuse("text", path, "holds half of a character (a lone surrogate)")


class Member(NamedTuple):
    """A member of an object: its value, and where it stands."""

    path: str
    value: Any


class Names:
    """What the document's context and profile let names mean."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._prefixes = dict(PREFIXES)
        self._ours = False
        """Whether the policy declares our profile, and so may use its words."""
        self._read_context(document.get("@context"))
        self._declare(document)

    def _read_context(self, context: Any) -> None:
        parts = context if isinstance(context, list) else [context]
        if CONTEXT not in parts:
            refuse("context", "$.@context", f"must name {CONTEXT}")
        if len(parts) > CONTEXTS_MAX:
            refuse("too_many", "$.@context", f"at most {CONTEXTS_MAX} contexts")
        for at, part in enumerate(parts):
            path = f"$.@context[{at}]" if isinstance(context, list) else "$.@context"
            if part == CONTEXT:
                continue
            if not isinstance(part, dict):
                refuse("context", path, f"only ODRL's context and prefixes are known here, not {shown(part)}")
            for name, iri in part.items():
                self._add_prefix(name, iri, step(path, name))

    def _add_prefix(self, name: str, iri: Any, path: str) -> None:
        # A term such as "use" or a keyword such as "@vocab" in the place of a prefix would change what words mean.
        if not isinstance(iri, str) or not is_iri(iri) or iri[-1] not in "#/:":
            refuse("context", path, "only prefixes of IRIs that end in #, / or : may be added")
        if not _PREFIX.fullmatch(name) or name in _RESERVED or self._prefixes.get(name, iri) != iri:
            refuse("context", path, f"{shown(name)} cannot be a prefix, or is one already")
        self._prefixes[name] = iri

    def _declare(self, document: Mapping[str, Any]) -> None:
        """Take the policy's profiles, however the member is spelled: another than ours may give words any meaning."""
        for written, value in document.items():
            if written.startswith("@") or self.iri(written, step("$", written)) != ODRL + "profile":
                continue
            for path, profile in items(Member(step("$", written), value)):
                if profile != PROFILE:
                    refuse("profile", path, f"the profile {shown(profile)} is not known here; only {PROFILE} is")
                self._ours = True

    def iri(self, name: str, path: str) -> str:
        """Return the IRI of a word: `use`, `odrl:use` and the whole IRI are one. Raises OdrlRefused, `odrl.iri`."""
        prefix, colon, rest = name.partition(":")
        if not colon and name in self._prefixes:
            refuse("iri", path, f"{shown(name)} is a prefix in this document, and no word")
        iri = ODRL + name
        if colon:
            iri = self._prefixes[prefix] + rest if prefix in self._prefixes else name
        if not is_iri(iri):
            refuse("iri", path, f"{shown(name)} is no name")
        return iri

    def expand(self, name: str, path: str) -> str:
        """Return the IRI of a word of the vocabulary.

        Raises:
            OdrlRefused: `odrl.profile`, a word of our profile where the policy does not declare it; `odrl.iri`.
        """
        iri = self.iri(name, path)
        if iri.startswith(OURS) and not self._ours:
            refuse(
                "profile", path, f"{shown(name)} is a word of the profile {PROFILE}, which the policy does not declare"
            )
        return iri

    def members(self, value: Any, path: str, known: Mapping[str, str]) -> dict[str, Member]:
        """Return an object's members by the names of `known` (an ODRL name, or a whole IRI -> how to refuse it, or
        an empty text where it is read).

        Raises:
            OdrlRefused: `odrl.type`, no object; `odrl.property`, a member that is not known; `odrl.duplicate`.
        """
        if not isinstance(value, dict):
            refuse("type", path, f"must be an object, not {shown(value)}")
        found: dict[str, Member] = {}
        for written, item in value.items():
            place = step(path, written)
            if written in ("@context", "rdf:value"):
                name = written
            else:
                iri = ODRL + _KEYWORDS[written] if written in _KEYWORDS else self.expand(written, place)
                name = iri.removeprefix(ODRL)
            why = known.get(name)
            if why is None:
                refuse("property", place, f"nothing in our terms says {shown(written)}")
            if why:
                refuse("property", place, why)
            if name in found:
                refuse("duplicate", place, "says again what another spelling of this member says")
            found[name] = Member(place, item)
        return found

    def check_type(self, member: Member | None, *expected: str) -> str:
        """Return the ODRL name of an object's type, the first of `expected` where it has none. Raises OdrlRefused."""
        if member is None:
            return expected[0]
        name = self.expand(text(member), member.path).removeprefix(ODRL)
        if name not in expected:
            refuse("kind", member.path, f"{shown(member.value)} is not taken here, only {', '.join(expected)}")
        return name

    def identity(self, member: Member, *types: str) -> str:
        """Return the IRI of one asset or party: a text, or where `types` are expected, an object with nothing but its
        uid and type.

        Raises:
            OdrlRefused: `odrl.several`, `odrl.kind` (a collection), `odrl.type`, `odrl.iri`.
        """
        value, path = member.value, member.path
        if isinstance(value, list):
            if len(value) != 1:
                refuse(
                    "several",
                    path,
                    f"must name exactly one, not {len(value)}: a license is on one asset, from one to one",
                )
            value, path = value[0], f"{path}[0]"
        if isinstance(value, dict) and types:
            found = self.members(value, path, {"uid": "", "type": "", "source": COLLECTION, "refinement": COLLECTION})
            self.check_type(found.get("type"), *types)
            if "uid" not in found:
                refuse("missing", path, "has no uid")
            path, value = found["uid"]
        if not isinstance(value, str) or not is_iri(value):
            refuse("iri", path, f"must be an IRI, not {shown(value)}")
        return value


COLLECTION: Final = "collections of assets or parties do not map: a license is on one asset, from one to one"


def text(member: Member) -> str:
    """Return a text, plain, typed as xsd:string, or a node's `@id`. Raises OdrlRefused, `odrl.type`."""
    value = member.value
    if isinstance(value, dict):
        if value.keys() == {"@id"}:
            value = value["@id"]
        elif value.keys() == {"@value", "@type"} and value["@type"] in ("xsd:string", XSD + "string"):
            value = value["@value"]
    if not isinstance(value, str):
        refuse("type", member.path, f"must be a text, not {shown(member.value)}")
    return value


def typed(member: Member, *types: str) -> str:
    """Return the text of a value that is plain or typed as one of the XML Schema `types`. Raises OdrlRefused."""
    value = member.value
    if isinstance(value, dict):
        if value.keys() != {"@value", "@type"}:
            refuse("type", member.path, "a typed value has exactly @value and @type")
        given = value["@type"]
        if not isinstance(given, str) or given.removeprefix(XSD).removeprefix("xsd:") not in types:
            refuse("type", f"{member.path}.@type", f"must be one of {', '.join(types)}, not {shown(given)}")
        value = value["@value"]
    if not isinstance(value, str):
        refuse("type", member.path, f"must be a text of type {' or '.join(types)}, not {shown(value)}")
    return value


def whole(member: Member) -> int:
    """Return a whole number: a JSON integer, its digits, or those typed. Raises OdrlRefused, `odrl.number`."""
    value = member.value
    if isinstance(value, dict):
        inner = value.get("@value")
        value = inner if isinstance(inner, int) and not isinstance(inner, bool) else typed(member, *_INTEGERS)
    found: int | None = None
    if isinstance(value, int) and not isinstance(value, bool):
        found = value if value >= 0 else None
    elif isinstance(value, str):
        found = read_whole(value)
    if found is None:
        refuse("number", member.path, f"must be a whole number that is not negative, not {shown(value)}")
    return found


_INTEGERS: Final = ("integer", "decimal", "nonNegativeInteger", "positiveInteger")


def items(member: Member | None) -> Iterator[Member]:
    """Yield the values of a member that may be written as one value or as a list."""
    if member is None:
        return
    if not isinstance(member.value, list):
        yield member
        return
    for at, value in enumerate(member.value):
        yield Member(f"{member.path}[{at}]", value)

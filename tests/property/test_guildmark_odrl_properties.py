"""ODRL: terms survive the way there and back, and no document does worse than being refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from guildmark.errors import OdrlRefused
from guildmark.odrl import from_odrl, read_odrl, to_odrl
from guildmark.odrl.importing import policy_terms
from guildmark.odrl.values import date_time, duration, read_date_time, read_duration
from ledger.errors import OperationError
from ledger.modules.licenses.operations import Terms
from ledger.modules.licenses.terms import check_terms

ASSET, LICENSOR, LICENSEE = "ab" * 32, "https://example.com/alder", "https://example.com/birch"


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Whatever the type of a field of the terms takes, read off the type itself: a new field is covered at once."""
    if isinstance(kind, msgspec.inspect.IntType):
        return st.integers(kind.ge, kind.le)
    if isinstance(kind, msgspec.inspect.BoolType):
        return st.booleans()
    if isinstance(kind, msgspec.inspect.NoneType):
        return st.none()
    if isinstance(kind, msgspec.inspect.LiteralType):
        return st.sampled_from(kind.values)
    if isinstance(kind, msgspec.inspect.StrType):
        if kind.pattern is not None:
            return st.from_regex(kind.pattern, fullmatch=True)
        return st.text(max_size=kind.max_length)
    if isinstance(kind, msgspec.inspect.UnionType):
        return st.one_of([values_of(one) for one in kind.types])
    if isinstance(kind, msgspec.inspect.VarTupleType):
        items = st.sets(values_of(kind.item_type), min_size=kind.min_length or 0, max_size=min(kind.max_length or 8, 8))
        return items.map(lambda found: tuple(sorted(found)))
    raise AssertionError(f"a field of the terms has the type {kind}: say here what values it has")


def made(fields: dict[str, Any]) -> Terms:
    if fields["quota"] is None or fields["quota_unit"] is None:
        fields |= {"quota": None, "quota_unit": None}
    return Terms(**fields)


INFO = msgspec.inspect.type_info(Terms)
assert isinstance(INFO, msgspec.inspect.StructType)
TERMS = st.fixed_dictionaries({field.name: values_of(field.type) for field in INFO.fields}).map(made)


@settings(deadline=None)
@given(TERMS)
def test_export_and_import_lose_nothing(terms: Terms) -> None:
    document = to_odrl(terms, asset=ASSET, assigner=LICENSOR)
    assert policy_terms(document) == terms
    assert policy_terms(json.loads(json.dumps(document))) == terms


def refusal(read: Callable[[Any], Terms], policy: Any) -> OdrlRefused | None:
    """How a policy is refused; None where it is read as terms that the ledger takes."""
    try:
        check_terms(read(policy))
    except OdrlRefused as refused:
        return refused
    return None


@settings(deadline=None)
@given(TERMS)
def test_import_judges_terms_as_the_ledger_does(terms: Terms) -> None:
    document = to_odrl(terms, asset=ASSET, assigner=LICENSOR, assignee=LICENSEE)
    refused = refusal(from_odrl, document)
    try:
        check_terms(terms)
    except OperationError as error:
        code = error.code
    else:
        assert from_odrl(document) == read_odrl(json.dumps(document).encode()) == terms
        return
    assert refused is not None
    assert refused.code == "odrl.terms"
    assert code in refused.message


@settings(deadline=None)
@given(st.integers(0, 2**53 - 1))
def test_times_are_exact(ms: int) -> None:
    assert read_date_time(date_time(ms)) == ms
    assert read_duration(duration(ms)) == ms


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("use") | st.just(math.nan),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.just("@id"), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(TERMS, st.data())
def test_a_damaged_policy_is_refused_with_a_place_or_read_as_valid_terms(terms: Terms, data: st.DataObject) -> None:
    document = to_odrl(terms, asset=ASSET, assigner=LICENSOR)
    place: Any = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    if data.draw(st.booleans()):
        place[key] = data.draw(JUNK)
    else:
        del place[key]
    refused = refusal(from_odrl, document)
    if refused is not None:
        assert refused.path.startswith("$")
        assert refused.code.startswith("odrl.")


@settings(deadline=None)
@given(st.binary(max_size=64) | JUNK.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_terms_or_refused(data: bytes) -> None:
    refused = refusal(read_odrl, data)
    assert refused is not None
    assert refused.path.startswith("$")

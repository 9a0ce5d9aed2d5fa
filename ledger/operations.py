"""The registry: which operations exist, who applies them, what deadlines mean, what may be asked.

Every package `ledger.modules.<name>` exports `MODULE` and `QUERIES`. Adding an operation touches that module only;
adding a module adds its name to `MODULE_NAMES`. A registry is a value, so that tests can run a chain over modules of
their own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, Union

import msgspec

from ledger.modules.module import DeadlineHandler, Handler, Module
from ledger.state.view import Readable

Operation: TypeAlias = msgspec.Struct
"""Any operation Struct of a registered module: `array_like`, tagged `module.verb`. Its exact union is
`Registry.union`."""

KeyRole: TypeAlias = Callable[[Any, bytes, bytes], str | None]
"""(view, account, key) -> the key's role in the account, None when the account is unknown or the key is not its own."""
MaySign: TypeAlias = Callable[[str, Any], bool]
"""(role, operation type) -> whether a key of that role may sign the operation."""
ClockOffset: TypeAlias = Callable[[Any], int]
"""(view) -> milliseconds that block time runs ahead of proposals (development networks; else 0)."""
QueryFunction: TypeAlias = Callable[..., Any]

MODULE_NAMES: Final = (
    "organizations",
    "credits",
    "assets",
    "licenses",
    "royalties",
    "transfers",
    "disputes",
    "governance",
    "validators",
    "development",
)
"""In the order in which they write their genesis records."""


def _no_offset(_view: Readable) -> int:
    return 0


class Registry:
    """A fixed set of modules, and the three questions that execution asks them.

    Raises AssertionError when two modules claim one operation tag, deadline kind or query: a programming error.
    """

    __slots__ = (
        "clock_offset_ms",
        "deadlines",
        "handlers",
        "indexes",
        "key_role",
        "may_sign",
        "modules",
        "queries",
        "union",
    )

    def __init__(
        self,
        modules: Iterable[Module],
        *,
        key_role: KeyRole,
        may_sign: MaySign,
        clock_offset_ms: ClockOffset = _no_offset,
        queries: Mapping[str, QueryFunction] | None = None,
    ) -> None:
        self.modules = tuple(modules)
        self.key_role = key_role
        self.may_sign = may_sign
        self.clock_offset_ms = clock_offset_ms
        self.queries: dict[str, QueryFunction] = dict(queries or {})
        self.handlers: dict[type[msgspec.Struct], Handler] = {}
        self.deadlines: dict[str, DeadlineHandler] = {}
        self.indexes = tuple(index for module in self.modules for index in module.indexes)
        tags: set[Any] = set()
        for module in self.modules:
            for operation, handler in module.operations.items():
                tag = operation.__struct_config__.tag
                assert isinstance(tag, str), f"{operation} has no tag"
                assert tag.startswith(f"{module.name}."), f"{operation}: tag {tag!r}"
                assert operation.__struct_config__.array_like, f"{operation} is not array_like"
                assert tag not in tags, f"two operations are tagged {tag!r}"
                tags.add(tag)
                self.handlers[operation] = handler
            for kind, sweep in module.deadlines.items():
                assert kind.startswith(f"{module.name}."), f"deadline kind {kind!r}"
                assert kind not in self.deadlines, f"two modules give the deadline {kind!r} a meaning"
                self.deadlines[kind] = sweep
        self.union: Any = Union[tuple(self.handlers)]  # noqa: UP007 - the members are known at run time only


@lru_cache(maxsize=1)
def default_registry() -> Registry:
    """Return the registry of the modules that ship: what every real network runs."""
    packages = [importlib.import_module(f"ledger.modules.{name}") for name in MODULE_NAMES]
    by_name = dict(zip(MODULE_NAMES, packages, strict=True))
    queries: dict[str, QueryFunction] = {}
    for package in packages:
        for name, function in getattr(package, "QUERIES", {}).items():
            assert name not in queries, f"two modules answer the query {name!r}"
            queries[name] = function
    return Registry(
        [package.MODULE for package in packages],
        key_role=by_name["organizations"].key_role,
        may_sign=by_name["organizations"].may_sign,
        clock_offset_ms=by_name["development"].clock_offset_ms,
        queries=queries,
    )

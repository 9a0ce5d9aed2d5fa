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

from ledger.errors import OperationError
from ledger.modules.module import DeadlineHandler, Handler, Module, Rule, Standing
from ledger.state.view import Readable

Operation: TypeAlias = msgspec.Struct
"""Any operation Struct of a registered module: `array_like`, tagged `module.verb`. Its exact union is
`Registry.union`."""

StandingOf: TypeAlias = Callable[[Any, bytes, bytes], Standing | None]
"""(view, account, key) -> what the key is in the account and what limits that, None when the account is unknown or the
key is not its own."""
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
    "market",
    "attestations",
    "disputes",
    "reputation",
    "charters",
    "contributions",
    "governance",
    "validators",
    "observers",
    "development",
)
"""In the order in which they write their genesis records."""


def _no_offset(_view: Readable) -> int:
    return 0


class Registry:
    """A fixed set of modules, and the questions that execution asks them.

    Raises AssertionError when two modules claim one operation tag, deadline kind or query, or when an operation states
    no rule: a programming error.
    """

    __slots__ = (
        "clock_offset_ms",
        "deadlines",
        "handlers",
        "indexes",
        "modules",
        "names_nodes",
        "queries",
        "rules",
        "standing",
        "union",
    )

    def __init__(
        self,
        modules: Iterable[Module],
        *,
        standing: StandingOf,
        clock_offset_ms: ClockOffset = _no_offset,
        queries: Mapping[str, QueryFunction] | None = None,
    ) -> None:
        self.modules = tuple(modules)
        self.standing = standing
        self.clock_offset_ms = clock_offset_ms
        self.queries: dict[str, QueryFunction] = dict(queries or {})
        self.handlers: dict[type[msgspec.Struct], Handler] = {}
        self.rules: dict[type[msgspec.Struct], Rule] = {}
        self.deadlines: dict[str, DeadlineHandler] = {}
        self.indexes = tuple(index for module in self.modules for index in module.indexes)
        self.names_nodes = tuple(prefix for module in self.modules for prefix in module.names_nodes)
        tags: set[Any] = set()
        for module in self.modules:
            stray = [str(operation) for operation in module.rules if operation not in module.operations]
            assert not stray, f"{module.name} states rules for what is none of its operations: {stray}"
            for operation, handler in module.operations.items():
                tag = operation.__struct_config__.tag
                assert isinstance(tag, str), f"{operation} has no tag"
                assert tag.startswith(f"{module.name}."), f"{operation}: tag {tag!r}"
                assert operation.__struct_config__.array_like, f"{operation} is not array_like"
                assert tag not in tags, f"two operations are tagged {tag!r}"
                assert operation in module.rules, f"{tag} states no rule: enter it in the module's MODULE.rules"
                tags.add(tag)
                self.handlers[operation] = handler
                self.rules[operation] = module.rules[operation]
            for kind, sweep in module.deadlines.items():
                assert kind.startswith(f"{module.name}."), f"deadline kind {kind!r}"
                assert kind not in self.deadlines, f"two modules give the deadline {kind!r} a meaning"
                self.deadlines[kind] = sweep
        self.union: Any = Union[tuple(self.handlers)]  # noqa: UP007 - the members are known at run time only

    def require_permitted(self, standing: Standing, operation: Operation, time_ms: int) -> None:
        """Refuse what the signer may not sign at `time_ms`, by its operation's rule.

        Raises:
            OperationError: one of `STANDING_CODES`.
        """
        rule = self.rules[type(operation)]
        if standing.role not in rule.signers:
            raise _refusal("key_not_allowed", f"a key with the role {standing.role} may not sign", operation)
        if standing.membership == "suspended" and not rule.while_suspended:
            raise _refusal("suspended", "the account's organization is suspended and begins nothing new, as", operation)
        if standing.membership == "removed" and not rule.after_removal:
            raise _refusal("removed", "the account's organization has left the consortium: it cannot do", operation)
        if time_ms < standing.frozen_until_ms and not rule.while_frozen:
            until = f"what the account has is frozen until {standing.frozen_until_ms}, for its recovery was requested:"
            raise _refusal("frozen", f"{until} it cannot do", operation)


STANDING_CODES: Final = tuple(
    f"organizations.{reason}" for reason in ("key_not_allowed", "suspended", "removed", "frozen")
)
"""What any operation may be refused with, by `Registry.require_permitted`."""


def _refusal(reason: str, why: str, operation: Operation) -> OperationError:
    return OperationError(f"organizations.{reason}", f"{why} {operation.__struct_config__.tag}")


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
        standing=by_name["organizations"].standing,
        clock_offset_ms=by_name["development"].clock_offset_ms,
        queries=queries,
    )

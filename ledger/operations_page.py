"""The page `docs/spec/operations.md`, written from the code so that it cannot say anything else.

`python -m ledger.operations_page > docs/spec/operations.md` renews it; a test compares the two.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import sys
import typing
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import msgspec

from ledger.modules import fields, texts
from ledger.modules.fields import Event, Part, Result
from ledger.modules.module import Module, Rule
from ledger.operations import MODULE_NAMES, STANDING_CODES, Registry, default_registry

_HEAD = """# Operations, events, errors and queries

This page is written by `python -m ledger.operations_page`; a test keeps it current.

An operation is a MessagePack array: its tag, then its fields in the order given here, none left out. A transaction
carries 1 to 100 of them, which succeed or fail together. A failed transaction leaves nothing but a receipt with one
of the error codes. Amounts are integers in minor units, rates are basis points (10,000 = the whole), times are Unix
milliseconds of block time.

What the signer is may refuse any operation: {standing}.

Queries are `GET /v1/query/{name}?argument=...`. In answers ids and hashes are lower-case hex, accounts `gm1...`, keys
`did:key:...`.
"""


def render(registry: Registry) -> str:
    """Return the page for a registry's modules, as Markdown."""
    codes = sorted(error_codes(registry))
    common = ", ".join(f"`{code}`" for code in STANDING_CODES)
    parts = [_HEAD.replace("{standing}", common), "## Types\n", _types(fields)]
    for module in registry.modules:
        package = importlib.import_module(f"ledger.modules.{module.name}")
        parts.append(f"## {module.name}\n\n{_text(package)}\n")
        if module.operations:
            parts.append(_types(importlib.import_module(f"{package.__name__}.operations")))
        parts += [_operation(operation, module.rules[operation]) for operation in module.operations]
        parts.append(_structs("Groups of fields", package, Part, module.name))
        parts.append(_events(package))
        if module.deadlines:
            parts.append(
                "### Deadlines\n\n" + "".join(f"- `{kind}`: {_text(h)}\n" for kind, h in module.deadlines.items())
            )
        own = [code for code in codes if code.startswith(f"{module.name}.")]
        if own:
            parts.append("### Error codes\n\n" + ", ".join(f"`{code}`" for code in own) + "\n")
        parts += _queries(package)
    return "\n".join(part for part in parts if part)


def _operation(operation: type[msgspec.Struct], rule: Rule) -> str:
    return f"### `{operation.__struct_config__.tag}`\n\n{_text(operation)}\n\n{_rule(rule)}\n{_fields(operation)}"


def _rule(rule: Rule) -> str:
    """Say who signs an operation, and what stops it."""
    signers = ", ".join(f"`{role}`" for role in sorted(rule.signers))
    stops = [
        f", not {when}"
        for when, goes_on in (
            ("while the organization is suspended", rule.while_suspended),
            ("after its removal", rule.after_removal),
            ("while the account is frozen", rule.while_frozen),
        )
        if not goes_on
    ]
    return f"Signed by {signers}{''.join(stops)}."


def _types(source: ModuleType) -> str:
    """Return a table of the bounded types that a file names."""
    rows = []
    for node in ast.parse(inspect.getsource(source)).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        kind = vars(source).get(target.id) if isinstance(target, ast.Name) else None
        if isinstance(target, ast.Name) and typing.get_origin(kind) in (typing.Annotated, typing.Literal):
            rows.append(f"| `{target.id}` | {_bounds(kind)} |\n")
    return "| type | values |\n|---|---|\n" + "".join(rows) if rows else ""


def _bounds(kind: Any) -> str:
    """Return what a type allows, in a few words."""
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    base, *metas = typing.get_args(kind)
    limits = [
        f"{words} {value}"
        for meta in metas
        for words, value in (
            ("at least", meta.ge),
            ("at most", meta.le),
            ("length at least", meta.min_length),
            ("length at most", meta.max_length),
            ("pattern", None if meta.pattern is None else f"`{meta.pattern}`".replace("|", "\\|")),
        )
        if value is not None
    ]
    name = "list" if typing.get_origin(base) is tuple else base.__name__
    return ", ".join([name, *limits])


def _structs(title: str, package: ModuleType, base: type, name: str) -> str:
    found = [struct for struct in _members(package, base) if struct.__module__ == f"ledger.modules.{name}.operations"]
    if not found:
        return ""
    return f"### {title}\n\n" + "\n".join(
        f"**{struct.__name__}**: {_text(struct)}\n{_fields(struct)}" for struct in found
    )


def _events(package: ModuleType) -> str:
    rows = []
    for event in _members(package, Event):
        fields = ", ".join(f"`{name}`" for name in event.__struct_fields__)
        rows.append(f"- `{event.__struct_config__.tag}`: {fields}\n")
    return "### Events\n\n" + "".join(rows) if rows else ""


def _fields(struct: type[msgspec.Struct]) -> str:
    """Return a table of a Struct's fields: name, type, default, meaning."""
    rows = []
    for name, annotation, default, meaning in _declared(struct):
        shown = annotation.replace("|", "\\|")
        rows.append(f"| `{name}` | `{shown}` | {f'`{default}`' if default else ''} | {meaning} |\n")
    return "\n| field | type | default | meaning |\n|---|---|---|---|\n" + "".join(rows) if rows else ""


def _declared(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str, str, str]]:
    body = ast.parse(inspect.getsource(struct)).body[0]
    assert isinstance(body, ast.ClassDef)
    for node, following in zip(body.body, [*body.body[1:], ast.Pass()], strict=True):
        if not isinstance(node, ast.AnnAssign):
            continue
        default = "" if node.value is None else ast.unparse(node.value)
        meaning = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            meaning = " ".join(str(following.value.value).split())
        yield ast.unparse(node.target), ast.unparse(node.annotation), default, meaning


def _queries(package: ModuleType) -> Iterator[str]:
    queries: dict[str, Callable[..., Any]] = package.QUERIES
    if queries:
        yield "### Queries\n"
    for name, function in queries.items():
        arguments = list(inspect.signature(function).parameters.values())[3:]
        optional = inspect.Parameter.empty
        shown = [f"`{a.name}`" + ("" if a.default is optional else " (optional)") for a in arguments]
        yield f"**`{name}`**({', '.join(shown)}): {_text(function)}\n\nAnswer: {_answer(function)}\n"
    results = [struct for struct in _members(package, Result) if struct.__module__.endswith(".queries")]
    for struct in results:
        text = _text(struct)
        yield f"**{struct.__name__}**{': ' if text else ''}{text}\n{_fields(struct)}"
    if any("limit" in inspect.signature(function).parameters for function in queries.values()):
        yield f"`limit` is at most {texts.PAGE_MAX}; `after` names the last item of the page before.\n"


def _answer(function: Callable[..., Any]) -> str:
    answer = typing.get_type_hints(function)["return"]
    if typing.get_origin(answer) is list:
        return f"a list of {typing.get_args(answer)[0].__name__}"
    return str(answer.__name__)


def _members(package: ModuleType, base: type) -> list[Any]:
    """Return the classes below `base` that a module's files define, in their order."""
    found: dict[str, Any] = {}
    for source in _sources(package):
        for name, value in vars(source).items():
            if inspect.isclass(value) and issubclass(value, base) and value.__module__ == source.__name__:
                found[f"{source.__name__}.{name}"] = value
    return list(found.values())


def _sources(package: ModuleType) -> list[ModuleType]:
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [importlib.import_module(f"{package.__name__}.{name}") for name in names]


def error_codes(registry: Registry) -> set[str]:
    """Return every error code of the modules: string constants `module.reason` that name nothing else, or that are
    raised where they stand."""
    others = {str(operation.__struct_config__.tag) for operation in registry.handlers}
    others |= {*registry.deadlines, *registry.queries}
    codes: set[str] = set()
    raised: set[str] = set()
    pattern = re.compile(rf"({'|'.join(MODULE_NAMES)})\.[a-z_]*[a-z]")
    for module in registry.modules:
        package = importlib.import_module(f"ledger.modules.{module.name}")
        others |= {str(event.__struct_config__.tag) for event in _members(package, Event)}
        for source in _sources(package):
            book = getattr(source, "COMMITMENTS", None)
            codes |= set() if book is None else set(book.codes)
            for node in ast.walk(ast.parse(inspect.getsource(source))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.fullmatch(node.value):
                    codes.add(node.value)
                elif (
                    isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "OperationError"
                ):
                    raised |= {str(code.value) for code in node.args[:1] if isinstance(code, ast.Constant)}
    return (codes - others) | raised


def _text(thing: Module | ModuleType | Callable[..., Any] | type) -> str:
    """Return the first paragraph of a docstring that is the thing's own, on one line."""
    own = getattr(thing, "__doc__", None) or ""
    return " ".join(inspect.cleandoc(own).split("\n\n")[0].split())


if __name__ == "__main__":
    sys.stdout.write(render(default_registry()))

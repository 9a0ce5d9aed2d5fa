"""Puts a mistake into the running protocol: a few characters of a function's source are replaced.

The changed module is compiled again, and only the one function's code is exchanged, in place: whoever imported the
function sees the change. An edit that no longer fits the source fails loudly, so no mutant is ever empty.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Any

import msgspec


class Edit(msgspec.Struct, frozen=True):
    """Replace `old` by `new` in one function; `old` occurs there exactly once."""

    target: str
    """`package.module:function` or `package.module:Class.method`."""
    old: str
    new: str


class EditDoesNotFit(Exception):
    """The source is not what the edit expects any more: the mutant has to follow it."""


@contextmanager
def patched(edits: Sequence[Edit]) -> Iterator[None]:
    """Have all `edits` in place for a while. Raises EditDoesNotFit."""
    with ExitStack() as stack:
        for target in dict.fromkeys(edit.target for edit in edits):
            function = resolve(target)
            original = function.__code__
            function.__code__ = changed_code(target, tuple(edit for edit in edits if edit.target == target))
            stack.callback(setattr, function, "__code__", original)
        yield


def resolve(target: str) -> FunctionType:
    """Return the function that `target` names, also behind a property."""
    found: Any
    module, name = _split(target)
    found = module
    for part in name.split("."):
        found = vars(found).get(part)
        if found is None:
            raise EditDoesNotFit(f"there is no {target}")
    if isinstance(found, property):
        found = found.fget
    if isinstance(found, classmethod | staticmethod):
        found = found.__func__
    found = inspect.unwrap(found)
    assert isinstance(found, FunctionType)
    return found


@cache
def changed_code(target: str, edits: tuple[Edit, ...]) -> CodeType:
    module, name = _split(target)
    source = inspect.getsource(module)
    lines = source.splitlines(keepends=True)
    first, last = _extent(source, name, target)
    text = "".join(lines[first:last])
    for edit in edits:
        if text.count(edit.old) != 1:
            raise EditDoesNotFit(f"{target} holds {text.count(edit.old)} times: {edit.old}")
        text = text.replace(edit.old, edit.new)
    changed = "".join(lines[:first]) + text + "".join(lines[last:])
    compiled = compile(changed, module.__file__ or name, "exec", dont_inherit=True)
    return next(code for code in _codes(compiled) if code.co_qualname == name)


def _split(target: str) -> tuple[ModuleType, str]:
    module, _, name = target.partition(":")
    return import_module(module), name


def _extent(source: str, name: str, target: str) -> tuple[int, int]:
    """Return the lines of a function, from 0, the last excluded."""
    body: Sequence[ast.stmt] = ast.parse(source).body
    found: ast.stmt | None = None
    for part in name.split("."):
        found = next((node for node in body if getattr(node, "name", None) == part), None)
        if found is None:
            raise EditDoesNotFit(f"there is no source of {target}")
        body = getattr(found, "body", [])
    assert found is not None
    assert found.end_lineno is not None
    return found.lineno - 1, found.end_lineno


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)

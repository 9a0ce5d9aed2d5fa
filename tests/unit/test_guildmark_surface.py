"""Whatever the ledger lets an account do can be done by the SDK, and whatever the SDK does by the command line."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec
import pytest

import guildmark
from guildmark import sync
from ledger.operations import default_registry

ROOT: Final = Path(guildmark.__file__).parent
OF_NODES: Final = {"assets.report_held", "validators.ready", "validators.rejoin", "validators.report_evidence"}
"""What validators send by themselves."""
IMPORTED_LATE: Final = {"development.advance_clock"}
"""`advance_clock` imports its operation when it is called."""
ELSEWHERE: Final = {
    "Credits.balance": "account show",
    "Assets.commit": "asset register",
    "Licenses.royalty_pool": "license royalties",
    "Market.sell": "market list",
    "Market.condition": "market offer",
}
"""Methods that no command calls, and the command that does it along with more."""
COMMANDS: Final = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "cli").glob("*.py")))
FACADES: Final = [
    sync.Accounts,
    sync.Accreditations,
    sync.Assets,
    sync.Attestations,
    sync.Certificates,
    sync.Charters,
    sync.Contributions,
    sync.Credits,
    sync.Disputes,
    sync.Governance,
    sync.Licenses,
    sync.Market,
    sync.Observers,
    sync.Organizations,
    sync.Reputation,
    sync.Transfers,
]


def made_by(module: ModuleType) -> set[type[msgspec.Struct]]:
    """The operations that a module of the SDK makes."""
    assert module.__file__ is not None
    source = Path(module.__file__).read_text(encoding="utf-8")
    made = set()
    for operation in default_registry().handlers:
        for name, value in vars(module).items():
            called = f"{name}(" if value is operation else f"{name}.{operation.__name__}("
            known = value is operation or getattr(value, "__name__", "") == operation.__module__
            if known and re.search(rf"\b{re.escape(called)}", source):
                made.add(operation)
    return made


def test_every_operation_is_in_the_sdk() -> None:
    modules = [importlib.import_module(f"guildmark.{path.stem}") for path in ROOT.glob("[a-z]*.py")]
    made = {operation for module in modules for operation in made_by(module)}
    missing = {str(operation.__struct_config__.tag) for operation in set(default_registry().handlers) - made}
    assert missing == OF_NODES | IMPORTED_LATE
    assert isinstance(vars(sync.Client)["advance_clock"], sync.blocking)


@pytest.mark.parametrize("facade", FACADES, ids=lambda facade: facade.__name__)
def test_every_method_has_a_command(facade: type) -> None:
    methods = {name for name, value in vars(facade).items() if isinstance(value, sync.blocking)}
    assert methods
    unused = {name for name in methods if not re.search(rf"\.{name}\(", COMMANDS)}
    assert {f"{facade.__name__}.{name}" for name in unused} == {
        name for name in ELSEWHERE if name.startswith(f"{facade.__name__}.")
    }


@pytest.mark.parametrize("words", sorted(ELSEWHERE.values()))
def test_the_commands_that_do_it_along_with_more_exist(words: str) -> None:
    from guildmark.cli import main

    group, command = words.split()
    found = main.root.get_command(None, group)  # type: ignore[arg-type]  # the context is not looked at
    assert found.get_command(None, command) is not None

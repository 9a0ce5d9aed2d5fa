"""The verifier in one file of the examples: of every certificate it says what the library says."""

from __future__ import annotations

import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from certificates_kit import VECTORS, made

from ledger.certificates.format import MAGIC
from ledger.certificates.verification import verify
from ledger.errors import InvalidProof
from tests.unit.nested_kit import places, replaced

FILE = Path(__file__).resolve().parents[2] / "examples" / "verify_certificate.py"
LINES_MAX = 149
MUTATIONS = 400
"""Random ones of each file, beside those of every field."""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_certificate", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERIFIER = load()


def holds_here(data: bytes, trust: Any) -> bool:
    try:
        verify(data, made().genesis_hash, trust)
    except InvalidProof:
        return False
    return True


def holds_there(data: bytes, trust: Any) -> bool:
    try:
        VERIFIER.verify(data, made().genesis_hash, trust)
    except Exception:
        return False
    return True


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", str(FILE), *arguments], capture_output=True, text=True, check=False)


def test_it_stays_short_and_needs_nothing_of_ours() -> None:
    text = FILE.read_text()
    assert len(text.splitlines()) <= LINES_MAX
    foreign = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    assert [line for line in foreign if "nacl" in line] == ["from nacl.bindings import crypto_sign_open"]
    names = {line.split()[1].split(".")[0] for line in foreign}
    assert names - {"nacl"} <= sys.stdlib_module_names


@pytest.mark.parametrize("name", sorted(made().good))
def test_it_accepts_every_good_vector(name: str) -> None:
    data, trust = made().good[name], made().trust.get(name)
    proven = VERIFIER.verify(data, made().genesis_hash, trust)
    assert proven["block"].hex() == verify(data, made().genesis_hash, trust).block_hash


@pytest.mark.parametrize("name", sorted(made().bad))
def test_it_refuses_every_bad_vector(name: str) -> None:
    """P1, P3: and what is wrong with each is found without our code."""
    assert not holds_there(made().bad[name], None)


@pytest.mark.parametrize("name", sorted(made().good))
def test_its_verdict_on_changed_files_is_the_librarys(name: str) -> None:
    """P1: flipped, cut, doubled and inserted bytes, at places that a seed chooses."""
    data, trust = made().good[name], made().trust.get(name)
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        at, kind = chance.randrange(len(data)), chance.randrange(4)
        piece = data[at : at + chance.randrange(1, 40)]
        wrong = [
            data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
            data[:at] + data[at + len(piece) :],
            data[:at] + piece + data[at:],
            data[:at] + bytes([chance.randrange(256)]) + data[at:],
        ][kind]
        assert holds_here(wrong, trust) == holds_there(wrong, trust) == (wrong == data), (at, kind)


STRANGE = (None, True, False, 0, 1, -1, 2**63, 2**64 - 1, 1.5, "", b"", b"\x00" * 32, "a" * 32, [], [[]], {}, {"a": 1})


@pytest.mark.parametrize("name", ["asset-trail", "absent-artifact", "asset-since-handoffs", "version"])
def test_no_value_of_another_type_is_taken_for_what_belongs_there(name: str) -> None:
    """P1: `true` for 1, a text for bytes, an array too deep: each at every place, well-formed but for that."""
    data, trust = made().good[name], made().trust.get(name)
    opened = msgspec.msgpack.decode(data[len(MAGIC) :])
    for at in places(opened):
        for strange in STRANGE:
            wrong = MAGIC + msgspec.msgpack.encode(replaced(opened, at, strange))
            if wrong != data:
                assert not holds_here(wrong, trust), (at, strange)
                assert not holds_there(wrong, trust), (at, strange)


def test_a_pin_has_one_verdict_too() -> None:
    data, (height, hashed) = made().good["asset-handoffs"], made().trust["asset-handoffs"]
    for trust in (None, (height, hashed), (height, bytes(32)), (height - 1, hashed), made().trust["asset-since"]):
        assert holds_here(data, trust) == holds_there(data, trust)
    assert not holds_there(made().good["asset-since"], None)


def test_it_runs_as_a_program() -> None:
    index = json.loads((VECTORS / "index.json").read_text())
    shown = run(str(VECTORS / "asset.gmcert"), index["genesis_hash"])
    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["subject"][0] == "asset"
    since = str(VECTORS / "asset-since-handoffs.gmcert")
    pin = index["good"]["asset-since-handoffs"]["trust"]
    assert run(since, index["genesis_hash"], "--trust", pin).returncode == 0
    refused = run(since, index["genesis_hash"])
    assert refused.returncode == 1
    assert "NOT PROVEN" in refused.stderr
    assert run(str(VECTORS / "signer-twice.gmcert"), index["genesis_hash"]).returncode == 1

"""The wallet: keys leave it only for who knows the passphrase, and no edited file opens."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from guildmark.errors import NotFound, WalletError
from guildmark.wallet import Cost, Wallet, passphrase_from_environment
from primitives.identifiers import account_to_text
from primitives.keys import SigningKey

CHEAP = Cost(passes=1, memory_kib=8 * 1024, lanes=1)
ACCOUNT = account_to_text(bytes(range(32)))
NETWORK = b"\x07" * 32


@pytest.fixture
def wallet(tmp_path: Path) -> Wallet:
    return Wallet(tmp_path / "wallet")


def test_a_key_comes_back_with_its_account(wallet: Wallet) -> None:
    key = SigningKey.generate()
    made = wallet.create("alice", "secret", key=key, account=ACCOUNT, network_id=NETWORK, cost=CHEAP)
    opened = wallet.open("alice", "secret")
    assert made is not None
    assert (opened.text, opened.key.seed, opened.name) == (ACCOUNT, key.seed, "alice")
    assert wallet.names() == ["alice"]


def test_the_file_is_private_and_holds_no_plain_key(wallet: Wallet) -> None:
    key = SigningKey.generate()
    wallet.create("alice", "secret", key=key, cost=CHEAP)
    (path,) = wallet.directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(wallet.directory.stat().st_mode) == 0o700
    assert key.seed.hex() not in path.read_text()
    assert key.seed not in path.read_bytes()


def test_equal_keys_and_passphrases_leave_different_files(wallet: Wallet) -> None:
    key = SigningKey.generate()
    for name in ("a", "b"):
        wallet.create(name, "secret", key=key, cost=CHEAP)
    first, second = wallet.read("a"), wallet.read("b")
    assert first.ciphertext != second.ciphertext
    assert first.salt != second.salt


def test_a_wrong_passphrase_opens_nothing(wallet: Wallet) -> None:
    wallet.create("alice", "secret", account=ACCOUNT, network_id=NETWORK, cost=CHEAP)
    with pytest.raises(WalletError) as caught:
        wallet.open("alice", "Secret")
    assert caught.value.code == "wallet.passphrase"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "mallory"),
        ("account", account_to_text(bytes(32))),
        ("network_id", "08" * 32),
        ("cost", {"passes": 2, "memory_kib": 8192, "lanes": 1}),
        ("salt", "00" * 16),
        ("nonce", "00" * 12),
        ("ciphertext", "00" * 48),
    ],
)
def test_an_edited_file_does_not_open(wallet: Wallet, member: str, value: object) -> None:
    wallet.create("alice", "secret", account=ACCOUNT, network_id=NETWORK, cost=CHEAP)
    path = wallet.directory / "alice.key.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), member: value}))
    with pytest.raises(WalletError) as caught:
        wallet.open("alice", "secret")
    assert caught.value.code == "wallet.passphrase"


@pytest.mark.parametrize(
    "change",
    [
        {"cost": {"passes": 3, "memory_kib": 1 << 30, "lanes": 1}},
        {"cost": {"passes": 10**9, "memory_kib": 8192, "lanes": 1}},
        {"surplus": 1},
        {"version": 2},
        {"salt": "zz"},
    ],
)
def test_a_foreign_file_is_refused_before_anything_costly_is_done(wallet: Wallet, change: dict[str, object]) -> None:
    wallet.create("alice", "secret", account=ACCOUNT, cost=CHEAP)
    path = wallet.directory / "alice.key.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(WalletError) as caught:
        wallet.open("alice", "secret")
    assert caught.value.code == "wallet.malformed"


def test_key_files_are_never_overwritten(wallet: Wallet) -> None:
    wallet.create("alice", "secret", cost=CHEAP)
    before = wallet.read("alice")
    with pytest.raises(WalletError) as caught:
        wallet.create("alice", "secret", cost=CHEAP)
    assert caught.value.code == "wallet.exists"
    assert wallet.read("alice") == before


@pytest.mark.parametrize("name", ["", "../alice", "a/b", ".hidden", "x" * 65, "a\x00b"])
def test_names_cannot_leave_the_directory(wallet: Wallet, name: str) -> None:
    with pytest.raises(WalletError) as caught:
        wallet.create(name, "secret", cost=CHEAP)
    assert caught.value.code == "wallet.name"


def test_an_empty_passphrase_is_refused(wallet: Wallet) -> None:
    with pytest.raises(WalletError) as caught:
        wallet.create("alice", "")
    assert caught.value.code == "wallet.passphrase"


def test_a_key_without_an_account_says_so_and_can_be_assigned(wallet: Wallet) -> None:
    key = SigningKey.generate()
    wallet.create("alice", "secret", key=key, cost=CHEAP)
    with pytest.raises(WalletError) as caught:
        wallet.open("alice", "secret")
    assert caught.value.code == "wallet.no_account"
    wallet.assign("alice", "secret", account=ACCOUNT, network_id=NETWORK)
    assert wallet.open("alice", "secret").key.seed == key.seed
    assert wallet.read("alice").network_id == NETWORK.hex()
    assert [path.name for path in wallet.directory.iterdir()] == ["alice.key.json"]


def test_a_missing_key_is_not_found(wallet: Wallet) -> None:
    with pytest.raises(NotFound):
        wallet.open("nobody", "secret")
    assert wallet.names() == []


def test_the_passphrase_comes_from_the_environment_then_a_file_then_beside_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GUILDMARK_PASSPHRASE", raising=False)
    monkeypatch.delenv("GUILDMARK_PASSPHRASE_FILE", raising=False)
    assert passphrase_from_environment(tmp_path) is None
    (tmp_path / "passphrase").write_text("beside\n")
    assert passphrase_from_environment(tmp_path) == "beside"
    (tmp_path / "elsewhere").write_text("named\n")
    monkeypatch.setenv("GUILDMARK_PASSPHRASE_FILE", os.fspath(tmp_path / "elsewhere"))
    assert passphrase_from_environment(tmp_path) == "named"
    monkeypatch.setenv("GUILDMARK_PASSPHRASE", "said")
    assert passphrase_from_environment(tmp_path) == "said"


def test_a_named_passphrase_file_that_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUILDMARK_PASSPHRASE", raising=False)
    monkeypatch.setenv("GUILDMARK_PASSPHRASE_FILE", os.fspath(tmp_path / "missing"))
    with pytest.raises(WalletError) as caught:
        passphrase_from_environment(tmp_path)
    assert caught.value.code == "wallet.passphrase_file"

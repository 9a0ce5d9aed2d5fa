"""A node's key files: modes, sealing, and what is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from node import keys
from node.commands import main
from node.failures import ExitCode, KeyFileError
from p2p.identity import make_identity
from primitives.identifiers import key_to_text


def make(directory: Path, passphrase: bytes = b"") -> keys.PublicKeys:
    identity = make_identity()
    return keys.create(directory, identity.key_pem, identity.certificate_der, identity.node_id, passphrase)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("passphrase", [b"", b"correct horse"])
def test_keys_are_read_as_they_were_written(tmp_path: Path, passphrase: bytes) -> None:
    descriptor = make(tmp_path, passphrase)
    loaded = keys.load(tmp_path, passphrase)
    assert loaded.node_id == descriptor.node_id
    assert loaded.sealed == bool(passphrase)
    assert key_to_text(loaded.signing_key.public_key) == descriptor.signing_key
    assert mode(tmp_path / "keys") == 0o700
    assert {mode(path) for path in (tmp_path / "keys").iterdir()} == {0o600}
    private = b"".join(path.read_bytes() for path in (tmp_path / "keys").iterdir())
    assert (loaded.signing_key.seed.hex().encode() in private) == (not passphrase)
    assert (b"PRIVATE KEY" in private) == (not passphrase)


def test_a_disk_that_is_full_leaves_no_half_of_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = os.fsync

    def full(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("signing.key"):
            raise OSError(28, "No space left on device")
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KeyFileError, match="No space left"):
        make(tmp_path)
    monkeypatch.undo()
    assert list((tmp_path / "keys").iterdir()) == []
    made = make(tmp_path)
    assert keys.load(tmp_path, b"").node_id == made.node_id


def test_keys_that_another_process_writes_at_the_same_time_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: False)  # it looked before the other one wrote
    with pytest.raises(KeyFileError, match="File exists"):
        make(tmp_path)
    assert keys.load(tmp_path, b"").node_id == made.node_id


def others_may_read(directory: Path) -> None:
    (directory / "keys" / "signing.key").chmod(0o640)


def others_may_enter(directory: Path) -> None:
    (directory / "keys").chmod(0o755)


def removed(directory: Path) -> None:
    (directory / "keys" / "tls.key").unlink()


def damaged(directory: Path) -> None:
    (directory / "keys" / "signing.key").write_bytes(b"{")


def foreign_certificate(directory: Path) -> None:
    make(directory / "other")
    (directory / "other" / "keys" / "tls.crt").replace(directory / "keys" / "tls.crt")


def unknown_member(directory: Path) -> None:
    path = directory / "keys" / "signing.key"
    path.write_bytes(path.read_bytes().replace(b'"kind"', b'"note": 1, "kind"'))


@pytest.mark.parametrize(
    ("disturb", "words"),
    [
        (others_may_read, "chmod 0600"),
        (others_may_enter, "chmod 0700"),
        (removed, "missing"),
        (damaged, "not a key file"),
        (foreign_certificate, "is not the certificate of"),
        (unknown_member, "unknown field"),
    ],
)
def test_unsafe_and_damaged_key_files_are_refused_in_words(
    tmp_path: Path, disturb: Callable[[Path], None], words: str
) -> None:
    make(tmp_path)
    disturb(tmp_path)
    with pytest.raises(KeyFileError, match=words):
        keys.load(tmp_path, b"")


def test_a_sealed_key_needs_its_passphrase(tmp_path: Path) -> None:
    make(tmp_path, b"right")
    for passphrase, words in [(b"", keys.PASSPHRASE_VARIABLE), (b"wrong", "does not open")]:
        with pytest.raises(KeyFileError, match=words):
            keys.load(tmp_path, passphrase)


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path)
    before = (tmp_path / "keys" / "signing.key").read_bytes()
    with pytest.raises(KeyFileError, match="never overwritten"):
        make(tmp_path)
    assert (tmp_path / "keys" / "signing.key").read_bytes() == before


def test_the_passphrase_file_is_private_too(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"secret\n")
    path.chmod(0o600)
    assert keys.read_passphrase({keys.PASSPHRASE_VARIABLE: str(path)}) == b"secret"
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="chmod"):
        keys.read_passphrase({keys.PASSPHRASE_VARIABLE: str(path)})
    path.chmod(0o600)
    path.write_bytes(b"\n")
    with pytest.raises(KeyFileError, match="1 to"):
        keys.read_passphrase({keys.PASSPHRASE_VARIABLE: str(path)})


def test_the_command_makes_keys_for_many_directories_and_says_that_they_lie_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(keys.PASSPHRASE_VARIABLE, raising=False)
    directories = [str(tmp_path / name) for name in ("a", "b")]
    assert main(["keys", "create", *directories]) == ExitCode.STOPPED
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 2
    assert "unencrypted" in output.err
    assert main(["keys", "create", directories[0]]) == ExitCode.CONFIGURATION
    assert "never overwritten" in capsys.readouterr().err

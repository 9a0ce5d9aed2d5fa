"""Key files, encrypted at rest: Argon2id (RFC 9106) makes a key from a passphrase, AES-256-GCM seals the seed.

One JSON file a key, mode 0600, written whole and renamed into place. Everything readable in the file (name, public key,
account, network, cost) is authenticated by the seal, so an edited file does not open. A private key is never written in
any other form.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from guildmark.errors import NotFound, WalletError
from guildmark.identity import Account
from primitives.codec import encode
from primitives.digest import domain
from primitives.identifiers import InvalidIdentifier, account_from_text, key_to_text
from primitives.keys import SEED_BYTES, SigningKey

KEY_FILE_BYTES_MAX: Final = 64 * 1024
"""A larger file is not a key file."""
KEY_FILES_MAX: Final = 10_000
"""Files that one listing reads; the rest is not shown."""
PASSPHRASE_FILE_NAME: Final = "passphrase"
"""In a development wallet: the passphrase that `network init` made up, beside the keys that it protects."""
_SUFFIX: Final = ".key.json"
_NAME: Final = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_AAD: Final = domain("wallet-key-file")
_NONCE_BYTES: Final = 12
_SALT_BYTES: Final = 16

Hex = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{2})*\Z", max_length=256)]


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What guessing a passphrase costs. The bounds keep a foreign file from taking the machine's memory."""

    passes: Annotated[int, msgspec.Meta(ge=1, le=32)] = 3
    memory_kib: Annotated[int, msgspec.Meta(ge=8 * 1024, le=1024 * 1024)] = 64 * 1024
    lanes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 4


DEVELOPMENT_COST: Final = Cost(passes=1, memory_kib=8 * 1024, lanes=1)
"""For wallets whose passphrase lies beside them: nothing is gained by making it slow."""


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file's members."""

    version: Literal[1]
    name: Annotated[str, msgspec.Meta(max_length=64)]
    public_key: str
    """did:key"""
    account: str
    """gm1..., or empty while the key opens no account."""
    network_id: Hex
    kdf: Literal["argon2id"]
    cost: Cost
    salt: Hex
    cipher: Literal["aes-256-gcm"]
    nonce: Hex
    ciphertext: Hex

    def _sealed(self) -> bytes:
        """What the seal covers beside the seed."""
        return _AAD + encode(
            (self.version, self.name, self.public_key, self.account, self.network_id, self.kdf, self.cost, self.salt)
        )


class Wallet:
    """The key files of one directory."""

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)

    def create(
        self,
        name: str,
        passphrase: str,
        *,
        key: SigningKey | None = None,
        account: str = "",
        network_id: bytes = b"",
        cost: Cost | None = None,
    ) -> Account | None:
        """Write a new key file; `key` is generated when not given. Returns the account when one is named.

        Raises:
            WalletError: `wallet.name`, `wallet.exists`, `wallet.passphrase` (empty), `wallet.unwritable`.
        """
        path = self._path(name)
        if path.exists():
            raise WalletError("wallet.exists", f"{path} exists; key files are never overwritten")
        key = key or SigningKey.generate()
        file = _seal(name, passphrase, key, account, network_id, cost or Cost())
        self._write(path, file, replace=False)
        return Account(account, key, name) if account else None

    def assign(self, name: str, passphrase: str, *, account: str, network_id: bytes) -> Account:
        """Note in the key file which account the key belongs to. The file is sealed anew.

        Raises:
            WalletError, NotFound: as `open` and `create`; `wallet.account` when the text names no account.
        """
        try:
            account_from_text(account)
        except InvalidIdentifier as error:
            raise WalletError("wallet.account", str(error)) from error
        old = self.read(name)
        key = _unseal(self._path(name), old, passphrase)
        self._write(self._path(name), _seal(name, passphrase, key, account, network_id, old.cost), replace=True)
        return Account(account, key, name)

    def read(self, name: str) -> KeyFile:
        """Read what a key file says openly.

        Raises:
            NotFound: `wallet.no_such_key`.
            WalletError: `wallet.malformed`, `wallet.name`.
        """
        path = self._path(name)
        try:
            with path.open("rb") as file:
                data = file.read(KEY_FILE_BYTES_MAX + 1)
        except FileNotFoundError as error:
            raise NotFound("wallet.no_such_key", f"there is no key {name!r} in {self.directory}") from error
        except OSError as error:
            raise WalletError("wallet.unreadable", f"{path}: {error.strerror or error}") from error
        try:
            if len(data) > KEY_FILE_BYTES_MAX:
                raise msgspec.ValidationError("too large")
            return msgspec.json.decode(data, type=KeyFile)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise WalletError("wallet.malformed", f"{path} is not a key file: {error}") from error

    def read_assigned(self, name: str) -> KeyFile:
        """Read what the file of a key that belongs to an account says openly.

        Raises:
            NotFound, WalletError: as `read`; `wallet.no_account`.
        """
        file = self.read(name)
        if not file.account:
            raise WalletError("wallet.no_account", f"the key {name!r} is not assigned to an account yet")
        return file

    def open(self, name: str, passphrase: str) -> Account:
        """Decrypt a key that belongs to an account.

        Raises:
            NotFound, WalletError: as `read_assigned`; `wallet.passphrase` (wrong, or the file was changed).
        """
        file = self.read_assigned(name)
        try:
            return Account(file.account, _unseal(self._path(name), file, passphrase), name)
        except InvalidIdentifier as error:
            raise WalletError("wallet.malformed", f"{self._path(name)}: {error}") from error

    def open_key(self, name: str, passphrase: str) -> SigningKey:
        """Decrypt a key, whether or not it belongs to an account. Raises as `open`."""
        return _unseal(self._path(name), self.read(name), passphrase)

    def names(self) -> list[str]:
        """The names of all keys, sorted."""
        return sorted(path.name.removesuffix(_SUFFIX) for path in self._files())

    def _files(self) -> Iterator[Path]:
        if self.directory.is_dir():
            for count, path in enumerate(self.directory.glob("*" + _SUFFIX)):
                if count >= KEY_FILES_MAX:
                    return
                yield path

    def _path(self, name: str) -> Path:
        if not _NAME.match(name):
            raise WalletError("wallet.name", f"{name!r}: a key's name has 1 to 64 letters, digits, '.', '_' or '-'")
        return self.directory / (name + _SUFFIX)

    def _write(self, path: Path, file: KeyFile, *, replace: bool) -> None:
        """Write a new file beside the old one and rename it; a crash leaves the old or the new one, never half."""
        data = msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(prefix=".new-", dir=self.directory)  # mode 0600
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(data)
                    stream.flush()
                    os.fsync(stream.fileno())
                if replace:
                    os.replace(temporary, path)
                else:
                    os.link(temporary, path)  # fails where the name is taken meanwhile
            finally:
                Path(temporary).unlink(missing_ok=True)
        except FileExistsError as error:
            raise WalletError("wallet.exists", f"{path} exists; key files are never overwritten") from error
        except OSError as error:
            raise WalletError("wallet.unwritable", f"{path}: {error.strerror or error}") from error


def passphrase_from_environment(wallet: Path | None = None) -> str | None:
    """Find the passphrase: GUILDMARK_PASSPHRASE, the file GUILDMARK_PASSPHRASE_FILE, or a development wallet's own.

    Raises:
        WalletError: `wallet.passphrase_file` when the named file cannot be read.
    """
    if passphrase := os.environ.get("GUILDMARK_PASSPHRASE"):
        return passphrase
    named = os.environ.get("GUILDMARK_PASSPHRASE_FILE")
    path = Path(named) if named else wallet / PASSPHRASE_FILE_NAME if wallet else None
    if path is None or not (named or path.is_file()):
        return None
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WalletError("wallet.passphrase_file", f"{path}: {error}") from error


def _seal(name: str, passphrase: str, key: SigningKey, account: str, network_id: bytes, cost: Cost) -> KeyFile:
    if not passphrase:
        raise WalletError("wallet.passphrase", "an empty passphrase protects nothing")
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    salt = secrets.token_bytes(_SALT_BYTES)
    file = KeyFile(
        version=1,
        name=name,
        public_key=key_to_text(key.public_key),
        account=account,
        network_id=network_id.hex(),
        kdf="argon2id",
        cost=cost,
        salt=salt.hex(),
        cipher="aes-256-gcm",
        nonce=nonce.hex(),
        ciphertext="",
    )
    sealed = AESGCM(_derive(passphrase, file)).encrypt(nonce, key.seed, file._sealed())
    return msgspec.structs.replace(file, ciphertext=sealed.hex())


def _unseal(path: Path, file: KeyFile, passphrase: str) -> SigningKey:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if len(file.nonce) != 2 * _NONCE_BYTES or len(file.salt) != 2 * _SALT_BYTES:
        raise WalletError("wallet.malformed", f"{path}: nonce or salt has the wrong length")
    sealed, nonce = bytes.fromhex(file.ciphertext), bytes.fromhex(file.nonce)
    try:
        seed = AESGCM(_derive(passphrase, file)).decrypt(nonce, sealed, file._sealed())
    except InvalidTag as error:
        raise WalletError("wallet.passphrase", f"{path}: wrong passphrase, or the file was changed") from error
    if len(seed) != SEED_BYTES:
        raise WalletError("wallet.malformed", f"{path}: not the seed of a key")
    key = SigningKey(seed)
    if key_to_text(key.public_key) != file.public_key:
        raise WalletError("wallet.malformed", f"{path}: the public key is another key's")
    return key


def _derive(passphrase: str, file: KeyFile) -> bytes:
    from argon2.low_level import Type, hash_secret_raw

    return hash_secret_raw(
        secret=passphrase.encode("utf-8", "surrogateescape"),
        salt=bytes.fromhex(file.salt),
        time_cost=file.cost.passes,
        memory_cost=file.cost.memory_kib,
        parallelism=file.cost.lanes,
        hash_len=32,
        type=Type.ID,
    )

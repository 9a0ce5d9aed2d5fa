"""A node's two keys on disk: one for TLS, one for votes and validator operations.

    DIR/keys/            0700
    DIR/keys/tls.key     0600   PEM (PKCS #8), or a sealed file
    DIR/keys/tls.crt     0600   PEM certificate that peers pin
    DIR/keys/signing.key 0600   a sealed or an open file: JSON with the 32-byte seed

The public part, signed, is `DIR/member.toml`: see `ledger.member_descriptor`.

A validator starts without anybody at the keyboard, so its keys lie unencrypted unless `GUILDMARK_NODE_PASSPHRASE_FILE`
names a file with a passphrase (from a secret manager, a tmpfs): then they are sealed by Argon2id (RFC 9106) and
AES-256-GCM. A key that others may read is refused.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from node.failures import KeyFileError
from primitives.digest import domain
from primitives.identifiers import NodeId, key_to_text, node_id
from primitives.keys import SEED_BYTES, SigningKey

PASSPHRASE_VARIABLE: Final = "GUILDMARK_NODE_PASSPHRASE_FILE"
KEY_FILE_BYTES_MAX: Final = 64 * 1024
PASSPHRASE_BYTES_MAX: Final = 4_096
UNENCRYPTED_NOTICE: Final = (
    "the node's keys lie unencrypted on disk (mode 0600); "
    f"set {PASSPHRASE_VARIABLE} when creating and starting to seal them"
)
_KEYS: Final = "keys"
_TLS_KEY: Final = "tls.key"
_TLS_CERTIFICATE: Final = "tls.crt"
_SIGNING_KEY: Final = "signing.key"
_AAD: Final = domain("node-key-file")

Hex = Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{2})*\Z", max_length=16_384)]
Kind = Literal["tls", "signing"]


class _Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounded, so that a foreign file cannot take the machine's memory."""

    passes: Annotated[int, msgspec.Meta(ge=1, le=32)] = 3
    memory_kib: Annotated[int, msgspec.Meta(ge=8_192, le=1_048_576)] = 65_536
    lanes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1


class _OpenFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="protection", tag="none"):
    version: Literal[1]
    kind: Kind
    secret: Hex


class _SealedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="protection", tag="passphrase"):
    version: Literal[1]
    kind: Kind
    kdf: Literal["argon2id"]
    cost: _Cost
    salt: Hex
    cipher: Literal["aes-256-gcm"]
    nonce: Hex
    ciphertext: Hex


class NodeKeys(msgspec.Struct, frozen=True):
    """What a running node holds in memory."""

    node_id: NodeId
    signing_key: SigningKey
    tls_key_pem: bytes
    tls_certificate_der: bytes
    sealed: bool
    """Whether the files need the passphrase."""


class PublicKeys(msgspec.Struct, frozen=True):
    """What may be known of a node's keys."""

    node_id: NodeId
    signing_key: str
    """did:key"""
    tls_certificate_der: bytes


def create(directory: Path, tls_key_pem: bytes, certificate_der: bytes, node: NodeId, passphrase: bytes) -> PublicKeys:
    """Write the files of a new node into `directory`; an empty passphrase leaves the keys open.

    Raises:
        KeyFileError: keys exist already (they are never overwritten), or the directory cannot be written.
    """
    signing_key = SigningKey.generate()
    certificate = x509.load_der_x509_certificate(certificate_der)
    keys = directory / _KEYS
    written: list[Path] = []
    try:
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        keys.chmod(0o700)
        for name in (_TLS_KEY, _TLS_CERTIFICATE, _SIGNING_KEY):
            if (keys / name).exists():
                raise KeyFileError(f"{keys / name} exists; keys are never overwritten")
        tls_file = _seal("tls", tls_key_pem, passphrase) if passphrase else tls_key_pem
        for name, data in (
            (_TLS_KEY, tls_file),
            (_TLS_CERTIFICATE, certificate.public_bytes(Encoding.PEM)),
            (_SIGNING_KEY, _protect("signing", signing_key.seed, passphrase)),
        ):
            written.append(keys / name)
            _write(keys / name, data, 0o600)
        _sync(keys)
        _sync(directory)
    except OSError as error:
        if isinstance(error, FileExistsError):
            written = written[:-1]  # another process was faster: that one's file stays
        for path in written:  # half a node's keys are of no use, and in the way of the next attempt
            path.unlink(missing_ok=True)
        raise KeyFileError(f"{error.filename or directory}: {error.strerror or error}") from error
    return PublicKeys(node, key_to_text(signing_key.public_key), certificate_der)


def load(directory: Path, passphrase: bytes) -> NodeKeys:
    """Read the keys of the node in `directory`.

    Raises:
        KeyFileError: missing, readable by others, damaged, sealed with another passphrase, or not belonging together.
    """
    keys = directory / _KEYS
    _refuse_others(keys)
    tls_data = _read_private(keys / _TLS_KEY)
    sealed = not tls_data.startswith(b"-----BEGIN")
    tls_key_pem = _open("tls", keys / _TLS_KEY, tls_data, passphrase) if sealed else tls_data
    signing_path = keys / _SIGNING_KEY
    seed = _open("signing", signing_path, _read_private(signing_path), passphrase)
    if len(seed) != SEED_BYTES:
        raise KeyFileError(f"{signing_path}: a seed has {SEED_BYTES} bytes, not {len(seed)}")
    certificate_path = keys / _TLS_CERTIFICATE
    try:
        certificate = x509.load_pem_x509_certificate(_read_private(certificate_path))
    except ValueError as error:
        raise KeyFileError(f"{certificate_path}: not a PEM certificate") from error
    node = _node_id_of(certificate, tls_key_pem, keys)
    return NodeKeys(node, SigningKey(seed), tls_key_pem, certificate.public_bytes(Encoding.DER), sealed)


def tls_signer(held: NodeKeys) -> SigningKey:
    """Return the TLS key as one that signs with a domain. What TLS 1.3 signs begins with 64 spaces (RFC 8446, section
    4.4.3), as no domain does: a signature of one kind is never one of the other."""
    key = load_pem_private_key(held.tls_key_pem, password=None)
    assert isinstance(key, Ed25519PrivateKey), "checked when it was read"
    return SigningKey(key.private_bytes_raw())


def read_passphrase(environment: dict[str, str]) -> bytes:
    """Return the passphrase from the file that the environment names; empty when it names none.

    Raises:
        KeyFileError: the file is missing, empty, too long, or readable by others.
    """
    name = environment.get(PASSPHRASE_VARIABLE, "")
    if not name:
        return b""
    passphrase = _read_private(Path(name)).rstrip(b"\r\n")
    if not 1 <= len(passphrase) <= PASSPHRASE_BYTES_MAX:
        raise KeyFileError(f"{name}: a passphrase has 1 to {PASSPHRASE_BYTES_MAX} bytes")
    return passphrase


def _node_id_of(certificate: x509.Certificate, tls_key_pem: bytes, keys: Path) -> NodeId:
    try:
        key = load_pem_private_key(tls_key_pem, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{keys / _TLS_KEY}: not a PEM private key") from error
    public = certificate.public_key()
    if not isinstance(key, Ed25519PrivateKey) or not isinstance(public, Ed25519PublicKey):
        raise KeyFileError(f"{keys}: TLS keys are Ed25519 keys")
    raw = public.public_bytes_raw()
    if key.public_key().public_bytes_raw() != raw:
        raise KeyFileError(f"{keys}: {_TLS_CERTIFICATE} is not the certificate of {_TLS_KEY}")
    return node_id(raw)


def _protect(kind: Kind, secret: bytes, passphrase: bytes) -> bytes:
    if passphrase:
        return _seal(kind, secret, passphrase)
    return _json(_OpenFile(1, kind, secret.hex()))


def _seal(kind: Kind, secret: bytes, passphrase: bytes) -> bytes:
    cost, salt, nonce = _Cost(), secrets.token_bytes(16), secrets.token_bytes(12)
    ciphertext = AESGCM(_stretch(passphrase, salt, cost)).encrypt(nonce, secret, _AAD + kind.encode())
    return _json(_SealedFile(1, kind, "argon2id", cost, salt.hex(), "aes-256-gcm", nonce.hex(), ciphertext.hex()))


def _open(kind: Kind, path: Path, data: bytes, passphrase: bytes) -> bytes:
    try:
        file = msgspec.json.decode(data, type=_OpenFile | _SealedFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise KeyFileError(f"{path}: not a key file: {error}") from error
    if file.kind != kind:
        raise KeyFileError(f"{path}: holds a {file.kind} key, not a {kind} key")
    if isinstance(file, _OpenFile):
        return bytes.fromhex(file.secret)
    if not passphrase:
        raise KeyFileError(f"{path}: sealed; set {PASSPHRASE_VARIABLE} to a file with the passphrase")
    stretched = _stretch(passphrase, bytes.fromhex(file.salt), file.cost)
    try:
        return AESGCM(stretched).decrypt(
            bytes.fromhex(file.nonce), bytes.fromhex(file.ciphertext), _AAD + kind.encode()
        )
    except (InvalidTag, ValueError) as error:
        raise KeyFileError(f"{path}: the passphrase does not open it, or it was changed") from error


def _stretch(passphrase: bytes, salt: bytes, cost: _Cost) -> bytes:
    return hash_secret_raw(
        passphrase,
        salt,
        time_cost=cost.passes,
        memory_cost=cost.memory_kib,
        parallelism=cost.lanes,
        hash_len=32,
        type=Type.ID,
    )


def _read_private(path: Path) -> bytes:
    _refuse_others(path)
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    if len(data) > KEY_FILE_BYTES_MAX:
        raise KeyFileError(f"{path}: longer than {KEY_FILE_BYTES_MAX} bytes")
    return data


def _refuse_others(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise KeyFileError(
            f"{path}: missing; `guildmark node keys create --directory DIR` makes a node's keys"
        ) from error
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror or error}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        wanted = "0700" if stat.S_ISDIR(mode) else "0600"
        raise KeyFileError(f"{path}: mode {stat.S_IMODE(mode):04o} lets others in; chmod {wanted} it")


def replace_public(path: Path, data: bytes) -> None:
    """Write a file that everybody may read, whole or not at all. Raises KeyFileError."""
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        _write(fresh, data, 0o644)
        os.replace(fresh, path)
        _sync(path.parent)
    except OSError as error:
        raise KeyFileError(f"{error.filename or path}: {error.strerror or error}") from error


def _write(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with open(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _json(value: msgspec.Struct) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"

"""The public descriptor of a validator, which its organization hands to the others: `member.toml`.

It says who runs the node, by which keys it is known and where it is reached. Its signature covers every value, so that
a typo or an exchanged key is noticed, and proves possession of the signing key; the certificate, signed by itself,
proves that of the TLS key. It proves nothing about who holds them: that is what the members tell each other.

    signed bytes = domain "member-descriptor", canonical encoding of all values but the signature, in order
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from ledger.errors import LedgerError
from ledger.genesis import CONTROL, GenesisValidator, Hex16, Name, Slug
from primitives.codec import encode
from primitives.digest import domain
from primitives.identifiers import InvalidIdentifier, key_from_text, key_to_text
from primitives.keys import SigningKey, verify
from primitives.node_certificate import node_id_of_certificate

DESCRIPTOR_BYTES_MAX: Final = 64 * 1024
FOUNDING_ACCOUNTS_MAX: Final = 64
"""First accounts that one descriptor may bring."""
FILE_NAME: Final = "member.toml"
_DOMAIN: Final = domain("member-descriptor")
_SLUG: Final = re.compile(r"[a-z][a-z0-9-]{0,31}")
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


class InvalidDescriptor(LedgerError):
    """Not a descriptor, or changed since it was signed."""


class FoundingAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An account that the organization wants in the genesis. Its private key stays in the organization's wallet."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    key: str
    """did:key"""
    salt: Hex16


class MemberDescriptor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One validator of one organization."""

    version: Literal[1]
    organization: Slug
    organization_name: Name
    node_id: Annotated[str, msgspec.Meta(max_length=90)]
    signing_key: str
    """did:key of the key that signs votes."""
    tls_certificate: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    """Base64 of the DER certificate that peers pin."""
    address: Annotated[str, msgspec.Meta(max_length=260)]
    """host:port, as the other members reach the node."""
    signature: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]
    """By the signing key, over everything else."""
    accounts: Annotated[tuple[FoundingAccount, ...], msgspec.Meta(max_length=FOUNDING_ACCOUNTS_MAX)] = ()

    def signed_bytes(self) -> bytes:
        """What the signature covers."""
        values = [getattr(self, name) for name in self.__struct_fields__ if name != "signature"]
        return _DOMAIN + encode(values)

    def validator(self) -> GenesisValidator:
        """Return the node's entry of a genesis file."""
        return GenesisValidator(self.organization, self.node_id, self.signing_key, self.tls_certificate, self.address)


def describe(
    *,
    organization: str,
    organization_name: str,
    certificate_der: bytes,
    address: str,
    accounts: Sequence[FoundingAccount] = (),
    signing_key: SigningKey,
) -> MemberDescriptor:
    """Make and sign the descriptor of a node.

    Raises:
        InvalidDescriptor: a value that no genesis file takes.
    """
    check_terms(organization, organization_name, address)
    try:
        node = node_id_of_certificate(certificate_der)
    except InvalidIdentifier as error:
        raise InvalidDescriptor("descriptor.certificate", f"tls_certificate: {error}") from error
    unsigned = MemberDescriptor(
        version=1,
        organization=organization,
        organization_name=organization_name,
        node_id=node,
        signing_key=key_to_text(signing_key.public_key),
        tls_certificate=base64.b64encode(certificate_der).decode("ascii"),
        address=address,
        signature="",
        accounts=tuple(accounts),
    )
    signed = msgspec.structs.replace(unsigned, signature=signing_key.sign(unsigned.signed_bytes()).hex())
    return parse(write(signed), FILE_NAME)


def check_terms(organization: str, organization_name: str, address: str) -> None:
    """Check what people type, before anything is made for it. Raises InvalidDescriptor."""
    if _SLUG.fullmatch(organization) is None:
        raise InvalidDescriptor(
            "descriptor.organization",
            f"organization {organization!r}: an id has 1 to 32 of a-z, 0-9 and -, and begins with a letter",
        )
    if not 1 <= len(organization_name) <= 64 or CONTROL.search(organization_name):
        raise InvalidDescriptor(
            "descriptor.text", f"organization name {organization_name!r}: 1 to 64 characters, none of them a control"
        )
    _check_address(address)


def write(descriptor: MemberDescriptor) -> bytes:
    """Return the TOML of `descriptor`."""
    lines = [
        "# The public part of a validator, for the members of its network. Nothing in it is secret.",
        "# It is signed: write a new one rather than edit it.",
    ]
    values = msgspec.to_builtins(descriptor)
    accounts: list[dict[str, Any]] = values.pop("accounts")
    lines += [f"{name} = {_scalar(value)}" for name, value in values.items()]
    for account in accounts:
        lines += ["", "[[accounts]]", *(f"{name} = {_scalar(value)}" for name, value in account.items())]
    return ("\n".join(lines) + "\n").encode("utf-8")


def parse(data: bytes, where: str) -> MemberDescriptor:
    """Read a descriptor and check all that it says of itself; `where` names it in messages.

    Raises:
        InvalidDescriptor: `descriptor.malformed`, `.text`, `.key`, `.certificate`, `.node_id`, `.address`,
            `.signature`.
    """
    if len(data) > DESCRIPTOR_BYTES_MAX:
        raise InvalidDescriptor("descriptor.malformed", f"{where}: longer than {DESCRIPTOR_BYTES_MAX} bytes")
    try:
        found = msgspec.convert(tomllib.loads(data.decode("utf-8")), MemberDescriptor)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InvalidDescriptor("descriptor.malformed", f"{where}: not a member's descriptor: {error}") from error
    _check(found, where)
    return found


def load(path: Path) -> MemberDescriptor:
    """Read a descriptor's file. Raises InvalidDescriptor as `parse`, or `descriptor.unreadable`."""
    try:
        with path.open("rb") as file:
            data = file.read(DESCRIPTOR_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidDescriptor("descriptor.unreadable", f"{path}: {error.strerror or error}") from error
    return parse(data, str(path))


def _check(found: MemberDescriptor, where: str) -> None:
    for text in (found.organization_name, *(account.name for account in found.accounts)):
        if CONTROL.search(text):
            raise InvalidDescriptor("descriptor.text", f"{where}: a name holds a control character: {text!r}")
    key = _key(found.signing_key, f"{where}: signing_key")
    if not verify(key, found.signed_bytes(), bytes.fromhex(found.signature)):
        raise InvalidDescriptor(
            "descriptor.signature",
            f"{where}: the signature does not hold: it was changed after it was written, or its key is another's",
        )
    keys = [found.signing_key]
    for index, account in enumerate(found.accounts):
        _key(account.key, f"{where}: accounts[{index}].key")
        if account.key in keys:
            raise InvalidDescriptor("descriptor.key", f"{where}: accounts[{index}].key is used twice: {account.key}")
        keys.append(account.key)
    _check_certificate(found, where)
    try:
        _check_address(found.address)
    except InvalidDescriptor as error:
        raise InvalidDescriptor(error.code, f"{where}: {error.message}") from error


def _check_certificate(found: MemberDescriptor, where: str) -> None:
    try:
        der = base64.b64decode(found.tls_certificate, validate=True)
        node = node_id_of_certificate(der)
    except (binascii.Error, ValueError) as error:  # InvalidIdentifier is a ValueError
        raise InvalidDescriptor("descriptor.certificate", f"{where}: tls_certificate: {error}") from error
    if base64.b64encode(der).decode("ascii") != found.tls_certificate:
        raise InvalidDescriptor("descriptor.certificate", f"{where}: tls_certificate: not canonical base64")
    if node != found.node_id:
        raise InvalidDescriptor(
            "descriptor.node_id", f"{where}: node_id is {found.node_id}, but the certificate names {node}"
        )


def _check_address(address: str) -> None:
    match = _ADDRESS.fullmatch(address)
    if match is None or len(address) > 260 or not 1 <= int(match[2]) <= 65_535:
        raise InvalidDescriptor("descriptor.address", f"address {address!r} is not host:port with a port of 1 to 65535")
    if match[1] in ("0.0.0.0", "[::]"):
        raise InvalidDescriptor(
            "descriptor.address", f"address {address}: nobody can dial it; write how others reach the node"
        )


def _key(text: str, where: str) -> bytes:
    try:
        return key_from_text(text)
    except InvalidIdentifier as error:
        raise InvalidDescriptor("descriptor.key", f"{where}: {error}") from error


def _scalar(value: str | int) -> str:
    return msgspec.json.encode(value).decode("utf-8")  # JSON's spelling of texts and numbers is TOML's too

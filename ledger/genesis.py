"""The genesis file: JSON that people write and compare, and the value whose hash names the network.

The network id is the tagged hash of the file's canonical MessagePack form, so spaces and the order of JSON members do
not matter and every value does. Unknown members are refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from ledger.errors import InvalidGenesis
from ledger.parameters import Parameters
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash
from primitives.finality import VALIDATORS_MAX
from primitives.identifiers import AccountId, InvalidIdentifier, account_id, key_from_text
from primitives.keys import PublicKey
from primitives.quorum import fault_bound

GENESIS_BYTES_MAX: Final = 8 * 1024 * 1024
ORGANIZATIONS_MAX: Final = 1_024
ACCOUNTS_MAX: Final = 10_000
CREDITS_MAX: Final = 2**63 - 1
"""Every amount, and the total supply, fits a signed 64-bit word."""

CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
"""What moves a terminal's cursor or turns text around, so that people would not read what they agree on."""

Slug = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9-]{0,31}\Z")]
"""An organization's id: 1 to 32 lower-case letters, digits and hyphens, beginning with a letter."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Address = Annotated[str, msgspec.Meta(pattern=r"\A[^\s:]+(:[^\s:]+)*:[0-9]{1,5}\Z", max_length=260)]
"""host:port, where a validator is reached by its peers."""
Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Hex16 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]


class GenesisOrganization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Slug
    name: Name


class GenesisAccount(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A first account, whose only key has the role `owner`."""

    organization: Slug
    key: str
    """did:key"""
    salt: Hex16
    credits: Annotated[int, msgspec.Meta(ge=0, le=CREDITS_MAX)] = 0
    """Minor units."""
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""


class GenesisValidator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the validator set of epoch 0; its position in the list is its index in the set."""

    organization: Slug
    node_id: Annotated[str, msgspec.Meta(max_length=90)]
    signing_key: str
    """did:key of the key that signs votes, block certificates and validator operations."""
    tls_certificate: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    """Base64 of the DER certificate that peers pin."""
    address: Address
    """A node may override it locally."""


class Genesis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    name: Name
    salt: Hex32
    """Random: two networks with one membership are still two networks."""
    created_at_ms: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]
    development: bool
    parameters: Parameters
    organizations: Annotated[tuple[GenesisOrganization, ...], msgspec.Meta(min_length=1, max_length=ORGANIZATIONS_MAX)]
    accounts: Annotated[tuple[GenesisAccount, ...], msgspec.Meta(max_length=ACCOUNTS_MAX)]
    validators: Annotated[tuple[GenesisValidator, ...], msgspec.Meta(min_length=1, max_length=VALIDATORS_MAX)]

    def validate(self) -> None:
        """Check what the types cannot.

        Raises:
            InvalidGenesis: with a code and the offending member's path.
        """
        self.parameters.validate(development=self.development)
        self._check_texts()
        known = {organization.id for organization in self.organizations}
        _refuse_repeats("organizations", [organization.id for organization in self.organizations])
        for index, account in enumerate(self.accounts):
            _known_organization(f"accounts[{index}]", account.organization, known)
            _key(f"accounts[{index}].key", account.key)
        _refuse_repeats("accounts", [f"{a.organization} {a.key} {a.salt}" for a in self.accounts])
        if sum(account.credits for account in self.accounts) > CREDITS_MAX:
            raise InvalidGenesis("genesis.supply", f"accounts: the credits together exceed {CREDITS_MAX}")
        for index, validator in enumerate(self.validators):
            _known_organization(f"validators[{index}]", validator.organization, known)
            _key(f"validators[{index}].signing_key", validator.signing_key)
            _certificate(f"validators[{index}].tls_certificate", validator.tls_certificate)
        _refuse_repeats("validators (node_id)", [validator.node_id for validator in self.validators])
        _refuse_repeats("validators (signing_key)", [validator.signing_key for validator in self.validators])
        account_keys = {account.key for account in self.accounts}
        for index, validator in enumerate(self.validators):
            if validator.signing_key in account_keys:
                raise InvalidGenesis(
                    "genesis.validator_key", f"validators[{index}].signing_key also opens an account: use separate keys"
                )
        if not self.development:
            self._check_power()

    def _check_texts(self) -> None:
        texts = [("name", self.name)]
        texts += [(f"organizations[{index}].name", entry.name) for index, entry in enumerate(self.organizations)]
        texts += [(f"accounts[{index}].name", entry.name) for index, entry in enumerate(self.accounts)]
        for where, text in texts:
            if CONTROL.search(text):
                raise InvalidGenesis("genesis.text", f"{where}: {text!a} holds a control character")

    def _check_power(self) -> None:
        bound = fault_bound(len(self.validators))
        for organization, count in Counter(validator.organization for validator in self.validators).items():
            if count > bound:
                raise InvalidGenesis(
                    "genesis.power",
                    f"validators: {organization} has {count} of {len(self.validators)}, "
                    f"at most {bound} outside development networks",
                )


def _refuse_repeats(where: str, values: list[str]) -> None:
    for value, count in Counter(values).items():
        if count > 1:
            raise InvalidGenesis("genesis.repeated", f"{where}: {value!r} appears {count} times")


def _known_organization(where: str, organization: str, known: set[str]) -> None:
    if organization not in known:
        raise InvalidGenesis("genesis.organization", f"{where}.organization: {organization!r} is not in organizations")


def _key(where: str, text: str) -> PublicKey:
    try:
        return key_from_text(text)
    except InvalidIdentifier as error:
        raise InvalidGenesis("genesis.key", f"{where}: {error}") from error


def _certificate(where: str, text: str) -> bytes:
    try:
        der = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidGenesis("genesis.certificate", f"{where}: not base64 ({error})") from error
    if base64.b64encode(der).decode("ascii") != text:
        raise InvalidGenesis("genesis.certificate", f"{where}: not the canonical base64 spelling")
    return der


def parse(data: bytes) -> Genesis:
    """Read and validate the JSON of a genesis file.

    Raises:
        InvalidGenesis: `genesis.*`; the message names the member.
    """
    if len(data) > GENESIS_BYTES_MAX:
        raise InvalidGenesis("genesis.size", f"a genesis file has at most {GENESIS_BYTES_MAX} bytes, not {len(data)}")
    try:
        genesis = msgspec.json.decode(data, type=Genesis)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidGenesis("genesis.malformed", f"not a genesis file: {error}") from error
    genesis.validate()
    return genesis


def load(path: Path) -> Genesis:
    """Read and validate a genesis file.

    Raises:
        InvalidGenesis: as `parse`; `genesis.unreadable` when the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidGenesis("genesis.unreadable", f"{path}: {error.strerror or error}") from error
    return parse(data)


def write(genesis: Genesis) -> bytes:
    """Return the JSON of `genesis`, for people: indented, members in order of declaration."""
    return msgspec.json.format(msgspec.json.encode(genesis), indent=2) + b"\n"


def network_id(genesis: Genesis) -> Digest:
    """Return the network's id, the tagged hash of the genesis."""
    return tagged_hash("genesis", encode(genesis))


def organization_account(network: bytes, account: GenesisAccount) -> AccountId:
    """Return the id of a genesis account on the network `network`."""
    return account_id(network, account.organization, key_from_text(account.key), bytes.fromhex(account.salt))


def validator_salt(signing_key: bytes) -> bytes:
    """Return the salt (16 bytes) of the account that every validator has, made from its signing key."""
    return tagged_hash("validator-account-salt", signing_key)[:16]


def validator_account(network: bytes, validator: GenesisValidator) -> AccountId:
    """Return the id of a validator's own account, whose only key is its signing key with the role `validator`."""
    return validator_account_id(network, validator.organization, key_from_text(validator.signing_key))


def validator_account_id(network: bytes, organization: str, signing_key: bytes) -> AccountId:
    """Return the id of the account that belongs to a validator's signing key."""
    return account_id(network, organization, signing_key, validator_salt(signing_key))

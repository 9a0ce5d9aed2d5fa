"""The genesis of a consortium, made from its members' descriptors, and compared with them by each member.

One set of descriptors and one set of decisions (name, salt, time, parameters, credits) make one genesis, whoever
assembles it and in whatever order the files are named:

    organizations   by id
    accounts        by organization, name, key
    validators      by organization, node id; the position is the validator's index
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.errors import InvalidGenesis
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    network_id,
    parse,
    write,
)
from ledger.member_descriptor import MemberDescriptor
from ledger.parameters import Parameters

VALIDATORS_MIN: Final = 4
"""Fewer tolerate no fault at all; development networks may have 1 to 3."""


class Decisions(msgspec.Struct, frozen=True, kw_only=True):
    """What no descriptor says: the members agree on it before one of them assembles the genesis."""

    name: str
    salt: bytes
    """32 random bytes."""
    created_at_ms: int
    development: bool = False
    parameters: Mapping[str, int] = {}
    """By name, where they differ from the defaults."""
    credits: Mapping[str, int] = {}
    """Organization -> minor units, for the first of its accounts."""


def assemble(descriptors: Sequence[MemberDescriptor], decisions: Decisions) -> Genesis:
    """Make the genesis of a network of these members.

    Raises:
        InvalidGenesis: `genesis.members`, `genesis.organization`, `genesis.repeated`, `genesis.power`, ...: the
            descriptors contradict each other, or do not make a network; the message names whom.
    """
    if len(descriptors) < VALIDATORS_MIN and not decisions.development:
        raise InvalidGenesis(
            "genesis.members",
            f"{len(descriptors)} validators: a network has at least {VALIDATORS_MIN}, a development network 1",
        )
    _refuse_repeated(descriptors)
    _refuse_shared("address", descriptors)
    _refuse_shared("signing_key", descriptors)
    organizations = _organizations(descriptors)
    if not decisions.development:
        _refuse_voiceless(descriptors)
    genesis: dict[str, Any] = {
        "version": 1,
        "name": decisions.name,
        "salt": decisions.salt.hex(),
        "created_at_ms": decisions.created_at_ms,
        "development": decisions.development,
        "parameters": dict(decisions.parameters),
        "organizations": msgspec.to_builtins(organizations),
        "accounts": msgspec.to_builtins(_accounts(descriptors, decisions.credits)),
        "validators": msgspec.to_builtins(_validators(descriptors)),
    }
    data = msgspec.json.encode(genesis)
    try:
        msgspec.json.decode(data, type=Genesis)
    except msgspec.ValidationError as error:
        raise InvalidGenesis("genesis.malformed", f"what was decided makes no network: {error}") from error
    return parse(data)


def _organizations(descriptors: Sequence[MemberDescriptor]) -> list[GenesisOrganization]:
    names: dict[str, str] = {}
    for descriptor in descriptors:
        known = names.setdefault(descriptor.organization, descriptor.organization_name)
        if known != descriptor.organization_name:
            raise InvalidGenesis(
                "genesis.organization",
                f"{descriptor.organization} is called {known!r} in one descriptor and "
                f"{descriptor.organization_name!r} in another",
            )
    return [GenesisOrganization(identifier, name) for identifier, name in sorted(names.items())]


def _accounts(descriptors: Sequence[MemberDescriptor], credits: Mapping[str, int]) -> list[GenesisAccount]:
    found: list[GenesisAccount] = []
    keys: dict[str, str] = {}
    for descriptor in descriptors:
        for account in descriptor.accounts:
            other = keys.setdefault(account.key, descriptor.node_id)
            if other != descriptor.node_id:
                raise InvalidGenesis(
                    "genesis.repeated",
                    f"the account key {account.key} is in the descriptors of {other} and {descriptor.node_id}",
                )
            found.append(GenesisAccount(descriptor.organization, account.key, account.salt, 0, account.name))
    found.sort(key=lambda account: (account.organization, account.name, account.key))
    paid = dict(credits)
    made = [msgspec.structs.replace(account, credits=paid.pop(account.organization, 0)) for account in found]
    if paid:
        raise InvalidGenesis(
            "genesis.credits", f"credits for {', '.join(sorted(paid))}: no descriptor brings an account of it"
        )
    return made


def _validators(descriptors: Sequence[MemberDescriptor]) -> list[GenesisValidator]:
    ordered = sorted(descriptors, key=lambda descriptor: (descriptor.organization, descriptor.node_id))
    return [descriptor.validator() for descriptor in ordered]


def _refuse_voiceless(descriptors: Sequence[MemberDescriptor]) -> None:
    """Every organization counts in votes of the consortium: one without an account could never cast its own."""
    heard = {descriptor.organization for descriptor in descriptors if descriptor.accounts}
    voiceless = sorted({descriptor.organization for descriptor in descriptors} - heard)
    if voiceless:
        raise InvalidGenesis(
            "genesis.no_account", f"{', '.join(voiceless)}: no descriptor brings an account, so it could never vote"
        )


def _refuse_repeated(descriptors: Sequence[MemberDescriptor]) -> None:
    for node_id, count in Counter(descriptor.node_id for descriptor in descriptors).items():
        if count > 1:
            raise InvalidGenesis("genesis.repeated", f"{count} descriptors are of one validator, {node_id}")


def _refuse_shared(field: str, descriptors: Sequence[MemberDescriptor]) -> None:
    seen: dict[str, str] = {}
    for descriptor in descriptors:
        value = getattr(descriptor, field)
        if value in seen:
            raise InvalidGenesis(
                "genesis.repeated",
                f"two descriptors, of {seen[value]} and of {descriptor.organization}, have the {field} {value}",
            )
        seen[value] = descriptor.organization


def changed_parameters(genesis: Genesis) -> dict[str, int]:
    """Return the parameters that are not the defaults."""
    defaults = msgspec.structs.asdict(Parameters())
    return {
        name: value for name, value in msgspec.structs.asdict(genesis.parameters).items() if value != defaults[name]
    }


def differences(genesis: Genesis, descriptors: Sequence[MemberDescriptor]) -> list[str]:
    """Say in words where `genesis` is not the one that these descriptors make; an empty list: it is.

    The decisions (name, parameters, credits) are the genesis' own: its readers judge them, nothing here can.

    Raises:
        InvalidGenesis: the descriptors alone make no network.
    """
    decisions = Decisions(
        name=genesis.name,
        salt=bytes.fromhex(genesis.salt),
        created_at_ms=genesis.created_at_ms,
        development=True,  # so that too few descriptors are said to be missing, rather than to be no network
        parameters=msgspec.to_builtins(genesis.parameters),
    )
    wanted = msgspec.structs.replace(assemble(descriptors, decisions), development=genesis.development)
    found = [*_compare_validators(genesis, wanted), *_compare_organizations(genesis, wanted)]
    found += _compare_accounts(genesis, wanted)
    if not found:
        stripped = tuple(msgspec.structs.replace(account, credits=0) for account in genesis.accounts)
        if network_id(msgspec.structs.replace(genesis, accounts=stripped)) != network_id(wanted):
            found.append(
                "the genesis lists its members otherwise than `network assemble` does: in another order, or twice"
            )
    return found


def _compare_validators(genesis: Genesis, wanted: Genesis) -> Iterator[str]:
    listed = {validator.node_id: validator for validator in genesis.validators}
    for validator in wanted.validators:
        other = listed.pop(validator.node_id, None)
        who = f"the validator of {validator.organization} ({validator.node_id})"
        if other is None:
            yield f"{who} is not in the genesis"
            continue
        for field in ("organization", "signing_key", "tls_certificate", "address"):
            ours, theirs = getattr(validator, field), getattr(other, field)
            if ours != theirs:
                yield f"{who}: its descriptor says {field} {_short(ours)}, the genesis {_short(theirs)}"
    for validator in listed.values():
        yield f"the genesis has a validator of {validator.organization} ({validator.node_id}) without a descriptor"


def _compare_organizations(genesis: Genesis, wanted: Genesis) -> Iterator[str]:
    listed = {organization.id: organization.name for organization in genesis.organizations}
    for organization in wanted.organizations:
        name = listed.pop(organization.id, None)
        if name is None:
            yield f"the organization {organization.id} is not in the genesis"
        elif name != organization.name:
            yield f"{organization.id} is called {organization.name!r} by itself and {name!r} in the genesis"
    for identifier in listed:
        yield f"the genesis has an organization {identifier} without a descriptor"


def _compare_accounts(genesis: Genesis, wanted: Genesis) -> Iterator[str]:
    listed = {account.key: account for account in genesis.accounts}
    for account in wanted.accounts:
        other = listed.pop(account.key, None)
        who = f"the account {account.name} of {account.organization}"
        if other is None:
            yield f"{who} ({account.key}) is not in the genesis"
        elif msgspec.structs.replace(other, credits=0) != account:
            yield f"{who} ({account.key}) has another organization, name or salt in the genesis"
    for account in listed.values():
        yield f"the genesis has an account of {account.organization} ({account.key}) without a descriptor"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:24]}...{text[-24:]}"


def write_new(genesis: Genesis, path: Path) -> None:
    """Write the genesis file; one that exists is never overwritten.

    Raises:
        InvalidGenesis: `genesis.exists`, `genesis.unwritable`.
    """
    try:
        with path.open("xb") as file:
            try:
                file.write(write(genesis))
                file.flush()
            except OSError:
                path.unlink()  # half a file would only be in the way of the next attempt
                raise
    except FileExistsError as error:
        raise InvalidGenesis("genesis.exists", f"{path} exists; a genesis file is never overwritten") from error
    except OSError as error:
        raise InvalidGenesis("genesis.unwritable", f"{path}: {error.strerror or error}") from error

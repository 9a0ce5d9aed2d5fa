"""A development network's directory: keys of all nodes on one machine, a genesis, a wallet, a configuration a node.

DIR/genesis.json
DIR/network.json          addresses and settings, from which every node.toml is written
DIR/node-0/ ... node-N/   a node's data directory: keys/, genesis.json, node.toml and what it stores
DIR/wallet/               encrypted account keys
DIR/logs/
"""

from __future__ import annotations

import difflib
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.cluster.ports import choose_ports
from guildmark.errors import ClusterError
from guildmark.identity import Account
from guildmark.wallet import DEVELOPMENT_COST, PASSPHRASE_FILE_NAME, Cost, Wallet
from ledger import genesis as genesis_files
from ledger.errors import InvalidGenesis
from ledger.genesis import Genesis, GenesisAccount, GenesisOrganization, GenesisValidator
from ledger.parameters import Parameters
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

VALIDATORS_MAX: Final = 64
"""Processes that one machine is asked to carry."""
NODES_MAX: Final = 128
"""The same, observers included."""
KEYS_TIMEOUT_S: Final = 60.0
CREDITS_DEFAULT: Final = 1_000_000_000_000
"""Minor units that every account gets when nothing else is said."""
DEFAULT_NAMES: Final = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo")
NEAR_NAMES_MAX: Final = 3
"""Parameters that are named where there is none of the given name."""
_TOP_LEVEL: Final = ("name", "salt", "created_at_ms", "development")


class AccountPlan(msgspec.Struct, frozen=True):
    """An account of the genesis, to be made with a new key."""

    name: str
    organization: str
    credits: int = CREDITS_DEFAULT


class Addresses(msgspec.Struct, frozen=True):
    node_id: str
    api_port: int
    p2p_port: int
    observer: bool = False
    """It came later and does not vote."""
    settings: dict[str, dict[str, Any]] = {}
    """Tables of node.toml that hold for this node alone, over those of all."""


class NetworkFile(msgspec.Struct, frozen=True):
    """network.json"""

    nodes: tuple[Addresses, ...]
    settings: dict[str, dict[str, Any]]
    """Tables of node.toml that hold for every node."""
    addresses: dict[str, dict[str, str]] = {}
    """Index of a node -> where it finds other nodes, by their ids, when not at their own addresses."""


class Member(msgspec.Struct, frozen=True):
    """The public part of a node's keys, as `node keys create` prints it."""

    node_id: str
    signing_key: str
    tls_certificate: str


def default_organizations(count: int) -> list[tuple[str, str]]:
    """(id, name) of `count` organizations."""
    named = [(name.lower(), name) for name in DEFAULT_NAMES[:count]]
    return named + [(f"member-{index}", f"Member {index}") for index in range(len(named) + 1, count + 1)]


def create_network(
    directory: Path,
    *,
    validators: int = 4,
    organizations: Sequence[tuple[str, str]] | None = None,
    accounts: Sequence[AccountPlan] | None = None,
    genesis: Mapping[str, Any] | None = None,
    node: Mapping[str, Mapping[str, Any]] | None = None,
    passphrase: str | None = None,
) -> dict[str, Account]:
    """Write a development network into the empty or new `directory`; returns its accounts by name.

    Validator i belongs to organization i modulo their number. Without `accounts` every organization has one, named like
    it. `genesis` overrides parameters by name, and `name`, `salt`, `created_at_ms`, `development`; `node` overrides
    tables of node.toml. Without `passphrase` one is made up and left beside the wallet, readable by its owner.

    Raises:
        ClusterError: `network.exists`, `network.validators`, `network.keys`, `network.genesis`.
    """
    if not 1 <= validators <= VALIDATORS_MAX:
        raise ClusterError("network.validators", f"1 to {VALIDATORS_MAX} validators, not {validators}")
    if directory.exists() and any(directory.iterdir()):
        there = (directory / "network.json").is_file()
        known = "; a network is there: open it with LocalCluster(directory), `guildmark cluster up` starts it"
        raise ClusterError("network.exists", f"{directory} is not empty{known if there else ''}")
    made_here = not directory.exists()
    members = organizations or default_organizations(validators)
    plans = [AccountPlan(identifier, identifier) for identifier, _ in members] if accounts is None else accounts
    try:
        return _write_network(directory, validators, members, plans, genesis or {}, node or {}, passphrase)
    except BaseException:
        # Half a network would be in the way of the next attempt. Everything below is ours: it was empty.
        for path in [directory] if made_here else list(directory.iterdir()):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        raise


def _write_network(
    directory: Path,
    validators: int,
    members: Sequence[tuple[str, str]],
    plans: Sequence[AccountPlan],
    genesis: Mapping[str, Any],
    node: Mapping[str, Mapping[str, Any]],
    passphrase: str | None,
) -> dict[str, Account]:
    directories = [directory / f"node-{index}" for index in range(validators)]
    described = _create_node_keys(directories)
    ports = choose_ports(2 * validators)
    keys = [SigningKey.generate() for _ in plans]
    salts = [secrets.token_bytes(16) for _ in plans]
    made = _genesis(
        [GenesisOrganization(identifier, name) for identifier, name in members],
        [
            GenesisAccount(plan.organization, key_to_text(key.public_key), salt.hex(), plan.credits, plan.name)
            for plan, key, salt in zip(plans, keys, salts, strict=True)
        ],
        [
            GenesisValidator(
                organization=members[index % len(members)][0],
                node_id=member.node_id,
                signing_key=member.signing_key,
                tls_certificate=member.tls_certificate,
                address=f"127.0.0.1:{ports[2 * index + 1]}",
            )
            for index, member in enumerate(described)
        ],
        genesis,
    )
    encoded = genesis_files.write(made)
    for path in (directory, *directories):
        (path / "genesis.json").write_bytes(encoded)
    file = NetworkFile(
        nodes=tuple(
            Addresses(member.node_id, ports[2 * index], ports[2 * index + 1]) for index, member in enumerate(described)
        ),
        settings={name: dict(table) for name, table in node.items()},
    )
    write_network_file(directory, file)
    network = genesis_files.network_id(made)
    found = {
        plan.name: Account.first_of(network, plan.organization, key, salt, plan.name)
        for plan, key, salt in zip(plans, keys, salts, strict=True)
    }
    _fill_wallet(directory / "wallet", network, list(found.values()), passphrase)
    return found


def read_network_file(directory: Path) -> NetworkFile:
    """Read network.json. Raises ClusterError `network.missing` or `network.malformed`."""
    path = directory / "network.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=NetworkFile)
    except FileNotFoundError as error:
        raise ClusterError(
            "network.missing", f"there is no network in {directory}; `guildmark network init {directory}` makes one"
        ) from error
    except (OSError, msgspec.MsgspecError) as error:
        raise ClusterError("network.malformed", f"{path}: {error}") from error


def write_network_file(directory: Path, file: NetworkFile) -> None:
    """Write network.json and, from it, every node's node.toml."""
    data = msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"
    (directory / "network.json").write_bytes(data)
    addresses = {entry.node_id: f"127.0.0.1:{entry.p2p_port}" for entry in file.nodes}
    for index, entry in enumerate(file.nodes):
        tables: dict[str, dict[str, Any]] = {name: dict(table) for name, table in file.settings.items()}
        for name, table in entry.settings.items():
            tables[name] = {**tables.get(name, {}), **table}
        tables["api"] = {"listen": f"127.0.0.1:{entry.api_port}", **tables.get("api", {})}
        tables["p2p"] = {
            "listen": f"127.0.0.1:{entry.p2p_port}",
            "addresses": {
                key: value
                for key, value in {**addresses, **file.addresses.get(str(index), {})}.items()
                if key != entry.node_id
            },
            **tables.get("p2p", {}),
        }
        (directory / f"node-{index}" / "node.toml").write_text(_toml(tables), encoding="utf-8")


def move_to_free_ports(directory: Path) -> NetworkFile:
    """Give every node new ports; peers learn them from node.toml, which wins over the genesis."""
    file = read_network_file(directory)
    ports = choose_ports(2 * len(file.nodes))
    nodes = tuple(
        msgspec.structs.replace(entry, api_port=ports[2 * index], p2p_port=ports[2 * index + 1])
        for index, entry in enumerate(file.nodes)
    )
    moved = msgspec.structs.replace(file, nodes=nodes)
    write_network_file(directory, moved)
    return moved


def prepare_observer(
    directory: Path, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Path, Addresses]:
    """Make the keys and choose the ports of a further node, which network.json does not know yet; `settings` are tables
    of its own node.toml. Returns its data directory and its entry.

    Raises:
        ClusterError: `network.*`, `cluster.no_ports`.
    """
    file = read_network_file(directory)
    if len(file.nodes) >= NODES_MAX:
        raise ClusterError("network.full", f"at most {NODES_MAX} nodes on one machine")
    place = directory / f"node-{len(file.nodes)}"
    if place.exists():
        raise ClusterError("network.exists", f"{place} is there already, and network.json does not name it: remove it")
    try:
        (member,) = _create_node_keys([place])
        (place / "genesis.json").write_bytes((directory / "genesis.json").read_bytes())
        api_port, p2p_port = choose_ports(2)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    own = {name: dict(table) for name, table in (settings or {}).items()}
    return place, Addresses(member.node_id, api_port, p2p_port, observer=True, settings=own)


def enter_observer(directory: Path, entry: Addresses) -> None:
    """Let network.json name a node that `prepare_observer` made; its node.toml is written."""
    file = read_network_file(directory)
    write_network_file(directory, msgspec.structs.replace(file, nodes=(*file.nodes, entry)))


def _create_node_keys(directories: Sequence[Path]) -> list[Member]:
    for path in directories:
        path.mkdir(parents=True)
    run = subprocess.run(
        node_command("keys", "create", *[str(path.resolve()) for path in directories]),
        cwd=directories[0],
        env=node_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=KEYS_TIMEOUT_S,
        check=False,
    )
    if run.returncode != 0:
        raise ClusterError("network.keys", f"creating the nodes' keys failed: {run.stderr.strip()[-2000:]}")
    return [msgspec.json.decode(line, type=Member) for line in run.stdout.splitlines()]


def _genesis(
    organizations: Sequence[GenesisOrganization],
    accounts: Sequence[GenesisAccount],
    validators: Sequence[GenesisValidator],
    overrides: Mapping[str, Any],
) -> Genesis:
    parameters = {name: value for name, value in overrides.items() if name not in _TOP_LEVEL}
    _require_known(parameters)
    fields: dict[str, Any] = {
        "version": 1,
        "name": "development",
        "salt": secrets.token_bytes(32).hex(),
        "created_at_ms": time.time_ns() // 1_000_000,
        "development": True,
        "parameters": parameters,
        "organizations": msgspec.to_builtins(organizations),
        "accounts": msgspec.to_builtins(accounts),
        "validators": msgspec.to_builtins(validators),
    }
    fields |= {name: overrides[name] for name in _TOP_LEVEL if name in overrides}
    try:
        return genesis_files.parse(msgspec.json.encode(fields))
    except InvalidGenesis as error:
        raise ClusterError("network.genesis", error.message) from error


def _require_known(parameters: Iterable[str]) -> None:
    """Check the names of parameters. Raises ClusterError `network.genesis` with those that may be meant."""
    known = Parameters.__struct_fields__
    for name in parameters:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, n=NEAR_NAMES_MAX, cutoff=0.0))
            raise ClusterError("network.genesis", f"{name!r} is no parameter of the chain; the nearest are {near}")


def _fill_wallet(directory: Path, network: bytes, accounts: Sequence[Account], passphrase: str | None) -> None:
    wallet = Wallet(directory)
    cost = Cost()
    if passphrase is None:
        passphrase, cost = secrets.token_urlsafe(18), DEVELOPMENT_COST
        directory.mkdir(mode=0o700, parents=True)
        path = directory / PASSPHRASE_FILE_NAME
        path.touch(mode=0o600)
        path.write_text(passphrase + "\n", encoding="utf-8")
    for account in accounts:
        wallet.create(account.name, passphrase, key=account.key, account=account.text, network_id=network, cost=cost)


def _toml(tables: Mapping[str, Mapping[str, Any]]) -> str:
    """Write tables of scalars and of texts by key; JSON's spelling of these is TOML's too."""
    lines = ["# Written by guildmark; change network.json, or lose changes at the next start."]
    for name, table in sorted(tables.items()):
        lines.append(f"\n[{name}]")
        nested = {key: value for key, value in table.items() if isinstance(value, Mapping)}
        lines += [f"{key} = {_scalar(value)}" for key, value in table.items() if key not in nested]
        for key, value in nested.items():
            lines.append(f"\n[{name}.{key}]")
            lines += [f"{_scalar(str(inner))} = {_scalar(item)}" for inner, item in value.items()]
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    return msgspec.json.encode(value).decode("utf-8")

"""A new node for a network that runs elsewhere: its directory, its registration, and its way to the head."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from guildmark.cluster import probe
from guildmark.cluster.interpreter import run_node
from guildmark.cluster.ports import choose_ports
from guildmark.errors import ClusterError, InvalidArgument
from ledger import genesis as genesis_files

if TYPE_CHECKING:
    from guildmark.cluster.process import NodeProcess
    from guildmark.identity import Account
    from guildmark.sync import Client

POLL_S: Final = 0.1
SEEDS_MAX: Final = 64
"""What a node takes (`node/seeds.py`)."""
_WILDCARDS: Final = ("0.0.0.0", "[::]", "::")
OnProgress = Callable[[int, int], None]
"""(height here, certified height there)"""


class Joined(dict[str, Any]):
    """What became of joining, for people and programs: node id, organization, directory, addresses."""


def join(
    directory: Path,
    *,
    source: str,
    network_id: bytes,
    account: Account,
    listen: str = "",
    address: str = "",
    api_listen: str = "",
) -> Joined:
    """Make a node in `directory` and register it as an observer of the account's organization.

    The genesis comes from the node at the URL `source` and must be the one whose hash is `network_id`, so any node will
    do. What is in the directory already stays: joining that was interrupted is taken up where it ended.

    Args:
        listen: host:port of this machine where other nodes connect; by default a free port of loopback.
        address: how they reach it; by default `listen`, and nothing where that is no address to dial.
        api_listen: host:port of the HTTP interface; by default a free port of loopback.

    Raises:
        VerificationFailed: the genesis is another. ClusterError: `node.keys`, `node.directory`. Refused: `observers.*`.
    """
    from guildmark.sync import Client

    dialed = address or ("" if not listen or listen.rpartition(":")[0] in _WILDCARDS else listen)
    with Client([source], account, network_id=network_id) as client:
        genesis = genesis_files.write(client.genesis())
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _put(directory / "genesis.json", genesis)
        if not (directory / "keys").exists():
            run_node("keys", "create", str(directory.resolve()))
        _write_settings(directory / "node.toml", listen, api_listen)
        registered = client.observers.register(directory, dialed)
        write_seeds(client, directory)
    return Joined(registered, directory=str(directory))


def write_seeds(client: Client, directory: Path) -> None:
    """Leave word for a new node of who is there: validators, and observers that can be dialed, chosen by chance. The
    genesis knows the first validators only, and none of them need have room."""
    validators = [{**entry, "role": "validator"} for entry in client.governance.validators()]
    observers = [{**entry, "role": "observer"} for entry in client.observers.all() if entry["address"]]
    chance = random.SystemRandom()
    chosen = chance.sample(validators, min(SEEDS_MAX // 2, len(validators)))
    chosen += chance.sample(observers, min(SEEDS_MAX - len(chosen), len(observers)))
    seeds = [{name: seed[name] for name in ("node_id", "tls_certificate", "address", "role")} for seed in chosen]
    (directory / "seeds.json").write_bytes(msgspec.json.format(msgspec.json.encode(seeds)) + b"\n")


def follow(process: NodeProcess, sources: list[str], timeout_s: float, on_progress: OnProgress | None = None) -> int:
    """Wait until a node that listens follows the chain up to where the nodes at `sources` were when it began; returns
    the height.

    Raises:
        ClusterError: `cluster.exited`, `cluster.timeout` with what it says.
    """
    deadline = time.monotonic() + timeout_s
    goal = 0
    while True:
        if process.running() is None:
            raise ClusterError("cluster.exited", f"{process.name} has ended\n{process.tail()}")
        if not goal:
            said = [probe.get_json(source, "/v1/status") for source in sources]
            goal = max((status["certified_height"] for status in said if status), default=0)
        own = probe.get_json(process.api, "/v1/status")
        if own is not None:
            height = int(own["certified_height"])
            if on_progress is not None:
                on_progress(height, max(goal, height))
            if own["ready"] and height >= goal:
                return height
        if time.monotonic() > deadline:
            why = "; ".join(own["why"]) if own else "no answer"
            raise ClusterError("cluster.timeout", f"{process.name} is not at the head after {timeout_s:.0f} s: {why}")
        time.sleep(POLL_S)


def _put(path: Path, data: bytes) -> None:
    """Write a file, or find it with the same bytes."""
    if path.exists():
        if path.read_bytes() != data:
            raise ClusterError("node.directory", f"{path} is of another network: choose another directory")
        return
    path.write_bytes(data)


def _write_settings(path: Path, listen: str, api_listen: str) -> None:
    if path.exists():
        if listen or api_listen:
            raise InvalidArgument("node.directory", f"{path} exists already: say there where the node listens")
        return
    p2p, api = (f"127.0.0.1:{port}" for port in choose_ports(2))
    path.write_text(
        f'# Every setting with its default: configs/node.toml.\n[api]\nlisten = "{api_listen or api}"\n\n'
        f'[p2p]\nlisten = "{listen or p2p}"\n',
        encoding="utf-8",
    )

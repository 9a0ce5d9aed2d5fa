"""A node's own settings: `node.toml` read once into frozen values, every one with its range.

What all validators must share is in the genesis file; nothing here can fork a chain. Unknown keys are refused, so a
misspelled setting is never silently a default.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

import msgspec

from ledger.pruning import BLOCKS_MIN, HISTORY_BLOCKS_DEFAULT
from ledger.pruning import Retention as LedgerRetention
from ledger.state.records import CACHE_BYTES_MAX
from node.failures import ConfigurationError

CONFIGURATION_BYTES_MAX: Final = 1024 * 1024
_ADDRESS: Final = re.compile(r"\A(?P<host>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})\Z")


def _range(low: int, high: int) -> msgspec.Meta:
    return msgspec.Meta(ge=low, le=high)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of `node.toml`."""


class Api(Section, frozen=True):
    """[api]: the HTTP interface."""

    listen: str = "127.0.0.1:0"
    """host:port; port 0 takes a free one. Anything but loopback needs TLS or `allow_plain_http`."""
    tls_certificate: str = ""
    """PEM file with the certificate chain, relative to the data directory; empty serves plain HTTP."""
    tls_key: str = ""
    """PEM file with its key, readable by the owner only."""
    allow_plain_http: bool = False
    """Serve plain HTTP beyond loopback: for a proxy or a private network that encrypts by itself."""
    connections_max: Annotated[int, _range(8, 65_536)] = 1_024
    """Open connections; the next one is closed at once."""
    head_deadline_ms: Annotated[int, _range(100, 300_000)] = 15_000
    """From connecting, or from the end of the previous response, until a request's head is complete."""
    body_deadline_ms: Annotated[int, _range(100, 300_000)] = 20_000
    """From the end of the head until the body is complete."""
    write_deadline_ms: Annotated[int, _range(100, 300_000)] = 25_000
    """How long a client may leave the response's bytes unread."""
    requests_in_progress_max: Annotated[int, _range(8, 65_536)] = 1_024
    """Further requests are answered with 503."""
    requests_per_second_per_client: Annotated[int, _range(1, 1_000_000)] = 1_000
    """For each address that is not loopback; beyond it, and a burst of twice as many, 429."""
    waiters_max: Annotated[int, _range(8, 1_000_000)] = 10_000
    """Long polls and event streams waiting at once; beyond it 429."""


class P2p(Section, frozen=True):
    """[p2p]: links to the other nodes."""

    listen: str = ""
    """host:port; empty takes the address that the genesis file gives for this node."""
    addresses: dict[str, str] = {}
    """Node id -> host:port, where that differs from the genesis file."""
    neighbors: Annotated[int, _range(1, 64)] = 3
    """Nodes that this one dials while it is no validator; validators dial one another."""
    observer_links_max: Annotated[int, _range(0, 4_096)] = 16
    """Links with observers, whoever dialed; a further one is told to go elsewhere. Validators' links do not count."""


class Gossip(Section, frozen=True):
    """[gossip]: how blocks reach nodes that do not vote."""

    active_view: Annotated[int, _range(2, 32)] = 5
    """Neighbors at most: no validator sends a block to more observers, however many there are."""
    passive_view: Annotated[int, _range(4, 256)] = 30
    """Nodes remembered to replace neighbors with."""
    messages_per_second: Annotated[int, _range(10, 1_000_000)] = 1_000
    """What one peer may send; what it costs beside counts too: a bad payload 200, a repeated one 4. The rest is
    dropped."""
    bytes_per_second: Annotated[int, _range(65_536, 1_073_741_824)] = 8_388_608
    """Likewise."""


class Consensus(Section, frozen=True):
    """[consensus]: timing. Differences between nodes cost speed, never safety."""

    suspicion_timeout_ms: Annotated[int, _range(50, 60_000)] = 1_000
    """T: how long pending work may make no progress before the primary is suspected."""
    suspicion_timeout_cap_ms: Annotated[int, _range(100, 300_000)] = 8_000
    """The longest that T grows to over failed views."""
    turn_ms: Annotated[int, _range(200, 600_000)] = 5_000
    """R: how long a primary leads while there is work."""
    pipeline_depth: Annotated[int, _range(1, 64)] = 4
    """Sequences that a primary keeps in flight."""
    clock_tolerance_ms: Annotated[int, _range(100, 60_000)] = 2_000
    """How far a proposal's time may be from this node's clock."""
    status_period_ms: Annotated[int, _range(50, 60_000)] = 1_000
    heartbeat_ms: Annotated[int, _range(0, 3_600_000)] = 0
    """An empty block after so long without work; 0 for none."""


class Batching(Section, frozen=True):
    """[batching]: from pool to batches."""

    batch_transactions_max: Annotated[int, _range(1, 10_000)] = 1_000
    batch_bytes_max: Annotated[int, _range(65_536, 1_048_576)] = 524_288
    pool_transactions_max: Annotated[int, _range(100, 1_000_000)] = 12_000
    """Beyond it submissions are refused with 429. More of them wait longer, and commit no faster."""
    pool_bytes_max: Annotated[int, _range(1_048_576, 4_294_967_296)] = 67_108_864
    organization_transactions_per_second: Annotated[int, _range(1, 1_000_000)] = 2_000
    """What this node takes from all accounts of one organization together, with a burst of twice that; then 429. There
    are no fees: this keeps one member from taking the room of the others."""


class Executor(Section, frozen=True):
    """[executor]: who executes blocks."""

    mode: Literal["thread", "process"] = "thread"
    """Who owns the ledger: a thread of the node, or a process of its own where there are two cores for it."""


class Retention(Section, frozen=True):
    """[retention]: how far back this node can answer. Nothing that the validators agree on depends on it."""

    mode: Literal["archive", "pruned"] = "archive"
    """archive keeps all blocks; pruned keeps the last `blocks`, and of older ones what leads a verifier from the
    genesis block through every change of the validators."""
    blocks: Annotated[int, _range(BLOCKS_MIN, 2**40)] = 100_000
    """With mode pruned: blocks, receipts and places of transactions that stay, the youngest."""
    history_blocks: Annotated[int, _range(0, 2**40)] = HISTORY_BLOCKS_DEFAULT
    """Heights below the head at which records can be read and proven, in either mode; at least 16, and 0 for all."""
    record_cache_bytes: Annotated[int, _range(1_048_576, 2**36)] = CACHE_BYTES_MAX
    """Memory for records of the state that were read or written lately."""


class Sync(Section, frozen=True):
    """[sync]: catching up with the others."""

    signatures: Literal["verify", "certified"] = "verify"
    """Of transactions in certified blocks: "verify" each, or take the quorum's word that "certified" the block. The
    latter is faster; a quorum that lies could then spend what is not its own without this node noticing."""


class Artifacts(Section, frozen=True):
    """[artifacts]: the chunk store and its replication."""

    capacity_bytes: Annotated[int, _range(1_048_576, 2**50)] = 2**40
    fetches_in_flight_max: Annotated[int, _range(1, 256)] = 16
    """Blocks asked of peers at once."""
    takedown_delay_s: Annotated[int, _range(0, 31_536_000)] = 604_800
    """How long the blocks of an artifact that was taken down stay on disk, given to nobody, in case it is restored."""


class Storage(Section, frozen=True):
    """[storage]: the disk under the ledger and the vote log."""

    reserve_bytes: Annotated[int, _range(0, 2**50)] = 268_435_456
    """While less is free the node takes no transactions, with 503, and says that it is not ready. It goes on voting;
    when a write fails for want of space it stops that too, and begins anew by itself when there is room again."""
    scrub_period_s: Annotated[int, _range(0, 31_536_000)] = 604_800
    """In this time the background scrub reads once through everything that the ledger and the chunk store keep; 0 for
    never. What it finds damaged is put back from peers."""
    on_damage: Literal["stop", "resync"] = "stop"
    """When the ledger is damaged beyond repair in place: end with exit code 7 and the command that helps, or move the
    ledger aside (to chain.damaged) and fetch it from the peers, by itself, twice in the life of a process at most."""


class Snapshots(Section, frozen=True):
    """[snapshots]: the state in pieces, for nodes that join."""

    every_blocks: Annotated[int, _range(0, 2**31)] = 0
    """A snapshot is taken, beside the work, when the height passes a multiple of it; 0 takes them on command only. The
    same number on all nodes makes them offer the same snapshots, which are then fetched from several at once."""
    keep: Annotated[int, _range(1, 16)] = 2
    """Snapshots kept, the newest; each takes about as much room as the state's records."""
    restore: Literal["auto", "never"] = "auto"
    """Whether this node fetches a snapshot when its chain is empty, or far behind, and peers offer one."""
    restore_blocks_behind: Annotated[int, _range(1, 2**31)] = 1_000
    """How many blocks a snapshot must be ahead of this node to be fetched in their place."""


class Log(Section, frozen=True):
    """[log]: standard error."""

    format: Literal["auto", "json", "console"] = "auto"
    """auto: console on a terminal, else JSON."""
    level: Literal["debug", "info", "warning", "error"] = "info"


class Measurement(Section, frozen=True):
    """[measurement]: structured events for the benchmark laboratory."""

    file: str = ""
    """Where they are appended, relative to the data directory; empty measures nothing and costs nothing."""


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of `node.toml`."""

    api: Api = Api()
    p2p: P2p = P2p()
    gossip: Gossip = Gossip()
    consensus: Consensus = Consensus()
    batching: Batching = Batching()
    executor: Executor = Executor()
    retention: Retention = Retention()
    sync: Sync = Sync()
    artifacts: Artifacts = Artifacts()
    storage: Storage = Storage()
    snapshots: Snapshots = Snapshots()
    log: Log = Log()
    measurement: Measurement = Measurement()


def load(path: Path) -> Configuration:
    """Read `node.toml`; a missing file means every default.

    Raises:
        ConfigurationError: naming file, key and allowed range.
    """
    try:
        with path.open("rb") as file:
            data = file.read(CONFIGURATION_BYTES_MAX + 1)
    except FileNotFoundError:
        return Configuration()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    if len(data) > CONFIGURATION_BYTES_MAX:
        raise ConfigurationError(f"{path}: longer than {CONFIGURATION_BYTES_MAX} bytes")
    return parse(data, path)


def parse(data: bytes, path: Path) -> Configuration:
    """Read the TOML in `data`; `path` is for messages. Raises ConfigurationError as `load`."""
    try:
        tables = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from error
    try:
        configuration = msgspec.convert(tables, Configuration)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{path}: {_explain(str(error))}") from error
    _check(configuration, path)
    return configuration


def ledger_retention(configuration: Configuration) -> LedgerRetention:
    """Return what [retention] says, for the ledger."""
    wanted = configuration.retention
    return LedgerRetention(
        wanted.history_blocks, wanted.blocks if wanted.mode == "pruned" else 0, wanted.record_cache_bytes
    )


def split_address(text: str) -> tuple[str, int]:
    """Split "host:port" (or "[v6]:port").

    Raises:
        ValueError: another form, or a port above 65535.
    """
    match = _ADDRESS.match(text)
    if match is None or int(match["port"]) > 65_535:
        raise ValueError(f"{text!r} is not host:port with a port of 0 to 65535")
    return match["host"].strip("[]"), int(match["port"])


def is_loopback(host: str) -> bool:
    """Tell whether `host` can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check(configuration: Configuration, path: Path) -> None:
    """Check what single ranges cannot."""
    api, p2p, consensus = configuration.api, configuration.p2p, configuration.consensus
    addresses = [("api.listen", api.listen)]
    addresses += [("p2p.listen", p2p.listen)] if p2p.listen else []
    addresses += [(f"p2p.addresses.{node}", address) for node, address in p2p.addresses.items()]
    for key, address in addresses:
        try:
            split_address(address)
        except ValueError as error:
            raise ConfigurationError(f"{path}: {key}: {error}") from error
    if bool(api.tls_certificate) != bool(api.tls_key):
        raise ConfigurationError(f"{path}: api.tls_certificate and api.tls_key: set both, or neither")
    host, _ = split_address(api.listen)
    if not is_loopback(host) and not api.tls_certificate and not api.allow_plain_http:
        raise ConfigurationError(
            f"{path}: api.listen: {host} can be reached from other machines: set api.tls_certificate and api.tls_key, "
            "or api.allow_plain_http = true where something else encrypts"
        )
    if consensus.suspicion_timeout_cap_ms < consensus.suspicion_timeout_ms:
        raise ConfigurationError(
            f"{path}: consensus.suspicion_timeout_cap_ms: at least consensus.suspicion_timeout_ms "
            f"({consensus.suspicion_timeout_ms}), not {consensus.suspicion_timeout_cap_ms}"
        )


_AT: Final = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?\Z", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<key>[^`]*)`")


def _explain(message: str) -> str:
    """Turn msgspec's words into ours: the key first, then what is wrong, then what is allowed."""
    match = _AT.match(message)
    assert match is not None
    where = match["path"] or ""
    unknown = _UNKNOWN.match(match["what"])
    if unknown is not None:
        key = f"{where}.{unknown['key']}" if where else unknown["key"]
        known = [field.name for field in msgspec.structs.fields(_type_at(where))]
        return f"{key}: unknown key; there are: {', '.join(known)}"
    return f"{where}: {match['what']}; allowed: {allowed(where)}"


def _type_at(where: str) -> Any:
    found: Any = Configuration
    for name in filter(None, where.split(".")):
        found = get_type_hints(found).get(name, Configuration)
    return found


def allowed(where: str) -> str:
    """Say what the key `where` ("api.connections_max") takes."""
    section, _, name = where.partition(".")
    holder = _type_at(section)
    hints = get_type_hints(holder, include_extras=True)
    hint = hints.get(name.partition("[")[0])
    if hint is None:
        return "a table of keys" if not name else "see the documented example"
    if get_origin(hint) is Annotated:
        meta = next(item for item in get_args(hint)[1:] if isinstance(item, msgspec.Meta))
        return f"a whole number from {meta.ge} to {meta.le}"
    if get_origin(hint) is Literal:
        return " or ".join(f'"{value}"' for value in get_args(hint))
    if get_origin(hint) is dict:
        return 'a table of "host:port" by node id'
    return {bool: "true or false", str: "a text"}.get(hint, "see the documented example")

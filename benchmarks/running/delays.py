"""Distance between validators on one machine: every link runs through a relay that keeps what it reads for a while.

A relay sits before each validator for each of its peers; both directions of a connection are delayed by their own
share. Bytes stay in order, as TCP delivers them, and are neither lost nor limited in rate: only latency is added. The
relays run in one process of their own, whose cost is told apart.

Delays come from the measured regions of the simulator (`wan`), or from a JSON file with round trips of every pair in
milliseconds, `{"round_trip_ms": [[0, 80, ...], ...]}`, row from, column to.
"""

from __future__ import annotations

import asyncio
import functools
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.errors import BenchError
from guildmark.cluster import network
from guildmark.cluster.interpreter import ROOT, node_environment
from guildmark.cluster.local import LocalCluster
from guildmark.cluster.ports import choose_ports
from node.parents import end_with_parent
from simulation.latency import wide_area

BUFFER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Under way in one direction of a connection; with more the relay stops reading."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    round_trip_ms: list[list[float]]


class Relay(msgspec.Struct, frozen=True):
    """Listens on `port` for a peer, and passes on to a validator's own port."""

    port: int
    target_port: int
    there_ms: float
    """From who connects to the validator."""
    back_ms: float


def one_way_ms(latency: str, validators: int) -> list[list[float]]:
    """Return the delays from each validator to each other.

    Raises:
        BenchError: `latency.unknown`, `latency.malformed`.
    """
    if latency == "wan":
        matrix = wide_area(validators)
        return [[float(matrix.delay(a, b).least_ms) for b in range(validators)] for a in range(validators)]
    path = Path(latency)
    if not path.is_file():
        raise BenchError("latency.unknown", f"{latency!r} is neither 'wan' nor a file")
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File).round_trip_ms
    except msgspec.MsgspecError as error:
        raise BenchError("latency.malformed", f"{path}: {error}") from error
    if len(found) < validators or any(len(row) < validators for row in found[:validators]):
        raise BenchError("latency.malformed", f"{path}: round_trip_ms has not {validators} rows and columns")
    if any(not 0 <= value <= 60_000 for row in found for value in row):
        raise BenchError("latency.malformed", f"{path}: a round trip takes from 0 to 60,000 ms")
    return [[value / 2 for value in row[:validators]] for row in found[:validators]]


class Relays:
    """The process of the relays, as its starter sees it."""

    def __init__(self, cluster: LocalCluster, delays_ms: list[list[float]], directory: Path) -> None:
        """Start it, and have the stopped network's nodes find each other through it.

        Raises:
            BenchError: `latency.relays`, it does not start.
        """
        file = network.read_network_file(cluster.directory)
        count = len(file.nodes)
        ports = iter(choose_ports(count * (count - 1)))
        relays, addresses = [], {}
        for source in range(count):
            found = {}
            for target in range(count):
                if target != source:
                    port = next(ports)
                    found[file.nodes[target].node_id] = f"127.0.0.1:{port}"
                    target_port = file.nodes[target].p2p_port
                    relays.append(Relay(port, target_port, delays_ms[source][target], delays_ms[target][source]))
            addresses[str(source)] = found
        network.write_network_file(cluster.directory, msgspec.structs.replace(file, addresses=addresses))
        path = directory / "relays.json"
        path.write_bytes(msgspec.json.encode(relays))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "benchmarks.running.delays", str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=directory,
            env={**node_environment(), "PYTHONPATH": str(ROOT)},
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"relaying\n":
            self.stop()
            raise BenchError("latency.relays", "the relays between the validators did not start")

    @property
    def process_id(self) -> int:
        return self._process.pid

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class _Direction:
    """Bytes from one socket to another, later."""

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._source: asyncio.Transport | None = None
        self._target: asyncio.Transport | None = None
        self._ended = False

    def connect(self, source: asyncio.Transport, target: asyncio.Transport) -> None:
        self._source, self._target = source, target
        self._arm()

    def take(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time() + self._delay_s, data))
        self._bytes += len(data)
        if self._source is not None and self._bytes > BUFFER_BYTES_MAX:
            self._source.pause_reading()
        self._arm()

    def end(self) -> None:
        """The source has closed: what is under way still arrives."""
        self._ended = True
        self._arm()

    def _arm(self) -> None:
        if self._target is None or self._timer is not None:
            return
        if self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._waiting[0][0], self._deliver)
        elif self._ended and not self._target.is_closing():
            self._target.close()

    def _deliver(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        assert self._target is not None
        ready = []
        while self._waiting and self._waiting[0][0] <= now_s:
            ready.append(self._waiting.popleft()[1])
        self._bytes -= sum(map(len, ready))
        if not self._target.is_closing():
            self._target.writelines(ready)
        if self._source is not None and self._bytes <= BUFFER_BYTES_MAX and not self._source.is_closing():
            self._source.resume_reading()
        self._arm()


class _End(asyncio.Protocol):
    """One socket of a relayed connection."""

    def __init__(self, outgoing: _Direction) -> None:
        self._outgoing = outgoing
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # a stream's

    def data_received(self, data: bytes) -> None:
        self._outgoing.take(data)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._outgoing.end()


class _Accepted(_End):
    """The socket of who connected; opens the other one."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        super().__init__(_Direction(relay.there_ms / 1000))
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        back = _Direction(self._relay.back_ms / 1000)
        assert self.transport is not None
        try:
            loop = asyncio.get_running_loop()
            # The handshake of TCP takes its way too.
            await asyncio.sleep((self._relay.there_ms + self._relay.back_ms) / 1000)
            other, _ = await loop.create_connection(lambda: _End(back), "127.0.0.1", self._relay.target_port)
        except OSError:
            self.transport.abort()
            return
        back.connect(other, self.transport)
        self._outgoing.connect(self.transport, other)


async def serve(relays: list[Relay]) -> None:
    """Relay until cancelled."""
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(functools.partial(_Accepted, relay), "127.0.0.1", relay.port) for relay in relays
    ]
    try:
        sys.stdout.write("relaying\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    finally:
        for server in servers:
            server.close()


def main(path: Path) -> None:
    """Run the relays of a file."""
    import uvloop

    end_with_parent()
    relays = msgspec.json.decode(path.read_bytes(), type=list[Relay])
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(relays))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

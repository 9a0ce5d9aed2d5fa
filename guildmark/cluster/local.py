"""A network of processes on this machine, to start, disturb, heal and stop."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from guildmark.cluster import network, probe
from guildmark.cluster.joining import write_seeds
from guildmark.cluster.logs import merged_lines, write_merged
from guildmark.cluster.membership import LocalNetwork
from guildmark.cluster.network import AccountPlan
from guildmark.cluster.ports import all_free
from guildmark.cluster.process import NodeProcess
from guildmark.errors import ClusterError
from guildmark.identity import Account

if TYPE_CHECKING:
    pass

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
"""For all nodes together; who still runs then is killed."""
STARTS_MAX: Final = 3
"""Attempts of a start whose ports were taken by somebody else meanwhile."""
POLL_S: Final = 0.03


class LocalCluster(LocalNetwork):
    """The network in one directory and its processes. Nodes are numbered as the validator set is.

    Its methods are synchronous and belong to one thread at a time. As a context manager it stops all nodes at the end.
    """

    def __init__(self, directory: Path | str, accounts: Mapping[str, Account] | None = None) -> None:
        """Open an existing network; `create` makes one.

        Raises:
            ClusterError: `network.missing`, `network.malformed`.
        """
        super().__init__(directory, accounts)
        count = len(network.read_network_file(self.directory).nodes)
        self.logs = self.directory / "logs"
        self.nodes = [NodeProcess(self.directory / f"node-{index}", self.logs) for index in range(count)]
        self._exit_with_parent = True

    @classmethod
    def create(
        cls,
        directory: Path | str,
        *,
        validators: int = 4,
        organizations: Sequence[tuple[str, str]] | None = None,
        accounts: Sequence[AccountPlan] | None = None,
        genesis: Mapping[str, Any] | None = None,
        node: Mapping[str, Mapping[str, Any]] | None = None,
        passphrase: str | None = None,
    ) -> Self:
        """Make a development network in an empty or new directory. Nothing is started.

        `genesis` overrides chain parameters (`{"commitment_age_ms": 4000}`) and the genesis' name, salt, created_at_ms
        and development; `node` overrides tables of node.toml (`{"consensus": {"turn_ms": 2000}}`).

        Raises:
            ClusterError: `network.*`.
        """
        made = network.create_network(
            Path(directory),
            validators=validators,
            organizations=organizations,
            accounts=accounts,
            genesis=genesis,
            node=node,
            passphrase=passphrase,
        )
        return cls(directory, made)

    # Starting and stopping

    def start(
        self, *, timeout_s: float = START_TIMEOUT_S, exit_with_parent: bool = True, wait_ready: bool = True
    ) -> None:
        """Start every node that does not run, and wait until all listen and are ready.

        With `exit_with_parent` the nodes end when this program does, however it ends.

        Raises:
            ClusterError: `cluster.exited`, `cluster.timeout`, `cluster.start`; what was started is stopped again.
        """
        self._exit_with_parent = exit_with_parent
        deadline = time.monotonic() + timeout_s
        for attempt in range(1, STARTS_MAX + 1):
            stopped = [index for index, process in enumerate(self.nodes) if process.running() is None]
            if len(stopped) == len(self.nodes) and not self._own_ports_free(stopped):
                network.move_to_free_ports(self.directory)
            try:
                self._start(stopped, deadline)
                break
            except ClusterError as error:
                self.stop()
                if error.code != "cluster.exited" or attempt == STARTS_MAX or self._own_ports_free(stopped):
                    raise
            except BaseException:
                self.stop()
                raise
        if wait_ready:
            try:
                self.wait_ready(deadline - time.monotonic())
            except BaseException:
                self.stop()
                raise

    def _start(self, indices: Sequence[int], deadline: float) -> None:
        for index in indices:
            self.nodes[index].start(exit_with_parent=self._exit_with_parent)
        for index in indices:
            self.nodes[index].wait_listening(deadline)

    def _own_ports_free(self, indices: Sequence[int]) -> bool:
        entries = network.read_network_file(self.directory).nodes
        return all_free(port for index in indices for port in (entries[index].api_port, entries[index].p2p_port))

    def add_observer(
        self,
        account: Account | str | None = None,
        *,
        node: Mapping[str, Mapping[str, Any]] | None = None,
        timeout_s: float = START_TIMEOUT_S,
        exit_with_parent: bool = True,
        wait_ready: bool = True,
    ) -> int:
        """Let an observer join the running network, and wait until it follows the chain; returns its index.

        It belongs to the organization of `account` (the first when none is given), which registers it. `node` overrides
        tables of its node.toml. From then on it is one of `nodes`: stopped, started and asked like the others.

        Raises:
            ClusterError: `network.*`, `cluster.*`. Refused: `observers.*`.
        """
        deadline = time.monotonic() + timeout_s
        place, entry = network.prepare_observer(self.directory, node)
        try:
            with self.client(account or self.accounts[0]) as client:
                client.observers.register(place, f"127.0.0.1:{entry.p2p_port}")
                write_seeds(client, place)
            network.enter_observer(self.directory, entry)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        index = len(self.nodes)
        self.nodes.append(NodeProcess(place, self.logs))
        self.nodes[index].start(exit_with_parent=exit_with_parent)
        self.nodes[index].wait_listening(deadline)
        if wait_ready:
            self.wait_ready(deadline - time.monotonic(), [index])
        return index

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S, indices: Sequence[int] | None = None) -> None:
        """Wait until nodes (all, when none are named) say that they take part.

        Raises:
            ClusterError: `cluster.timeout`, with what each says; `cluster.exited`.
        """
        deadline = time.monotonic() + timeout_s
        urls = [self.url(index) for index in range(len(self.nodes))]
        waiting = list(range(len(self.nodes)) if indices is None else indices)
        while waiting:
            for index in list(waiting):
                if self.nodes[index].running() is None:
                    raise ClusterError("cluster.exited", f"node {index} has ended\n{self.nodes[index].tail()}")
                if probe.is_ready(urls[index]):
                    waiting.remove(index)
            if waiting and time.monotonic() > deadline:
                reasons = "; ".join(f"node {index}: {probe.why_not_ready(urls[index])}" for index in waiting)
                raise ClusterError("cluster.timeout", f"not ready after {timeout_s:.0f} s: {reasons}")
            if waiting:
                time.sleep(POLL_S)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Ask every node to end, wait for all until the deadline, then kill the rest."""
        deadline = time.monotonic() + timeout_s
        for process in self.nodes:
            process.terminate()
        for process in self.nodes:
            if not process.wait_ended(deadline):
                process.kill()

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Disturbing

    def kill(self, index: int) -> None:
        """End a node by SIGKILL and wait until it is gone."""
        self.nodes[index].kill()

    def pause(self, index: int) -> None:
        """Stop a node's execution (SIGSTOP), and return when it has stopped; its peers see silence."""
        if not self.nodes[index].pause():
            raise ClusterError("cluster.not_running", f"node {index} is not running")

    def resume(self, index: int) -> None:
        """Let a paused node go on (SIGCONT)."""
        if not self.nodes[index].signal(signal.SIGCONT):
            raise ClusterError("cluster.not_running", f"node {index} is not running")

    def restart(self, index: int, *, timeout_s: float = START_TIMEOUT_S, wait_ready: bool = True) -> None:
        """End a node if it runs, and start it on the same directory and ports.

        Raises:
            ClusterError: as `start`.
        """
        deadline = time.monotonic() + timeout_s
        process = self.nodes[index]
        process.terminate()
        if not process.wait_ended(time.monotonic() + STOP_TIMEOUT_S):
            process.kill()
        process.start(exit_with_parent=self._exit_with_parent)
        process.wait_listening(deadline)
        if wait_ready:
            self.wait_ready(deadline - time.monotonic(), [index])

    def heal(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wake every paused node, start every stopped one, and wait until all are ready."""
        deadline = time.monotonic() + timeout_s
        for process in self.nodes:
            process.signal(signal.SIGCONT)
        stopped = [index for index, process in enumerate(self.nodes) if process.running() is None]
        self._start(stopped, deadline)
        self.wait_ready(deadline - time.monotonic())

    # Looking

    def running(self) -> list[int]:
        """The nodes whose process runs (paused ones too)."""
        return [index for index, process in enumerate(self.nodes) if process.running() is not None]

    def status(self, index: int) -> dict[str, Any] | None:
        """What a node says of itself at /v1/status; None when it does not answer."""
        return probe.get_json(self.url(index), "/v1/status")

    def primary(self, timeout_s: float = 10.0) -> int:
        """The node that leads the highest view that a running node states.

        Raises:
            ClusterError: `cluster.no_primary` after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        order = [entry.node_id for entry in network.read_network_file(self.directory).nodes]
        while True:
            said = [self.status(index) for index in self.running()]
            found = [status for status in said if status is not None and status["view"] is not None]
            if found:
                latest = max(found, key=lambda status: int(status["view"]))
                if latest["primary_node_id"] in order:
                    return order.index(latest["primary_node_id"])
            if time.monotonic() > deadline:
                raise ClusterError("cluster.no_primary", "no running node names a primary")
            time.sleep(POLL_S)

    def wait_same_head(self, timeout_s: float = 30.0, indices: Sequence[int] | None = None) -> dict[str, Any]:
        """Wait until nodes (all, when none are named) state one certified head; returns one of these statuses.

        Raises:
            ClusterError: `cluster.timeout`, with what each says.
        """
        deadline = time.monotonic() + timeout_s
        asked = list(range(len(self.nodes)) if indices is None else indices)
        while True:
            statuses = [self.status(index) for index in asked]
            heads = {(s["certified_height"], s["height"], s["block_hash"], s["state_root"]) for s in statuses if s}
            if all(statuses) and len(heads) == 1 and next(iter(heads))[0] == next(iter(heads))[1]:
                assert statuses[0] is not None
                return statuses[0]
            if time.monotonic() > deadline:
                raise ClusterError("cluster.timeout", f"nodes {asked} do not agree on a head: {sorted(heads)}")
            time.sleep(POLL_S)

    def merged_log(self, lines: int | None = None) -> str:
        """The nodes' logs in order of time; the last `lines` only where a number is given."""
        found = list(merged_lines(self._log_files()))
        return "\n".join(found if lines is None else found[-lines:])

    def write_merged_log(self) -> Path:
        """Write the merged log into the directory `logs` and return its path."""
        self.logs.mkdir(exist_ok=True)
        return write_merged(self._log_files(), self.logs / "merged.log")

    def _log_files(self) -> list[tuple[str, Path]]:
        return [(process.name, process.log_path) for process in self.nodes]

"""Local clusters: what is started is known, can be disturbed, and is the only thing that is ever ended."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from guildmark.cluster import interpreter, network, process
from guildmark.cluster.local import LocalCluster
from guildmark.cluster.logs import merged_lines
from guildmark.cluster.network import AccountPlan
from guildmark.cluster.ports import all_free, choose_ports
from guildmark.cluster.process import NodeProcess, ProcessRecord
from guildmark.errors import ClusterError, WalletError
from ledger.genesis import load, network_id

STAND_IN = """
import json, signal, sys, tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

directory = Path(sys.argv[sys.argv.index("--data-dir") + 1])
if (directory / "fail").exists():
    sys.exit("error: told to fail")
host, port = tomllib.loads((directory / "node.toml").read_text())["api"]["listen"].split(":")

class Door(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"ready":true}')

    def log_message(self, *_):
        pass

signal.signal(signal.SIGTERM, lambda *_: None if (directory / "stubborn").exists() else sys.exit(0))
server = HTTPServer((host, int(port)), Door)
print(json.dumps({"event": "starting"}), flush=True)
print(json.dumps({"event": "listening", "api": f"http://{host}:{port}", "node_id": "x", "more": 1}), flush=True)
print(json.dumps({"timestamp": "2026-01-01T00:00:00Z", "event": "up"}), file=sys.stderr, flush=True)
server.serve_forever()
"""
"""Stands in for a node: these tests are about processes, and those of tests/cluster about nodes."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    made = LocalCluster.create(tmp_path / "network", validators=2)
    monkeypatch.setattr(process, "node_command", lambda *arguments: [sys.executable, "-c", STAND_IN, *arguments])
    yield made
    for node in made.nodes:
        node.kill()


def test_a_network_has_keys_genesis_wallet_and_settings(tmp_path: Path) -> None:
    made = LocalCluster.create(
        tmp_path / "n",
        validators=3,
        organizations=[("acme", "Acme"), ("beta", "Beta")],
        accounts=[AccountPlan("alice", "acme", 7), AccountPlan("bob", "beta")],
        genesis={"commitment_age_ms": 4_000, "name": "trial", "fee_bps": 0},
        node={"consensus": {"turn_ms": 2_000}, "log": {"level": "debug"}},
    )
    genesis = load(tmp_path / "n" / "genesis.json")
    assert (genesis.name, genesis.parameters.commitment_age_ms, genesis.parameters.fee_bps) == ("trial", 4_000, 0)
    assert [validator.organization for validator in genesis.validators] == ["acme", "beta", "acme"]
    assert made.network_id == network_id(genesis)
    assert made.accounts == ["alice", "bob"]
    ids = [validator.node_id for validator in genesis.validators]
    for index in range(3):
        directory = tmp_path / "n" / f"node-{index}"
        settings = tomllib.loads((directory / "node.toml").read_text())
        assert settings["consensus"] == {"turn_ms": 2_000}
        assert settings["log"] == {"level": "debug"}
        assert set(settings["p2p"]["addresses"]) == set(ids) - {ids[index]}
        assert settings["p2p"]["listen"] == genesis.validators[index].address
        assert load(directory / "genesis.json") == genesis


def test_accounts_come_back_from_the_wallet_in_another_program(tmp_path: Path) -> None:
    made = LocalCluster.create(tmp_path / "n", validators=1)
    reopened = LocalCluster(tmp_path / "n")
    assert reopened.account("alder").text == made.account("alder").text
    assert stat.S_IMODE((tmp_path / "n" / "wallet" / "passphrase").stat().st_mode) == 0o600


def test_a_given_passphrase_is_not_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUILDMARK_PASSPHRASE", raising=False)
    LocalCluster.create(tmp_path / "n", validators=1, passphrase="mine alone")
    assert not any(b"mine alone" in path.read_bytes() for path in (tmp_path / "n").rglob("*") if path.is_file())
    with pytest.raises(WalletError):
        LocalCluster(tmp_path / "n").account("alder")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"validators": 0}, "network.validators"),
        ({"validators": 1_000}, "network.validators"),
        ({"genesis": {"no_such_parameter": 1}}, "network.genesis"),
        ({"genesis": {"fee_bps": 10_001}}, "network.genesis"),
        ({"genesis": {"": 1}}, "network.genesis"),
        ({"accounts": [AccountPlan("alice", "nobody")]}, "network.genesis"),
    ],
)
def test_impossible_networks_are_refused(tmp_path: Path, options: dict[str, object], code: str) -> None:
    with pytest.raises(ClusterError) as caught:
        network.create_network(tmp_path / "n", **{"validators": 1, **options})  # type: ignore[arg-type]
    assert caught.value.code == code


def test_a_parameter_that_is_none_is_named_beside_those_that_may_be_meant(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"'commitment_age' is no parameter of the chain.* commitment_age_ms"):
        network.create_network(tmp_path / "n", validators=1, genesis={"fee_bps": 1, "commitment_age": 5})


@pytest.mark.parametrize("exists", [False, True])
def test_a_network_that_cannot_be_made_leaves_nothing_behind(tmp_path: Path, exists: bool) -> None:
    place = tmp_path / "net"
    if exists:
        place.mkdir()
    with pytest.raises(ClusterError, match=r"network\.genesis"):
        LocalCluster.create(place, genesis={"no_such_parameter": 1})
    assert place.exists() == exists
    LocalCluster.create(place)


def test_a_directory_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(ClusterError) as caught:
        LocalCluster.create(tmp_path, validators=1)
    assert caught.value.code == "network.exists"
    assert os.listdir(tmp_path) == ["mine"]


def test_nodes_start_answer_and_stop(cluster: LocalCluster) -> None:
    cluster.start()
    pids = [record.pid for node in cluster.nodes if (record := node.record())]
    assert cluster.running() == [0, 1]
    assert len(set(pids)) == 2
    cluster.stop()
    assert cluster.running() == []
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_another_program_sees_and_stops_them(cluster: LocalCluster) -> None:
    cluster.start(exit_with_parent=False)
    code = "import sys\nfrom guildmark.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    run = subprocess.run(
        [sys.executable, "-c", code, "cluster", "down", str(cluster.directory), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(run.stdout) == {"stopped": [0, 1]}
    assert cluster.running() == []


def test_a_killed_node_is_gone_and_heals(cluster: LocalCluster) -> None:
    cluster.start()
    cluster.kill(1)
    assert cluster.running() == [0]
    cluster.heal()
    assert cluster.running() == [0, 1]


def test_a_restarted_node_keeps_its_address(cluster: LocalCluster) -> None:
    cluster.start()
    before, urls = cluster.nodes[0].record(), cluster.urls
    cluster.restart(0)
    after = cluster.nodes[0].record()
    assert before is not None
    assert after is not None
    assert before.pid != after.pid
    assert (after.api, cluster.urls) == (before.api, urls)


def test_a_paused_node_is_silent_until_resumed_and_can_be_stopped_paused(cluster: LocalCluster) -> None:
    cluster.start()
    cluster.pause(0)
    running = cluster.nodes[0].running()
    assert running is not None
    assert running.status() == psutil.STATUS_STOPPED
    cluster.resume(0)
    cluster.wait_ready(10.0)
    cluster.pause(1)
    cluster.stop()
    assert cluster.running() == []


def test_a_node_that_does_not_end_is_killed_at_the_deadline(cluster: LocalCluster) -> None:
    for node in cluster.nodes:
        (node.directory / "stubborn").touch()
    cluster.start()
    cluster.stop(timeout_s=0.2)
    assert cluster.running() == []


def test_a_start_that_fails_shows_why_and_leaves_nothing_running(cluster: LocalCluster) -> None:
    (cluster.nodes[1].directory / "fail").touch()
    with pytest.raises(ClusterError) as caught:
        cluster.start()
    assert caught.value.code == "cluster.exited"
    assert "told to fail" in caught.value.message
    assert cluster.running() == []


def test_ports_taken_meanwhile_are_replaced(cluster: LocalCluster) -> None:
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", int(cluster.url(0).rsplit(":", 1)[1])))
        thief.listen()
        before = cluster.urls
        cluster.start()
        assert cluster.urls[0] != before[0]
        assert cluster.running() == [0, 1]
        cluster.stop()


def test_a_reused_pid_is_never_signaled(tmp_path: Path) -> None:
    """X1: after a restart of the machine the recorded pid may be anybody's."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record = ProcessRecord(bystander.pid, psutil.Process(bystander.pid).create_time() - 100)
        (tmp_path / "process.json").write_bytes(msgspec.json.encode(record))
        node = NodeProcess(tmp_path, tmp_path)
        assert node.record() == record
        assert node.running() is None
        assert not node.kill()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"[]"])
def test_a_damaged_record_means_not_running(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "process.json").write_bytes(content)
    assert NodeProcess(tmp_path, tmp_path).running() is None


def test_logs_merge_in_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(
        '{"timestamp":"2026-01-01T00:00:01Z"}\nTraceback\n{"timestamp":"2026-01-01T00:00:04Z"}\n'
    )
    (tmp_path / "b").write_text('{"timestamp":"2026-01-01T00:00:02Z"}\n\xff not json\n')
    lines = list(merged_lines([("a", tmp_path / "a"), ("b", tmp_path / "b"), ("c", tmp_path / "missing")]))
    assert [line[:1] for line in lines] == ["a", "a", "b", "b", "a"]
    assert lines[1] == "a | Traceback"


def test_ports_are_free_distinct_and_below_those_of_outgoing_connections() -> None:
    ports = choose_ports(40)
    assert len(set(ports)) == 40
    assert all_free(ports)
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < max(low, 32_768)


def test_a_nodes_environment_has_our_path_only_and_no_passphrase() -> None:
    made = interpreter.node_environment(
        {"PYTHONPATH": "/theirs", "GUILDMARK_PASSPHRASE": "secret", "HOME": "/home/x", "PYTHONSTARTUP": "/x.py"}
    )
    assert made.pop("PYTHONPATH", str(interpreter.ROOT)) == str(interpreter.ROOT)
    assert made == {"HOME": "/home/x"}


def test_a_nodes_interpreter_ignores_folders_of_the_caller(tmp_path: Path) -> None:
    """The working directory of whoever starts a node has a `node` and a `ledger` of its own."""
    for name in ("node", "ledger"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('theirs')\n")
    command = interpreter.node_command("--help")
    run = subprocess.run(
        command, cwd=tmp_path, env=interpreter.node_environment(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert "Guildmark" in run.stdout


def test_a_node_ends_with_the_thread_that_lives_as_long_as_the_program(cluster: LocalCluster) -> None:
    """Started from a short-lived thread, a node must survive that thread."""
    starter = threading.Thread(target=cluster.start)
    starter.start()
    starter.join()
    assert cluster.running() == [0, 1]


def test_a_directory_with_a_network_says_how_to_open_it(tmp_path: Path) -> None:
    (tmp_path / "network.json").write_text("{}")
    with pytest.raises(ClusterError, match="LocalCluster"):
        network.create_network(tmp_path)

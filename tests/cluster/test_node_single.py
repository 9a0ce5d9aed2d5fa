"""One node process on its own: TLS for clients, hostile clients, refusals at the start, the parent's death."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

from guildmark.cluster.interpreter import node_command, node_environment
from guildmark.cluster.local import LocalCluster
from p2p.identity import make_identity

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("node-single")]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of a network of one validator."""
    LocalCluster.create(tmp_path / "network", validators=1)
    return tmp_path / "network" / "node-0"


def start(data: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        node_command("start", "--data-dir", str(data), "--exit-with-parent"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=node_environment(),
    )


@contextmanager
def running(data: Path) -> Iterator[dict[str, Any]]:
    """Run the node and yield its line; it must end with 0 on SIGTERM."""
    process = start(data)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
        assert process.returncode == 0, log
        assert "Traceback" not in log
    finally:
        process.kill()
        process.communicate()


def refused(data: Path) -> tuple[int, str]:
    """Start a node that must not come up; return its exit code and the line that says why."""
    process = start(data)
    try:
        output, log = process.communicate(timeout=30)
    finally:
        process.kill()
    assert output == ""
    assert "Traceback" not in log
    return process.returncode, log.splitlines()[-1]


def test_clients_are_served_over_tls_where_it_is_configured(data: Path) -> None:
    identity = make_identity()
    (data / "api.crt").write_text(ssl.DER_cert_to_PEM_cert(identity.certificate_der))
    (data / "api.key").write_bytes(identity.key_pem)
    settings = (data / "node.toml").read_text()
    (data / "node.toml").write_text(
        settings.replace("[api]", '[api]\ntls_certificate = "api.crt"\ntls_key = "api.key"')
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=identity.certificate_der)
    with running(data) as listening:
        assert listening["api"].startswith("https://127.0.0.1:")
        port = int(listening["api"].rpartition(":")[2])
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        connection.request("GET", "/v1/status")
        status = json.loads(connection.getresponse().read())
        connection.close()
        assert status["node_id"] == listening["node_id"]


def spoil_genesis(data: Path) -> None:
    (data / "genesis.json").write_text("{}")


def lose_keys(data: Path) -> None:
    (data / "keys" / "signing.key").unlink()


def open_keys(data: Path) -> None:
    (data / "keys" / "tls.key").chmod(0o644)


def misspell(data: Path) -> None:
    with (data / "node.toml").open("a") as file:
        file.write("\n[executer]\nmode = 'thread'\n")


def listen_elsewhere(data: Path) -> None:
    text = (data / "node.toml").read_text()
    start = text.index("listen = ", text.index("[api]"))
    end = text.index("\n", start)
    (data / "node.toml").write_text(text[:start] + 'listen = "203.0.113.1:80"\nallow_plain_http = true' + text[end:])


def foreign_keys(data: Path) -> None:
    text = (data / "node.toml").read_text()
    start = text.index("listen = ", text.index("[p2p]"))
    (data / "node.toml").write_text(
        text[:start] + text[text.index("\n", start) :]
    )  # with it, the node would be a joiner
    subprocess.run(node_command("keys", "create", str(data.parent / "other")), env=node_environment(), check=True)
    (data / "keys").rename(data / "keys-before")
    (data.parent / "other" / "keys").rename(data / "keys")


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (spoil_genesis, 3, "genesis.json"),
        (lose_keys, 3, "signing.key: missing"),
        (open_keys, 3, "chmod 0600"),
        (misspell, 3, "executer: unknown key"),
        (foreign_keys, 3, "names no validator"),
        (listen_elsewhere, 6, "api.listen: 203.0.113.1:80"),
    ],
)
def test_what_keeps_a_node_from_starting_is_said_in_one_line(data: Path, spoil: Any, code: int, words: str) -> None:
    spoil(data)
    exit_code, line = refused(data)
    assert exit_code == code, line
    assert words in line


def test_a_foreign_ledger_is_refused(data: Path, tmp_path: Path) -> None:
    with running(data):
        pass
    other = LocalCluster.create(tmp_path / "other", validators=1).directory / "node-0"
    (data / "chain").rename(other / "chain")
    exit_code, line = refused(other)
    assert exit_code == 5
    assert "another network" in line or "belongs to the network" in line


def test_a_node_ends_with_its_parent_even_while_paused(data: Path) -> None:
    code = (
        "import subprocess, sys, os, signal\n"
        f"p = subprocess.Popen({node_command('start', '--data-dir', str(data), '--exit-with-parent')!r}, "
        "stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        "p.stdout.readline(); p.send_signal(signal.SIGSTOP); print(p.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], env=node_environment(), capture_output=True, text=True, timeout=30, check=False
    )
    pid = int(run.stdout)
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_idle_and_hostile_connections_leave_a_node_serving(data: Path) -> None:
    """A3: a thousand silent connections neither hold memory nor keep others out."""
    text = (data / "node.toml").read_text()
    (data / "node.toml").write_text(text.replace("[api]", "[api]\nconnections_max = 64\nhead_deadline_ms = 500"))
    with running(data) as listening:
        port = int(listening["api"].rpartition(":")[2])
        held = [http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(200)]
        for connection in held:
            connection.connect()
        deadline = time.monotonic() + 10
        while True:  # silent ones are closed after half a second, which makes room
            try:
                honest = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
                honest.request("GET", "/healthz")
                assert honest.getresponse().status == 200
                honest.close()
                break
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        for connection in held:
            connection.close()


def test_the_log_is_json_where_nobody_watches(data: Path) -> None:
    process = start(data)
    try:
        assert process.stdout is not None
        json.loads(process.stdout.readline())
        os.kill(process.pid, signal.SIGINT)
        _, log = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0
    assert {json.loads(line)["event"] for line in log.splitlines()} >= {"listening", "stopping"}

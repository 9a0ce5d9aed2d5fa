"""A node's door without a node behind it: canned answers over real HTTP, and a record of what was asked. Beside it the
surroundings that the command line finds itself in."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec import to_builtins

from guildmark.cli import main
from guildmark.identity import Account
from guildmark.wallet import DEVELOPMENT_COST, Wallet
from ledger import genesis as genesis_files
from ledger.genesis import Genesis, GenesisAccount, GenesisOrganization, GenesisValidator
from ledger.parameters import Parameters
from ledger.transaction import transaction_id
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

Answer = tuple[int, Any] | None
"""Status and JSON value (or bytes); None closes the connection without an answer."""
Handler = Callable[["Asked"], Answer]


class Asked:
    """One request."""

    def __init__(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> None:
        parts = urlsplit(target)
        self.method = method
        self.path = parts.path
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        self.body = body
        self.headers = headers


def problem(status: int, code: str, detail: str = "because") -> Answer:
    return status, {
        "type": f"urn:guildmark:problem:{code}",
        "title": "x",
        "status": status,
        "detail": detail,
        "code": code,
    }


class FakeNode:
    """Answers by (method, path); a path may be a prefix that ends with `/`."""

    def __init__(self, genesis: Genesis | None = None) -> None:
        self.asked: list[Asked] = []
        self.genesis = genesis or make_genesis()[0]
        self.network_id = genesis_files.network_id(self.genesis)
        self.clock_offset_ms = 0
        self.routes: dict[tuple[str, str], Handler] = {
            ("GET", "/v1/status"): lambda _: (200, self.status()),
            ("GET", "/v1/genesis"): lambda _: (200, genesis_files.write(self.genesis)),
            ("GET", "/v1/query/parameters.get"): lambda _: (200, self.parameters()),
        }
        node = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                asked = Asked(self.command, self.path, self.rfile.read(length), dict(self.headers))
                node.asked.append(asked)
                found = node.route(asked)
                if found is None:
                    self.close_connection = True
                    return
                status, value = found
                data = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def route(self, asked: Asked) -> Answer:
        exact = self.routes.get((asked.method, asked.path))
        if exact is not None:
            return exact(asked)
        for (method, path), handler in self.routes.items():
            if method == asked.method and path.endswith("/") and asked.path.startswith(path):
                return handler(asked)
        return problem(404, "request.no_such_path", asked.path)

    def status(self) -> dict[str, Any]:
        return {
            "network_id": self.network_id.hex(),
            "network_name": self.genesis.name,
            "height": 7,
            "certified_height": 7,
            "clock_offset_ms": self.clock_offset_ms,
            "view": 0,
            "ready": True,
        }

    def parameters(self) -> dict[str, Any]:
        return {"height": 7, "block_time_ms": 1, "result": to_builtins(self.genesis.parameters)}

    def calls(self, method: str, prefix: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.method == method and asked.path.startswith(prefix)]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@contextmanager
def fake_node(genesis: Genesis | None = None) -> Iterator[FakeNode]:
    node = FakeNode(genesis)
    try:
        yield node
    finally:
        node.close()


class Ledgerless:
    """A life of transactions as handlers: takes them, and tells the states in `script` one a question."""

    def __init__(self, node: FakeNode, script: list[dict[str, Any]]) -> None:
        self.script = script
        self.received: list[bytes] = []
        node.routes[("POST", "/v1/transactions")] = self.submit
        node.routes[("GET", "/v1/transactions/")] = self.show

    def submit(self, asked: Asked) -> Answer:
        self.received.append(asked.body)
        return 202, {"id": transaction_id(asked.body).hex(), "state": "pending"}

    def show(self, asked: Asked) -> Answer:
        state = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return 200, {"id": asked.path.rsplit("/", 1)[1], **state}


def make_genesis(**parameters: Any) -> tuple[Genesis, Account]:
    """A genesis with one organization, and its funded account."""
    key, validator, salt = SigningKey(bytes([1]) * 32), SigningKey(bytes([2]) * 32), bytes(16)
    genesis = Genesis(
        version=1,
        name="fake",
        salt="00" * 32,
        created_at_ms=time.time_ns() // 1_000_000,
        development=True,
        parameters=Parameters(**{"commitment_age_ms": 0, **parameters}),
        organizations=(GenesisOrganization("alder", "Alder"),),
        accounts=(GenesisAccount("alder", key_to_text(key.public_key), salt.hex(), 1_000, "alder"),),
        validators=(
            GenesisValidator(
                organization="alder",
                node_id="gmnode1fake",
                signing_key=key_to_text(validator.public_key),
                tls_certificate=base64.b64encode(b"certificate").decode(),
                address="127.0.0.1:1",
            ),
        ),
    )
    network = genesis_files.network_id(genesis)
    return genesis, Account.first_of(network, "alder", key, salt, "alder")


def surround(monkeypatch: pytest.MonkeyPatch, directory: Path, url: str, keys: Mapping[str, Account]) -> None:
    """Let commands run in `directory`, with these keys in a wallet there and the node at `url`, and see nothing of what
    the machine is set to."""
    wallet = Wallet(directory / "wallet")
    for name, account in keys.items():
        wallet.create(name, "secret", key=account.key, account=account.text, cost=DEVELOPMENT_COST)
    for name in ("GUILDMARK_NETWORK", "GUILDMARK_ACCOUNT", "GUILDMARK_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GUILDMARK_WALLET", str(wallet.directory))
    monkeypatch.setenv("GUILDMARK_PASSPHRASE", "secret")
    monkeypatch.setenv("GUILDMARK_NODE", url)
    monkeypatch.chdir(directory)


def run(capsys: pytest.CaptureFixture[str], *arguments: str, expect: int = 0) -> Any:
    """Run a command with `--json` and see that it ends with `expect`; return what it printed, or else its error."""
    code = main.run([*arguments, "--json"])
    captured = capsys.readouterr()
    assert code == expect, captured.err
    return json.loads(captured.out) if captured.out else json.loads(captured.err.splitlines()[-1])["error"]

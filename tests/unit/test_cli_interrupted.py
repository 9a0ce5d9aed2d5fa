"""Ctrl-C takes nothing back that was sent: who presses it is told what is still on its way, and how to ask."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from guildmark_kit import Answer, Asked, FakeNode, fake_node, make_genesis, surround

from guildmark.identity import Account
from ledger.transaction import transaction_id
from primitives.keys import SigningKey

SECONDS_MAX = 60.0
COMMAND = """
import signal
from guildmark.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
main.main()
"""
"""`guildmark`, heeding Ctrl-C although the tests may run in a shell's background job, whose children do not."""


class Silence:
    """A node's answer that does not come until the test is over."""

    def __init__(self) -> None:
        self.asked, self.over = threading.Event(), threading.Event()
        self.received: list[bytes] = []

    def take(self, asked: Asked) -> Answer:
        self.received.append(asked.body)
        return 202, {"id": transaction_id(asked.body).hex(), "state": "pending"}

    def take_in_silence(self, asked: Asked) -> Answer:
        self.received.append(asked.body)
        return self.say_nothing(asked)

    def say_nothing(self, _: Asked) -> Answer:
        self.asked.set()
        self.over.wait(SECONDS_MAX)
        return None


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node(make_genesis()[0]) as made:
        yield made


@pytest.fixture
def silence(node: FakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Silence]:
    account = Account.first_of(node.network_id, "alder", SigningKey(bytes([1]) * 32), bytes(16))
    surround(monkeypatch, tmp_path, node.url, {"alder": account})
    made = Silence()
    yield made
    made.over.set()


def while_sending(node: FakeNode, silence: Silence) -> None:
    node.routes[("POST", "/v1/transactions")] = silence.take_in_silence


def while_waiting(node: FakeNode, silence: Silence) -> None:
    node.routes[("POST", "/v1/transactions")] = silence.take
    node.routes[("GET", "/v1/transactions/")] = silence.say_nothing


def while_preparing(node: FakeNode, silence: Silence) -> None:
    node.routes[("GET", "/v1/status")] = silence.say_nothing


def interrupt(silence: Silence, *more: str) -> str:
    """Pay somebody, press Ctrl-C when the node is silent, and return what the command says of it."""
    recipient = Account.first_of(bytes(32), "birch", SigningKey(bytes([3]) * 32), bytes(16)).text
    command = [sys.executable, "-c", COMMAND, "account", "pay", recipient, "1", *more]
    paying = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert silence.asked.wait(SECONDS_MAX)
        paying.send_signal(signal.SIGINT)
        out, said = paying.communicate(timeout=SECONDS_MAX)
    finally:
        paying.kill()
        paying.wait()
    assert (paying.returncode, out) == (130, "")
    return said


@pytest.mark.parametrize("when", [while_sending, while_waiting])
def test_ctrl_c_names_the_transaction_that_is_on_its_way(
    node: FakeNode, silence: Silence, when: Callable[[FakeNode, Silence], None]
) -> None:
    when(node, silence)
    said = interrupt(silence)
    identifier = transaction_id(silence.received[0]).hex()
    assert "may still be committed" in said
    assert f"`guildmark transaction show {identifier} --wait 60`" in said
    assert said.splitlines()[-1] == f"transaction: {identifier}"


@pytest.mark.parametrize("when", [while_sending, while_waiting])
def test_ctrl_c_names_it_in_json_too(
    node: FakeNode, silence: Silence, when: Callable[[FakeNode, Silence], None]
) -> None:
    when(node, silence)
    error = json.loads(interrupt(silence, "--json").splitlines()[-1])["error"]
    identifier = transaction_id(silence.received[0]).hex()
    assert (error["code"], error["transaction"]) == ("interrupted", identifier)
    assert "may still be committed" in error["message"]


def test_ctrl_c_before_anything_was_sent_names_nothing(node: FakeNode, silence: Silence) -> None:
    while_preparing(node, silence)
    assert interrupt(silence).split() == ["interrupted"]
    assert silence.received == []


def test_ctrl_c_before_anything_was_sent_is_json_where_that_is_asked_for(node: FakeNode, silence: Silence) -> None:
    while_preparing(node, silence)
    error = json.loads(interrupt(silence, "--json").splitlines()[-1])["error"]
    assert (error["code"], "transaction" in error) == ("interrupted", False)

"""Retries of the client are its own affair: a user's output shows none of them, and other users of the library keep
theirs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import stamina
import stamina.instrumentation
from guildmark_kit import Answer, Asked, FakeNode, fake_node, problem

from guildmark import retries
from guildmark.sync import Client


@pytest.fixture(autouse=True)
def _as_in_a_new_process() -> Iterator[None]:
    stamina.instrumentation.set_on_retry_hooks(None)
    retries.hush.cache_clear()
    yield
    stamina.instrumentation.set_on_retry_hooks(None)
    retries.hush.cache_clear()


@pytest.fixture
def busy_node() -> Iterator[FakeNode]:
    """A node that is busy when it is asked for the first time."""
    with fake_node() as node:

        def status(_: Asked) -> Answer:
            return problem(503, "node.busy", "not now") if len(node.asked) == 1 else (200, node.status())

        node.routes["GET", "/v1/status"] = status
        yield node


def _ask(node: FakeNode) -> None:
    with Client(node.url) as client:
        assert client.status()["ready"]
    assert len(node.asked) == 2


def test_retries_are_logged_at_debug_and_printed_nowhere(
    busy_node: FakeNode, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "guildmark")
    _ask(busy_node)
    said = capfd.readouterr()
    assert said.out == said.err == ""
    (record,) = (record for record in caplog.records if record.name == "guildmark")
    assert record.levelno == logging.DEBUG
    assert "not now" in record.getMessage()


def test_who_retries_something_else_is_told_as_before(busy_node: FakeNode) -> None:
    told = []
    stamina.instrumentation.set_on_retry_hooks([lambda details: told.append(str(details.caused_by))])
    _ask(busy_node)
    assert told == []
    for attempt in stamina.retry_context(on=ValueError, attempts=2, wait_initial=0.0, wait_jitter=0.0):
        with attempt:
            if attempt.num == 1:
                raise ValueError("theirs")
    assert told == ["theirs"]

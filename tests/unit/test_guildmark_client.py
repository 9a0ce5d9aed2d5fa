"""The client: a transaction's id is known before it is sent, and it ends as committed, rejected or outcome unknown."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from guildmark_kit import Asked, FakeNode, Ledgerless, fake_node, make_genesis, problem

from guildmark.assets import reveal
from guildmark.client import AsyncClient
from guildmark.errors import Denied, NotFound, OutcomeUnknown, Refused, Unreachable, VerificationFailed
from guildmark.identity import Account
from guildmark.sync import Client
from ledger.modules.credits.operations import Transfer
from ledger.transaction import decode_transaction
from primitives.keys import SigningKey

COMMITTED = {"state": "committed", "height": 3, "block_hash": "ab" * 32, "events": [{"type": "credits.transferred"}]}
PAY = Transfer(recipient=bytes(32), amount=1)


@pytest.fixture
def node() -> Iterator[FakeNode]:
    with fake_node(make_genesis()[0]) as made:
        yield made


@pytest.fixture
def account(node: FakeNode) -> Account:
    return Account.first_of(node.network_id, "alder", SigningKey(bytes([1]) * 32), bytes(16))


@pytest.fixture
def client(node: FakeNode, account: Account) -> Iterator[Client]:
    with Client(node.url, account, retry_timeout_s=0.3) as made:
        yield made


def closed_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def test_the_id_is_known_before_anything_is_sent(node: FakeNode, client: Client) -> None:
    prepared = client.prepare(PAY)
    assert node.calls("POST", "/v1/transactions") == []
    decoded = decode_transaction(prepared.data)
    assert prepared.id == decoded.id.hex()
    assert decoded.verify()
    assert decoded.body.operations == (PAY,)
    assert decoded.body.network_id == node.network_id


def test_expiry_is_half_a_lifetime_ahead_of_the_networks_time(node: FakeNode, client: Client) -> None:
    """A7: expiry follows the network's clock, not the own one."""
    node.clock_offset_ms = 3_600_000
    before = time.time_ns() // 1_000_000
    expires_at_ms = client.prepare(PAY).expires_at_ms
    after = time.time_ns() // 1_000_000
    assert before <= expires_at_ms - 3_600_000 - 60_000 <= after


def test_equal_operations_are_two_transactions(client: Client) -> None:
    assert client.prepare(PAY).id != client.prepare(PAY).id


def test_a_committed_transaction_is_reported_with_its_block(node: FakeNode, client: Client) -> None:
    life = Ledgerless(node, [{"state": "pending"}, {"state": "executed", "height": 3}, COMMITTED])
    outcome = client.submit_and_wait(PAY)
    assert (outcome.state, outcome.height, outcome.block_hash) == ("committed", 3, "ab" * 32)
    assert outcome.event("credits.transferred") == {"type": "credits.transferred"}
    assert len(life.received) == 1


def test_a_receipts_code_is_raised_with_the_id(node: FakeNode, client: Client) -> None:
    Ledgerless(node, [{"state": "rejected", "height": 3, "code": "credits.insufficient", "message": "you have 0"}])
    prepared = client.prepare(PAY)
    with pytest.raises(Refused) as caught:
        client.deliver(prepared)
    assert (caught.value.code, caught.value.transaction_id) == ("credits.insufficient", prepared.id)


def test_wait_returns_a_rejection_rather_than_raising_it(node: FakeNode, client: Client) -> None:
    Ledgerless(node, [{"state": "expired"}])
    outcome = client.wait(client.prepare(PAY))
    assert (outcome.state, outcome.code) == ("rejected", "transaction.expired")


def test_a_refusal_at_the_door_is_raised_at_once(node: FakeNode, client: Client) -> None:
    node.routes[("POST", "/v1/transactions")] = lambda _: problem(400, "transaction.expired")
    with pytest.raises(Refused) as caught:
        client.submit_and_wait(PAY)
    assert caught.value.code == "transaction.expired"
    assert len(node.calls("POST", "/v1/transactions")) == 1


def test_a_node_that_does_not_know_it_is_sent_the_same_bytes_again(node: FakeNode, client: Client) -> None:
    """A6: resending is harmless, and the id stays the same."""
    life = Ledgerless(node, [{"state": "unknown"}, {"state": "unknown"}, COMMITTED])
    client.submit_and_wait(PAY)
    assert len(life.received) == 3
    assert len(set(life.received)) == 1


def test_silence_ends_as_outcome_unknown_with_the_id(node: FakeNode, client: Client) -> None:
    Ledgerless(node, [{"state": "pending"}])
    prepared = client.prepare(PAY)
    client.submit(prepared)
    with pytest.raises(OutcomeUnknown) as caught:
        client.wait(prepared, timeout_s=0.05)
    assert caught.value.transaction_id == prepared.id


def test_a_lost_answer_to_a_submission_is_waited_for_and_not_failed(node: FakeNode, client: Client) -> None:
    Ledgerless(node, [COMMITTED])
    node.routes[("POST", "/v1/transactions")] = lambda _: None
    assert client.submit_and_wait(PAY).committed


def test_when_no_node_can_be_reached_nothing_was_sent(client: Client, account: Account) -> None:
    prepared = client.prepare(PAY)
    with Client([closed_url(), closed_url()], account, retry_timeout_s=0.2) as client, pytest.raises(Unreachable):
        client.status()
    with Client(closed_url(), account, retry_timeout_s=0.2) as client, pytest.raises(Unreachable) as caught:
        client.deliver(prepared)
    assert "Connection refused" in str(caught.value)
    assert "ssl" not in str(caught.value)
    assert not caught.value.maybe_received


def test_the_next_node_answers_when_one_is_gone(node: FakeNode, account: Account) -> None:
    with Client([closed_url(), node.url], account, retry_timeout_s=0.5) as client:
        assert client.status()["height"] == 7


@pytest.fixture
def other(node: FakeNode) -> Iterator[FakeNode]:
    """A second node of the same network."""
    with fake_node(node.genesis) as made:
        yield made


def test_what_is_sent_everywhere_reaches_every_node_that_can_be_reached(
    node: FakeNode, other: FakeNode, account: Account
) -> None:
    lives = [Ledgerless(each, [COMMITTED]) for each in (node, other)]
    with Client([node.url, closed_url(), other.url], account, retry_timeout_s=0.5) as client:
        client.deliver(client.prepare(PAY))
        assert [len(life.received) for life in lives] == [1, 0]
        both = client.prepare(PAY)
        client.deliver(both, everywhere=True)
        assert [life.received.count(both.data) for life in lives] == [1, 1]


def test_what_one_node_refuses_and_another_takes_is_sent(node: FakeNode, other: FakeNode, account: Account) -> None:
    life = Ledgerless(other, [COMMITTED])
    Ledgerless(node, [COMMITTED])
    node.routes[("POST", "/v1/transactions")] = lambda _: problem(400, "transaction.malformed")
    with Client([node.url, other.url], account, retry_timeout_s=0.5) as client:
        assert client.deliver(client.prepare(PAY), everywhere=True).committed
        assert len(life.received) == 1
        other.routes[("POST", "/v1/transactions")] = node.routes[("POST", "/v1/transactions")]
        with pytest.raises(Refused) as caught:
            client.deliver(client.prepare(PAY), everywhere=True)
        assert caught.value.code == "transaction.malformed"


def test_a_reveal_goes_to_every_node(node: FakeNode, other: FakeNode, account: Account) -> None:
    """A node that alone has it could keep it until its own commitment is old enough."""
    lives = [Ledgerless(each, [COMMITTED]) for each in (node, other)]

    async def show() -> None:
        async with AsyncClient([node.url, other.url], account) as client:
            assert (await reveal(client, PAY, "assets.commitment_too_young")).committed

    asyncio.run(show())
    assert [len(life.received) for life in lives] == [1, 1]


def test_a_node_that_always_says_pending_is_not_the_only_one_that_is_asked(
    node: FakeNode, other: FakeNode, account: Account
) -> None:
    """It may have kept the bytes to itself: the next one is asked, and gets them."""
    Ledgerless(node, [{"state": "pending"}])
    life = Ledgerless(other, [{"state": "unknown"}, COMMITTED])
    with Client([node.url, other.url], account, retry_timeout_s=0.5) as client:
        assert client.wait(client.prepare(PAY), timeout_s=10).committed
    assert len(life.received) == 1


def test_a_busy_node_is_asked_again(node: FakeNode, client: Client) -> None:
    answers: list[Any] = [problem(503, "node.starting"), problem(429, "pool.full"), (200, node.status())]
    node.routes[("GET", "/v1/status")] = lambda _: answers.pop(0)
    assert client.status()["height"] == 7


def test_nodes_of_another_network_are_refused(node: FakeNode, account: Account) -> None:
    with Client(node.url, account, network_id=bytes(32)) as client:
        for ask in (client.status, client.genesis, client.network_id):
            with pytest.raises(VerificationFailed) as caught:
                ask()
            assert caught.value.code == "network.other"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "query.argument", Refused),
        (401, "artifact.unsigned", Denied),
        (403, "no_grant", Denied),
        (404, "query.not_found", NotFound),
        (409, "artifact.not_registered", Refused),
        (500, "node.failed", Unreachable),
    ],
)
def test_answers_become_typed_errors(
    node: FakeNode, client: Client, status: int, code: str, expected: type[Exception]
) -> None:
    node.routes[("GET", "/v1/query/assets.get")] = lambda _: problem(status, code)
    with pytest.raises(expected):
        client.query("assets.get", asset=bytes(32))


@pytest.mark.parametrize("body", [b"", b"not json", b"[" * 100_000, b"\xff"])
def test_rubbish_from_a_node_is_a_typed_error(node: FakeNode, client: Client, body: bytes) -> None:
    node.routes[("GET", "/v1/query/assets.get")] = lambda _: (200, body)
    node.routes[("GET", "/v1/query/assets.list")] = lambda _: (400, body)
    with pytest.raises(Unreachable):
        client.query("assets.get", asset=bytes(32))
    with pytest.raises(Refused):
        client.query("assets.list")


@pytest.mark.parametrize("answer", [{}, [], {"id": "ab" * 32, "state": "committed"}, {"id": 5}, {"state": "odd"}])
def test_an_answer_for_no_or_another_transaction_is_never_an_outcome(
    node: FakeNode, client: Client, answer: object
) -> None:
    Ledgerless(node, [COMMITTED])
    node.routes[("GET", "/v1/transactions/")] = lambda _: (200, answer)
    prepared = client.prepare(PAY)
    client.submit(prepared)
    with pytest.raises(OutcomeUnknown):
        client.wait(prepared, timeout_s=0.05)


def test_queries_send_ids_as_hex_and_leave_out_what_is_not_given(node: FakeNode, client: Client) -> None:
    node.routes[("GET", "/v1/query/x.y")] = lambda asked: (200, {"height": 1, "result": asked.query})
    assert client.query("x.y", a=b"\x01\xff", b=None, c=3, d=True) == {"a": "01ff", "c": "3", "d": "true"}


def test_without_an_account_nothing_is_signed(node: FakeNode) -> None:
    with Client(node.url) as client, pytest.raises(Denied) as caught:
        client.prepare(PAY)
    assert caught.value.code == "client.no_account"


def test_clients_for_other_accounts_share_connections_and_outlive_each_other(node: FakeNode, client: Client) -> None:
    with client.acting_as(None) as other:
        assert other.account is None
        assert other.status()["height"] == 7
    assert client.status()["height"] == 7


def test_a_query_waits_for_a_height(node: FakeNode, client: Client) -> None:
    def answer(asked: Asked) -> Any:
        return 200, {"height": int(asked.query["at_least"]), "block_time_ms": 5, "result": {}}

    node.routes[("GET", "/v1/query/chain.head")] = answer
    assert client.query_at("chain.head", at_least=9)["height"] == 9

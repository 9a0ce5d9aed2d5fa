"""What nodes ask and tell each other beside consensus: how far the chain is certified, and transactions to order."""

from __future__ import annotations

from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from node_core_kit import Clock, Executor, Links
from node_epochs_kit import Member

from ledger.errors import StorageError
from node.heads import ANSWER_PERIOD_MS, ASKED_AT_ONCE_MAX, HeadExchange
from node.intake import Admission
from node.sync_desk import OFFERED_AGAIN_MS, OFFERED_TO, OFFERS_AT_ONCE_MAX, SyncDesk, TransactionOffers, parts
from node.wire import (
    OFFER_BYTES_MAX,
    OFFER_TRANSACTIONS_MAX,
    BlocksAnswer,
    BlocksRequest,
    CodecError,
    HeadAnswer,
    HeadRequest,
    RecordsAnswer,
    RecordsRequest,
    SyncMessage,
    TransactionsOffer,
    decode_sync,
    encode_sync,
)
from p2p.channels import Channel
from primitives.codec import encode
from primitives.finality import FinalityCertificate
from simulation.world import START_MS

PEERS = [f"peer-{index}" for index in range(8)]


def certificate(height: int, epoch: int = 0) -> FinalityCertificate:
    return FinalityCertificate(epoch, height, bytes(32), 0, ())


class HeadsOf:
    """A ledger of which each epoch has one certificate."""

    def __init__(self, **heights: int) -> None:
        self.heights = {int(name[1:]): height for name, height in heights.items()}
        self.failure: StorageError | None = None

    def head_certificate(self, epoch: int, height: int) -> FinalityCertificate | None:
        if self.failure is not None:
            raise self.failure
        found = self.heights.get(epoch, 0)
        return certificate(found, epoch) if found > height else None


class Exchange:
    def __init__(self, **heights: int) -> None:
        self.clock, self.links = Clock(), Links(*PEERS)
        self.executor = Executor(HeadsOf(**heights))
        self.shown: list[tuple[str, FinalityCertificate]] = []
        self.heads = HeadExchange(self.clock, self.links, self.executor, lambda *shown: self.shown.append(shown))

    def sent(self) -> list[tuple[str, SyncMessage]]:
        assert {channel for _, channel, _ in self.links.sent} <= {Channel.SYNC}
        return [(peer, decode_sync(payload)) for peer, _, payload in self.links.sent]


# --- heads


def test_some_peers_are_asked_at_a_time_and_others_each_time() -> None:
    exchange = Exchange()
    for _ in range(8):
        exchange.heads.ask(3, 40)
    asked = [peer for peer, message in exchange.sent() if message == HeadRequest(3, 40)]
    assert len(asked) == 8 * ASKED_AT_ONCE_MAX
    assert all(len(set(asked[start : start + len(PEERS)])) == len(PEERS) for start in range(0, 24, len(PEERS)))


@pytest.mark.parametrize("connected", [0, 1, 2])
def test_few_peers_are_asked_once_each(connected: int) -> None:
    exchange = Exchange()
    exchange.links.peers = PEERS[:connected]
    exchange.heads.ask(0, 0)
    assert [peer for peer, _ in exchange.sent()] == PEERS[:connected]


def test_an_answer_is_of_the_epoch_that_was_asked_about() -> None:
    """The asker can verify no other."""
    exchange = Exchange(e0=9, e1=20, e2=30)
    for index, epoch in enumerate((0, 1, 2)):
        exchange.heads.tell(PEERS[index], epoch, 5)
    assert [message for _, message in exchange.sent()] == [
        HeadAnswer(certificate(height, epoch)) for epoch, height in enumerate((9, 20, 30))
    ]


def test_nothing_is_told_to_one_that_has_it_already() -> None:
    exchange = Exchange(e0=9)
    for index, height in enumerate((9, 10, 8)):
        exchange.heads.tell(PEERS[index], 0, height)
    exchange.heads.tell(PEERS[3], 7, 0)
    assert [peer for peer, _ in exchange.sent()] == [PEERS[2]]


def test_one_peer_is_told_no_more_often_than_in_a_period() -> None:
    """N8: a question costs the ledger a look-up, and us an answer of kilobytes."""
    exchange = Exchange(e0=9)
    for _ in range(50):
        exchange.heads.tell(PEERS[0], 0, 0)
        exchange.heads.tell(PEERS[1], 0, 0)
    assert len(exchange.executor.calls) == 2
    exchange.clock.advance(ANSWER_PERIOD_MS)
    exchange.heads.tell(PEERS[0], 0, 0)
    assert [peer for peer, _ in exchange.sent()] == [PEERS[0], PEERS[1], PEERS[0]]


def test_a_wall_clock_set_back_silences_nobody() -> None:
    exchange = Exchange(e0=9)
    exchange.heads.tell(PEERS[0], 0, 0)
    exchange.clock.set_by_ms = -3_600_000
    exchange.heads.tell(PEERS[0], 0, 0)
    assert len(exchange.sent()) == 2


def test_a_failing_ledger_answers_nothing() -> None:
    exchange = Exchange(e0=9)
    exchange.executor.service.failure = StorageError("storage.failed", "no space")
    exchange.heads.tell(PEERS[0], 0, 0)
    assert exchange.sent() == []


# --- transactions for others to order


def test_offers_go_to_a_few_validators_and_to_others_each_time() -> None:
    """One may be faulty, and drop them."""
    clock, links = Clock(), Links(*PEERS)
    offers = TransactionOffers(clock, links)
    validators = [*PEERS[2:6], "not connected"]
    rounds = []
    for _ in range(4):
        links.sent.clear()
        offers.offer([b"one", b"two"], validators)
        assert {payload for _, _, payload in links.sent} == {encode_sync(TransactionsOffer((b"one", b"two")))}
        rounds.append([peer for peer, _, _ in links.sent])
        clock.advance(OFFERED_AGAIN_MS)
    assert all(len(set(peers)) == OFFERED_TO for peers in rounds)
    assert {peer for peers in rounds for peer in peers} == set(PEERS[2:6])
    assert rounds[0] != rounds[1]


def test_without_a_link_or_anything_to_be_ordered_nothing_is_offered() -> None:
    links = Links()
    offers = TransactionOffers(Clock(), links)
    offers.offer([b"one"], PEERS)
    links.peers = PEERS
    offers.offer([], PEERS)
    assert links.sent == []
    offers.offer([b"one"], PEERS)
    assert len(links.sent) == OFFERED_TO, "what nobody heard was not offered"


def test_without_a_validator_among_them_the_neighbors_get_the_offer() -> None:
    """An observer that only observers had room for."""
    links = Links(*PEERS)
    TransactionOffers(Clock(), links).offer([b"one"], ["elsewhere"])
    assert len({peer for peer, _, _ in links.sent}) == OFFERED_TO


def test_what_was_offered_a_moment_ago_is_not_offered_again() -> None:
    """N8: what waits comes back every quarter of a second, and with it a pool's worth of bytes."""
    clock, links = Clock(), Links(*PEERS)
    offers = TransactionOffers(clock, links)
    for _ in range(40):
        offers.offer([b"one", b"two"], PEERS)
        clock.advance(OFFERED_AGAIN_MS // 8)
    assert len(links.sent) == 5 * OFFERED_TO
    links.sent.clear()
    offers.offer([b"one", b"three"], PEERS)
    clock.advance(1)
    offers.offer([b"one", b"four"], PEERS)
    assert {decode_sync(payload) for _, _, payload in links.sent} == {
        TransactionsOffer((b"one", b"three")),
        TransactionsOffer((b"four",)),
    }
    clock.advance(OFFERED_AGAIN_MS)
    offers.offer([], PEERS)
    assert offers._offered_at_ms == {}


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10], [1]),
        ([1] * OFFER_TRANSACTIONS_MAX, [OFFER_TRANSACTIONS_MAX]),
        ([1] * (2 * OFFER_TRANSACTIONS_MAX + 1), [OFFER_TRANSACTIONS_MAX, OFFER_TRANSACTIONS_MAX, 1]),
        ([65_536] * 17, [16, 1]),
        ([65_536] * 15 + [1] * 10, [25]),
        ([OFFER_BYTES_MAX, 1], [1, 1]),
        ([1, OFFER_BYTES_MAX], [1, 1]),
    ],
)
def test_long_lists_are_cut_into_offers_within_the_bounds(sizes: list[int], expected: list[int]) -> None:
    transactions = [index.to_bytes(4, "big")[-1:] * size for index, size in enumerate(sizes)]
    cut = list(parts(transactions))
    assert [len(part) for part in cut] == expected
    assert [transaction for part in cut for transaction in part] == transactions
    assert all(sum(map(len, part)) <= OFFER_BYTES_MAX for part in cut)


def test_the_largest_offer_passes_the_wire_and_a_larger_one_does_not() -> None:
    """N3"""
    largest = TransactionsOffer((b"x",) * OFFER_TRANSACTIONS_MAX)
    assert decode_sync(encode_sync(largest)) == largest
    for wrong in ((), (b"x",) * (OFFER_TRANSACTIONS_MAX + 1), (b"x" * 70_000,)):
        with pytest.raises(CodecError):
            decode_sync(encode(TransactionsOffer(wrong)))


# --- the desk


class Recorder:
    """Notes every call of any method."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))


class Desk:
    def __init__(self) -> None:
        self.synchronizer, self.server, self.heads, self.intake = Recorder(), Recorder(), Recorder(), Recorder()
        self.records = Recorder()
        clerks: list[Any] = [self.synchronizer, self.server, self.heads, self.intake, self.records]
        self.blamed: list[tuple[str, str]] = []
        self.desk = SyncDesk(*clerks, lambda peer, reason: self.blamed.append((peer, reason)))

    def offer(self, peer: str, *transactions: bytes) -> None:
        self.desk.on_message(peer, TransactionsOffer(transactions))


def test_every_message_of_the_channel_has_its_clerk() -> None:
    desk = Desk()
    request, answer = BlocksRequest(1, 2, 3), BlocksAnswer(1, (), (), None, 0, 0)
    shown = HeadAnswer(certificate(3))
    wanted, told = RecordsRequest(6, 4, b"a", b"b"), RecordsAnswer(6, ())
    for message in (request, answer, HeadRequest(4, 5), shown, wanted, told):
        desk.desk.on_message("peer", message)
    assert desk.server.calls == [("serve", "peer", request)]
    assert desk.synchronizer.calls == [("on_answer", "peer", answer)]
    assert desk.heads.calls == [("tell", "peer", 4, 5), ("on_answer", "peer", shown)]
    assert desk.records.calls == [("serve", "peer", wanted), ("on_answer", "peer", told)]
    assert desk.intake.calls == []


def test_offers_are_judged_a_few_of_one_peer_at_a_time() -> None:
    """N8: each costs signatures to verify; a flooding peer loses its own only."""
    desk = Desk()
    for _ in range(3 * OFFERS_AT_ONCE_MAX):
        desk.offer("flood", b"one")
    desk.offer("other", b"two")
    assert [arguments[1] for arguments in desk.intake.calls] == [(b"one",)] * OFFERS_AT_ONCE_MAX + [(b"two",)]
    for call in list(desk.intake.calls):
        call[2]([])
    assert desk.desk._judging == {}, "nothing is remembered of peers that wait for nothing"
    desk.offer("flood", b"three")
    assert desk.intake.calls[-1][1] == (b"three",)


def test_a_peer_that_offers_a_forged_transaction_is_named() -> None:
    """N8: a correct one has checked what it offers; anything else may go wrong on the way without its doing."""
    desk = Desk()
    codes = ["", "pool.full", "pool.organization_rate", "transaction.expired", "transaction.unknown_signer"]
    desk.offer("honest", *(b"%d" % number for number in range(len(codes))))
    desk.intake.calls[-1][2]([Admission(bytes(32), code) for code in codes])
    assert desk.blamed == []
    desk.offer("forger", b"one", b"two")
    desk.intake.calls[-1][2]([Admission(bytes(32)), Admission(bytes(32), "transaction.bad_signature")])
    assert [peer for peer, _ in desk.blamed] == ["forger"]


# --- the way over several epochs


def test_a_node_that_does_not_vote_goes_through_ended_epochs_without_waiting_for_its_next_look() -> None:
    """Where epochs are short, a look a second would set the pace of catching up."""
    member = Member("n0", Consortium(make_genesis(4, 5, development=True, rejoin_interval_ms=0)))
    for incarnation in range(1, 4):
        member.end_epoch(member.world.rejoin("v1", incarnation))
    member.core.start()
    member.answer()
    assert (member.core.epochs.epoch, member.core.certified_height) == (3, member.world.chain.height)
    assert member.node.clock.now_ms() == START_MS

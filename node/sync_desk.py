"""Who answers on the sync channel: blocks, heads, and transactions of nodes that cannot order their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from node.block_server import BlockServer
from node.heads import HeadExchange
from node.intake import Admission, Intake
from node.ports import Clock, Links
from node.record_exchange import RecordExchange
from node.synchronizer import Synchronizer
from node.wire import (
    OFFER_BYTES_MAX,
    OFFER_TRANSACTIONS_MAX,
    BlocksAnswer,
    BlocksRequest,
    HeadAnswer,
    HeadRequest,
    RecordsAnswer,
    RecordsRequest,
    SyncMessage,
    TransactionsOffer,
    encode_sync,
)
from p2p.channels import Channel

OFFERS_AT_ONCE_MAX: Final = 4
"""Offers of one peer that are being judged; more are dropped, and the peer offers again."""
FORGED: Final = "transaction.bad_signature"
OFFERED_TO: Final = 2
"""Peers that get an offer, others each time: one may be faulty."""
OFFERED_AGAIN_MS: Final = 2_000
"""How long validators get to order a transaction before it is offered again, to others among them."""


class SyncDesk:
    """Sorts what comes on the channel. Peers are registered nodes, so there are as many entries here at most."""

    def __init__(
        self,
        synchronizer: Synchronizer,
        server: BlockServer,
        heads: HeadExchange,
        intake: Intake,
        records: RecordExchange,
        misbehaved: Callable[[str, str], None],
    ) -> None:
        """`misbehaved` gets a peer that sent what no correct peer sends, and what that was."""
        self._misbehaved = misbehaved
        self._synchronizer = synchronizer
        self._server = server
        self._heads = heads
        self._intake = intake
        self._records = records
        self._judging: dict[str, int] = {}

    def on_message(self, peer: str, message: SyncMessage) -> None:
        match message:
            case BlocksRequest():
                self._server.serve(peer, message)
            case BlocksAnswer():
                self._synchronizer.on_answer(peer, message)
            case HeadRequest(epoch=epoch, height=height):
                self._heads.tell(peer, epoch, height)
            case HeadAnswer():
                self._heads.on_answer(peer, message)
            case RecordsRequest():
                self._records.serve(peer, message)
            case RecordsAnswer():
                self._records.on_answer(peer, message)
            case TransactionsOffer(transactions=transactions):
                self._take_offer(peer, transactions)

    def _take_offer(self, peer: str, transactions: Sequence[bytes]) -> None:
        """Judge a peer's transactions as a client's. A node that cannot order them offers them on."""
        if self._judging.get(peer, 0) >= OFFERS_AT_ONCE_MAX:
            return
        self._judging[peer] = self._judging.get(peer, 0) + 1

        def done(admissions: Sequence[Admission]) -> None:
            if any(admission.code == FORGED for admission in admissions):
                # A correct node has checked the signature of what it offers: who makes others check pays for it.
                self._misbehaved(peer, "offered a transaction with a bad signature")
            self._judging[peer] -= 1
            if not self._judging[peer]:
                del self._judging[peer]

        self._intake.submit(transactions, done)


class TransactionOffers:
    """Passes on to validators what this node cannot order itself."""

    def __init__(self, clock: Clock, links: Links) -> None:
        self._clock = clock
        self._links = links
        self._turn = 0
        self._offered_at_ms: dict[bytes, int] = {}
        """What was offered of late; no more than the pool holds."""

    def offer(self, transactions: Sequence[bytes], to: Sequence[str]) -> None:
        """Give some of the validators `to` what this node cannot order itself, unless it was offered a moment ago.

        Where none of them is connected its neighbors get it, who offer it on in their turn. The batcher offers what
        waits again and again: a stalled network must not be flooded on top.
        """
        connected = set(self._links.connected())
        peers = [node for node in to if node in connected] or sorted(connected)
        if not peers:
            return
        now_ms = self._clock.now_ms()
        recent = {data: at for data, at in self._offered_at_ms.items() if abs(now_ms - at) < OFFERED_AGAIN_MS}
        due = [data for data in transactions if data not in recent]
        self._offered_at_ms = recent | dict.fromkeys(due, now_ms)
        self._turn += 1
        for part in parts(due):
            payload = encode_sync(TransactionsOffer(part))
            for offset in range(min(OFFERED_TO, len(peers))):
                self._links.send(peers[(self._turn + offset) % len(peers)], Channel.SYNC, payload)


def parts(transactions: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Cut a list, in order, into offers within the bounds."""
    part: list[bytes] = []
    size = 0
    for transaction in transactions:
        if part and (size + len(transaction) > OFFER_BYTES_MAX or len(part) == OFFER_TRANSACTIONS_MAX):
            yield tuple(part)
            part, size = [], 0
        part.append(transaction)
        size += len(transaction)
    if part:
        yield tuple(part)

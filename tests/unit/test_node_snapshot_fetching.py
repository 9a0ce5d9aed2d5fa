"""Fetching a snapshot from peers that have it, have another one, lie, withhold, vanish or are slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_core_kit import REGISTRY, Kit, Put
from node_core_kit import Clock, Links
from snapshot_kit import head_certificate, make_toy, take

from ledger.chain import Chain
from ledger.snapshot import buckets, subtrees
from ledger.snapshot.shelf import MANIFEST, SnapshotShelf
from ledger.snapshot.store_building import switch_stores
from ledger.state.store import LevelStore
from node.snapshot_exchange import SnapshotExchange
from node.snapshot_fetching import (
    AGAIN_DOUBLINGS_MAX,
    AGAIN_MS,
    PIECE_TIMEOUT_MS,
    STUCK_MS,
    TICK_MS,
    Phase,
    SnapshotFetcher,
)
from node.snapshot_messages import (
    Offered,
    Offers,
    OffersRequest,
    PieceAnswer,
    PieceRequest,
    SnapshotMessage,
    decode_snapshot_message,
    encode_snapshot_message,
)
from node.snapshot_pace import RATE_WINDOW_MS
from node.snapshot_serving import SERVED_AT_ONCE_MAX, SnapshotDesk
from node.snapshot_workshop import Workshop
from p2p.channels import Channel
from primitives.codec import encode

Conduct = Callable[[SnapshotMessage, SnapshotMessage], SnapshotMessage | None]
"""(what was asked, what the honest answer is) -> what is answered; None for silence."""


class Jobs:
    """node.ports.Jobs that runs at once."""

    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        failure: BaseException | None = None
        try:
            job()
        except Exception as error:
            failure = error
        done(failure)


def honest(_: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
    return answer


class Peer:
    """A node with snapshots, and the conduct that a test gives it."""

    def __init__(self, shelf: SnapshotShelf, conduct: Conduct = honest) -> None:
        self.links = Links("new")
        self.exchange = SnapshotExchange(self.links, SnapshotDesk(self.links, Jobs(), shelf), None)
        self.conduct = conduct
        self.asked: list[SnapshotMessage] = []

    def answers(self, payload: bytes) -> Iterator[bytes]:
        asked = decode_snapshot_message(payload)
        self.asked.append(asked)
        self.exchange.on_payload("new", payload)
        sent, self.links.sent = self.links.sent, []
        for _, channel, answer in sent:
            assert channel is Channel.SNAPSHOTS
            said = self.conduct(asked, decode_snapshot_message(answer))
            if said is not None:
                yield encode_snapshot_message(said)


class Joining:
    """An empty node among peers."""

    def __init__(self, kit: Kit, path: Path, peers: dict[str, Peer], *, behind: int = 1) -> None:
        self.kit, self.path, self.peers = kit, path, peers
        self.clock, self.links = Clock(), Links(*peers)
        self.installed: list[int] = []
        self.failures: list[BaseException] = []
        self.resumed = 0
        self.shelf = SnapshotShelf(path / "snapshots")
        self.workshop = Workshop(self.shelf, path / "chain.new", kit.genesis, REGISTRY)
        self.fetcher = SnapshotFetcher(
            self.clock, self.links, Jobs(), self.workshop, behind, self.installed.append, self.failures.append
        )
        self.exchange = SnapshotExchange(self.links, SnapshotDesk(self.links, Jobs(), self.shelf), self.fetcher)

    def resume(self) -> None:
        self.resumed += 1

    def begin(self, height: int = 0, target: int = 10**6, oldest: int | None = None) -> bool:
        return self.fetcher.consider(height, target, oldest, self.resume)

    def turn(self) -> bool:
        """Deliver what was sent; tell whether anything was."""
        sent, self.links.sent = self.links.sent, []
        for peer, _, payload in sent:
            for answer in self.peers[peer].answers(payload):
                if peer in self.links.peers:
                    self.exchange.on_payload(peer, answer)
        for peer in {peer for peer, _ in self.links.complaints} & set(self.links.peers):
            self.links.peers.remove(peer)  # the link is cut
            self.exchange.on_peer_disconnected(peer)
        return bool(sent)

    def run(self, turns: int = 400) -> None:
        """Until it is installed, or given up."""
        for _ in range(turns):
            if not self.turn():
                if self.installed or not self.fetcher.busy:
                    break
                self.clock.advance(TICK_MS)
        self.workshop.close()

    def pieces_from(self, peer: str) -> int:
        return sum(isinstance(asked, PieceRequest) for asked in self.peers[peer].asked)

    def chain(self) -> Chain:
        assert self.failures == []
        assert self.installed
        current = self.path / "chain"
        switch_stores(self.path / "chain.new", current)
        store = LevelStore(current)
        try:
            return Chain.open(store, self.kit.genesis, REGISTRY)
        finally:
            store.close()


class Sources:
    """Two snapshots of one chain: of all but the last block on `old`, of the head on `new`."""

    def __init__(self, path: Path) -> None:
        self.kit = make_toy(300, pad=100)
        self.old, self.new = SnapshotShelf(path / "old"), SnapshotShelf(path / "new")
        self.old_height = take(self.kit.chain, self.kit.store, head_certificate(self.kit.chain), self.old)
        self.kit.execute(self.kit.transaction(Put(b"key-7" + bytes(100), 1)))
        self.kit.chain.add_certificate(self.kit.certificate(self.kit.chain.height))
        self.height = take(self.kit.chain, self.kit.store, head_certificate(self.kit.chain), self.new)
        self.hash = self.kit.chain.head_hash


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sources]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (buckets, subtrees):
            patch.setattr(module, "CHUNK_BYTES_TARGET", 1_500)
        yield Sources(tmp_path_factory.mktemp("sources"))


def joining(sources: Sources, path: Path, *conducts: Conduct) -> Joining:
    """A newcomer among peers a, b, c, ... of these conducts, all with the newer snapshot."""
    peers = {name: Peer(sources.new, conduct) for name, conduct in zip("abcdef", conducts, strict=False)}
    return Joining(sources.kit, path, peers)


def test_pieces_come_from_several_peers_and_make_the_chain(sources: Sources, tmp_path: Path) -> None:
    node = joining(sources, tmp_path, honest, honest, honest)
    assert node.begin()
    node.run()
    assert node.installed == [sources.height]
    assert min(map(node.pieces_from, "abc")) > 5
    assert node.chain().head_hash == sources.hash
    assert node.links.complaints == []
    # What was fetched is served on.
    assert [entry.height for entry in node.shelf.entries()] == [sources.height]
    later = Joining(sources.kit, tmp_path / "later", {"new": Peer(node.shelf)})
    later.begin()
    later.run()
    assert later.chain().head_hash == sources.hash


def wrong(kind: str) -> Conduct:
    """Answers with bytes that are no such piece."""

    def conduct(asked: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
        if isinstance(asked, PieceRequest) and asked.name.startswith(kind):
            return PieceAnswer(asked.request, encode([b"a", b"b"]))
        return answer

    return conduct


@pytest.mark.parametrize("kind", [MANIFEST, "chunk", "history"])
def test_a_liar_is_named_at_its_first_wrong_piece(sources: Sources, tmp_path: Path, kind: str) -> None:
    refused: list[str] = []

    def busy_at_first(asked: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
        if isinstance(asked, PieceRequest) and asked.name.startswith(kind) and not refused:
            refused.append(asked.name)
            return PieceAnswer(asked.request, None)
        return answer

    node = joining(sources, tmp_path, wrong(kind), busy_at_first)
    node.begin()
    node.run()
    assert node.chain().head_hash == sources.hash
    assert [peer for peer, _ in node.links.complaints] == ["a"]
    assert "wrong piece" in node.links.complaints[0][1]


def test_when_all_but_one_lie_that_one_is_enough(sources: Sources, tmp_path: Path) -> None:
    node = joining(sources, tmp_path, wrong("chunk"), wrong("history"), wrong(MANIFEST), honest)
    node.begin()
    node.run()
    assert node.chain().head_hash == sources.hash
    assert "d" not in [peer for peer, _ in node.links.complaints]


def withholding(asked: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
    """Says that it has everything, and sends no chunk."""
    return PieceAnswer(asked.request, None) if isinstance(asked, PieceRequest) and "chunk" in asked.name else answer


def silent(asked: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
    return None if isinstance(asked, PieceRequest) else answer


@pytest.mark.parametrize("conduct", [withholding, silent])
def test_what_is_withheld_is_fetched_elsewhere(sources: Sources, tmp_path: Path, conduct: Conduct) -> None:
    node = joining(sources, tmp_path, conduct, honest)
    node.begin()
    node.run(2_000)
    assert node.chain().head_hash == sources.hash
    assert node.links.complaints == []  # it is no lie, and may be a slow link


def test_a_snapshot_that_nobody_has_any_more_makes_room_for_blocks(sources: Sources, tmp_path: Path) -> None:
    """A lie about what there is costs some time, and nothing else."""
    invented = Offers((Offered(10**9, b"x" * 32),))
    node = joining(sources, tmp_path, lambda asked, answer: invented if isinstance(asked, OffersRequest) else answer)
    assert node.begin()
    node.run(2_000)
    assert (node.installed, node.resumed, node.fetcher.phase) == ([], 1, Phase.IDLE)
    assert not node.begin()  # not at once again


def test_invented_heights_do_not_keep_it_from_a_true_one(sources: Sources, tmp_path: Path) -> None:
    invented = Offers((Offered(10**9, b"x" * 32),))
    node = joining(
        sources, tmp_path, honest, lambda asked, answer: invented if isinstance(asked, OffersRequest) else answer
    )
    node.begin()
    node.run(2_000)
    assert node.chain().head_hash == sources.hash


def test_one_peer_that_invents_snapshots_cannot_keep_a_node_from_blocks(sources: Sources, tmp_path: Path) -> None:
    """R5, L6: it names others each time that it is asked, and is silent then; the pauses between searches grow."""
    invented: list[int] = []

    def inventing(asked: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
        if not isinstance(asked, OffersRequest):
            return None
        invented.append(len(invented))
        return Offers(tuple(Offered(10**9 + n, b"%032d" % (100 * len(invented) + n)) for n in range(16)))

    node = joining(sources, tmp_path, inventing)
    pauses = []
    assert node.begin()
    for search in range(1, 7):
        began = node.clock.now_ms()
        node.run(2_000)
        assert (node.resumed, node.fetcher.phase) == (search, Phase.IDLE)
        ended = node.clock.now_ms()
        assert ended - began < 2 * STUCK_MS
        while not node.begin():
            node.clock.advance(AGAIN_MS // 2)
        pauses.append(node.clock.now_ms() - ended)
    assert pauses[0] == AGAIN_MS
    assert max(pauses) == AGAIN_MS << AGAIN_DOUBLINGS_MAX


PIECE_EVERY_MS = 4_000
"""So slow that four pieces asked for at once are just in time."""


def trickle(node: Joining, waiting: list[bytes]) -> None:
    """Hand a node the answers that wait, one now and then, until it is done."""
    for _ in range(2_000):
        node.turn()
        if node.installed or not node.fetcher.busy:
            break
        if waiting and node.clock.now_ms() % PIECE_EVERY_MS == 0:
            node.exchange.on_payload("a", waiting.pop(0))
        node.clock.advance(TICK_MS)
    node.workshop.close()


def slow_holder(sources: Sources, path: Path) -> tuple[Joining, list[bytes]]:
    """A node and its only peer, whose answers wait in the list."""
    waiting: list[bytes] = []

    def later(asked: SnapshotMessage, answer: SnapshotMessage) -> SnapshotMessage | None:
        if isinstance(asked, PieceRequest):
            waiting.append(encode_snapshot_message(answer))
            return None
        return answer

    return joining(sources, path, later), waiting


def test_a_sole_holder_that_trickles_cannot_keep_a_node_from_blocks(sources: Sources, tmp_path: Path) -> None:
    """L6, L13: every piece is good, and in time; together they come too slowly to be worth the wait."""
    node, waiting = slow_holder(sources, tmp_path)
    began = node.clock.now_ms()
    assert node.begin()
    trickle(node, waiting)
    assert (node.installed, node.resumed, node.fetcher.phase) == ([], 1, Phase.IDLE)
    assert RATE_WINDOW_MS <= node.clock.now_ms() - began < 2 * RATE_WINDOW_MS
    assert node.links.complaints == []  # it is no lie


def test_a_sole_holder_that_trickles_is_put_up_with_where_nobody_has_the_blocks(
    sources: Sources, tmp_path: Path
) -> None:
    node, waiting = slow_holder(sources, tmp_path)
    began = node.clock.now_ms()
    assert node.begin(height=1, target=sources.height, oldest=sources.height)
    trickle(node, waiting)
    assert node.chain().head_hash == sources.hash
    assert node.clock.now_ms() - began > RATE_WINDOW_MS


def test_a_manifest_that_is_cut_as_nobody_cuts_costs_its_sender_and_not_the_snapshot(
    sources: Sources, tmp_path: Path
) -> None:
    """R5: it is proven all the same, but its chunks are nowhere."""
    finely = SnapshotShelf(tmp_path / "finely")
    with pytest.MonkeyPatch.context() as patch:
        for module in (buckets, subtrees):
            patch.setattr(module, "CHUNK_BYTES_TARGET", 200)
        take(sources.kit.chain, sources.kit.store, head_certificate(sources.kit.chain), finely)
    node = Joining(
        sources.kit, tmp_path, {"a": Peer(finely, withholding), "b": Peer(sources.new), "c": Peer(sources.new)}
    )
    node.begin()
    node.run(3_000)
    assert MANIFEST in [asked.name for asked in node.peers["a"].asked if isinstance(asked, PieceRequest)]
    assert node.chain().head_hash == sources.hash
    assert node.links.complaints == []


def test_it_is_finished_once_however_late_its_thread_is_heard(sources: Sources, tmp_path: Path) -> None:
    """R1: the last pieces may be taken before the first of them is known to be."""

    class Late:
        def __init__(self) -> None:
            self.heard: list[Callable[[], None]] = []

        def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
            Jobs().run(job, lambda error: self.heard.append(lambda: done(error)))

    late = Late()
    node = joining(sources, tmp_path, honest, honest)
    node.fetcher._jobs = late
    node.begin()
    for _ in range(400):
        node.turn()
        heard, late.heard = late.heard, []
        for done in heard:
            done()
    assert node.failures == []
    assert node.installed == [sources.height]
    assert node.chain().head_hash == sources.hash


def test_no_offer_means_blocks_at_once(sources: Sources, tmp_path: Path) -> None:
    """A young network's nodes have none: nobody waits for a timer."""
    empty = SnapshotShelf(tmp_path / "empty")
    node = Joining(sources.kit, tmp_path, {"a": Peer(empty), "b": Peer(empty)})
    assert node.begin()
    node.turn()
    assert (node.resumed, node.fetcher.busy) == (1, False)
    alone = Joining(sources.kit, tmp_path, {})
    assert not alone.begin()


def test_a_peer_that_never_says_what_it_has_is_waited_for_a_moment(sources: Sources, tmp_path: Path) -> None:
    node = joining(sources, tmp_path, honest, lambda asked, answer: None)
    node.begin()
    node.run()
    assert node.chain().head_hash == sources.hash


def test_only_what_is_far_enough_ahead_is_fetched(sources: Sources, tmp_path: Path) -> None:
    node = Joining(sources.kit, tmp_path, {"a": Peer(sources.new)}, behind=100)
    assert not node.begin(height=5, target=50)
    assert node.begin(height=5, target=500)
    node.run()
    assert (node.installed, node.resumed) == ([], 1)


def test_whose_next_block_nobody_has_any_more_takes_a_snapshot_however_near(sources: Sources, tmp_path: Path) -> None:
    node = Joining(sources.kit, tmp_path, {"a": Peer(sources.new)}, behind=100)
    assert not node.begin(height=1, target=sources.height)
    assert node.begin(height=1, target=sources.height, oldest=sources.height + 1)
    node.run()
    assert node.chain().head_hash == sources.hash


def test_a_snapshot_below_the_oldest_block_is_of_no_use(sources: Sources, tmp_path: Path) -> None:
    node = Joining(sources.kit, tmp_path, {"a": Peer(sources.new)}, behind=1)
    assert node.begin(height=1, target=sources.height, oldest=sources.height + 2)
    node.run()
    assert (node.installed, node.resumed) == ([], 1)


def test_it_goes_on_where_it_was_when_the_process_ended(sources: Sources, tmp_path: Path) -> None:
    """Pieces that came are checked again from the disk, not fetched again; one that has decayed is."""
    node = joining(sources, tmp_path, honest)
    node.begin()
    for _ in range(12):
        node.turn()
    node.fetcher.stop()
    node.workshop.close()
    first = node.pieces_from("a")
    assert first > 10
    kept = sorted((tmp_path / "snapshots" / ".draft-restore").glob("chunk-*"))
    kept[0].write_bytes(b"decayed" + kept[0].read_bytes())
    again = joining(sources, tmp_path, honest)
    again.begin()
    again.run()
    progress = again.fetcher.progress()
    assert progress.resumed > 0.5 * first
    assert again.pieces_from("a") <= progress.chunks + 3 - progress.resumed
    assert again.chain().head_hash == sources.hash


def test_what_two_snapshots_share_is_fetched_once(sources: Sources, tmp_path: Path) -> None:
    """The older one is gone from its source in the middle: the newer one needs only what differs."""
    node = Joining(sources.kit, tmp_path, {"a": Peer(sources.old)})
    node.begin()
    for _ in range(12):
        node.turn()
    node.fetcher.stop()
    node.workshop.close()
    later = Joining(sources.kit, tmp_path, {"a": Peer(sources.new)})
    later.begin()
    later.run()
    assert later.installed == [sources.height]
    assert later.fetcher.progress().resumed > 10
    assert later.chain().head_hash == sources.hash
    files = {path.name for path in (tmp_path / "snapshots" / str(sources.height)).iterdir()}
    assert files == {path.name for path in (sources.new.path / str(sources.height)).iterdir()}


def test_sources_with_other_heights_help_with_the_chunks_they_share(sources: Sources, tmp_path: Path) -> None:
    """Chunks are named by what is in them, not by a height."""
    node = Joining(
        sources.kit, tmp_path, {"a": Peer(sources.new, withholding), "b": Peer(sources.old), "c": Peer(sources.old)}
    )
    sources_of_new = [path.name for path in (sources.new.path / str(sources.height)).glob("chunk-*")]
    sources_of_old = [path.name for path in (sources.old.path / str(sources.old_height)).glob("chunk-*")]
    assert len(set(sources_of_new) & set(sources_of_old)) > 0.8 * len(sources_of_new)
    node.begin()
    node.run(3_000)
    assert node.chain().height in (sources.height, sources.old_height)


def test_a_peer_that_goes_in_the_middle_is_done_without(sources: Sources, tmp_path: Path) -> None:
    node = joining(sources, tmp_path, honest, honest)
    node.begin()
    for _ in range(6):
        node.turn()
    node.links.peers.remove("a")
    node.exchange.on_peer_disconnected("a")
    node.run()
    assert node.chain().head_hash == sources.hash


def test_answers_nobody_asked_for_change_nothing(sources: Sources, tmp_path: Path) -> None:
    node = joining(sources, tmp_path, honest)
    node.exchange.on_payload("a", encode_snapshot_message(Offers((Offered(5, bytes(32)),))))
    node.exchange.on_payload("a", encode_snapshot_message(PieceAnswer(1, b"x")))
    node.begin()
    node.exchange.on_payload("zed", encode_snapshot_message(PieceAnswer(1, b"x")))
    node.exchange.on_payload("a", b"\xc1")
    assert [peer for peer, _ in node.links.complaints] == ["a"]


def test_serving_is_bounded_and_names_only_what_snapshots_have(sources: Sources) -> None:
    links = Links("new")

    class Held:
        def __init__(self) -> None:
            self.waiting: list[Callable[[], None]] = []

        def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
            self.waiting.append(lambda: (job(), done(None))[1])

    held = Held()
    desk = SnapshotDesk(links, held, sources.new)
    for number in range(SERVED_AT_ONCE_MAX + 1):
        desk.on_piece_request("new", PieceRequest(number, sources.height, MANIFEST))
    assert len(held.waiting) == SERVED_AT_ONCE_MAX
    assert [decode_snapshot_message(payload) for _, _, payload in links.sent] == [PieceAnswer(SERVED_AT_ONCE_MAX, None)]
    for job in held.waiting:
        job()
    assert len(links.sent) == SERVED_AT_ONCE_MAX + 1
    desk.on_piece_request("new", PieceRequest(1, sources.height, "../../keys/signing.key"))
    assert [peer for peer, _ in links.complaints] == ["new"]


def test_a_late_answer_is_no_answer(sources: Sources, tmp_path: Path) -> None:
    node = joining(sources, tmp_path, silent)
    node.begin()
    node.turn()
    node.turn()
    node.clock.advance(PIECE_TIMEOUT_MS + TICK_MS)
    node.exchange.on_payload("a", encode_snapshot_message(PieceAnswer(1, b"late")))
    assert node.links.complaints == []
    node.fetcher.stop()
    node.workshop.close()

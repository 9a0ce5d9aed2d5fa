"""Which vote log counts when a node starts, and how another epoch gets a log of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from epochs_kit import Consortium
from node_core_kit import Clock, Disk, Jobs

from consensus.engine import (
    BatchClosed,
    BatchesReleased,
    BlockExecuted,
    Broadcast,
    CertificateShown,
    Certified,
    Effect,
    EngineStatus,
    Event,
    Execute,
    MessageReceived,
    PeerConnected,
    Persist,
    ReplicaId,
    StartTimer,
    Synchronized,
    TimerExpired,
)
from consensus.messages import BatchRequest, Message, Proposal
from node.chain_service import ChainService, Head
from node.consensus_driver import ConsensusDriver
from node.engine_setup import draw_incarnation, log_secret, open_log
from node.journal import DAMAGED_FILE_NAME, FILE_NAME, REWRITE_BYTES_MIN, Journal, JournalFailed
from node.membership import Membership
from primitives.finality import FinalityCertificate
from primitives.keys import SigningKey

SECRET = b"s" * 32
DRAWN = draw_incarnation(bytes(32))
CERTIFICATE = FinalityCertificate(0, 1, bytes(32), 0, ())


def open_journal(disk: Disk, jobs: Jobs | None = None) -> Journal:
    def fail(error: BaseException) -> None:
        raise error

    return Journal(disk, jobs or Jobs(), fail, SECRET)


def log_of(disk: Disk, epoch: int, *records: bytes, ledger_height: int = 0, incarnation: int = 0) -> None:
    """Leave a log of an earlier life on the disk."""
    journal = open_journal(disk)
    journal.begin(epoch, incarnation, ())
    journal.rewrite(records, epoch, ledger_height, incarnation, lambda: None)
    journal.close()


@pytest.fixture(scope="module")
def heads() -> list[Head]:
    """Where the ledger stands at the heights 0 to 5."""
    world, found = Consortium(), []
    for height in range(6):
        world.run_to(height)
        found.append(ChainService(world.chain).head())
    return found


class Start:
    """One start of a validator: what it takes from its log."""

    def __init__(self, disk: Disk, head: Head, epoch: int = 0, *, recorded: int | None = 0) -> None:
        """`recorded` is the number that the epoch's set has for the validator; None where it is not in the set."""
        self.drawn = 0
        self.journal = open_journal(disk)
        self.records = open_log(self.journal, Membership(epoch, 0, ()), head, self._draw, recorded)
        self.incarnation = self.journal.head.incarnation
        assert open_journal(disk).head == self.journal.head, "what counts from now on is durable"

    def _draw(self) -> bytes:
        self.drawn += 1
        return bytes(32)


def test_the_first_life_begins_a_log_without_a_number(heads: list[Head]) -> None:
    disk = Disk()
    start = Start(disk, heads[0])
    assert (start.records, start.incarnation, start.drawn) == ([], 0, 0)
    assert (Start(disk, heads[0]).incarnation, Start(disk, heads[4]).incarnation) == (0, 0)


def test_a_log_of_the_same_life_is_taken_as_it_is(heads: list[Head]) -> None:
    """R2"""
    disk = Disk()
    log_of(disk, 0, b"one", b"two", ledger_height=3, incarnation=6)
    before = disk.durable[FILE_NAME]
    for height in (3, 5):
        start = Start(disk, heads[height])
        assert (start.records, start.incarnation, start.drawn) == ([b"one", b"two"], 6, 0)
    assert disk.durable[FILE_NAME] == before


def test_blocks_without_a_log_draw_a_number_once(heads: list[Head]) -> None:
    """R7: the database is there and the vote log is not. The number outlives further restarts."""
    disk = Disk()
    start = Start(disk, heads[1])
    assert (start.records, start.incarnation, start.drawn) == ([], DRAWN, 1)
    again = Start(disk, heads[1])
    assert (again.records, again.incarnation, again.drawn) == ([], DRAWN, 0)


def test_a_log_without_the_blocks_that_it_was_truncated_to_draws_a_number(heads: list[Head]) -> None:
    """R7, the reverse: the vote log is there and the database is gone, or an old copy."""
    for height, draws in ((0, 1), (3, 1), (4, 0)):
        disk = Disk()
        log_of(disk, 0, b"one", ledger_height=4)
        start = Start(disk, heads[height])
        assert (start.records == [], start.incarnation > 0, start.drawn) == (bool(draws), bool(draws), draws)


def test_a_ledger_of_an_earlier_epoch_than_the_log_draws_a_number(heads: list[Head]) -> None:
    """R6: the epoch of the log began with a block that this ledger does not have."""
    disk = Disk()
    log_of(disk, 2, b"one", incarnation=6)
    start = Start(disk, heads[5], epoch=1)
    assert (start.records, start.incarnation, start.drawn) == ([], DRAWN, 1)
    assert start.journal.head.epoch == 1


def test_a_log_of_an_earlier_epoch_is_begun_anew_in_the_same_name(heads: list[Head]) -> None:
    """R4: the crash came between the ledger's last block of the epoch and the next log. Nothing in it counts."""
    disk = Disk()
    log_of(disk, 1, b"one", ledger_height=5, incarnation=6)
    start = Start(disk, heads[3], epoch=2, recorded=6)
    assert (start.records, start.incarnation, start.drawn) == ([], 6, 0)
    assert (start.journal.head.epoch, start.journal.head.ledger_height) == (2, 0)


@pytest.mark.parametrize(("kept", "recorded"), [(0, 7), (6, 7), (6, 0)])
def test_a_log_from_before_a_rejoin_draws_a_number(heads: list[Head], kept: int, recorded: int) -> None:
    """R6: the validator has rejoined without this directory since; without a number it would be silent for ever."""
    disk = Disk()
    log_of(disk, 0, b"one", incarnation=kept)
    start = Start(disk, heads[3], epoch=1, recorded=recorded)
    assert (start.records, start.incarnation, start.drawn) == ([], DRAWN, 1)
    assert (Start(disk, heads[3], epoch=1, recorded=recorded).incarnation, start.journal.head.epoch) == (DRAWN, 1)


def test_a_directory_that_left_its_place_to_another_rejoins_when_it_is_started_again(heads: list[Head]) -> None:
    """R8: it went on without a number while the set already named the other's."""
    disk = Disk()
    log_of(disk, 1, b"one")
    start = Start(disk, heads[3], epoch=1, recorded=7)
    assert (start.records, start.incarnation, start.drawn) == ([], DRAWN, 1)


def test_a_number_that_waits_for_its_rejoin_is_kept(heads: list[Head]) -> None:
    """R5: drawn in this epoch, and not on record yet. Another one at each start would never get there."""
    disk = Disk()
    log_of(disk, 1, b"one", incarnation=6)
    for recorded in (0, 5):
        start = Start(disk, heads[3], epoch=1, recorded=recorded)
        assert (start.incarnation, start.drawn) == (6, 0)


def test_a_directory_of_a_node_that_is_not_in_the_set_keeps_its_number(heads: list[Head]) -> None:
    disk = Disk()
    log_of(disk, 0, b"one", incarnation=6)
    start = Start(disk, heads[3], epoch=1, recorded=None)
    assert (start.incarnation, start.drawn, start.journal.head.epoch) == (6, 0, 1)


@pytest.mark.parametrize("height", [0, 3])
def test_a_damaged_log_is_put_aside_and_never_taken_for_a_first_one(heads: list[Head], height: int) -> None:
    """D1, R5: also beside an empty ledger."""
    disk = Disk()
    log_of(disk, 0, b"one", b"two")
    damaged = bytearray(disk.durable[FILE_NAME])
    damaged[-1] ^= 1
    disk.replace(FILE_NAME, bytes(damaged))
    start = Start(disk, heads[height])
    assert (start.records, start.incarnation, start.drawn) == ([], DRAWN, 1)
    assert disk.durable[DAMAGED_FILE_NAME] == bytes(damaged)
    assert Start(disk, heads[height]).incarnation == DRAWN


def test_a_disk_that_cannot_take_the_number_ends_the_start(heads: list[Head]) -> None:
    """D4: a number that is not durable would be another one in the next life."""
    disk = Disk()
    disk.fail_replace = OSError(28, "No space left on device")
    with pytest.raises(JournalFailed, match="No space left"):
        Start(disk, heads[1])


def test_numbers_are_drawn_from_the_whole_range_and_never_zero() -> None:
    drawn = {draw_incarnation(index.to_bytes(32, "big")) for index in range(1_000)}
    assert len(drawn) == 1_000
    assert min(drawn) >= 1
    assert 2**62 < max(drawn) < 2**63


def test_every_key_marks_its_log_in_its_own_way() -> None:
    secrets = {log_secret(SigningKey(bytes([index]) * 32)) for index in range(1, 10)}
    assert len(secrets) == 9
    assert log_secret(None) == b""


# --- the driver: another engine, another log


def broadcast(number: int, epoch: int = 0) -> Broadcast:
    return Broadcast(BatchRequest(epoch, (number.to_bytes(32, "big"),)))


class Scripted:
    """An engine that answers each event with what a test has put down for it."""

    def __init__(self, epoch: int = 0, **script: list[Effect]) -> None:
        self.epoch = epoch
        self.script = script
        self.events: list[Event] = []
        self.retained = [b"retained of epoch %d" % epoch]
        self.stable = 0

    def start(self, now_ms: int) -> list[Effect]:
        return self.script.get("start", [])

    def step(self, event: Event, now_ms: int) -> list[Effect]:
        self.events.append(event)
        name = event.items[0].decode() if isinstance(event, BatchClosed) else type(event).__name__
        return self.script.get(name, [])

    def retained_records(self) -> list[bytes]:
        return self.retained

    def undecided_items(self, authors: frozenset[int]) -> tuple[bytes, ...]:
        return ()

    @property
    def proven(self) -> bool:
        return True

    @property
    def stable_checkpoint(self) -> int:
        return self.stable

    def status(self) -> EngineStatus:
        values: dict[str, Any] = dict.fromkeys(EngineStatus.__struct_fields__, 0)
        return EngineStatus(**(values | {"stable_checkpoint": self.stable}))


class Host:
    """A driver whose disk waits until it is told to go on; what is visible of it, in order, with the log then."""

    def __init__(self, engine: Scripted) -> None:
        self.disk, self.jobs, self.clock = Disk(), Jobs(held=True), Clock()
        self.seen: list[Any] = []
        self.logs: list[tuple[int, list[bytes]]] = []
        self.then: Callable[[], None] = lambda: None
        journal = open_journal(self.disk, self.jobs)
        journal.begin(0, 3, ())
        self.driver = ConsensusDriver(engine, journal, self.clock, self._transmit, self)
        self.driver.start()

    @property
    def log(self) -> Journal:
        """The log as a crash at this moment would leave it."""
        crashed = Disk()
        crashed.replace(FILE_NAME, self.disk.durable[FILE_NAME])
        return open_journal(crashed)

    def _note(self, what: Any) -> None:
        self.seen.append(what)
        log = self.log
        self.logs.append((log.head.epoch, log.records))
        then, self.then = self.then, lambda: None
        then()

    def _transmit(self, message: Message, to: tuple[int, ...] | None) -> None:
        assert isinstance(message, BatchRequest)
        self._note(("send", message.epoch, int.from_bytes(message.digests[0], "big")))

    def on_execute(self, effect: Execute) -> None:
        self._note(("execute", effect.sequence))

    def on_certified(self, effect: Certified) -> None:
        self._note(("certified", effect.certificate.height))

    def on_released(self, effect: BatchesReleased) -> None:
        self._note(("released", effect.items))

    def on_sync_needed(self, effect: Any) -> None:
        raise AssertionError

    on_diverged = on_outdated = on_evidence = on_batch_held = on_sync_needed


def closed(name: str) -> BatchClosed:
    return BatchClosed((name.encode(),))


def test_the_next_engine_says_nothing_before_its_own_log_is_there() -> None:
    """R4, I6: a crash at any moment finds the old log or the new one, whole."""
    host = Host(Scripted(a=[Persist(b"old promise"), broadcast(1)]))
    host.driver.handle(closed("a"))
    host.jobs.go_on()
    following = Scripted(1, start=[Persist(b"new promise"), broadcast(2, epoch=1)])
    following.retained = [b"new promise"]
    host.driver.replace(following, 1, 9)
    assert host.seen == [("send", 0, 1)]
    assert (host.log.head.epoch, host.log.head.incarnation, host.log.records) == (0, 3, [b"old promise"])
    host.jobs.go_on()
    assert host.seen == [("send", 0, 1), ("send", 1, 2)]
    assert host.logs[-1] == (1, [b"new promise"])
    assert (host.log.head.epoch, host.log.head.incarnation) == (1, 9)


def test_what_the_old_engine_still_wanted_to_send_is_dropped_and_the_rest_is_done() -> None:
    """Nobody counts messages of an ended epoch; blocks and released transactions are not lost with them."""
    effects: list[Effect] = [
        Persist(b"r"),
        broadcast(2),
        Execute(4, Proposal(None, 0, ()), ()),
        BatchesReleased((b"item",)),
    ]
    host = Host(Scripted(a=[Persist(b"r"), broadcast(1)], b=effects))
    host.driver.handle(closed("a"))  # its sync is under way
    host.driver.handle(closed("b"))
    host.driver.replace(Scripted(1, start=[broadcast(3, epoch=1)]), 1, 3)
    host.jobs.go_on()
    assert host.seen == [("send", 0, 1), ("execute", 4), ("released", (b"item",)), ("send", 1, 3)]
    assert [epoch for epoch, _ in host.logs] == [0, 1, 1, 1], "what is under way goes on; what waits, waits for the log"


def test_timers_of_the_old_engine_stop() -> None:
    host = Host(Scripted(start=[StartTimer("suspicion", 100), StartTimer("status", 100)]))
    following = Scripted(1, start=[StartTimer("status", 300)])
    host.driver.replace(following, 1, 3)
    assert host.clock.timers == 1
    host.clock.advance(1_000)
    assert following.events == [TimerExpired("status")]


def test_a_timer_that_fired_for_the_old_engine_is_not_told_to_the_new_one() -> None:
    """The contract of engines: an expired timer that was stopped after it had fired is not delivered."""
    host = Host(Scripted(start=[StartTimer("suspicion", 100)], a=[broadcast(1)]))
    following = Scripted(1)

    def meanwhile() -> None:
        host.clock.advance(200)
        host.driver.replace(following, 1, 3)

    host.then = meanwhile
    host.driver.handle(closed("a"))
    host.jobs.go_on()
    assert TimerExpired("suspicion") not in following.events


def test_what_the_old_engine_has_not_heard_of_does_not_reach_the_new_one() -> None:
    """Replica ids mean others there, and a certificate of the old epoch says that its own has ended."""
    host = Host(Scripted(a=[broadcast(1)]))
    following = Scripted(1)

    ended = FinalityCertificate(0, 20, bytes(32), 20, ())
    stale: list[Event] = [
        PeerConnected(ReplicaId(4)),
        MessageReceived(BatchRequest(0, ()), ReplicaId(4)),
        CertificateShown(ended, ReplicaId(4)),
        Synchronized(ended),
        BlockExecuted(20, bytes(32), 20),
    ]

    def meanwhile() -> None:
        host.driver.handle(*stale, closed("kept"))
        host.driver.replace(following, 1, 3)

    host.then = meanwhile
    host.driver.handle(closed("a"))
    host.jobs.go_on()
    assert following.events == [closed("kept")]


def test_events_that_wait_while_the_log_is_replaced_are_for_the_new_engine() -> None:
    old, following = Scripted(), Scripted(1, b=[Persist(b"late"), broadcast(5, epoch=1)])
    host = Host(old)
    host.driver.replace(following, 1, 3)
    host.driver.handle(closed("b"))
    assert (old.events, host.seen) == ([], [])
    host.jobs.go_on()
    assert host.seen == [("send", 1, 5)]
    assert host.logs == [(1, [b"retained of epoch 1", b"late"])]


def test_a_log_that_is_rewritten_for_size_when_the_epoch_ends_is_replaced_afterwards() -> None:
    """A rewrite under way is of the old epoch: the new log comes behind it."""
    host = Host(Scripted(grow=[Persist(bytes(REWRITE_BYTES_MIN))]))
    host.driver.handle(closed("grow"))
    host.jobs.go_on()
    host.driver.on_ledger_durable(0)
    assert len(host.jobs.waiting) == 1
    host.driver.replace(Scripted(1, start=[broadcast(1, epoch=1)]), 1, 4)
    host.jobs.one()
    assert (host.log.head.epoch, host.seen) == (0, [])
    host.jobs.go_on()
    assert (host.log.head.epoch, host.log.head.incarnation, host.seen) == (1, 4, [("send", 1, 1)])
    assert host.log.records == [b"retained of epoch 1"]


def test_a_new_log_notes_no_height_above_what_the_ledger_holds() -> None:
    """R7: else the next start would call its own ledger an old copy."""
    host = Host(Scripted())
    following = Scripted(1)
    following.stable = 20
    host.driver.on_ledger_durable(12)
    host.driver.replace(following, 1, 3)
    host.jobs.go_on()
    assert host.log.head.ledger_height == 12


def test_a_number_is_adopted_only_when_it_is_durable() -> None:
    """R5: a rejoin must not ask with a number that a crash could lose."""
    host = Host(Scripted(a=[Persist(b"promise"), broadcast(1)]))
    host.driver.handle(closed("a"))
    heard: list[int] = []
    host.driver.adopt(77, lambda: heard.append(host.log.head.incarnation))
    assert heard == []
    host.jobs.one()
    assert (heard, host.log.head.incarnation) == ([], 3), "a sync under way is not of the number"
    host.jobs.go_on()
    assert heard == [77]
    assert (host.log.head.epoch, host.log.records) == (0, [b"retained of epoch 0"])


def test_a_number_that_the_disk_refuses_is_never_adopted() -> None:
    """D5"""
    host = Host(Scripted())
    heard: list[int] = []
    host.driver.adopt(77, lambda: heard.append(77))
    host.disk.fail_replace = OSError(5, "Input/output error")
    with pytest.raises(JournalFailed):
        host.jobs.go_on()
    assert (heard, host.log.head.incarnation) == ([], 3)


def test_the_number_stays_with_later_logs() -> None:
    host = Host(Scripted(grow=[Persist(bytes(REWRITE_BYTES_MIN))]))
    host.driver.adopt(77, lambda: None)
    host.driver.replace(Scripted(1, grow=[Persist(bytes(REWRITE_BYTES_MIN))]), 1, 77)
    host.jobs.go_on()
    host.driver.handle(closed("grow"))
    host.jobs.go_on()
    host.driver.on_ledger_durable(0)
    host.jobs.go_on()
    assert (host.log.head.epoch, host.log.head.incarnation) == (1, 77)
    assert host.log.records == [b"retained of epoch 1"]

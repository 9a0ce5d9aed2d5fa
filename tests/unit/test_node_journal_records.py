"""The vote log: what survives which damage, and that nothing is taken for durable that is not."""

from __future__ import annotations

import errno
import time

import pytest
from node_core_kit import Disk, Jobs

from node.failures import ExitCode, NodeFailure
from node.journal import (
    DAMAGED_FILE_NAME,
    FILE_NAME,
    REWRITE_BYTES_MIN,
    Journal,
    JournalDamaged,
    JournalFailed,
    JournalForeign,
    JournalFull,
    LogHead,
    file_head,
    frame,
    parse,
)

SECRET = b"s" * 32
RECORDS = [b"one", b"", b"three" * 40, b"\x00" * 30, b"five"]


def open_journal(disk: Disk, jobs: Jobs | None = None, fatal: list[NodeFailure] | None = None) -> Journal:
    """Open the log, or begin the first one."""
    failures = fatal if fatal is not None else []
    journal = Journal(disk, jobs or Jobs(), failures.append, SECRET)
    if not journal.found and not journal.damage:
        journal.begin(0, 0, ())
    return journal


def written(*groups: list[bytes]) -> bytes:
    """Return a log whose groups were synced one after the other."""
    disk = Disk()
    journal = open_journal(disk)
    for group in groups:
        for record in group:
            journal.append(record)
        journal.sync(lambda: None)
    return disk.durable[FILE_NAME]


def reopened(data: bytes) -> Journal:
    disk = Disk()
    disk.replace(FILE_NAME, data)
    return open_journal(disk)


def test_what_was_synced_is_read_back_in_order() -> None:
    journal = reopened(written(RECORDS[:2], RECORDS[2:]))
    assert journal.records == RECORDS


def test_opening_makes_no_log() -> None:
    """R7: otherwise a second start would find one, and vote. Who begins it says under which incarnation."""
    disk = Disk()
    for _ in range(2):
        journal = Journal(disk, Jobs(), lambda _: None, SECRET)
        assert (journal.found, journal.records, journal.head, journal.damage) == (False, [], LogHead(), "")
    assert disk.read(FILE_NAME) is None
    journal.begin(3, 77, [b"first"])
    again = Journal(disk, Jobs(), lambda _: None, SECRET)
    assert (again.found, again.records) == (True, [b"first"])
    assert (again.head.epoch, again.head.incarnation, again.head.ledger_height) == (3, 77, 0)


def test_a_log_that_is_begun_is_durable_at_once_and_takes_records() -> None:
    disk, jobs = Disk(), Jobs(held=True)
    journal = Journal(disk, jobs, lambda _: None, SECRET)
    journal.begin(0, 5, ())
    assert disk.durable[FILE_NAME] == file_head(SECRET, LogHead(0, 0, 5, 1, 0))
    journal.append(b"one")
    journal.sync(lambda: None)
    jobs.go_on()
    assert open_journal(disk).records == [b"one"]


def test_a_log_begun_in_the_place_of_another_goes_on_with_its_positions() -> None:
    """A record that a crash left of the old file is never taken for one of the new."""
    disk = Disk()
    disk.replace(FILE_NAME, written(RECORDS))
    journal = open_journal(disk)
    journal.begin(1, 9, ())
    assert (journal.head, open_journal(disk).records) == (LogHead(1, 0, 9, 6, 5), [])


def test_a_disk_that_refuses_a_new_log_is_named() -> None:
    """D4"""
    disk = Disk()
    journal = Journal(disk, Jobs(), lambda _: None, SECRET)
    disk.fail_replace = OSError(28, "No space left on device")
    with pytest.raises(JournalFailed, match="No space left"):
        journal.begin(0, 0, ())
    assert disk.read(FILE_NAME) is None


def test_what_is_appended_after_a_restart_follows() -> None:
    disk = Disk()
    for record in RECORDS:
        journal = open_journal(disk)
        journal.append(record)
        journal.sync(lambda: None)
    assert open_journal(disk).records == RECORDS


def test_a_tail_torn_at_any_byte_is_cut_and_nothing_before_it_is_lost() -> None:
    """D2: the last sync never returned; what it covered was never sent."""
    before, after = written(RECORDS[:2]), written(RECORDS[:2], RECORDS[2:])
    for size in range(len(before), len(after)):
        journal = reopened(after[:size])
        assert journal.records == RECORDS[: len(journal.records)]
        assert len(journal.records) >= 2
        journal.append(b"next")
        journal.sync(lambda: None)


def test_a_hole_in_the_last_sync_is_a_tear_even_where_whole_records_follow() -> None:
    """D2: a disk writes sectors in any order, so a later record of one sync may be there without the earlier one."""
    before, after = written(RECORDS[:2]), written(RECORDS[:2], RECORDS[2:])
    for start in range(len(before), len(after)):
        torn = bytearray(after)
        torn[start : start + 16] = bytes(len(torn[start : start + 16]))
        assert reopened(bytes(torn)).records[:2] == RECORDS[:2]


def test_a_flipped_bit_before_the_last_sync_is_damage_and_the_log_is_put_aside() -> None:
    """D1: it was durable, so it was promised. Nothing of it counts, and all of it is kept for examination."""
    durable, data = len(written(RECORDS)), written(RECORDS, [b"later"])
    for index in range(durable):
        damaged = bytearray(data)
        damaged[index] ^= 1 << (index % 8)
        with pytest.raises(JournalDamaged) as caught:
            parse(SECRET, bytes(damaged))
        assert caught.value.exit_code is ExitCode.STORAGE
        disk = Disk()
        disk.replace(FILE_NAME, bytes(damaged))
        journal = open_journal(disk)
        assert (journal.found, journal.records, journal.head) == (False, [], LogHead())
        assert "damaged" in journal.damage
        assert disk.durable[DAMAGED_FILE_NAME] == bytes(damaged)


@pytest.mark.parametrize("records", [RECORDS, []])
def test_one_wrong_bit_anywhere_in_the_beginning_makes_no_strangers_log_of_ours(records: list[bytes]) -> None:
    """D1, R5: not even without a record, which would show whose it is."""
    data = written(records)
    for offset in range(len(file_head(SECRET))):
        spoiled = bytearray(data)
        spoiled[offset] ^= 1
        assert "damaged" in reopened(bytes(spoiled)).damage


def test_the_next_damaged_log_takes_the_place_of_the_last() -> None:
    """D1: the damaged one does not become the log by being read again."""
    disk = Disk()
    for noise in (b"x", b"y"):
        disk.replace(FILE_NAME, noise + written(RECORDS)[1:])
        journal = open_journal(disk)
        assert not journal.found
        journal.begin(0, 1, ())
        assert disk.durable[DAMAGED_FILE_NAME][:1] == noise
        assert open_journal(disk).found


@pytest.mark.parametrize("data", [b"", b"guildmark", b"something else altogether", b"guildmark vote log 1\n"])
def test_a_file_too_short_for_a_log_has_lost_its_beginning(data: bytes) -> None:
    """D2"""
    assert "lost its beginning" in reopened(data).damage


@pytest.mark.parametrize("data", [b"something else altogether" * 10, b"guildmark vote log 1\n" * 10])
def test_what_is_no_vote_log_is_refused_and_left_alone(data: bytes) -> None:
    disk = Disk()
    disk.replace(FILE_NAME, data)
    with pytest.raises(JournalForeign, match="not a vote log") as caught:
        open_journal(disk)
    assert caught.value.exit_code is ExitCode.STORAGE
    assert disk.durable == {FILE_NAME: data}


def test_a_log_of_another_key_is_refused() -> None:
    disk = Disk()
    disk.replace(FILE_NAME, written(RECORDS))
    with pytest.raises(JournalForeign, match="another signing key"):
        Journal(disk, Jobs(), lambda _: None, b"x" * 32)


def test_a_strangers_record_inside_a_torn_batch_proves_nothing() -> None:
    """A client can put whatever it likes into a transaction, a well-formed record of its own included."""
    forged = frame(b"guess", 1_000, 999, b"forged")
    before = written([b"one"])
    after = written([b"one"], [b"batch " + forged + b" end"])
    for size in (len(before) + 60, len(after) - 1):
        assert reopened(after[:size]).records == [b"one"]


def test_a_torn_tail_that_a_stranger_wrote_is_told_from_records_at_once() -> None:
    """Lengths that a stranger chose must not make the search hash the tail over and over."""
    hostile = b"\x00\x00\x7f\xff" * 2_000_000
    torn = written([b"one"], [hostile])[:-1]
    begun = time.process_time()
    assert parse(SECRET, torn).last_position == 1
    assert time.process_time() - begun < 5


def test_a_rewrite_keeps_what_it_is_given_and_nothing_else() -> None:
    disk = Disk()
    journal = open_journal(disk)
    for record in RECORDS:
        journal.append(record)
    journal.sync(lambda: None)
    done: list[int] = []
    journal.rewrite([b"kept", b"too"], 2, 7, 5, lambda: done.append(1))
    journal.append(b"after")
    journal.sync(lambda: None)
    again = open_journal(disk)
    assert (done, again.records) == ([1], [b"kept", b"too", b"after"])
    assert (again.head.epoch, again.head.ledger_height, again.head.incarnation) == (2, 7, 5)


def test_a_rewritten_log_tolerates_no_damage() -> None:
    """It was replaced as a whole, durably: no part of it can be a tear."""
    disk = Disk()
    open_journal(disk).rewrite([b"kept", b"too"], 0, 7, 0, lambda: None)
    data = disk.durable[FILE_NAME]
    for size in range(len(data)):
        with pytest.raises(JournalDamaged):
            parse(SECRET, data[:size])


def test_the_log_is_rewritten_by_growth_and_never_asks_a_file_that_is_being_replaced() -> None:
    """The journal's thread closes and replaces the file while the deciding thread goes on asking."""
    disk, jobs = Disk(), Jobs(held=True)
    journal = open_journal(disk, jobs)
    journal.append(bytes(REWRITE_BYTES_MIN))
    journal.sync(lambda: None)
    jobs.go_on()
    wanted = [journal.wants_rewrite]
    journal.rewrite([b"kept"], 0, 1, 0, lambda: None)
    job, done = jobs.waiting.popleft()
    job()
    wanted.append(journal.wants_rewrite)
    done(None)
    assert [*wanted, journal.wants_rewrite] == [True, False, False]
    assert journal.size_bytes == len(disk.durable[FILE_NAME])


@pytest.mark.parametrize("where", ["fail_sync", "fail_append"])
def test_a_failed_write_or_fsync_is_fatal_and_not_tried_again(where: str) -> None:
    """D4, D5"""
    disk = Disk()
    fatal: list[NodeFailure] = []
    done: list[int] = []
    journal = open_journal(disk, fatal=fatal)
    setattr(disk, where, OSError(5, "Input/output error"))
    journal.append(b"promise")
    syncs = disk.syncs
    journal.sync(lambda: done.append(1))
    assert done == []
    assert [type(failure) for failure in fatal] == [JournalFailed]
    assert "Input/output error" in str(fatal[0])
    assert disk.syncs - syncs == (where == "fail_sync")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_from_a_failing_one(number: int) -> None:
    """D4: what was appended in part promised nothing, and the log that is opened anew goes on without it."""
    disk = Disk()
    fatal: list[NodeFailure] = []
    done: list[int] = []
    journal = open_journal(disk, fatal=fatal)
    disk.fail_append = OSError(number, "no room")
    journal.append(b"promise")
    journal.sync(lambda: done.append(1))
    disk.fail_append, disk.fail_replace = None, OSError(number, "no room")
    journal.rewrite([b"kept"], 0, 1, 0, lambda: done.append(2))
    assert done == []
    assert [type(failure) for failure in fatal] == [JournalFull, JournalFull]
    disk.fail_replace = None
    assert open_journal(disk).records == []


def test_a_failed_fsync_is_no_full_disk_whatever_it_is_called() -> None:
    """D5: which pages it lost is unknown, so a further try would only seem to work."""
    disk = Disk()
    fatal: list[NodeFailure] = []
    journal = open_journal(disk, fatal=fatal)
    disk.fail_sync = OSError(errno.ENOSPC, "no room")
    journal.append(b"promise")
    journal.sync(lambda: None)
    assert [type(failure) for failure in fatal] == [JournalFailed]


@pytest.mark.parametrize("at", [5, 60, -3])
def test_a_log_that_has_decayed_is_written_anew_from_memory(at: int) -> None:
    """D7: found while what it held is still known, and not when it is needed."""
    disk = Disk()
    journal = open_journal(disk)
    for record in RECORDS:
        journal.append(record)
    journal.sync(lambda: None)
    journal.check()
    assert not journal.wants_rewrite
    disk.current[FILE_NAME][at] ^= 1
    journal.check()
    assert journal.wants_rewrite
    journal.rewrite(RECORDS, 0, 0, 0, lambda: None)
    assert not journal.wants_rewrite
    journal.check()
    assert not journal.wants_rewrite
    assert open_journal(disk).records == RECORDS


def test_a_disk_that_refuses_at_the_start_is_named() -> None:
    disk = Disk()
    open_journal(disk)
    disk.fail_sync = OSError(30, "Read-only file system")
    with pytest.raises(JournalFailed, match="Read-only"):
        open_journal(disk)


def test_a_tear_that_comes_back_after_a_crash_is_not_made_durable_by_reading_it() -> None:
    """What is cut is cut durably: the next record takes its place and its position."""
    disk = Disk()
    disk.replace(FILE_NAME, written(RECORDS[:1], RECORDS[1:2])[:-1])
    journal = open_journal(disk)
    assert journal.records == RECORDS[:1]
    assert disk.durable[FILE_NAME] == written(RECORDS[:1])
    journal.append(b"other")
    journal.sync(lambda: None)
    assert open_journal(disk).records == [RECORDS[0], b"other"]


def test_positions_go_on_over_restarts_and_rewrites() -> None:
    """A record of an earlier file is never taken for one of this file."""
    old = frame(SECRET, 1, 1, b"old")
    assert reopened(file_head(SECRET, LogHead(0, 0, 0, 5, 4)) + old).records == []

"""What is done to a data directory beside the node that runs on it, or while none does: verify, inspect, resync.

Verifying and inspecting read a copy of the store (`ledger.checkpoint`) and change nothing; resynchronizing takes the
directory's lock.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ledger import genesis as genesis_files
from ledger.archive import Archive
from ledger.chain import Chain
from ledger.checkpoint import copy_store
from ledger.errors import InvalidGenesis, LedgerError, StorageError
from ledger.scrubbing import Scrubbing
from ledger.state.store import LevelStore
from ledger.verification import Difference, Progress, Verification
from node.data_directory import DataDirectory
from node.event_loop import sync_directory
from node.evidence_judge import ConsensusJudge
from node.failures import ConfigurationError, DirectoryUnusable, ExitCode

PROGRESS_PERIOD_S: Final = 0.2
"""How often a verification says how far it is."""
SCRATCH_PREFIX: Final = "scratch-"

Answer = Callable[[Mapping[str, object]], None]


class _UnsyncedStore(LevelStore):
    """A scratch store: what a crash takes of it is made again."""

    def write_batch(self, changes: Mapping[bytes, bytes | None], *, sync: bool = True) -> None:  # noqa: ARG002
        super().write_batch(changes, sync=False)


@contextmanager
def store_copy(data: DataDirectory, scratch: Path | None) -> Iterator[tuple[Path, LevelStore]]:
    """Open a copy of the directory's ledger; yield a place for more scratch files, and the store. Both go at the end.

    Raises:
        DirectoryUnusable: it cannot be copied. StorageError: the copy cannot be opened, so neither could the original.
    """
    try:
        # Beside the original, where tables can be linked. What a killed run has left behind is removed by the next.
        place = data.path if scratch is None else scratch
        _remove_leftovers(place)
        folder = Path(tempfile.mkdtemp(prefix=f"{SCRATCH_PREFIX}{os.getpid()}-", dir=place))
    except OSError as error:
        raise DirectoryUnusable(
            f"{place} cannot be written: {error.strerror or error}; say --scratch DIR for another place"
        ) from error
    try:
        try:
            copy_store(data.chain, folder / "chain")
        except StorageError as error:
            raise DirectoryUnusable(error.message) from error
        try:
            store = LevelStore(folder / "chain")
        except StorageError as error:  # the copy will be gone: name what it was made of
            message = error.message.replace(str(folder / "chain"), str(data.chain))
            raise StorageError(error.code, message) from error
        try:
            yield folder, store
        finally:
            store.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def verify(
    data: DataDirectory, *, signatures_from: int, workers: int, scratch: Path | None, answer: Answer
) -> ExitCode:
    """Replay the directory's chain and compare; say what came of it in one document.

    No signature would be checked from a height on that the chain has not reached, so that ends with `USAGE`.
    """
    genesis = read_genesis(data)
    said_at = 0.0

    def progress(height: int, head: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if now - said_at >= PROGRESS_PERIOD_S:
            said_at = now
            answer({"event": "progress", "done": height, "total": head})

    try:
        with store_copy(data, scratch) as (folder, source):
            archive = Archive(source)
            if signatures_from > max(1, archive.height()):
                why = f"the ledger ends at block {archive.height()}: there is none from {signatures_from} on"
                answer({"event": "refused", "code": "verification.beyond_head", "why": why})
                return ExitCode.USAGE
            if archive.oldest_block() > 0:
                return _check(source, genesis, progress, answer)
            again = _UnsyncedStore(folder / "again")
            try:
                found = Verification(
                    source,
                    again,
                    genesis,
                    judge=ConsensusJudge(),
                    workers=workers,
                    signatures_from=signatures_from,
                ).run(progress)
            finally:
                again.close()
    except Difference as difference:
        answer({"event": "differs", "code": difference.code, "height": difference.height, "why": difference.message})
        return ExitCode.STORAGE
    except LedgerError as error:
        answer({"event": "damaged", "code": error.code, "why": error.message})
        return ExitCode.STORAGE
    answer({"event": "verified", "replayed": True, **_plain(found)})
    return ExitCode.STOPPED


def _check(source: LevelStore, genesis: genesis_files.Genesis, progress: Progress, answer: Answer) -> ExitCode:
    """Check a chain that does not go back to the genesis: what leads to its first block is not there to execute.

    The state must make the head's root and its indexes follow from it; headers, bodies, receipts and certificates must
    fit each other and the validators' keys.
    """
    chain = Chain.open(source, genesis, judge=ConsensusJudge())
    scrubbing, cursor, records = Scrubbing(chain), b"", 0
    while True:
        step = scrubbing.step(cursor)
        records += step.records
        if not step.cursor:
            break
        cursor = step.cursor
        if cursor.startswith(b"b") and len(cursor) > 8:
            progress(int.from_bytes(cursor[1:9], "big"), chain.height)
    answer(
        {
            "event": "verified",
            "network_id": chain.network_id.hex(),
            "height": chain.height,
            "block_hash": chain.head_hash.hex(),
            "state_root": chain.head.state_root.hex(),
            "certified_height": chain.certified_height,
            "oldest_block": chain.oldest_block,
            "replayed": False,
            "records": records,
        }
    )
    return ExitCode.STOPPED


def resync(data: DataDirectory, answer: Answer) -> ExitCode:
    """Move the ledger aside, so that the node fetches it from its peers at its next start."""
    with data:
        kept = set_aside(data)
    answer({"event": "resync", "set_aside": None if kept is None else str(kept)})
    return ExitCode.STOPPED


def set_aside(data: DataDirectory) -> Path | None:
    """Move the ledger's directory to `chain.damaged`, durably, in place of an earlier one; None where there is none.

    The vote log stays, and decides whether this validator may vote. Whoever calls holds the directory's lock.

    Raises:
        DirectoryUnusable: it cannot be moved.
    """
    kept = data.chain.with_name(data.chain.name + ".damaged")
    try:
        if not (data.chain / "CURRENT").exists() and not any(data.chain.glob("*.ldb")):
            return None
        shutil.rmtree(kept, ignore_errors=True)
        data.chain.rename(kept)
        data.chain.mkdir(mode=0o700)
        sync_directory(data.path)
    except OSError as error:
        raise DirectoryUnusable(f"{data.chain} cannot be moved aside: {error.strerror or error}") from error
    return kept


def read_genesis(data: DataDirectory) -> genesis_files.Genesis:
    """Return the genesis of a directory. Raises ConfigurationError."""
    try:
        return genesis_files.parse(data.genesis.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{data.genesis}: {error.strerror or error}") from error
    except InvalidGenesis as error:
        raise ConfigurationError(f"{data.genesis}: {error.message}") from error


def _plain(value: Any) -> dict[str, Any]:
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return {name: field.hex() if isinstance(field, bytes) else field for name, field in fields.items()}


def _remove_leftovers(place: Path) -> None:
    for left in place.glob(f"{SCRATCH_PREFIX}*-*"):
        holder = left.name.removeprefix(SCRATCH_PREFIX).partition("-")[0]
        if holder.isdigit() and not Path(f"/proc/{holder}").exists():
            shutil.rmtree(left, ignore_errors=True)

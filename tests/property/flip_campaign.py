"""The flip campaign: one byte of a stopped node's files is changed, the node's parts are opened over them, and all that
they answer is compared with what a sound node answers.

    python -m tests.property.flip_campaign --flips 5000 --seed 1 [--table FILE]

(`make flip-campaign FLIPS=5000 SEED=1`.) Kinds of files take turns. What a node would do about damage is done here in
the same order, by the same parts, with a sound chain in the place of its peers: records are put back where they are
met, a damaged table is written anew, and a ledger that is beyond that is fetched anew. No answer may be wrong on the
way, no vote may be forgotten that had been durable, and in the end everything verifies.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

from artifacts.chunk_store import ChunkStore
from artifacts.errors import ChunkDamaged, ChunkMissing
from ledger import genesis as genesis_files
from ledger.chain import Chain
from ledger.errors import Damage, InvalidGenesis, StorageError
from ledger.mending import Mending
from ledger.operations import default_registry
from ledger.rewriting import rewrite_store
from ledger.search.index import SearchIndex, content
from ledger.snapshot.shelf import SnapshotShelf
from ledger.state.store import LevelStore, MemoryStore
from ledger.verification import Verification
from node import configuration, keys
from node.engine_setup import log_secret
from node.event_loop import DiskFiles
from node.failures import NodeFailure
from node.journal import Journal
from tests.property.flip_stage import CIDS, SIGNER, Stage, make_stage, search_rows

T = TypeVar("T")

MENDS_MAX: Final = 64
KINDS: Final = (
    ".ldb",
    ".log",
    "MANIFEST",
    "CURRENT",
    "vote log",
    "chunk",
    "snapshot",
    "search database",
    "LOCK",
    "node.toml",
    "genesis.json",
    "keys",
)
OUTCOMES: Final = ("harmless", "refused", "put back", "written anew", "fetched anew", "wrong")
Answers = dict[Any, Any]


class Wrong(AssertionError):
    """An answer that a sound node does not give."""


def files_of(stage: Stage, kind: str) -> list[Path]:
    """Return the files of a kind, relative to the directory; empty files have no byte to change."""
    patterns = {
        ".ldb": "chain/*.ldb",
        ".log": "chain/*.log",
        "MANIFEST": "chain/MANIFEST-*",
        "CURRENT": "chain/CURRENT",
        "vote log": "journal/votes.log",
        "chunk": "artifacts/blocks/*/*",
        "snapshot": "snapshots/*/*",
        "search database": "search/*.sqlite",
        "LOCK": "LOCK",
        "node.toml": "node.toml",
        "genesis.json": "genesis.json",
        "keys": "keys/*",
    }
    found = sorted(path for path in stage.directory.glob(patterns[kind]) if path.is_file() and path.stat().st_size)
    return [path.relative_to(stage.directory) for path in found]


def answers_of(chain: Chain, stage: Stage) -> Answers:
    """Return what a chain answers to everything that can be asked of it here."""
    said: Answers = {("head",): chain.head_hash}
    for question, ask in questions(chain, stage):
        said[question] = ask()
    return said


def questions(chain: Chain, stage: Stage) -> list[tuple[Any, Callable[[], Any]]]:
    asked: list[tuple[Any, Callable[[], Any]]] = [
        (("records",), lambda: tuple(chain.view().iterate(b""))),
        (("supply",), lambda: chain.query("credits.supply", {})),
    ]
    for height in range(stage.height + 1):
        asked.append((("header", height), lambda height=height: chain.header(height)))
        asked.append((("block", height), lambda height=height: chain.encoded_block(height)))
        asked.append((("receipts", height), lambda height=height: chain.archive.present_results(height).receipts))
        asked.append((("certificate", height), lambda height=height: chain.certificate(height)))
    asked += [(("transaction", each), partial(placed, chain, each)) for each in stage.transactions]
    for key in stage.keys:
        asked.append((("record", key), lambda key=key: chain.view().get(key)))
        asked.append((("proof", key), lambda key=key: chain.prove(key).encode()))
    return asked


def placed(chain: Chain, identifier: bytes) -> tuple[Any, Any, Any]:
    status = chain.transaction_status(identifier)
    return status.state, status.height, status.receipt


class Victim:
    """A node's ledger over damaged files, which does what a node does about them."""

    def __init__(self, directory: Path, stage: Stage) -> None:
        self.path = directory / "chain"
        self.stage = stage
        self.outcome = "harmless"
        self._store: LevelStore | None = None

    def run(self) -> str:
        """Ask everything; return what it took. Raises Wrong."""
        try:
            for _ in range(8):
                try:
                    self._live()
                    return self.outcome
                except StorageError as error:
                    self._close()
                    self._remedy(error)
            raise Wrong("it never comes to rest")
        finally:
            self._close()

    def _live(self) -> None:
        self._store = LevelStore(self.path)
        chain = Chain.open(self._store, self.stage.genesis, default_registry())
        physical: Damage | None = None
        for question, ask in [(("head",), lambda: chain.head_hash), *questions(chain, self.stage)]:
            answer, met = self._answer(chain, ask)
            physical = met or physical
            if answer != self.stage.answers[question] and not self._may_lack(question, answer):
                raise Wrong(f"{question}: {answer!r}"[:500])
        if physical is not None:
            raise physical
        self._close()

    def _answer(self, chain: Chain, ask: Callable[[], T]) -> tuple[T, Damage | None]:
        met: Damage | None = None
        for _ in range(MENDS_MAX):
            try:
                return ask(), met
            except Damage as damage:
                if not self._mend(chain, damage):
                    raise
                self.outcome = "put back" if self.outcome == "harmless" else self.outcome
                met = damage if damage.physical else met
        return ask(), met

    def _mend(self, chain: Chain, damage: Damage) -> bool:
        wrong = b"" if damage.physical else damage.first
        here, there = Mending(chain), Mending(self.stage.chain)
        count, first = 0, damage.first
        while first < damage.behind and (records := there.tell(first, damage.behind)):
            count += here.take(records, wrong)
            first = records[-1][0] + b"\x00"
        return bool(count + here.make(damage.first, damage.behind, b"" if count else wrong))

    def _may_lack(self, question: Any, answer: Any) -> bool:
        """A certificate may be gone where that of a later block vouches for it."""
        return bool(question[0] == "certificate" and answer is None and question[1] < self.stage.height)

    def _remedy(self, error: StorageError) -> None:
        if error.code != "storage.damaged":
            raise Wrong(f"{error.code}: {error.message}")
        if self.outcome != "written anew":
            try:
                rewrite_store(self.path, self.path.with_name("chain.damaged"))
            except StorageError:
                pass
            else:
                self.outcome = "written anew"
                return
        shutil.rmtree(self.path)
        self.outcome = "fetched anew"
        store = LevelStore(self.path)
        chain = Chain.open(store, self.stage.genesis, default_registry())
        for height in range(1, self.stage.height + 1):
            chain.replay(self.stage.chain.archive.present_block(height))
            certificate = self.stage.chain.certificate(height)
            if certificate is not None:
                chain.add_certificate(certificate)
        store.close()

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


def try_ledger(directory: Path, stage: Stage) -> str:
    victim = Victim(directory, stage)
    outcome = victim.run()
    store = LevelStore(victim.path)
    try:
        # Receipts' messages are nobody's but the node's own, and are blank where they were put back.
        Verification(store, MemoryStore(), stage.genesis, registry=default_registry()).run()
    finally:
        store.close()
    return outcome


def try_votes(directory: Path, stage: Stage) -> str:
    """What is read back is a beginning of what was written, short only where it is told so, or where nothing shows that
    the end had been durable."""
    try:
        journal = Journal(DiskFiles(directory / "journal"), _InPlace(), _fatal, log_secret(SIGNER))
    except NodeFailure:
        return "refused"
    journal.close()
    if not journal.found:
        return "refused"
    if journal.records == stage.votes:
        return "harmless"
    if journal.records != stage.votes[: len(journal.records)] or len(journal.records) < stage.votes_durable:
        raise Wrong(f"{len(journal.records)} of {len(stage.votes)} votes, and nothing is said of it")
    return "refused"  # cut like a torn tail; a quorum tells the engine what it has signed before it votes


class _InPlace:
    def run(self, job: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        job()
        done(None)


def _fatal(failure: NodeFailure) -> None:
    raise failure


def try_chunks(directory: Path, stage: Stage) -> str:
    store = ChunkStore(directory / "artifacts", 2**30)
    outcome = "harmless"
    for cid, data in CIDS.items():
        try:
            found = store.get(cid)
        except (ChunkDamaged, ChunkMissing):
            outcome = "put back"
            store.put(cid, data)
            found = store.get(cid)
        if found != data:
            raise Wrong(f"chunk {cid}")
    return outcome


def try_snapshots(directory: Path, stage: Stage) -> str:
    shelf = SnapshotShelf(directory / "snapshots")
    outcome = "harmless"
    for path in files_of(stage, "snapshot"):
        height, name = int(path.parts[1]), path.parts[2]
        found = shelf.read(height, name)
        if found is None:
            outcome = "refused"  # not handed on; another one is taken in its time
        elif found != stage.pieces[height, name]:
            raise Wrong(f"snapshot {height}/{name}")
    return outcome


def try_search(directory: Path, stage: Stage) -> str:
    reports: list[str] = []
    index = SearchIndex(directory / "search" / "assets.sqlite", reports.append)
    chain = stage.chain
    index.begin(chain.head, chain.head_hash, chain.view(), chain.archive.past)
    try:
        if index._database is None:
            return "refused"
        if content(index._database) != search_rows(stage):
            raise Wrong("a search would find something else")
    finally:
        index.close()
    return "written anew" if reports else "harmless"


def try_settings(directory: Path, stage: Stage) -> str:
    try:
        found = configuration.load(directory / "node.toml")
    except NodeFailure:
        return "refused"
    return "harmless" if found == stage.settings else "refused"  # another value that is allowed: nobody can tell


def try_genesis(directory: Path, stage: Stage) -> str:
    try:
        genesis = genesis_files.parse((directory / "genesis.json").read_bytes())
    except InvalidGenesis:
        return "refused"
    store = LevelStore(directory / "chain")
    try:
        Chain.open(store, genesis, default_registry())
    except StorageError as error:
        if error.code != "storage.foreign":
            raise Wrong(error.message) from error
        return "refused"
    finally:
        store.close()
    if genesis != stage.genesis:
        raise Wrong("another genesis over the same chain")
    return "harmless"


def try_keys(directory: Path, stage: Stage) -> str:
    try:
        found = keys.load(directory, b"")
    except NodeFailure:
        return "refused"
    same = (found.signing_key.seed, found.tls_key_pem, found.tls_certificate_der) == stage.key_values
    return "harmless" if same else "refused"  # another node: the ledger does not know it, and its vote log is foreign


def try_lock(directory: Path, stage: Stage) -> str:
    from node.data_directory import DataDirectory

    with DataDirectory(directory):
        return "harmless"


TRIES: Final[dict[str, Callable[[Path, Stage], str]]] = {
    ".ldb": try_ledger,
    ".log": try_ledger,
    "MANIFEST": try_ledger,
    "CURRENT": try_ledger,
    "vote log": try_votes,
    "chunk": try_chunks,
    "snapshot": try_snapshots,
    "search database": try_search,
    "LOCK": try_lock,
    "node.toml": try_settings,
    "genesis.json": try_genesis,
    "keys": try_keys,
}


def one(stage: Stage, kind: str, random: Random, scratch: Path) -> str:
    """Change one byte of a file of this kind in a copy of the directory, and return what came of it."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(stage.directory, scratch)
    files = files_of(stage, kind)
    path = scratch / files[random.randrange(len(files))]
    offset, mask = random.randrange(path.stat().st_size), random.randrange(1, 256)
    data = bytearray(path.read_bytes())
    data[offset] ^= mask
    path.write_bytes(data)
    try:
        return TRIES[kind](scratch, stage)
    except Wrong as wrong:
        sys.stderr.write(f"{kind}: {path.relative_to(scratch)} byte {offset} mask {mask}: {wrong}\n")
        return "wrong"


def campaign(flips: int, seed: int) -> dict[str, Counter[str]]:
    """Return how often what came of a flip, by kind of file."""
    random = Random(seed)
    found: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="guildmark-flips-") as place:
        stage = make_stage(Path(place) / "node")
        stage.answers = answers_of(stage.chain, stage)
        for number in range(flips):
            kind = KINDS[number % len(KINDS)]
            found[kind][one(stage, kind, random, Path(place) / "scratch")] += 1
    return found


def table(found: dict[str, Counter[str]]) -> str:
    rows = [["file", "flips", *OUTCOMES]]
    rows += [[kind, str(sum(each.values())), *(str(each[name]) for name in OUTCOMES)] for kind, each in found.items()]
    total: Counter[str] = sum(found.values(), Counter())
    rows.append(["all", str(sum(total.values())), *(str(total[name]) for name in OUTCOMES)])
    return "".join(
        "| " + " | ".join(row) + " |\n" + ("|---" * len(row) + "|\n" if row is rows[0] else "") for row in rows
    )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--flips", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args(arguments)
    found = campaign(options.flips, options.seed)
    shown = table(found)
    sys.stdout.write(shown)
    if options.table is not None:
        options.table.write_text(shown)
    return 1 if any(each["wrong"] for each in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

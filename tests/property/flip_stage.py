"""The node that the flip campaign damages: its directory, and what a sound one answers."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from artifacts import cid as cids
from artifacts.chunk_store import ChunkStore
from ledger import genesis as genesis_files
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.operations import default_registry
from ledger.parameters import Parameters
from ledger.search.index import SearchIndex, content, make
from ledger.snapshot.shelf import SnapshotShelf
from ledger.snapshot.taking import HeldState, Taking
from ledger.state.store import LevelStore, MemoryStore
from node import configuration, keys
from node.engine_setup import log_secret
from node.event_loop import DiskFiles
from node.journal import FILE_NAME, LogHead, file_head, frame
from p2p.identity import make_identity
from primitives.keys import SigningKey
from tests.unit.ledger_core_kit import Kit, make_genesis

BLOCKS = 24
ASSETS = 6
VOTES = 40
SIGNER = SigningKey(b"\x07" * 32)
CIDS = {cids.raw_cid(data): data for data in (b"chunk %d " % number * 400 for number in range(4))}
CONFIGURATION = b"""[api]
connections_max = 64
[consensus]
turn_ms = 4000
[storage]
reserve_bytes = 1048576
on_damage = "resync"
"""


class Stage:
    """What the campaign knows of the node."""

    def __init__(self, directory: Path, kit: Kit) -> None:
        self.directory = directory
        self.genesis = kit.genesis
        self.chain = kit.chain
        """A sound one, in memory."""
        self.height = kit.chain.height
        self.answers: dict[Any, Any] = {}
        self.keys = [key for key, _ in kit.chain.view().iterate(b"") if not key.startswith(b"~")]
        self.transactions = [key[1:] for key, _ in kit.store.iterate(b"t")]
        self.votes = [b"vote %d " % index * 5 for index in range(1, VOTES + 1)]
        self.votes_durable = VOTES - 1
        """So many a later record shows to have been durable."""
        self.settings = configuration.load(directory / "node.toml")
        held = keys.load(directory, b"")
        self.key_values = (held.signing_key.seed, held.tls_key_pem, held.tls_certificate_der)
        self.pieces = {
            (int(path.parent.name), path.name): SnapshotShelf(directory / "snapshots").read(
                int(path.parent.name), path.name
            )
            for path in directory.glob("snapshots/*/*")
        }


def make_stage(directory: Path) -> Stage:
    """Make the directory of a node that has lived and was stopped."""
    directory.mkdir(parents=True)
    (directory / "LOCK").write_bytes(b"4711\n")
    kit = Kit(MemoryStore(), make_genesis(parameters=Parameters(commitment_age_ms=0)), default_registry())
    _live(kit)
    _write_ledger(directory / "chain", kit)
    (directory / "genesis.json").write_bytes(genesis_files.write(kit.genesis))
    (directory / "node.toml").write_bytes(CONFIGURATION)
    identity = make_identity()
    keys.create(directory, identity.key_pem, identity.certificate_der, identity.node_id, b"")
    stage_votes = [b"vote %d " % index * 5 for index in range(1, VOTES + 1)]
    secret = log_secret(SIGNER)
    (directory / "journal").mkdir()
    records = b"".join(frame(secret, at, at - 1, vote) for at, vote in enumerate(stage_votes, 1))
    DiskFiles(directory / "journal").replace(FILE_NAME, file_head(secret, LogHead()) + records)
    store = ChunkStore(directory / "artifacts", 2**30)
    for cid, data in CIDS.items():
        store.put(cid, data)
    _take_snapshot(directory / "snapshots", kit)
    index = SearchIndex(directory / "search" / "assets.sqlite", lambda _: None)
    index.begin(kit.chain.head, kit.chain.head_hash, kit.chain.view(), kit.chain.archive.past)
    index.close()
    return Stage(directory, kit)


def search_rows(stage: Stage) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a search database made from the state alone says."""
    database = sqlite3.connect(":memory:")
    try:
        make(database, stage.chain.view())
        return content(database)
    finally:
        database.close()


def _live(kit: Kit) -> None:
    """Transfers in every block, and assets in some, certified up to the head."""
    for height in range(1, BLOCKS + 1):
        sent = [
            kit.transaction(Transfer(kit.accounts[(owner + 1) % 3], height), owner=owner, salt=_salt(height, owner))
            for owner in range(3)
        ]
        if height <= ASSETS:
            sent.append(kit.transaction(_commit(kit, height), salt=_salt(height, 9)))
        elif height <= 2 * ASSETS:
            sent.append(kit.transaction(_register(height - ASSETS), salt=_salt(height, 9)))
        executed = kit.execute(*sent)
        assert not [receipt.code for receipt in executed.receipts if receipt.code], executed.receipts
        kit.chain.add_certificate(kit.certificate(height))


def _salt(height: int, owner: int) -> bytes:
    return bytes([height, owner]) * 8


def _artifact(number: int) -> assets.Artifact:
    return assets.Artifact(cids.raw_cid(b"artifact %d" % number), 100 + number)


def _commit(kit: Kit, number: int) -> assets.Commit:
    return assets.Commit(assets.commitment(_artifact(number).cid, kit.accounts[0], _salt(number, 1)))


def _register(number: int) -> assets.Register:
    return assets.Register(
        artifact=_artifact(number),
        salt=_salt(number, 1),
        kind="dataset",
        name=f"Data set {number}",
        description="Measurements, and what was learned from them. " * 4,
        tags=("measurement", f"set-{number}"),
    )


def _write_ledger(path: Path, kit: Kit) -> None:
    """Execute the chain on disk: most of it lies in tables, the rest in the log."""
    store = LevelStore(path)
    on_disk = Kit(store, kit.genesis, default_registry())
    for height in range(1, kit.chain.height + 1):
        on_disk.chain.replay(kit.chain.archive.present_block(height))
        certificate = kit.chain.certificate(height)
        assert certificate is not None
        on_disk.chain.add_certificate(certificate)
        if height in (8, 16):
            store.close()  # what was in the log goes into a table
            store = LevelStore(path)
            on_disk = Kit(store, kit.genesis, default_registry())
    store.close()


def _take_snapshot(path: Path, kit: Kit) -> None:
    shelf = SnapshotShelf(path)
    held = HeldState(kit.chain.head, kit.store)
    draft = shelf.draft("own")
    for _ in Taking(held, kit.certificate(kit.chain.height), draft).steps():
        pass
    held.close()
    shelf.finish(draft, kit.chain.height)
    shutil.rmtree(path / ".draft-own", ignore_errors=True)

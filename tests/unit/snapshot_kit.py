"""Chains of which snapshots are taken, and newcomers that are given them piece by piece."""

from __future__ import annotations

from pathlib import Path

from epochs_kit import WINDOW, Consortium, add, make_genesis, remove
from ledger_core_kit import REGISTRY, Kit, Put, certify

from ledger.chain import Chain
from ledger.genesis import Genesis, network_id
from ledger.operations import Registry
from ledger.snapshot.reception import Reception
from ledger.snapshot.shelf import SnapshotShelf
from ledger.snapshot.store_building import StoreBuilder
from ledger.snapshot.taking import HeldState, Taking
from ledger.state.store import MemoryStore, Store
from primitives.finality import FinalityCertificate


def take(chain: Chain, store: Store, finality: FinalityCertificate, shelf: SnapshotShelf) -> int:
    """Put a snapshot of the head on the shelf; return its height."""
    held = HeldState(chain.head, store)
    draft = shelf.draft("own")
    try:
        for _ in Taking(held, finality, draft).steps():
            pass
    finally:
        held.close()
    shelf.finish(draft, chain.height)
    return chain.height


class Newcomer:
    """Knows the genesis, and nothing else."""

    def __init__(self, genesis: Genesis, path: Path, registry: Registry) -> None:
        self.genesis, self.registry = genesis, registry
        self.store: Store = MemoryStore()
        self.shelf = SnapshotShelf(path)
        builder = StoreBuilder(self.store, registry)
        self.reception = Reception(network_id(genesis), genesis, self.shelf.draft("restore", resume=True), builder)

    def fetch(self, source: SnapshotShelf, height: int) -> list[str]:
        """Take every piece from a shelf; return the names in order."""
        names, wanted = [], self.reception.begin()
        while wanted:
            name = wanted.pop(0)
            data = source.read(height, name)
            assert data is not None, name
            wanted += self.reception.take(name, data)
            names.append(name)
        return names

    def open(self) -> Chain:
        self.reception.finish()
        return Chain.open(self.store, self.genesis, self.registry)


def make_toy(records: int = 40, *, pad: int = 0) -> Kit:
    """A chain of the core's own small module, with a certified head; `pad` makes the records' keys so much longer."""
    kit = Kit()
    for first in range(0, records, 50):
        numbers = range(first, min(first + 50, records))
        kit.execute(*[kit.transaction(Put(b"key-%d" % number + bytes(pad), number)) for number in numbers])
    kit.chain.add_certificate(certify(kit.chain, kit.chain.height))
    return kit


def make_epochs() -> Consortium:
    """A real chain in its third epoch: one validator came, another went."""
    world = Consortium(make_genesis(5, 6))
    world.approve(add("n0", "org-5"))
    world.execute(world.ready("n0"))
    world.turn()
    world.approve(remove("v4"))
    world.turn()
    world.execute()
    for epoch in range(world.chain.epoch.number):
        end = next(h for h in range(world.chain.height) if header_epoch(world.chain, h + 1) == epoch + 1)
        world.chain.add_certificate(world.certify(end))
    world.chain.add_certificate(world.certify(world.chain.height))
    assert world.chain.epoch.number == 2
    return world


def header_epoch(chain: Chain, height: int) -> int:
    header = chain.header(height)
    assert header is not None
    return header.epoch


def head_certificate(chain: Chain) -> FinalityCertificate:
    certificate = chain.certificate(chain.height)
    assert certificate is not None
    return certificate


__all__ = ["REGISTRY", "WINDOW", "Newcomer", "head_certificate", "make_epochs", "make_toy", "take"]

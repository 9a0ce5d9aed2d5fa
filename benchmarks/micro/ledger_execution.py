"""What a block costs beside its signatures: `python -m benchmarks.micro.ledger_execution [blocks] [transactions]
[accounts] [--purchases] [--search] [--profile]`.

A chain of the real modules over LevelDB executes blocks of credit transfers between random accounts, or of purchases of
licenses on 16 assets by them, signatures taken as already verified (as in the node); with `--search` a search database
follows. Everything is measured in one run and printed as a ratio to verifying one signature, because absolute times do
not carry from machine to machine.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artifacts import cid
from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import (
    Genesis,
    GenesisAccount,
    GenesisOrganization,
    GenesisValidator,
    organization_account,
    validator_account,
)
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Offer, Purchase, Terms, offer_id, terms_digest
from ledger.parameters import Parameters
from ledger.search.index import SearchIndex
from ledger.state.store import LevelStore, Store
from ledger.state.tree import StateTree
from ledger.transaction import build, decode_transaction
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

START_MS = 1_700_000_000_000
ASSETS = 16
TERMS = Terms(rights=("inference",), price=10)


class ChainWorld:
    """A chain over `store` with so many funded accounts of four organizations, and four validators' keys."""

    def __init__(self, store: Store, accounts: int, search: SearchIndex | None) -> None:
        self.keys = [SigningKey(index.to_bytes(32, "big")) for index in range(1, accounts + 1)]
        self.validator_keys = [SigningKey(bytes([255 - index]) * 32) for index in range(4)]
        self.genesis = Genesis(
            version=1,
            name="benchmark",
            salt="00" * 32,
            created_at_ms=START_MS,
            development=True,
            parameters=Parameters(commitment_age_ms=0),
            organizations=tuple(GenesisOrganization(f"org-{index}", f"Org {index}") for index in range(4)),
            accounts=tuple(
                GenesisAccount(f"org-{at % 4}", key_to_text(key.public_key), at.to_bytes(16, "big").hex(), 10**12)
                for at, key in enumerate(self.keys)
            ),
            validators=tuple(
                GenesisValidator(f"org-{at}", f"node-{at}", key_to_text(key.public_key), "AA==", f"127.0.0.1:{at + 1}")
                for at, key in enumerate(self.validator_keys)
            ),
        )
        self.chain = Chain.open(store, self.genesis, follower=search)
        network = self.chain.network_id
        self.accounts = [bytes(organization_account(network, account)) for account in self.genesis.accounts]
        self.validators = [bytes(validator_account(network, validator)) for validator in self.genesis.validators]

    def transaction(self, sender: bytes, key: SigningKey, block: int, *operations: Any) -> bytes:
        """Sign `operations` so that they can execute in block `block` and a good while after."""
        return build(
            network_id=self.chain.network_id,
            sender=sender,
            key=key,
            operations=operations,
            expires_at_ms=START_MS + block * 100 + 60_000,
        )

    def execute(self, transactions: list[bytes], *, verified: bool = True) -> None:
        """Execute the next block and require that everything in it succeeded. Signatures that are not `verified` are
        checked by the executor."""
        height = self.chain.height + 1
        batch = DecidedBatch(0, height, transactions, bytes([verified]) * len(transactions))
        done = self.chain.execute(height, DecidedProposal(0, START_MS + height * 100), [batch])
        assert len(done.receipts) == len(transactions)
        assert not any(receipt.code for receipt in done.receipts), done.receipts

    def transfer(self, rng: random.Random, block: int) -> bytes:
        sender, recipient = rng.sample(range(len(self.keys)), 2)
        operation = Transfer(self.accounts[recipient], rng.randint(1, 100))
        return self.transaction(self.accounts[sender], self.keys[sender], block, operation)

    def offer_licenses(self) -> list[bytes]:
        """Register `ASSETS` assets of the first accounts, have them held, and offer licenses on them."""
        owners = range(ASSETS)
        commitments: list[bytes] = []
        registrations: list[bytes] = []
        reports: list[bytes] = []
        offers: list[bytes] = []
        found: list[bytes] = []
        for owner in owners:
            account, key, salt = self.accounts[owner], self.keys[owner], bytes(16)
            name = cid.raw_cid(b"artifact %d" % owner)
            commitments.append(self.transaction(account, key, 1, assets.Commit(assets.commitment(name, account, salt))))
            artifact = assets.Artifact(name, 1_024)
            registrations.append(
                self.transaction(account, key, 1, assets.Register(artifact, salt, "dataset", f"data set {owner}"))
            )
            asset = assets.asset_id(self.chain.network_id, account, name)
            for holder, holder_key in zip(self.validators, self.validator_keys, strict=True):
                reports.append(self.transaction(holder, holder_key, 1, assets.ReportHeld(asset, 1)))
            offer = self.transaction(account, key, 1, Offer(asset, TERMS, START_MS + 30 * 86_400_000))
            offers.append(offer)
            found.append(offer_id(decode_transaction(offer).id, asset, terms_digest(TERMS), None))
        for block in (commitments, registrations, reports, offers):
            self.execute(block)
        return found

    def purchase(self, offers: list[bytes], rng: random.Random, block: int) -> bytes:
        buyer = rng.randrange(ASSETS, len(self.keys))
        operation = Purchase(rng.choice(offers), terms_digest(TERMS), TERMS.price)
        return self.transaction(self.accounts[buyer], self.keys[buyer], block, operation)


class Stopwatch:
    """Sums the time spent in wrapped calls, and the lengths of the mappings that they are given."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}
        self.keys: dict[str, int] = {}
        self._wrapped: list[tuple[Any, str, Any]] = []

    def wrap(self, owner: Any, name: str, label: str) -> None:
        inner = getattr(owner, name)
        self._wrapped.append((owner, name, inner))

        def timed(*arguments: Any, **options: Any) -> Any:
            self.keys[label] = self.keys.get(label, 0) + sum(len(one) for one in arguments if isinstance(one, dict))
            start = self._clock()
            try:
                return inner(*arguments, **options)
            finally:
                self.seconds[label] = self.seconds.get(label, 0.0) + self._clock() - start

        setattr(owner, name, timed)

    def unwrap(self) -> None:
        """Leave everything as it was before."""
        for owner, name, inner in reversed(self._wrapped):
            setattr(owner, name, inner)


def run(blocks: int, transactions: int, accounts: int, *, purchases: bool, search: bool, profile: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = LevelStore(Path(directory) / "db")
        index = SearchIndex(Path(directory) / "search" / "assets.sqlite", print) if search else None
        world = ChainWorld(store, accounts, index)
        rng = random.Random(1)
        offers = world.offer_licenses() if purchases else []
        first = world.chain.height + 1
        work = [
            [
                world.purchase(offers, rng, number) if purchases else world.transfer(rng, number)
                for _ in range(transactions)
            ]
            for number in range(first, first + blocks)
        ]
        watch = Stopwatch()
        watch.wrap(store, "write_batch", "write batch (synced)")
        watch.wrap(StateTree, "update", "tree update")
        watch.wrap(StateTree, "commit", "tree commit")
        if index is not None:
            watch.wrap(index, "note", "search")
            watch.wrap(index, "executed", "search")

        sample = [decode_transaction(data) for data in work[0][:500]]
        start = time.perf_counter()
        assert all(transaction.verify() for transaction in sample)
        verify_us = (time.perf_counter() - start) / len(sample) * 1e6
        start = time.perf_counter()
        for data in work[0]:
            decode_transaction(data)
        decode_us = (time.perf_counter() - start) / len(work[0]) * 1e6

        gc.collect()
        gc.freeze()  # as the node does with what it has at its start
        profiler = cProfile.Profile() if profile else None
        if profiler is not None:
            profiler.enable()
        start = time.perf_counter()
        for batch in work:
            world.execute(batch)
        total = time.perf_counter() - start
        if profiler is not None:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
        store.close()
        if index is not None:
            index.close()
        start = time.perf_counter()
        reopened = Chain.open(LevelStore(Path(directory) / "db"), world.genesis)
        open_seconds = time.perf_counter() - start
        records = sum(1 for _ in reopened.view().iterate(b""))
    count = blocks * transactions
    kind = "purchases" if purchases else "transfers"
    print(f"{blocks} blocks of {transactions} {kind} among {accounts} accounts")
    print(f"per transaction unless said, as a ratio to verifying one signature ({verify_us:.1f} us in this run):")
    print(f"  {'whole block':34} {total / count * 1e6 / verify_us:6.2f}")
    print(f"  {'of it decoding and id':34} {decode_us / verify_us:6.2f}")
    for label, seconds in watch.seconds.items():
        print(f"  {'of it ' + label:34} {seconds / count * 1e6 / verify_us:6.2f}  {100 * seconds / total:5.2f} %")
    handled = total - sum(watch.seconds.values())
    print(
        f"  {'of it the rest (handlers, receipts)':34} {handled / count * 1e6 / verify_us - decode_us / verify_us:6.2f}"
    )
    print(f"  {'opening, per record':34} {open_seconds / records * 1e6 / verify_us:6.2f}")


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    blocks, transactions, accounts = (*numbers, *(10, 1_000, 2_000)[len(numbers) :])
    chosen = {name: f"--{name}" in sys.argv for name in ("purchases", "search", "profile")}
    run(blocks, transactions, accounts, **chosen)


if __name__ == "__main__":
    main()

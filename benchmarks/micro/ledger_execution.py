"""What a block costs beside its signatures: `python -m benchmarks.micro.ledger_execution [blocks] [transactions]
[accounts]`.

A chain of the real modules over LevelDB executes blocks of credit transfers between random accounts, signatures taken
as already verified (as in the node). Everything is measured in one run and printed as a ratio to verifying one
signature, because absolute times do not carry from machine to machine.
"""

from __future__ import annotations

import cProfile
import pstats
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import Genesis, GenesisAccount, GenesisOrganization, GenesisValidator, organization_account
from ledger.modules.credits.operations import Transfer
from ledger.parameters import Parameters
from ledger.state.store import LevelStore
from ledger.state.tree import StateTree
from ledger.transaction import build, decode_transaction
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

START_MS = 1_700_000_000_000


def _genesis(keys: list[SigningKey]) -> Genesis:
    validator = SigningKey(b"\x7f" * 32)
    return Genesis(
        version=1,
        name="benchmark",
        salt="00" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(),
        organizations=(GenesisOrganization("org", "Org"),),
        accounts=tuple(GenesisAccount("org", key_to_text(key.public_key), "00" * 16, 10**12) for key in keys),
        validators=(GenesisValidator("org", "node", key_to_text(validator.public_key), "AA==", "127.0.0.1:1"),),
    )


def _blocks(
    network: bytes, accounts: list[bytes], keys: list[SigningKey], blocks: int, transactions: int
) -> list[list[bytes]]:
    rng = random.Random(1)
    made = []
    for block in range(blocks):
        expires = START_MS + (block + 1) * 100 + 60_000
        batch = []
        for _ in range(transactions):
            sender, recipient = rng.sample(range(len(keys)), 2)
            operation = Transfer(accounts[recipient], rng.randint(1, 100))
            batch.append(
                build(
                    network_id=network,
                    sender=accounts[sender],
                    key=keys[sender],
                    operations=[operation],
                    expires_at_ms=expires,
                )
            )
        made.append(batch)
    return made


class _Stopwatch:
    """Sums the time spent in wrapped calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def wrap(self, owner: Any, name: str, label: str) -> None:
        inner = getattr(owner, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                self.seconds[label] = self.seconds.get(label, 0.0) + time.perf_counter() - start

        setattr(owner, name, timed)


def run(blocks: int, transactions: int, accounts: int, *, profile: bool) -> None:
    keys = [SigningKey(index.to_bytes(32, "big")) for index in range(1, accounts + 1)]
    genesis = _genesis(keys)
    with tempfile.TemporaryDirectory() as directory:
        store = LevelStore(Path(directory) / "db")
        chain = Chain.open(store, genesis)
        ids = [organization_account(chain.network_id, account) for account in genesis.accounts]
        work = _blocks(chain.network_id, [bytes(i) for i in ids], keys, blocks, transactions)
        watch = _Stopwatch()
        watch.wrap(store, "write_batch", "write batch (synced)")
        watch.wrap(StateTree, "update", "tree update")
        watch.wrap(StateTree, "commit", "tree commit")

        sample = [decode_transaction(data) for data in work[0][:500]]
        start = time.perf_counter()
        assert all(transaction.verify() for transaction in sample)
        verify_us = (time.perf_counter() - start) / len(sample) * 1e6
        start = time.perf_counter()
        for data in work[0]:
            decode_transaction(data)
        decode_us = (time.perf_counter() - start) / len(work[0]) * 1e6

        profiler = cProfile.Profile() if profile else None
        if profiler is not None:
            profiler.enable()
        start = time.perf_counter()
        for number, batch in enumerate(work):
            proposal = DecidedProposal(0, START_MS + (number + 1) * 100)
            done = chain.execute(chain.height + 1, proposal, [DecidedBatch(0, number, batch, b"\x01" * len(batch))])
            assert not any(receipt.code for receipt in done.receipts), done.receipts
        total = time.perf_counter() - start
        if profiler is not None:
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        store.close()
        start = time.perf_counter()
        reopened = Chain.open(LevelStore(Path(directory) / "db"), genesis)
        open_seconds = time.perf_counter() - start
        records = sum(1 for _ in reopened.view().iterate(b""))
    count = blocks * transactions
    print(f"{blocks} blocks of {transactions} transfers among {accounts} accounts")
    print(f"per transaction unless said, as a ratio to verifying one signature ({verify_us:.1f} us in this run):")
    print(f"  {'whole block':34} {total / count * 1e6 / verify_us:6.2f}")
    print(f"  {'of it decoding and id':34} {decode_us / verify_us:6.2f}")
    for label, seconds in watch.seconds.items():
        print(f"  {'of it ' + label:34} {seconds / count * 1e6 / verify_us:6.2f}")
    handled = total - sum(watch.seconds.values())
    print(
        f"  {'of it the rest (handlers, receipts)':34} {handled / count * 1e6 / verify_us - decode_us / verify_us:6.2f}"
    )
    print(f"  {'opening, per record':34} {open_seconds / records * 1e6 / verify_us:6.2f}")


def main() -> None:
    numbers = [int(argument) for argument in sys.argv[1:] if argument.isdigit()]
    blocks, transactions, accounts = (*numbers, *(10, 1_000, 2_000)[len(numbers) :])
    run(blocks, transactions, accounts, profile="--profile" in sys.argv)


if __name__ == "__main__":
    main()

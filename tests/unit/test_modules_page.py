"""The page of operations is current and complete; the registry and the chain take the modules as they are."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.modules.assets import operations as assets
from ledger.modules.development.operations import AdvanceClock
from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.operations import Terms
from ledger.operations import default_registry
from ledger.operations_page import render
from ledger.parameters import DAY_MS
from ledger.state.store import MemoryStore
from ledger.transaction import build, transaction_id
from tests.unit.modules_kit import START_MS, World, cid, make_genesis, seed_key

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_operations_is_current() -> None:
    page = (ROOT / "docs/spec/operations.md").read_text()
    assert page == render(default_registry()), "run python -m ledger.operations_page > docs/spec/operations.md"


def test_every_error_code_of_the_tests_is_on_the_page() -> None:
    page = (ROOT / "docs/spec/operations.md").read_text()
    listed = set(re.findall(r"`([a-z]+\.[a-z_]+)`", page))
    tests = "".join(path.read_text() for path in sorted((ROOT / "tests/unit").glob("test_modules_*.py")))
    used = set(re.findall(r'refused\(\s*"([a-z]+\.[a-z_]+)"', tests)) - {"organizations.key_not_allowed"}
    assert len(used) > 80
    assert used - listed == set()


def test_record_prefixes_do_not_overlap() -> None:
    """No table's keys can be taken for another's."""
    import importlib
    import pkgutil

    import ledger.modules
    from ledger.state.view import Table

    prefixes: dict[bytes, object] = {}
    for info in pkgutil.walk_packages(ledger.modules.__path__, "ledger.modules."):
        for value in vars(importlib.import_module(info.name)).values():
            table = getattr(value, "table", value)
            if isinstance(table, Table):
                assert prefixes.setdefault(table.prefix, table) is table
    assert len(prefixes) > 30
    for first in prefixes:
        assert [second for second in prefixes if second != first and second.startswith(first)] == []


def test_a_chain_runs_the_modules() -> None:
    """From genesis through blocks and signatures: register, hold, license, advance the clock, refund by deadline."""
    genesis = make_genesis(commitment_age_ms=0)
    chain = Chain.open(MemoryStore(), genesis)
    world = World(genesis)
    network = world.network_id

    def run(who: str, sender: bytes, *operations: object) -> bytes:
        now_ms = chain.head.timestamp_ms + 1
        data = build(
            network_id=network,
            sender=sender,
            key=seed_key(who),
            operations=operations,  # type: ignore[arg-type]
            expires_at_ms=now_ms + 60_000,
        )
        height = chain.height + 1
        block = chain.execute(height, DecidedProposal(0, START_MS + height), [DecidedBatch(0, height, (data,))])
        receipt = block.receipts[-1]
        assert receipt.code == "", chain.query("transactions.get", {"id": receipt.id.hex()})
        return transaction_id(data)

    alice, bob = world.accounts["alice"], world.accounts["bob"]
    model = world.registration("alice", "A", "model")
    commitment = assets.commitment(cid("A"), alice, world.salt("A"), model.artifact.tensors_digest)
    run("alice", alice, assets.Commit(commitment), model)
    asset = assets.asset_id(network, alice, cid("A"))
    terms = Terms(rights=("download",), price=1_000)
    offered = run("alice", alice, licenses.Offer(asset, terms, START_MS + DAY_MS))
    digest = licenses.terms_digest(terms)
    offer = licenses.offer_id(offered, asset, digest)
    purchase = licenses.Purchase(offer, digest, 1_000)
    grants = [licenses.grant_id(run("bob", bob, purchase), offer) for _ in range(2)]
    assert chain.query("licenses.grant", {"grant": grants[0].hex()}).state == "escrowed"
    for index in range(3):
        run(f"validator {index}", world.validators[index], assets.ReportHeld(asset, 1))
    shown = chain.query("licenses.grant", {"grant": grants[1].hex()})
    assert shown.state == "active"
    answer = chain.query("licenses.check", {"account": shown.licensee, "asset": asset.hex(), "right": "download"})
    assert (answer.allowed, answer.reason) == (True, "granted")
    assert chain.query("royalties.pool", {"asset": asset.hex()}).balance == 1_950
    run("alice", alice, AdvanceClock(2 * DAY_MS))
    height = chain.height + 1
    chain.execute(height, DecidedProposal(0, START_MS + height), [])
    assert chain.query("chain.head", {}).block_time_ms >= START_MS + 2 * DAY_MS
    assert chain.query("licenses.offers", {"asset": asset.hex()}) == []
    assert msgspec.json.encode(chain.query("assets.get", {"asset": asset.hex()}))

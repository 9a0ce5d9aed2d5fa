"""Credits and rights under contention, on real processes: every node is asked, and all of them say the same."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from cluster_kit import nodes_of

from guildmark import transactions
from guildmark.client import AsyncClient
from guildmark.cluster.network import AccountPlan
from guildmark.identity import Account
from guildmark.licenses import terms
from guildmark.testing.clusters import ClusterFactory, TestCluster
from guildmark.transactions import Outcome, PreparedTransaction
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Commit, Purchase, purchase_commitment
from ledger.operations import Operation
from primitives.codec import decode, encode

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("economics")]

BUYERS: Final = 200
PURSE: Final = 10_000
PRICE: Final = 9_000
OVERDRAWN: Final = 1_000
PART: Final = 7
"""What each of many payments takes out of a purse of 1,000: 142 of them can be made, and 6 are left."""
SHOPS: Final = ("shop-0", "shop-1", "shop-2", "shop-3")
AGE_MS: Final = 1_000


@pytest.fixture(scope="module")
def market(guildmark_cluster_factory: ClusterFactory) -> Iterator[TestCluster]:
    """Four validators, two hundred buyers with a purse each, and commitments that must age."""
    plans = [
        AccountPlan("founder", "alder"),
        AccountPlan("seller", "birch", 1),
        AccountPlan("spender", "cedar", OVERDRAWN),
        *(AccountPlan(name, "dogwood", 1) for name in SHOPS),
        *(AccountPlan(f"buyer-{number}", ("alder", "cedar", "dogwood")[number % 3], PURSE) for number in range(BUYERS)),
    ]
    cluster = guildmark_cluster_factory(genesis={"commitment_age_ms": AGE_MS}, accounts=plans)
    yield cluster
    cluster.stop()


def executions(cluster: TestCluster, identifiers: set[str], first: int, last: int) -> dict[int, Counter[str]]:
    """Return by height how often each transaction executed; all nodes must say the same.

    What a block holds of a transaction beside that, its marks as a duplicate, has a code of `transaction.`.
    """
    told = []
    for index in range(len(cluster.nodes)):
        with cluster.client(node=index) as client:
            told.append([client.block(height)["transactions"] for height in range(first, last + 1)])
    assert all(blocks == told[0] for blocks in told)
    return {
        height: Counter(
            entry["id"]
            for entry in entries
            if entry["id"] in identifiers and not entry["code"].startswith("transaction.")
        )
        for height, entries in enumerate(told[0], first)
    }


# --- one license, two hundred buyers ----------------------------------------------------------------------------------


def test_of_two_hundred_concurrent_buyers_of_an_exclusive_license_one_gets_it(
    market: TestCluster, tmp_path: Path
) -> None:
    """E1: through four nodes; all others are refused alike and keep their credits to the unit."""
    work = tmp_path / "work"
    work.write_bytes(secrets.token_bytes(10_000))
    with market.client("seller") as seller:
        registered = seller.assets.register(work, kind="software", name="the only one")
        seller.artifacts.wait_held(registered.cid)
        offer = seller.licenses.offer(
            registered.asset, terms(rights=["download"], price=PRICE, exclusivity="exclusive")
        )
        market.wait_same_head()
        asyncio.run(_buy_all_at_once(market, bytes.fromhex(offer.offer), bytes.fromhex(offer.terms_digest)))
        owed = int(seller.licenses.royalties_owed(registered.asset)["owed"])
        assert 0 < owed <= PRICE
        seller.licenses.withdraw_royalties(registered.asset)
    market.wait_same_head()
    asyncio.run(_agree_on_the_sale(market, registered.asset))


async def _buy_all_at_once(cluster: TestCluster, offer: bytes, digest: bytes) -> None:
    buyers = [cluster.account(f"buyer-{number}") for number in range(BUYERS)]
    salts = [secrets.token_bytes(16) for _ in buyers]
    async with nodes_of(cluster) as nodes:
        committed = await nodes.rush(
            await nodes.sign_all(
                [
                    (buyer, Commit(purchase_commitment(offer, buyer.id, salt)))
                    for buyer, salt in zip(buyers, salts, strict=True)
                ]
            )
        )
        assert all(outcome.committed for outcome in committed)
        last = await nodes.clients[0].wait_for_height(max(outcome.height or 0 for outcome in committed))
        # A unit of time more than the rule asks for: a later block may be stamped by a clock that lags a little.
        await nodes.clients[0].wait_until(int(last["timestamp_ms"]) + 2 * AGE_MS)
        outcomes = await nodes.rush(
            await nodes.sign_all(
                [
                    (buyer, Purchase(offer=offer, terms_digest=digest, price_max=PRICE, salt=salt))
                    for buyer, salt in zip(buyers, salts, strict=True)
                ]
            )
        )
        assert Counter(outcome.code for outcome in outcomes) == {"": 1, "licenses.collision": BUYERS - 1}
        cluster.wait_same_head()
        assert list(await asyncio.gather(*(nodes.everywhere(outcome.id) for outcome in outcomes))) == outcomes
        assert await nodes.balances(buyers) == [PURSE - PRICE if outcome.committed else PURSE for outcome in outcomes]


async def _agree_on_the_sale(cluster: TestCluster, asset: str) -> None:
    async with nodes_of(cluster) as nodes:
        grants = [await client.query("licenses.grants", asset=asset) for client in nodes.clients]
        assert all(told == grants[0] for told in grants)
        assert [grant["state"] for grant in grants[0]] == ["active"]
        await nodes.check_supply()


# --- one transaction, four nodes --------------------------------------------------------------------------------------


def test_a_transaction_sent_to_all_nodes_at_once_executes_once(market: TestCluster) -> None:
    """A6: with the same answer everywhere, for one that commits as for one that is rejected."""
    payer, shop = market.account("founder"), market.account(SHOPS[0])

    async def send() -> tuple[list[str], int]:
        async with nodes_of(market) as nodes:
            (before,) = await nodes.balances([shop])
            operations: list[Operation] = [Transfer(shop.id, number + 1) for number in range(20)]
            operations += [Transfer(shop.id, 2**53) for _ in range(5)]
            prepared = await nodes.sign_all([(payer, operation) for operation in operations])
            await asyncio.gather(*(client.submit(each) for each in prepared for client in nodes.clients))
            outcomes = list(await asyncio.gather(*(nodes.everywhere(each.id) for each in prepared)))
            assert [outcome.code for outcome in outcomes] == [""] * 20 + ["credits.insufficient"] * 5
            # Again, long after: every node answers with what became of it, and nothing happens.
            await asyncio.gather(*(client.submit(each) for each in prepared for client in nodes.clients))
            assert list(await asyncio.gather(*(nodes.everywhere(each.id) for each in prepared))) == outcomes
            cluster_head = market.wait_same_head()
            assert await nodes.balances([shop]) == [before + sum(range(1, 21))]
            await nodes.check_supply()
            return [outcome.id for outcome in outcomes], int(cluster_head["height"])

    identifiers, height = asyncio.run(send())
    counted: Counter[str] = Counter()
    for found in executions(market, set(identifiers), 1, height).values():
        counted += found
    assert counted == Counter(identifiers)


def with_bad_signature(transaction: PreparedTransaction) -> bytes:
    body, signature = decode(transaction.data, tuple[bytes, bytes])
    return encode((body, bytes([signature[0] ^ 1]) + signature[1:]))


def test_a_bad_signature_first_neither_burns_an_id_nor_touches_its_receipt(market: TestCluster) -> None:
    """A7: the id does not cover the signature."""
    payer, shop = market.account("founder"), market.account(SHOPS[1])

    async def send() -> None:
        async with nodes_of(market) as nodes:
            (before,) = await nodes.balances([shop])
            good = await nodes.sign(payer, Transfer(shop.id, 11))
            bad = with_bad_signature(good)
            assert transactions.transaction_id(bad).hex() == good.id
            assert await nodes.refusals(bad) == {"transaction.bad_signature"}
            await asyncio.gather(*(client.submit(good) for client in nodes.clients))
            receipt = await nodes.everywhere(good.id)
            assert receipt.committed
            # Now the id is known everywhere: the answer is its receipt, whatever the signature.
            await asyncio.gather(*(client.submit(bad) for client in nodes.clients))
            assert await nodes.everywhere(good.id) == receipt
            market.wait_same_head()
            assert await nodes.balances([shop]) == [before + 11]

    asyncio.run(send())


def test_what_is_out_of_its_time_or_network_has_one_code_on_every_node(market: TestCluster) -> None:
    """A7: and the first receipt stands, within the lifetime and after it."""
    payer, shop = market.account("founder"), market.account(SHOPS[2])
    lifetime_ms = market.genesis.parameters.lifetime_ms
    foreign = bytes(32)

    async def begin() -> tuple[int, PreparedTransaction, Outcome, PreparedTransaction]:
        async with nodes_of(market) as nodes:
            (before,) = await nodes.balances([shop])
            now_ms = await nodes.clients[0].network_time_ms()

            def made(expires_at_ms: int, network_id: bytes = market.network_id) -> PreparedTransaction:
                return transactions.prepare(payer, network_id, [Transfer(shop.id, 13)], expires_at_ms)

            assert await nodes.refusals(made(now_ms - 1).data) == {"transaction.expired"}
            too_far = made(now_ms + lifetime_ms + 30_000)
            assert await nodes.refusals(too_far.data) == {"transaction.expiry_too_far"}
            assert await nodes.refusals(made(now_ms + 10_000, foreign).data) == {"transaction.wrong_network"}
            executed, kept = made(now_ms + lifetime_ms // 2), made(now_ms + lifetime_ms // 2)
            await nodes.clients[3].submit(executed)
            receipt = await nodes.everywhere(executed.id)
            assert receipt.committed
            await asyncio.gather(*(client.submit(executed) for client in nodes.clients))
            assert await nodes.everywhere(executed.id) == receipt
            return before, executed, receipt, kept

    async def end(before: int, executed: PreparedTransaction, receipt: Outcome, kept: PreparedTransaction) -> None:
        async with nodes_of(market) as nodes:
            # By the local clocks it is still good: block time decides.
            assert await nodes.refusals(kept.data) == {"transaction.expired"}
            assert [(await transactions.status(client.transport, kept.id)).state for client in nodes.clients] == [
                "unknown"
            ] * 4
            await asyncio.gather(*(client.submit(executed) for client in nodes.clients))
            assert await nodes.everywhere(executed.id) == receipt
            market.wait_same_head()
            assert await nodes.balances([shop]) == [before + 13]
            await nodes.check_supply()

    story = asyncio.run(begin())
    market.advance(lifetime_ms)
    market.wait_same_head()
    asyncio.run(end(*story))


# --- one purse, many hands --------------------------------------------------------------------------------------------


class Sample(msgspec.Struct, frozen=True):
    """What one node said of the purse and the shops, all at one height."""

    height: int
    balances: tuple[int, ...]


async def _watch(client: AsyncClient, accounts: Sequence[Account], stop: asyncio.Event) -> list[Sample]:
    """Ask a node for all balances again and again; answers that came from different heights say nothing."""
    samples: list[Sample] = []
    while not stop.is_set():
        answers: list[dict[str, Any]] = list(
            await asyncio.gather(*(client.query_at("credits.balance", account=account.text) for account in accounts))
        )
        balances = tuple(int(answer["result"]["balance"]) for answer in answers)
        assert min(balances) >= 0
        if len({answer["height"] for answer in answers}) == 1:
            samples.append(Sample(int(answers[0]["height"]), balances))
        await asyncio.sleep(0.02)
    return samples


def test_a_purse_is_never_overdrawn_by_many_hands(market: TestCluster) -> None:
    """E2: 320 payments at four nodes, of which the purse has enough for 142."""
    purse, shops = market.account("spender"), [market.account(name) for name in SHOPS]

    async def spend() -> tuple[list[Outcome], list[Sample], int]:
        async with nodes_of(market) as nodes, nodes_of(market) as watching:
            held = await nodes.balances([purse, *shops])
            assert held[0] == OVERDRAWN
            prepared = await nodes.sign_all([(purse, Transfer(shops[turn % 4].id, PART)) for turn in range(320)])
            stop = asyncio.Event()
            watchers = [asyncio.create_task(_watch(client, [purse, *shops], stop)) for client in watching.clients]
            outcomes: list[Outcome] = []
            for start in range(0, len(prepared), 40):  # several blocks' worth, each wave at all nodes at once
                outcomes += await nodes.rush(prepared[start : start + 40])
            market.wait_same_head()
            stop.set()
            samples = [sample for found in await asyncio.gather(*watchers) for sample in found]
            paid = Counter(turn % 4 for turn, outcome in enumerate(outcomes) if outcome.committed)
            assert await nodes.balances([purse, *shops]) == [
                OVERDRAWN % PART,
                *(held[1 + shop] + PART * paid[shop] for shop in range(4)),
            ]
            await nodes.check_supply()
            return outcomes, samples, sum(held)

    outcomes, samples, total = asyncio.run(spend())
    made = OVERDRAWN // PART
    assert Counter(outcome.code for outcome in outcomes) == {"": made, "credits.insufficient": 320 - made}
    _check_samples(samples, total)
    _check_heights(market, outcomes)


def _check_samples(samples: Sequence[Sample], total: int) -> None:
    """Whatever node was asked: one state a height, and no unit more or less in it."""
    by_height: dict[int, tuple[int, ...]] = {}
    for sample in samples:
        assert by_height.setdefault(sample.height, sample.balances) == sample.balances
        assert sum(sample.balances) == total
    assert len(by_height) >= 3


def _check_heights(cluster: TestCluster, outcomes: Sequence[Outcome]) -> None:
    """Every block, on every node: each payment executed once, and what was left of the purse after it."""
    committed = {outcome.id for outcome in outcomes if outcome.committed}
    heights = [outcome.height or 0 for outcome in outcomes]
    left, seen = OVERDRAWN, Counter[str]()
    for found in executions(cluster, committed, min(heights), max(heights)).values():
        left -= PART * sum(found.values())
        seen += found
        assert left >= 0
    assert seen == Counter(committed)
    assert left == OVERDRAWN % PART

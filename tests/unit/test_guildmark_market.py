"""The market by SDK and command line, against the real ledger: every submitted transaction is a block."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from guildmark_kit import fake_node, run, surround
from ledger_node_kit import LedgerNode

from guildmark.cli import main
from guildmark.errors import GuildmarkError, NotFound, Refused
from guildmark.identity import Account
from guildmark.sync import Client
from guildmark.transfers import grant, share, whole
from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.modules.assets import operations as assets
from ledger.modules.licenses import operations as licenses
from ledger.operations import Operation
from ledger.parameters import MINUTE_MS
from ledger.state.store import MemoryStore
from ledger.transaction import build, transaction_id
from tests.unit.market_kit import TOKEN
from tests.unit.modules_kit import World, cid, make_genesis, seed_key

NAMES = ("alice", "bob", "carol")
HOUR_MS = 3_600_000


class Bazaar:
    """A chain on which alice, bob and carol trade."""

    def __init__(self) -> None:
        self.world = World(make_genesis(commitment_age_ms=0))
        self.chain = Chain.open(MemoryStore(), self.world.genesis)
        self.ahead_ms = 0
        """Of the block time."""

    def execute(self, data: bytes | None) -> None:
        height = self.chain.height + 1
        time_ms = max(self.now_ms, self.chain.head.timestamp_ms + 1)
        batches = [] if data is None else [DecidedBatch(0, height, (data,))]
        self.chain.execute(height, DecidedProposal(0, time_ms), batches)

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def run(self, who: str, sender: bytes, *operations: Operation) -> bytes:
        """Execute what an account sends, and see that it is accepted."""
        data = build(
            network_id=self.world.network_id,
            sender=sender,  # type: ignore[arg-type]  # an account's bytes
            key=seed_key(who),
            operations=operations,
            expires_at_ms=self.now_ms + MINUTE_MS,
        )
        self.execute(data)
        status = self.chain.transaction_status(transaction_id(data))
        assert status.receipt is not None
        assert status.receipt.code == "", status.message
        return transaction_id(data)


@pytest.fixture
def bazaar() -> Bazaar:
    return Bazaar()


@pytest.fixture
def account(bazaar: Bazaar) -> dict[str, Account]:
    network = bazaar.world.network_id
    return {name: Account.first_of(network, f"org-{name}", seed_key(name), bytes(16), name) for name in NAMES}


@pytest.fixture
def client(bazaar: Bazaar) -> Iterator[Client]:
    with fake_node(bazaar.world.genesis) as fake:
        LedgerNode(fake, bazaar.chain, bazaar.execute)
        with Client(fake.url) as made:
            yield made


@pytest.fixture
def asset(bazaar: Bazaar) -> bytes:
    """An asset of alice's, which a quorum holds."""
    alice = bazaar.world.accounts["alice"]
    commitment = assets.commitment(cid("A"), alice, bazaar.world.salt("A"))
    bazaar.run("alice", alice, assets.Commit(commitment), bazaar.world.registration("alice", "A"))
    identifier = assets.asset_id(bazaar.world.network_id, alice, cid("A"))
    for index in range(3):
        bazaar.run(f"validator {index}", bazaar.world.validators[index], assets.ReportHeld(identifier, 1))
    return identifier


def owners(client: Client, asset: bytes) -> dict[str, int]:
    return {row["account"]: row["bps"] for row in client.assets.get(asset)["owners"]}


def test_a_whole_asset_is_bought_by_commitment_and_reveal(
    client: Client, account: dict[str, Account], asset: bytes
) -> None:
    alice, bob = (client.acting_as(account[name]) for name in ("alice", "bob"))
    listing = alice.market.sell(whole(asset), 5_000)
    assert client.market.get_listing(listing)["commitment_required"]
    assert [row["listing"] for row in client.market.listings(asset)] == [listing]
    assert [row["price"] for row in client.market.prices(asset)] == [5_000]
    with pytest.raises(Refused) as caught:
        bob.market.buy(listing, price_max=4_999)
    assert caught.value.code == "market.price_above_max"
    outcome = bob.market.buy(listing)
    assert outcome.event("market.bought")["price"] == 5_000
    assert owners(client, asset) == {account["bob"].text: 10_000}
    with pytest.raises(NotFound):
        bob.market.buy(listing)


def test_shares_are_bought_at_once_and_listings_withdrawn(
    client: Client, account: dict[str, Account], asset: bytes
) -> None:
    alice, bob = (client.acting_as(account[name]) for name in ("alice", "bob"))
    bob.market.buy(alice.market.sell(share(asset, 2_500), 700))
    listing = alice.market.sell(share(asset, 500), 70)
    alice.market.withdraw_listing(listing)
    assert client.market.listings(account=account["alice"]) == []
    assert owners(client, asset)[account["bob"].text] == 2_500


def test_an_offer_names_what_its_buyer_has_looked_at(
    bazaar: Bazaar, client: Client, account: dict[str, Account], asset: bytes
) -> None:
    alice, bob = (client.acting_as(account[name]) for name in ("alice", "bob"))
    seen = client.market.condition(whole(asset))
    offer = bob.market.make_offer(whole(asset), 900, condition=seen)
    terms = licenses.Terms(rights=("download",), price=0)
    made = alice.licenses.offer(asset, terms)
    client.acting_as(account["carol"]).licenses.buy(made.offer)
    for refused in (
        lambda: alice.market.accept_offer(offer),
        lambda: bob.market.make_offer(whole(asset), 1, condition=seen),
    ):
        with pytest.raises(Refused) as caught:
            refused()
        assert caught.value.code == "market.condition_changed"
    bob.market.withdraw_offer(offer)
    part = bob.market.make_offer(share(asset, 100), 50, holder=account["alice"])
    offer = bob.market.make_offer(whole(asset), 950)
    assert len(client.market.offers(asset)) == len(bob.market.offers()) == 2
    alice.market.accept_offer(part)
    with pytest.raises(Refused):
        alice.market.accept_offer(offer)


def test_auctions_are_won_taken_cancelled_and_settled(
    bazaar: Bazaar, client: Client, account: dict[str, Account], asset: bytes
) -> None:
    alice, bob, carol = (client.acting_as(account[name]) for name in NAMES)
    opening = alice.market.english_auction(share(asset, 1_000), reserve=100, increment=10, lifetime_ms=HOUR_MS)
    auction = alice.market.put_up(opening)
    bob.market.bid(auction, 100)
    carol.market.bid(auction, 110)
    assert client.market.auctions(bidder=account["bob"]) == []
    assert [row["auction"] for row in client.market.auctions(bidder=account["carol"])] == [auction]
    with pytest.raises(Refused) as caught:
        alice.market.cancel_auction(auction)
    assert caught.value.code == "market.has_bid"
    with pytest.raises(Refused) as caught:
        bob.market.settle(auction)
    assert caught.value.code == "market.auction_running"
    with pytest.raises(Refused) as caught:
        bob.market.take(auction)
    assert caught.value.code == "market.not_dutch"
    falling = alice.market.dutch_auction(share(asset, 2_000), start_price=500, floor_price=100, steps=4)
    dutch = alice.market.put_up(falling)
    assert bob.market.take(dutch).event("market.auction_settled")["price"] == 500
    falling = alice.market.dutch_auction(share(asset, 1), start_price=500, floor_price=100, steps=4)
    idle = alice.market.put_up(falling)
    alice.market.cancel_auction(idle)
    bazaar.ahead_ms = HOUR_MS
    bazaar.execute(None)
    with pytest.raises(NotFound):
        client.market.get_auction(auction)
    assert owners(client, asset) == {
        account["alice"].text: 7_000,
        account["bob"].text: 2_000,
        account["carol"].text: 1_000,
    }


def test_a_whole_asset_is_taken_by_commitment_and_reveal(
    client: Client, account: dict[str, Account], asset: bytes
) -> None:
    alice, bob = (client.acting_as(account[name]) for name in ("alice", "bob"))
    opening = alice.market.dutch_auction(whole(asset), start_price=500, floor_price=100, steps=4)
    bob.market.take(alice.market.put_up(opening))
    assert owners(client, asset) == {account["bob"].text: 10_000}


def test_a_license_is_sold_on(client: Client, account: dict[str, Account], asset: bytes) -> None:
    alice, bob, carol = (client.acting_as(account[name]) for name in NAMES)
    bought = bob.licenses.buy(alice.licenses.offer(asset, TOKEN).offer)
    carol.market.buy(bob.market.sell(grant(bought.grant), 150))
    assert client.licenses.get_grant(bought.grant)["licensee"] == account["carol"].text
    assert client.market.condition(grant(bought.grant)).duties is None


# --- the command line


@pytest.fixture
def shell(
    bazaar: Bazaar, account: dict[str, Account], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """A wallet with everybody's keys, and a node."""
    with fake_node(bazaar.world.genesis) as fake:
        LedgerNode(fake, bazaar.chain, bazaar.execute)
        surround(monkeypatch, tmp_path, fake.url, account)
        yield


class Shell:
    """Runs `guildmark market` commands with `--json`."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, who: str, *arguments: str, expect: int = 0) -> Any:
        acting = ["--account", who] if who else []
        return run(self.capsys, "market", *arguments, *acting, expect=expect)

    def text(self, *arguments: str) -> str:
        assert main.run(["market", *arguments]) == 0
        return self.capsys.readouterr().out


@pytest.fixture
def market(shell: None, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


def test_selling_and_buying_by_command(market: Shell, asset: bytes) -> None:
    part = f"{asset.hex()}:2500"
    listing = market("alice", "list", "--share", part, "--price", "700")["listing"]
    assert [row["listing"] for row in market("", "listings", asset.hex())] == [listing]
    assert [row["listing"] for row in market("", "listings", "--of", "alice")] == [listing]
    assert market("", "show", "--listing", listing)["price"] == 700
    assert market("", "prices", asset.hex())[0]["price"] == 700
    assert "700" in market.text("prices", asset.hex())
    assert market("bob", "buy", listing, "--price-max", "699", expect=1)["code"] == "market.price_above_max"
    assert market("bob", "buy", listing)["state"] == "committed"
    listing = market("bob", "list", "--share", part, "--price", "800")["listing"]
    market("bob", "withdraw", listing)
    assert market("", "show", "--listing", listing, expect=3)["code"] == "query.not_found"


def test_offers_by_command(market: Shell, asset: bytes) -> None:
    part = f"{asset.hex()}:2500"
    offer = market("bob", "offer", "--share", part, "--holder", "alice", "--price", "300")["offer"]
    whole_offer = market("carol", "offer", "--asset", asset.hex(), "--price", "900")["offer"]
    assert {row["offer"] for row in market("", "offers", asset.hex())} == {offer, whole_offer}
    assert [row["offer"] for row in market("bob", "offers")] == [offer]
    assert market("", "show", "--offer", offer)["condition_kept"]
    market("alice", "accept", offer)
    market("carol", "withdraw-offer", whole_offer)
    assert market("", "offers", asset.hex()) == []


def test_auctions_by_command(market: Shell, asset: bytes) -> None:
    part = f"{asset.hex()}:1000"
    english = market("alice", "auction", "--share", part, "--reserve", "50", "--increment", "5")["auction"]
    assert market("alice", "bid", english, "50", expect=1)["code"] == "market.own_organization"
    market("bob", "bid", english, "50")
    assert market("", "show", "--auction", english)["english"]["best_amount"] == 50
    assert [row["auction"] for row in market("", "auctions", "--bidder", "bob")] == [english]
    dutch = market("alice", "dutch-auction", "--share", part, "--start-price", "90", "--floor-price", "10")["auction"]
    table = market.text("auctions", asset.hex())
    assert "50" in table
    assert "90" in table
    market("bob", "take", dutch, "--price-max", "90")
    idle = market("alice", "dutch-auction", "--share", part, "--start-price", "90", "--floor-price", "10")["auction"]
    market("alice", "cancel", idle)
    assert market("carol", "settle", english, expect=1)["code"] == "market.auction_running"


def test_what_several_owners_sell_is_prepared_and_consented_to(
    market: Shell, client: Client, account: dict[str, Account], asset: bytes
) -> None:
    alice, bob = (client.acting_as(account[name]) for name in ("alice", "bob"))
    bob.market.buy(alice.market.sell(share(asset, 4_000), 10))
    shown = market("alice", "list", "--asset", asset.hex(), "--price", "5000", "--prepare")
    assert (shown["operation"], shown["price"]) == ("market.list", 5_000)
    send = ("list", "--prepared", shown["prepared"])
    assert market("alice", *send, expect=1)["code"] == "assets.consent_missing"
    assert main.run(["asset", "consent", asset.hex(), shown["prepared"], "--account", "bob"]) == 0
    market.capsys.readouterr()
    listing = market("alice", *send)["listing"]
    market("alice", "withdraw", listing)
    offer = market("carol", "offer", "--asset", asset.hex(), "--price", "9000")["offer"]
    shown = market("alice", "accept", offer, "--prepare")
    assert (shown["operation"], shown["price_min"]) == ("market.accept_offer", 9_000)
    assert main.run(["asset", "consent", asset.hex(), shown["prepared"], "--account", "alice"]) == 0
    market.capsys.readouterr()
    market("bob", "accept", "--prepared", shown["prepared"])
    assert owners(client, asset) == {account["carol"].text: 10_000}
    error = market("alice", "auction", "--prepared", shown["prepared"], expect=2)
    assert "another operation" in error["message"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "--price", "1"),
        ("list", "--asset", "ab" * 32),
        ("list", "--asset", "ab" * 32, "--price", "0"),
        ("list", "--share", "ab" * 32 + ":10000", "--price", "1"),
        ("dutch-auction", "--asset", "ab" * 32, "--start-price", "5"),
        ("offer", "--asset", "ab" * 32),
        ("offer", "--share", "ab" * 32 + ":5", "--price", "1"),
        ("offer", "--asset", "ab" * 32, "--price", "1", "--holder", "bob"),
        ("accept",),
        ("accept", "ab" * 32, "--prepared", "00"),
        ("accept", "--prepared", "00"),
        ("offers", "ab" * 32, "--of", "bob"),
        ("show",),
        ("show", "--listing", "ab" * 32, "--offer", "ab" * 32),
        ("bid", "ab" * 32, "0"),
        ("buy", "xyz"),
    ],
)
def test_wrong_usage_sends_nothing(bazaar: Bazaar, market: Shell, arguments: tuple[str, ...]) -> None:
    height = bazaar.chain.height
    acting = () if arguments[0] == "show" else ("--account", "alice")
    assert main.run(["market", *arguments, *acting]) == 2
    assert bazaar.chain.height == height


def test_errors_of_the_sdk_are_its_own(client: Client, account: dict[str, Account]) -> None:
    bob = client.acting_as(account["bob"])
    for ask in (
        lambda: client.market.get_listing("00" * 32),
        lambda: client.market.get_offer(bytes(32)),
        lambda: client.market.condition(whole("00" * 32)),
        lambda: bob.market.buy("00" * 32),
        lambda: bob.market.accept_offer("00" * 32),
        lambda: bob.market.bid("00" * 32, 5),
    ):
        with pytest.raises(GuildmarkError):
            ask()

"""The main story through the SDK on real processes: data set, license, model, sale, download, certificate, transfer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from guildmark.certificates import verify_certificate
from guildmark.errors import Denied, NotFound, Refused, VerificationFailed
from guildmark.licenses import terms
from guildmark.sync import Client, LightClient
from guildmark.testing.clusters import AccountFactory, TestCluster
from guildmark.transfers import whole
from ledger.certificates.subjects import AssetSubject
from ledger.modules.assets.operations import Derivation, Metric, Provenance

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("shared-network")]
PRICE = 100_000
HELD_TIMEOUT_S = 60


def write(path: Path, size_bytes: int = 1_500_000) -> Path:
    path.write_bytes(os.urandom(size_bytes))
    return path


def wait_complete(client: Client, root: str) -> None:
    """Wait for the client's node: a quorum, which a purchase needs, may be without it."""
    deadline = time.monotonic() + HELD_TIMEOUT_S
    while not client.artifacts.whereabouts(root)["complete"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_model_is_registered_sold_downloaded_and_proven(
    guildmark_cluster: TestCluster, guildmark_client: Client, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    curator, trainer = guildmark_account(organization="alder"), guildmark_account(organization="birch")
    buyer, stranger = guildmark_account(organization="cedar"), guildmark_account(organization="dogwood")
    as_curator, as_trainer = guildmark_client.acting_as(curator), guildmark_client.acting_as(trainer)
    as_buyer = guildmark_client.acting_as(buyer)

    data = as_curator.assets.register(write(tmp_path / "data"), kind="dataset", name="digits")
    guildmark_client.artifacts.wait_held(data.cid)
    training = as_curator.licenses.offer(
        data.asset,
        terms(
            rights=["train-on", "download"],
            price=1_000,
            commercial=True,
            derivatives="yes",
            revenue_share_bps=1_000,
            revenue_share_depth=2,
        ),
    )
    license_to_train = as_trainer.licenses.buy(training.offer)
    assert license_to_train.state == "active"

    model = as_trainer.assets.register(
        write(tmp_path / "model"),
        kind="model",
        name="classifier",
        tensors_digest=os.urandom(32),
        provenance=Provenance(
            derivations=(Derivation(bytes.fromhex(data.asset), "train-on", bytes.fromhex(license_to_train.grant)),),
            hyperparameters=(("epochs", "10"),),
            metrics=(Metric("accuracy", 973_100),),
        ),
    )
    guildmark_client.artifacts.wait_held(model.cid)
    offer = as_trainer.licenses.offer(
        model.asset, terms(rights=["download", "inference"], price=PRICE, commercial=True)
    )
    before = as_buyer.credits.balance()
    grant = as_buyer.licenses.buy(offer.offer)
    assert (grant.state, before - as_buyer.credits.balance()) == ("active", PRICE)
    owed = int(as_curator.licenses.royalties_owed(data.asset)["owed"])
    assert owed > 0
    funds = as_curator.credits.balance()
    as_curator.licenses.withdraw_royalties(data.asset)
    assert as_curator.credits.balance() == funds + owed

    for node in range(len(guildmark_cluster.nodes)):
        with guildmark_cluster.client(buyer, node) as elsewhere:
            elsewhere.wait_for_height(grant.height)
            wait_complete(elsewhere, model.cid)
            copy = elsewhere.assets.download(model.asset, tmp_path / f"copy-{node}")
        assert copy.read_bytes() == (tmp_path / "model").read_bytes()

    check = guildmark_client.licenses.check(model.asset, account=stranger)
    assert (check["allowed"], check["reason"]) == (False, "no_grant")
    for who, code in ((stranger, "no_grant"), (None, "artifact.unsigned")):
        with pytest.raises(Denied) as caught:
            guildmark_client.acting_as(who).assets.download(model.asset, tmp_path / "stolen")
        assert caught.value.code == code

    transfer = as_trainer.transfers.offer(whole(model.asset), stranger, 5_000)
    guildmark_client.acting_as(stranger).transfers.accept(transfer, 5_000)
    data_file = guildmark_client.certificates.export(model.asset)
    verified = verify_certificate(data_file, guildmark_cluster.network_id)
    assert [owner.account for owner in verified.owners] == [stranger.text]
    with LightClient(guildmark_cluster.network_id, guildmark_client.urls) as light:
        trusted = light.update()
        assert trusted.liars == ()
        shown: Any = light.certified(AssetSubject(bytes.fromhex(model.asset)))
        assert [owner.account for owner in shown.owners] == [stranger.text]
        assert shown.start_height >= trusted.height
        assert light.update(2).block_hash.hex() == guildmark_client.block(2)["block_hash"]
    for position in (0, len(data_file) // 2, len(data_file) - 1):
        damaged = data_file[:position] + bytes([data_file[position] ^ 1]) + data_file[position + 1 :]
        with pytest.raises(VerificationFailed):
            verify_certificate(damaged, guildmark_cluster.network_id)


def test_the_same_bytes_belong_to_one_asset(
    guildmark_client: Client, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    """E1: the second registration is refused, points to the first, and nothing is uploaded."""
    path = write(tmp_path / "work", 1_000)
    first = guildmark_client.assets.register(path, kind="artwork", name="mine")
    with pytest.raises(Refused) as caught:
        guildmark_client.acting_as(guildmark_account()).assets.register(path, kind="artwork", name="also mine")
    assert caught.value.code == "assets.artifact_claimed"
    assert f"asset {first.asset}, version 1" in caught.value.message
    assert caught.value.transaction_id


def test_versions_follow_each_other_and_can_be_fetched(guildmark_client: Client, tmp_path: Path) -> None:
    first = guildmark_client.assets.register(
        write(tmp_path / "1", 5_000), kind="software", name="tool", visibility="public"
    )
    second = guildmark_client.assets.add_version(first.asset, write(tmp_path / "2", 6_000), notes="better")
    assert (first.version, second.version) == (1, 2)
    guildmark_client.assets.set_alias(first.asset, "stable", 1)
    stranger = guildmark_client.acting_as(None)
    assert stranger.assets.download(first.asset, tmp_path / "latest").read_bytes() == (tmp_path / "2").read_bytes()
    stable = stranger.assets.download(first.asset, tmp_path / "stable", version="stable")
    assert stable.read_bytes() == (tmp_path / "1").read_bytes()


def test_resending_the_same_bytes_to_every_node_executes_once(
    guildmark_cluster: TestCluster, guildmark_client: Client, guildmark_account: AccountFactory
) -> None:
    """A6: the same transaction at four nodes at once is one transaction, with one answer."""
    from ledger.modules.credits.operations import Transfer

    receiver = guildmark_account(credits=0)
    prepared = guildmark_client.prepare(Transfer(recipient=receiver.id, amount=7))
    for node in range(len(guildmark_cluster.nodes)):
        with guildmark_cluster.client(node=node) as client:
            assert client.submit(prepared) == prepared.id
    outcomes = []
    for node in range(len(guildmark_cluster.nodes)):
        with guildmark_cluster.client(node=node) as client:
            outcomes.append(client.wait(prepared))
            client.submit(prepared)
    assert {(outcome.state, outcome.height, outcome.block_hash) for outcome in outcomes} == {
        ("committed", outcomes[0].height, outcomes[0].block_hash)
    }
    assert guildmark_client.credits.balance(receiver) == 7


def test_a_payment_beyond_the_balance_is_rejected_by_a_receipt(
    guildmark_client: Client, guildmark_account: AccountFactory
) -> None:
    poor = guildmark_account(credits=10)
    with pytest.raises(Refused) as caught:
        guildmark_client.acting_as(poor).credits.transfer(guildmark_account(credits=0), 11)
    assert caught.value.code.startswith("credits.")
    outcome = guildmark_client.transaction(str(caught.value.transaction_id))
    assert (outcome.state, outcome.code) == ("rejected", caught.value.code)
    assert guildmark_client.credits.balance(poor) == 10


def test_an_exclusive_license_is_bought_by_commitment_and_only_once(
    guildmark_client: Client, guildmark_account: AccountFactory, tmp_path: Path
) -> None:
    work = guildmark_client.assets.register(write(tmp_path / "w", 100), kind="artwork", name="one")
    guildmark_client.artifacts.wait_held(work.cid)
    offer = guildmark_client.licenses.offer(
        work.asset, terms(rights=["download"], price=10, exclusivity="exclusive", editions_max=1)
    )
    first, second = guildmark_account(organization="birch"), guildmark_account(organization="cedar")
    assert guildmark_client.acting_as(first).licenses.buy(offer.offer).state == "active"
    with pytest.raises((Refused, NotFound)):
        guildmark_client.acting_as(second).licenses.buy(offer.offer)


def test_what_does_not_exist_is_not_found(guildmark_client: Client) -> None:
    for ask in (
        lambda: guildmark_client.assets.get("ab" * 32),
        lambda: guildmark_client.transaction("ab" * 32),
        lambda: guildmark_client.certificates.export("ab" * 32),
        lambda: guildmark_client.licenses.get_offer("ab" * 32),
    ):
        with pytest.raises(NotFound):
            ask()


def test_who_waits_for_a_network_without_a_quorum_is_told_the_transactions_id(
    guildmark_cluster: TestCluster, guildmark_account: AccountFactory
) -> None:
    """L8: the id is there to ask for later, and the transaction commits when the quorum returns."""
    payer, payee = guildmark_account(credits=100), guildmark_account(credits=0)
    told: list[str] = []

    quorum_is_back = threading.Event()

    def note(identifier: str) -> None:
        told.append(identifier)
        quorum_is_back.set()

    def bring_back() -> None:
        quorum_is_back.wait(60)
        guildmark_cluster.heal()

    guildmark_cluster.kill(2)
    guildmark_cluster.kill(3)
    urls = [guildmark_cluster.url(index) for index in (0, 1)]
    healer = threading.Thread(target=bring_back)
    healer.start()
    try:
        with Client(urls, payer, network_id=guildmark_cluster.network_id, on_slow=note) as client:
            outcome = client.credits.transfer(payee, 1)
    finally:
        quorum_is_back.set()
        healer.join()
    assert told == [outcome.id]

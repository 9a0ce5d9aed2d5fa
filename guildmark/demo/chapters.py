"""The chapters. Each checks what it tells, and raises `StepFailed` where it does not hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from guildmark.artifact_transfer import LocalArtifact, authorization
from guildmark.certificates import verify_ownership
from guildmark.demo import cast
from guildmark.demo.narrator import Bar, StepFailed, percent
from guildmark.demo.stage import Stage, http_status
from guildmark.demo.trust import evaluation, reputation
from guildmark.errors import VerificationFailed
from guildmark.licenses import terms
from guildmark.models.provenance import provenance, provenance_of
from guildmark.models.training import train_digits
from guildmark.transfers import whole
from ledger.modules.assets.operations import Derivation

EPOCHS = 10


def consortium(stage: Stage) -> None:
    """Four organizations, four validator processes."""
    tell = stage.narrator
    with tell.bar("starting four validators", 4) as bar:
        stage.cluster.start(exit_with_parent=not stage.keep)
        bar.reach(4)
    statuses = [stage.cluster.status(index) for index in range(4)]
    rows = [
        [str(index + 1), cast.ORGANIZATIONS[index][1], stage.cluster.url(index), status["node_id"][:18] + "…"]
        for index, status in enumerate(statuses)
        if status is not None
    ]
    tell.table("", ["validator", "organization", "API", "node id"], rows)
    tell.check(len(rows) == 4, "four processes of four organizations answer")
    network_id = stage.cluster.network_id.hex()
    tell.say(f"network {network_id[:16]}…: the hash of its genesis file")
    tell.fact(network_id=network_id, validators=stage.cluster.urls)


def training(stage: Stage) -> None:
    """A CNN on handwritten digits."""
    tell = stage.narrator
    with tell.bar("training a CNN with TensorFlow", EPOCHS) as bar:
        stage.trained[1] = train_digits(stage.directory / "version-1", epochs=EPOCHS, on_progress=epochs_of(bar))
    trained = stage.trained[1]
    tell.say(f"input pipeline: {', '.join(trained.preprocessing)}")
    tell.say(", ".join(f"{name} {value}" for name, value in sorted(trained.hyperparameters.items())[:8]))
    tell.check(
        trained.correct * 10 > trained.total * 8,
        f"{trained.correct} of {trained.total} held-out digits are right: {percent(trained.accuracy_ppm)}",
    )
    tell.fact(accuracy_ppm=trained.accuracy_ppm, parameters=trained.parameters)
    stage.train_second()


def epochs_of(bar: Bar) -> Callable[[dict[str, Any]], None]:
    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "epoch":
            bar.reach(int(event["epoch"]), f"accuracy {float(event['accuracy']):.3f}")

    return on_event


def registration(stage: Stage) -> None:
    """Data set, training license, model: committed, revealed, and only then uploaded through validator 1."""
    tell = stage.narrator
    owner, maker = stage.client(cast.DATA_OWNER, 0), stage.client(cast.MAKER, 0)
    trained = stage.trained[1]
    with LocalArtifact(trained.dataset) as data, LocalArtifact(trained.model) as model:
        tell.say(f"data set {data.cid} ({data.size_bytes:,} bytes)")
        tell.say(f"model    {model.cid} ({model.size_bytes:,} bytes)")
        with tell.bar("commitments age for 4 s, then reveal", 2) as bar:
            stage.dataset = owner.assets.register(
                data,
                kind="dataset",
                name="Handwritten digits",
                description="8 x 8 gray images from scikit-learn, split for training and evaluation",
                tags=("digits", "images"),
                provenance=provenance(preprocessing=("split 5:1",)),
            )
            bar.reach(1, "data set registered")
            license_terms = terms(**cast.TRAINING_TERMS)
            offer = owner.licenses.offer(stage.dataset.asset, license_terms)
            owner.artifacts.wait_held(data.cid)
            grant = maker.licenses.buy(offer.offer)
            stage.training_grant = grant.grant
            derivation = Derivation(bytes.fromhex(stage.dataset.asset), "train-on", bytes.fromhex(grant.grant))
            stage.model = maker.assets.register(
                model,
                kind="model",
                name="Digit reader",
                description="A small CNN that reads handwritten digits",
                tags=("digits", "cnn"),
                provenance=provenance_of(trained, [derivation], (stage.dataset.asset, 1)),
            )
            bar.reach(2, "model registered, bytes uploaded")
        tell.check(grant.state == "active", f"{cast.NAMES[cast.MAKER]} holds a license to train on the data set")
        with tell.bar("validators fetch the chunks", 1) as bar:
            held = maker.artifacts.wait_held(model.cid)
            bar.reach(1)
    tell.check(
        held["held_quorum"] and len(held["holders"]) >= 3,
        f"{len(held['holders'])} of 4 validators have signed that they hold every chunk",
    )
    version = maker.assets.version(stage.model.asset, 1)
    tell.check(
        [parent["parent"] for parent in version["derivations"]] == [stage.dataset.asset],
        "the model is registered as derived from the data set, with its metrics and tensor digests",
    )
    tell.fact(dataset=stage.dataset.asset, model=stage.model.asset, model_cid=stage.model.cid)


def sale(stage: Stage) -> None:
    """A third organization buys a license: payment, royalty and grant at once."""
    tell = stage.narrator
    assert stage.model is not None
    assert stage.dataset is not None
    maker, buyer, owner = (stage.client(name) for name in (cast.MAKER, cast.BUYER, cast.DATA_OWNER))
    offer = maker.licenses.offer(stage.model.asset, terms(**cast.MODEL_TERMS))
    balance = buyer.credits.balance()
    pool = int(owner.licenses.royalties_owed(stage.dataset.asset)["owed"])
    grant = buyer.licenses.buy(offer.offer)
    paid = balance - buyer.credits.balance()
    royalty = int(owner.licenses.royalties_owed(stage.dataset.asset)["owed"]) - pool
    income = int(maker.licenses.royalties_owed(stage.model.asset)["owed"])
    fee = paid - royalty - income
    tell.table(
        f"one transaction, {grant.transaction[:16]}…",
        ["credits", "to"],
        [
            [f"{income:,}", f"{cast.NAMES[cast.MAKER]}, for the model"],
            [f"{royalty:,}", f"{cast.NAMES[cast.DATA_OWNER]}, royalty for the data set"],
            [f"{fee:,}", "the network's treasury"],
            [f"{paid:,}", f"paid by {cast.NAMES[cast.BUYER]}"],
        ],
    )
    price = int(cast.MODEL_TERMS["price"])
    fee_bps = stage.cluster.genesis.parameters.fee_bps
    share_bps = int(cast.TRAINING_TERMS["revenue_share_bps"])
    net = price - price * fee_bps // 10_000
    tell.check(paid == price, f"exactly the price of {price:,} left the buyer's account")
    tell.check(royalty == net * share_bps // 10_000, "the data set's owner got a tenth of what the fee left")
    token = buyer.licenses.token(grant.grant)
    tell.check(
        (token["edition"], token["editions"]) == (1, int(cast.MODEL_TERMS["editions_max"])),
        f"the license is a token of its own, number {token['edition']} of {token['editions']}, for a year",
    )
    allowed = buyer.licenses.check(stage.model.asset, "inference")
    denied = buyer.licenses.check(stage.model.asset, "inference", field_of_use=cast.DENIED_USE)
    tell.check(
        allowed["allowed"] and (denied["allowed"], denied["clause"]) == (False, "field_deny"),
        f"it allows inference, and not for {cast.DENIED_USE}: the data set's terms deny that to all that is made of it",
    )
    stage.license = grant.grant
    tell.fact(price=paid, royalty=royalty, fee=fee, grant=grant.grant)


def failover(stage: Stage) -> None:
    """SIGKILL for the primary, and a second version meanwhile."""
    tell = stage.narrator
    assert stage.model is not None
    second = stage.second()
    maker = stage.client(cast.MAKER)
    stage.killed = stage.cluster.primary()
    before = int((stage.cluster.status(stage.killed) or {"view": 0})["view"])
    stage.cluster.kill(stage.killed)
    killed_at = time.monotonic()
    tell.say(f"validator {stage.killed + 1} was the primary of view {before} and is dead (SIGKILL)")
    maker.credits.transfer(stage.client(cast.BUYER).signer(), 1)
    pause_s = time.monotonic() - killed_at
    view = highest_view(stage)
    tell.check(view > before, f"the next transaction is committed {pause_s:.1f} s later, in view {view}")
    derivation = Derivation(bytes.fromhex(stage.dataset_asset()), "train-on", bytes.fromhex(stage.training_grant))
    with tell.bar("registering version 2 without it", 1) as bar:
        version = maker.assets.add_version(
            stage.model.asset,
            second.model,
            provenance=provenance_of(second, [derivation], (stage.dataset_asset(), 1)),
            notes="another seed",
        )
        bar.reach(1)
    tell.check(version.version == 2, f"version {version.version} is registered at height {version.height}")
    tell.check(stage.killed not in stage.alive(), f"three validators carry on, in view {highest_view(stage)} by now")
    tell.fact(killed=stage.killed, view_before=before, view_after=view, pause_s=round(pause_s, 2))


def highest_view(stage: Stage) -> int:
    statuses = [status for index in stage.alive() if (status := stage.cluster.status(index)) is not None]
    return max(int(status["view"]) for status in statuses)


def download(stage: Stage) -> None:
    """The buyer gets every byte, checked; others get nothing."""
    tell = stage.narrator
    assert stage.model is not None
    node = stage.alive()[-1]
    buyer = stage.client(cast.BUYER, node)
    stage.client(cast.BUYER).licenses.buy(evaluation_offer(stage))
    target = stage.directory / "bought"
    with tell.bar(f"downloading from validator {node + 1}, every chunk verified", stage.model.size_bytes) as bar:
        model = buyer.assets.download(
            stage.model.asset, target / "model.keras", version=1, progress=lambda done, _: bar.reach(done)
        )
        bar.reach(stage.model.size_bytes)
    stage.bought = model, buyer.assets.download(stage.dataset_asset(), target / "dataset")
    refusals(stage, node)


def evaluation_offer(stage: Stage) -> str:
    owner = stage.client(cast.DATA_OWNER)
    return owner.licenses.offer(stage.dataset_asset(), terms(**cast.EVALUATION_TERMS)).offer


def refusals(stage: Stage, node: int) -> None:
    """Without a grant there is nothing to have, whatever one asks."""
    tell = stage.narrator
    assert stage.model is not None
    outsider = stage.client(cast.OUTSIDER, node)
    verdict = outsider.licenses.check(stage.model.asset, "download")
    tell.check(not verdict["allowed"], f"license check for {cast.NAMES[cast.OUTSIDER]}: {verdict['reason']}")
    url = stage.block_url(node, stage.model.cid)
    account = outsider.signer()
    expires_ms = outsider.network_time_ms() + 30_000
    header = authorization(account, stage.cluster.network_id, stage.model.cid, "GET", expires_ms)
    for who, headers, expected in (
        (f"{cast.NAMES[cast.OUTSIDER]}'s signed request", {"Authorization": header}, 403),
        ("an unsigned request", {}, 401),
    ):
        status, body = http_status(url, headers)
        code = json.loads(body).get("code", "") if status != 200 else ""
        tell.check(status == expected, f"{who} for the bytes: {status} {code}")


def recovery(stage: Stage) -> None:
    """The dead validator returns and catches up by itself."""
    tell = stage.narrator
    assert stage.killed is not None
    with tell.bar(f"restarting validator {stage.killed + 1}", 2) as bar:
        stage.cluster.restart(stage.killed)
        bar.reach(1, "catching up")
        statuses = same_heads(stage)
        head = statuses[0]
        bar.reach(2, f"height {head['height']}")
    rows = [
        [str(index + 1), str(s["height"]), s["block_hash"][:20] + "…", s["state_root"][:20] + "…"]
        for index, s in enumerate(statuses)
    ]
    tell.table("", ["validator", "height", "block hash", "state root"], rows)
    tell.check(
        len({(s["height"], s["block_hash"], s["state_root"]) for s in statuses}) == 1 and len(statuses) == 4,
        "all four agree on height, block hash and state root",
    )
    tell.fact(height=head["height"], block_hash=head["block_hash"], state_root=head["state_root"])


def same_heads(stage: Stage, timeout_s: float = 30.0) -> list[dict[str, Any]]:
    """Return one status of every validator, all with one head; the last ones seen when that does not come about.

    The returned validator makes a block of its own: it states that it holds version 2 now.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        statuses = [status for index in range(4) if (status := stage.cluster.status(index)) is not None]
        heads = {(status["height"], status["certified_height"], status["block_hash"]) for status in statuses}
        if (len(statuses) == 4 and len(heads) == 1) or time.monotonic() > deadline:
            return statuses
        time.sleep(0.05)


def handover(stage: Stage) -> None:
    """Ownership moves, and one file proves it."""
    tell = stage.narrator
    assert stage.model is not None
    maker, heir = stage.client(cast.MAKER), stage.client(cast.OUTSIDER)
    transfer = maker.transfers.offer(whole(stage.model.asset), heir.signer(), cast.TRANSFER_PRICE)
    heir.transfers.accept(transfer, cast.TRANSFER_PRICE)
    tell.say(f"{cast.NAMES[cast.OUTSIDER]} accepted the model for {cast.TRANSFER_PRICE:,} credits")
    path = stage.directory / "ownership.gmcert"
    path.write_bytes(export_certificate(stage))
    data, genesis_hash = path.read_bytes(), stage.cluster.network_id
    verified = verify_ownership(data, genesis_hash)
    owners = [owner.account for owner in verified.owners]
    tell.check(
        owners == [heir.signer().text],
        f"{path.name} ({len(data):,} bytes) proves the new owner at height {verified.height} by the genesis hash alone",
    )
    damaged = bytearray(data)
    damaged[len(damaged) // 2] ^= 1
    try:
        verify_ownership(bytes(damaged), genesis_hash)
    except VerificationFailed as error:
        tell.check(True, f"one flipped bit: {error.code}")
    else:
        raise StepFailed("a damaged certificate was accepted")
    tell.fact(certificate=str(path), owner=owners[0])


def export_certificate(stage: Stage, timeout_s: float = 20.0) -> bytes:
    """Fetch the certificate; the head's seal may be a moment behind it."""
    assert stage.model is not None
    client = stage.client(cast.OUTSIDER)
    deadline = time.monotonic() + timeout_s
    while True:
        data = client.certificates.export(stage.model.asset)
        owner = verify_ownership(data, stage.cluster.network_id).owners[0].account
        if owner == client.signer().text or time.monotonic() > deadline:
            return data


CHAPTERS: tuple[tuple[str, Callable[[Stage], None]], ...] = (
    ("A consortium of four organizations", consortium),
    ("Training a model", training),
    ("Registering data set and model", registration),
    ("A license is sold", sale),
    ("The primary is killed", failover),
    ("The buyer downloads, others do not", download),
    ("The accuracy is measured again", evaluation),
    ("The creator's reputation", reputation),
    ("The dead validator returns", recovery),
    ("Ownership changes hands", handover),
)

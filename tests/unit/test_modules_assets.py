"""Assets: commitment and reveal, scarcity, provenance, versions, availability, management."""

from __future__ import annotations

import base64
import hashlib

import msgspec
import pytest

from ledger.errors import LedgerError
from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Terms
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from primitives.codec import CodecError, decode, encode
from primitives.quorum import quorum
from tests.unit.modules_kit import COMMITMENT_AGE_MS, World, cid, make_genesis

TRAINING = Terms(rights=("download", "train-on"), price=10, derivatives="yes")


def commit_operation(world: World, who: str, label: str) -> assets.Commit:
    return assets.Commit(assets.commitment(cid(label), world.accounts[who], world.salt(label)))


# --- commitment and reveal


def test_registration_needs_a_commitment_of_the_right_age() -> None:
    world = World()
    registration = world.registration("alice", "A")
    world.refused("assets.commitment_missing", "alice", registration)
    world.do("alice", commit_operation(world, "alice", "A"))
    world.refused("assets.commitment_exists", "alice", commit_operation(world, "alice", "A"))
    world.advance(COMMITMENT_AGE_MS - 1)
    world.refused("assets.commitment_too_young", "alice", registration)
    world.advance(1)
    world.do("alice", registration)
    assert world.artifacts[0].cid == cid("A")
    assert world.artifacts[0].asset == assets.asset_id(world.network_id, world.accounts["alice"], cid("A"))


def test_a_commitment_lives_for_a_day() -> None:
    world = World()
    world.do("alice", commit_operation(world, "alice", "A"))
    world.advance(DAY_MS, limit=0)
    world.refused("assets.commitment_missing", "alice", world.registration("alice", "A"))
    world.advance(0)
    world.do("alice", commit_operation(world, "alice", "A"))


def test_who_sees_a_registration_cannot_be_first() -> None:
    """The attack: a validator reads CID and salt from a registration and orders its own before it."""
    world = World()
    world.commit("alice", "A")
    seen = world.registration("alice", "A")
    world.refused("assets.commitment_missing", "bob", seen)
    world.do("bob", commit_operation(world, "bob", "A"))
    world.refused("assets.commitment_too_young", "bob", seen)
    world.do("alice", seen)
    world.advance(COMMITMENT_AGE_MS)
    world.refused("assets.artifact_claimed", "bob", seen)


def test_copying_a_commitment_neither_helps_nor_blocks() -> None:
    """The attack: to commit to what another's transaction commits to, before it is ordered."""
    world = World()
    stolen = commit_operation(world, "alice", "A")
    world.do("bob", stolen)
    world.do("alice", stolen)
    world.advance(COMMITMENT_AGE_MS)
    world.refused("assets.commitment_missing", "bob", world.registration("bob", "A"))
    world.do("alice", world.registration("alice", "A"))


def test_a_commitment_serves_once() -> None:
    world = World()
    world.commit("alice", "A")
    world.do("alice", world.registration("alice", "A"))
    world.refused("assets.artifact_claimed", "alice", world.registration("alice", "A"))
    asset = assets.asset_id(world.network_id, world.accounts["alice"], cid("A"))
    version = assets.AddVersion(asset, world.artifact("A"), world.salt("A"))
    world.refused("assets.commitment_missing", "alice", version)


def test_age_zero_works_where_the_genesis_says_so() -> None:
    world = World(make_genesis(commitment_age_ms=0))
    world.do("alice", commit_operation(world, "alice", "A"), world.registration("alice", "A"))


# --- scarcity


def test_an_artifact_belongs_to_one_asset_for_ever() -> None:
    """Across versions, owners and retirement; the refusal names the first asset, and a query does."""
    world = World()
    asset = world.register("alice", "A")
    world.add_version("alice", asset, "A2")
    world.transfer("alice", asset, "bob")
    world.do("bob", assets.Retire(asset))
    for label in ("A", "A2"):
        world.commit("carol", label)
        error = world.refused("assets.artifact_claimed", "carol", world.registration("carol", label))
        assert asset.hex() in error.message
        assert world.query("assets.by_artifact", cid=cid(label)).asset == asset.hex()


def test_who_sees_the_digest_of_a_models_tensors_cannot_claim_it_first() -> None:
    """The attack: to have an old commitment to some other artifact ready, and to reveal it with the digest that stands
    in somebody's registration. The tensors would be the thief's for ever."""
    world = World()
    world.commit("bob", "garbage", "model")
    world.commit("bob", "more garbage")
    world.commit("alice", "net", "model")
    seen = world.artifact("net", "model").tensors_digest
    for label in ("garbage", "more garbage"):
        copied = msgspec.structs.replace(world.artifact(label, "model"), tensors_digest=seen)
        stolen = world.registration("bob", label, "model", artifact=copied)
        world.refused("assets.commitment_missing", "bob", stolen)
    world.do("alice", world.registration("alice", "net", "model"))


def test_a_model_saved_again_is_the_same_model() -> None:
    """The attack: `.keras` bytes differ at each save, so that a stolen model has a fresh CID; its tensors do not."""
    world = World()
    asset = world.register("alice", "net", "model")
    digest = world.artifact("net", "model").tensors_digest
    assert digest is not None
    world.commit("bob", "saved again")
    saved_again = assets.Artifact(cid("saved again"), 5, digest)
    stolen = world.registration("bob", "saved again", "model", artifact=saved_again)
    world.refused("assets.tensors_claimed", "bob", stolen)
    assert world.query("assets.by_tensors", digest=digest.hex()).asset == asset.hex()
    commitment = assets.commitment(cid("saved again"), world.accounts["alice"], world.salt("saved again"), digest)
    world.do("alice", assets.Commit(commitment))
    world.advance(COMMITMENT_AGE_MS)
    world.do("alice", assets.AddVersion(asset, saved_again, world.salt("saved again")))


def test_models_and_only_models_have_a_tensors_digest() -> None:
    world = World()
    world.commit("alice", "A")
    bare = assets.Artifact(cid("A"), 1)
    world.refused("assets.tensors_digest", "alice", world.registration("alice", "A", "model", artifact=bare))
    full = assets.Artifact(cid("A"), 1, bytes(32))
    world.refused("assets.tensors_digest", "alice", world.registration("alice", "A", "artwork", artifact=full))


def test_a_version_may_reuse_its_own_assets_artifact() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.add_version("alice", asset, "A")
    assert world.query("assets.by_artifact", cid=cid("A")).version == 1
    assert world.query("assets.get", asset=asset.hex()).versions == 2


def test_other_spellings_of_a_cid_are_refused() -> None:
    """A5, and scarcity: one artifact, one spelling."""
    world = World()
    good = cid("A")
    raw = b"\x01\x55\x12\x20" + hashlib.sha256(b"A").digest()
    surplus = good[:-1] + chr(ord(good[-1]) + 1)
    sha1 = base64.b32encode(b"\x01\x55\x11\x20" + raw[4:]).decode().lower().rstrip("=")
    json = base64.b32encode(b"\x01\x29\x12\x20" + raw[4:]).decode().lower().rstrip("=")
    for text in (
        good.upper(),
        "B" + good[1:],
        "z" + good[1:],
        surplus,
        "b" + sha1,
        "b" + json,
        "b" + "1" * 58,
        "b" + "é" * 58,
    ):
        artifact = assets.Artifact(text, 1)
        world.refused("assets.invalid_cid", "alice", world.registration("alice", "A", artifact=artifact))
    for text in ("", "bafy", good + "a", "Qm" + "a" * 44):
        with pytest.raises(CodecError):
            decode(encode(assets.Artifact(text, 1)), assets.Artifact)
    folder = "b" + base64.b32encode(b"\x01\x70\x12\x20" + raw[4:]).decode().lower().rstrip("=")
    world.do("alice", assets.Commit(assets.commitment(folder, world.accounts["alice"], bytes(16))))
    world.advance(COMMITMENT_AGE_MS)
    folder_artifact = assets.Artifact(folder, 1)
    world.do("alice", world.registration("alice", "folder", artifact=folder_artifact, salt=bytes(16)))


# --- what a registration says


def test_registrations_that_contradict_themselves() -> None:
    world = World(make_genesis(artifact_bytes_max=2_000))
    world.commit("alice", "A")
    alice, bob = world.accounts["alice"], world.accounts["bob"]
    large = assets.Artifact(cid("A"), 2_001)
    royalty = assets.TransferTerms(0, 5)
    for code, fields in [
        ("assets.artifact_too_large", {"artifact": large}),
        ("assets.name", {"name": " "}),
        ("assets.repeated_label", {"tags": ("a", "a")}),
        ("assets.repeated_label", {"metadata": (("a", "1"), ("a", "2"))}),
        ("assets.creator_repeated", {"creators": ((alice, 5_000), (alice, 5_000))}),
        ("assets.creator_shares", {"creators": ((alice, 5_000), (bob, 4_999))}),
        ("assets.creator_shares", {"creators": ((alice, 10_000), (bob, 0))}),
        ("assets.invalid_creator", {"creators": ((bytes(32), 10_000),)}),
        ("assets.invalid_manager", {"manager": bytes(32)}),
        ("assets.transfer_terms", {"transfer_terms": royalty}),
    ]:
        world.refused(code, "alice", world.registration("alice", "A", **fields))
    world.do("alice", world.registration("alice", "A"))


def test_an_asset_as_a_query_shows_it() -> None:
    world = World()
    provenance = assets.Provenance(
        hyperparameters=(("batch-size", "32"), ("learning-rate", "0.001")),
        preprocessing=("rescale 1/16", "rotate"),
        metrics=(assets.Metric("accuracy", 973_100),),
        code_version="v1",
    )
    asset = world.register("alice", "net", "model", tags=("vision",), provenance=provenance, visibility="public")
    shown = world.query("assets.get", asset=asset.hex())
    assert (shown.kind, shown.tags, shown.visibility, shown.versions) == ("model", ("vision",), "public", 1)
    assert shown.latest.hyperparameters == {"batch-size": "32", "learning-rate": "0.001"}
    assert shown.latest.metrics_ppm == {"accuracy": 973_100}
    assert [share.bps for share in shown.owners] == [share.bps for share in shown.creators] == [10_000]
    assert [item.asset for item in world.query("assets.list", kind="model")] == [asset.hex()]
    assert world.query("assets.list", owner=shown.owners[0].account, kind="dataset") == []
    assert world.query("assets.list", after=asset.hex()) == []


# --- derivation


def test_derivation_is_checked_against_the_named_grant() -> None:
    """E6: rate, cap and depth never come from the child's own word, and nobody derives on another's grant."""
    world = World()
    parent = world.register("alice", "A")
    other = world.register("alice", "other")
    offer = world.offer("alice", parent, TRAINING)
    bobs = world.buy("bob", offer, TRAINING)
    use_only = world.license("alice", parent, "carol", Terms(rights=("download",), price=1, derivatives="yes"))
    closed = world.license("alice", parent, "carol", msgspec.structs.replace(TRAINING, derivatives="no"))
    world.commit("carol", "C")
    for code, derivation in [
        ("assets.unknown_parent", assets.Derivation(bytes(32), "train-on")),
        ("assets.derivation_without_grant", assets.Derivation(parent, "train-on")),
        ("assets.derivation_right", assets.Derivation(parent, "fine-tune", use_only)),
        ("licenses.unknown_grant", assets.Derivation(parent, "train-on", bytes(32))),
        ("assets.derivation_grant", assets.Derivation(parent, "train-on", bobs)),
        ("assets.derivation_grant", assets.Derivation(other, "train-on", use_only)),
        ("assets.derivation_right", assets.Derivation(parent, "train-on", use_only)),
        ("assets.derivation_forbidden", assets.Derivation(parent, "train-on", closed)),
    ]:
        world.refused(code, "carol", world.registration("carol", "C", derivations=[derivation]))
    twice = [assets.Derivation(parent, "train-on", bobs)] * 2
    world.commit("bob", "B")
    world.refused("assets.parent_repeated", "bob", world.registration("bob", "B", derivations=twice))
    world.do("bob", world.registration("bob", "B", derivations=twice[:1]))


def test_an_expired_or_waiting_grant_derives_nothing() -> None:
    world = World()
    parent = world.register("alice", "A", held=False)
    terms = msgspec.structs.replace(TRAINING, term_ms=1_000_000)
    grant = world.license("alice", parent, "bob", terms)
    world.commit("bob", "B")
    registration = world.registration("bob", "B", derivations=[assets.Derivation(parent, "train-on", grant)])
    world.refused("assets.derivation_grant_not_live", "bob", registration)
    world.hold(parent)
    world.advance(999_999)
    world.do("bob", registration)
    world.commit("bob", "B2")
    again = world.registration("bob", "B2", derivations=[assets.Derivation(parent, "train-on", grant)])
    world.refused("assets.derivation_grant_not_live", "bob", again)


def test_derivatives_on_approval_wait_for_it() -> None:
    from ledger.modules.licenses.operations import ApproveDerivatives

    world = World()
    parent = world.register("alice", "A")
    grant = world.license("alice", parent, "bob", msgspec.structs.replace(TRAINING, derivatives="on-approval"))
    world.commit("bob", "B")
    registration = world.registration("bob", "B", derivations=[assets.Derivation(parent, "train-on", grant)])
    world.refused("assets.derivation_unapproved", "bob", registration)
    world.refused("licenses.not_manager", "bob", ApproveDerivatives(grant))
    world.do("alice", ApproveDerivatives(grant))
    world.refused("licenses.nothing_to_approve", "alice", ApproveDerivatives(grant))
    world.do("bob", registration)


def test_a_quota_of_trainings_is_used_up() -> None:
    world = World()
    parent = world.register("alice", "A")
    terms = msgspec.structs.replace(TRAINING, quota=1, quota_unit="trainings")
    grant = world.license("alice", parent, "bob", terms)
    derivation = assets.Derivation(parent, "train-on", grant)
    world.register("bob", "B", derivations=[derivation])
    world.commit("bob", "B2")
    world.refused("assets.derivation_grant_not_live", "bob", world.registration("bob", "B2", derivations=[derivation]))
    assert world.query("licenses.grant", grant=grant.hex()).state == "exhausted"
    assert world.check("bob", parent, "train-on").reason == "exhausted"


def test_links_stay_and_are_listed_from_both_sides() -> None:
    world = World()
    parent = world.register("alice", "A")
    child = world.register("alice", "B", derivations=[assets.Derivation(parent, "train-on")])
    world.add_version("alice", child, "B2")
    assert [link.parent for link in world.query("assets.get", asset=child.hex()).parents] == [parent.hex()]
    assert [item.asset for item in world.query("assets.children", asset=parent.hex())] == [child.hex()]


# --- versions, availability, management


def test_only_the_manager_adds_versions() -> None:
    world = World()
    asset = world.register("alice", "A", manager=world.accounts["bob"])
    for who in ("alice", "carol"):
        world.commit(who, f"by {who}")
        version = assets.AddVersion(asset, world.artifact(f"by {who}"), world.salt(f"by {who}"))
        world.refused("assets.not_manager", who, version)
    world.add_version("bob", asset, "A2", notes="second")
    versions = world.query("assets.versions", asset=asset.hex())
    assert [(entry.version, entry.notes) for entry in versions] == [(1, ""), (2, "second")]
    assert world.query("assets.versions", asset=asset.hex(), after="1") == versions[1:]


@pytest.mark.parametrize("validators", [4, 5, 6, 7, 8])
def test_a_version_is_available_from_a_quorum_of_statements_on(validators: int) -> None:
    """S14: the quorum is that of `primitives.quorum` for every size of the set."""
    world = World(make_genesis(validators))
    asset = world.register("alice", "A", held=False)
    needed = quorum(validators)
    for count, account in enumerate(world.validators[:needed], 1):
        world.do(account, assets.ReportHeld(asset, 1), role="validator")
        assert world.query("assets.version", asset=asset.hex()).available is (count == needed)
    shown = world.query("assets.version", asset=asset.hex(), version="1")
    assert (len(shown.holders), shown.held_quorum) == (needed, needed)
    assert world.query("assets.holders", asset=asset.hex(), version=1) == list(shown.holders)


def test_a_validator_counts_once_and_nobody_else_counts() -> None:
    """S8, S9: a repeated statement, and one of an account that is no validator."""
    world = World()
    asset = world.register("alice", "A", held=False)
    first = world.validators[0]
    world.do(first, assets.ReportHeld(asset, 1), role="validator")
    world.refused("assets.already_reported", first, assets.ReportHeld(asset, 1), role="validator")
    world.refused("assets.not_a_validator", "alice", assets.ReportHeld(asset, 1), role="validator")
    world.refused("organizations.key_not_allowed", "alice", assets.ReportHeld(asset, 1))
    world.refused("assets.unknown_version", first, assets.ReportHeld(asset, 2), role="validator")
    world.refused("assets.unknown_asset", first, assets.ReportHeld(bytes(32), 1), role="validator")


def test_each_version_is_held_for_itself() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.add_version("alice", asset, "A2")
    assert not world.query("assets.version", asset=asset.hex(), version=2).available
    world.hold(asset, 2)
    assert world.query("assets.version", asset=asset.hex(), version=2).available


def test_aliases_point_to_versions() -> None:
    world = World()
    asset = world.register("alice", "A")
    world.add_version("alice", asset, "A2")
    world.do("alice", assets.SetAlias(asset, "stable", 1))
    world.do("alice", assets.SetAlias(asset, "stable", 2))
    assert world.query("assets.version", asset=asset.hex(), version="stable").version == 2
    with pytest.raises(LedgerError, match="no such version or alias") as caught:
        world.query("assets.version", asset=asset.hex(), version="unstable")
    assert caught.value.code == "query.not_found"
    world.refused("assets.unknown_version", "alice", assets.SetAlias(asset, "next", 3))
    world.refused("assets.not_manager", "bob", assets.SetAlias(asset, "mine", 1))
    with pytest.raises(CodecError):
        decode(encode(assets.SetAlias(asset, "2", 1)), assets.SetAlias)
    world.do("alice", assets.SetAlias(asset, "stable"))
    world.refused("assets.unknown_alias", "alice", assets.SetAlias(asset, "stable"))
    world.do("alice", *(assets.SetAlias(asset, f"a{index}", 1) for index in range(16)))
    world.refused("assets.too_many_aliases", "alice", assets.SetAlias(asset, "one-more", 1))
    world.do("alice", assets.SetAlias(asset, "a0", 2))


def test_the_manager_is_replaced_by_a_majority_owner() -> None:
    world = World()
    asset = world.register("alice", "A", manager=world.accounts["bob"])
    world.refused("assets.not_majority_owner", "bob", assets.SetManager(asset, world.accounts["carol"]))
    world.do("alice", assets.SetManager(asset, world.accounts["carol"]))
    world.do("carol", assets.SetAlias(asset, "stable", 1))
    world.refused("assets.not_manager", "bob", assets.SetAlias(asset, "stable", 1))


def test_a_retired_asset_is_out_of_trade() -> None:
    world = World()
    asset = world.register("alice", "A")
    offer = world.offer("alice", asset, TRAINING)
    grant = world.buy("bob", offer, TRAINING)
    world.refused("assets.not_an_owner", "bob", assets.Retire(asset))
    world.do("alice", assets.Retire(asset))
    world.refused("assets.retired", "alice", assets.Retire(asset))
    world.refused("assets.retired", "carol", world.purchase_operation(offer, TRAINING))
    world.refused(
        "assets.retired", "alice", transfers.OfferGift(Thing("asset", asset), world.accounts["bob"], world.now_ms + 1)
    )
    assert world.check("bob", asset).grant == grant
    assert world.query("assets.get", asset=asset.hex()).retired

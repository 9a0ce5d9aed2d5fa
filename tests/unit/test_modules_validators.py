"""Evidence against validators, and held statements across changes of the set."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from epochs_kit import Consortium, key, make_genesis, rekey, remove
from modules_kit import World

from ledger.errors import LedgerError
from ledger.membership import PendingChange, next_set
from ledger.modules.assets.availability import holders
from ledger.modules.assets.operations import ReportHeld
from ledger.modules.validators.operations import ReportEvidence
from ledger.modules.validators.records import EVIDENCE_PER_CULPRIT_MAX, evidence_digest
from ledger.node_names import KEY_PREFIX, certified_node_id
from ledger.validators import ValidatorSet, validator_set, write_set
from primitives.identifiers import node_id


class Judge:
    """Believes what reads `epoch culprit anything`; remembers by which keys it was asked to judge."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int, tuple[bytes, ...]]] = []

    def epoch_of(self, evidence: bytes) -> int | None:
        first = evidence.split(b" ")[0]
        return int(first) if first.isdigit() else None

    def judge(self, network_id: bytes, epoch: int, public_keys: Sequence[bytes], evidence: bytes) -> int | None:
        self.asked.append((network_id, epoch, tuple(public_keys)))
        second = evidence.split(b" ")[1]
        return int(second) if second.isdigit() else None


def test_evidence_is_recorded_once_under_the_set_of_the_epoch_that_it_names() -> None:
    """S18: judged alike by all, against the keys of its own epoch, which may be over."""
    judge = Judge()
    world = Consortium(make_genesis(5), judge=judge)
    world.approve(remove("v0"))
    old = world.chain.validators(0)
    world.turn()

    def report(evidence: bytes, name: str = "v1") -> str:
        return world.code(world.by_validator(name, ReportEvidence(evidence)))

    assert report(b"0 0 voted twice") == ""
    assert judge.asked[-1] == (world.network_id, 0, tuple(member.signing_key for member in old))
    assert report(b"0 0 voted twice", "v2") == "validators.evidence_known"
    assert report(b"1 0 voted twice") == ""
    assert report(b"2 0 of an epoch to come") == "validators.evidence_epoch"
    assert report(b"99999999999999999999999 0 far away") == "validators.evidence_epoch"
    assert report(b"nonsense") == "validators.evidence_epoch"
    assert report(b"0 x proves nothing") == "validators.evidence_invalid"
    assert report(b"0 7 nobody") == "validators.evidence_invalid"
    gone = world.by_validator("v0", ReportEvidence(b"0 1 revenge"))
    assert world.code(gone) == "validators.not_a_validator"
    assert world.code(world.by("org-1", ReportEvidence(b"0 1 x"))) == "organizations.key_not_allowed"
    found = world.chain.query("validators.evidence", {})
    assert [(item.epoch, item.culprit, item.node_id) for item in found] == [
        (0, 0, old[0].node_id),
        (1, 0, old[1].node_id),
    ]
    assert found[0].digest == evidence_digest(b"0 0 voted twice").hex()
    assert world.chain.query("transactions.get", {"id": found[0].transaction}).height == found[0].height
    assert world.chain.query("validators.evidence", {"epoch": "1"}) == found[1:]
    after = f"0:0:{found[0].digest}"
    assert world.chain.query("validators.evidence", {"after": after}) == found[1:]
    for wrong in ("x", "0:0:00", "0", "1:2:3:4"):
        with pytest.raises(LedgerError):
            world.chain.query("validators.evidence", {"after": wrong})
    assert world.replayed().head == world.chain.head


def test_evidence_against_one_validator_has_a_bound() -> None:
    """Whoever can sign can make contradictions without end."""
    world = Consortium(judge=Judge())
    for number in range(EVIDENCE_PER_CULPRIT_MAX):
        assert world.code(world.by_validator("v1", ReportEvidence(b"0 3 number %d" % number))) == ""
    assert world.code(world.by_validator("v1", ReportEvidence(b"0 3 one more"))) == "validators.evidence_full"
    assert world.code(world.by_validator("v1", ReportEvidence(b"0 2 another"))) == ""


def test_without_a_judge_there_is_no_verdict() -> None:
    world = Consortium()
    assert world.code(world.by_validator("v1", ReportEvidence(b"0 0 x"))) == "validators.no_judge"


def shrink(world: World, keep: int) -> None:
    """Make a smaller set the current one, as an epoch's turn does."""
    members = validator_set(world.view, 0)
    assert members is not None
    write_set(world.view, 0, ValidatorSet(members.validators[:keep]))


def test_a_smaller_set_needs_fewer_to_hold_a_version() -> None:
    """Statements count over the current set; those that suffice by now may be repeated to say so."""
    from modules_kit import make_genesis as genesis_of

    world = World(genesis_of(validators=7))
    asset = world.register("alice", "data", held=False)
    world.hold(asset, count=4)
    assert world.query("assets.version", asset=asset.hex(), version=1).held_quorum == 5
    world.refused("assets.already_reported", world.validators[0], ReportHeld(asset, 1), role="validator")
    shrink(world, 5)
    assert not world.query("assets.version", asset=asset.hex(), version=1).available
    world.do(world.validators[0], ReportHeld(asset, 1), role="validator")
    assert world.query("assets.version", asset=asset.hex(), version=1).available
    world.refused("assets.already_reported", world.validators[0], ReportHeld(asset, 1), role="validator")
    world.refused("assets.not_a_validator", world.validators[6], ReportHeld(asset, 1), role="validator")
    shrink(world, 4)
    world.hold(asset, count=0)
    assert len(holders(world.view, asset, 1)) == 4
    shrink(world, 1)
    assert len(holders(world.view, asset, 1)) == 1, "who has left does not hold"


def test_a_rejoin_is_kept_by_whoever_keeps_the_key() -> None:
    world = Consortium()
    world.execute(world.rejoin("v0", 11))
    world.approve(rekey("v1", "n0"))
    assert world.code(world.ready("n0")) == ""
    world.turn()
    assert [member.incarnation for member in world.chain.validators(1)] == [11, 0, 0, 0]


def test_a_change_without_effect_waits_and_the_set_stays() -> None:
    """The pure function: whoever names a validator that has gone in the meantime changes nothing."""
    members = Consortium().chain.validators(0)
    gone = PendingChange("remove", "gmnode1gone", None, bytes(32), 0, True)
    assert next_set(members, {0: gone}, development=True) == (members, ())


def test_a_certificate_names_its_node_only_if_it_holds_one_key() -> None:
    public = key("any").public_key
    assert certified_node_id(b"x" + KEY_PREFIX + public + b"y") == node_id(public)
    for bad in (b"", KEY_PREFIX, KEY_PREFIX + public[:31], 2 * (KEY_PREFIX + public)):
        assert certified_node_id(bad) is None


def test_the_node_id_of_a_real_certificate_is_the_one_that_links_find() -> None:
    """Execution reads no X.509, but must come to the same name as who does."""
    from p2p.identity import make_identity

    identity = make_identity()
    assert certified_node_id(identity.certificate_der) == identity.node_id

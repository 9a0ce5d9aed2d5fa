"""What the operations of attestations are evidence of: reviews, evaluations, audits, and what attestors say of one
another."""

from __future__ import annotations

from typing import Any

from ledger.modules.assets import operations as assets
from ledger.modules.assets.operations import SetManager
from ledger.modules.attestations import operations as attestations
from ledger.modules.attestations.records import AGREEMENTS_MAX, COMPARED, measured_parts
from ledger.modules.attestations.statements import refute
from ledger.modules.contributions import operations as contributions
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes.operations import Subject
from ledger.modules.governance.operations import SuspendAccreditation
from ledger.modules.licenses.operations import Terms
from ledger.modules.reputation.formula import S
from ledger.modules.reputation.returns import read_flows
from ledger.parameters import DAY_MS
from primitives.identifiers import account_to_text
from tests.unit.attestations_kit import BOND, CLAIMED_PPM, TOLERANCE_PPM, Bench
from tests.unit.modules_kit import cid

CREDIT = 1_000_000
PRICE = Terms(rights=("download", "inference"), price=4 * CREDIT)


class Scored(Bench):
    """Without a fee."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(fee_bps=0, **parameters)

    def weights(self, who: str) -> tuple[int, int]:
        found = self.query("reputation.score", account=account_to_text(self.accounts[who]))
        return found.weight_for, found.weight_against

    def pieces(self, who: str) -> list[Any]:
        return list(self.query("reputation.evidence", account=account_to_text(self.accounts[who])))


def test_a_review_weighs_by_what_its_grant_cost() -> None:
    scored = Scored()
    grant = scored.license("alice", scored.model, "bob", PRICE)
    first = scored.review("bob", grant, 750_000)
    assert scored.weights("alice") == (1_500_000, 500_000)
    (piece,) = scored.pieces("alice")
    assert (piece.kind, piece.evidence, piece.source, piece.paid) == ("review", grant.hex(), first.hex(), 4 * CREDIT)
    second = scored.review("bob", grant, 0, supersedes=first)
    assert scored.weights("alice") == (0, 2 * S)
    (piece,) = scored.pieces("alice")
    assert piece.source == second.hex()
    scored.do("alice", Transfer(scored.accounts["bob"], 4 * CREDIT))
    assert scored.weights("alice") == (0, 0)
    scored.check_laws()


def test_an_evaluation_speaks_of_the_creators_where_the_owner_claims_what_it_measures() -> None:
    scored = Scored()
    scored.accredit("bob", "carol", tier=8)
    scored.evaluate("bob", CLAIMED_PPM + TOLERANCE_PPM)
    assert scored.weights("alice") == (8 * S, 0)
    scored.evaluate("carol", CLAIMED_PPM - TOLERANCE_PPM - 1)
    assert scored.weights("alice") == (8 * S, 8 * S)
    scored.evaluate("bob", 5, metric="f1-macro")
    assert scored.weights("alice") == (8 * S, 8 * S)


def test_evidence_outlives_the_accreditation() -> None:
    """Else an attestor takes back all that it ever said, about everybody, in one operation."""
    scored = Scored()
    scored.accredit("bob", "carol", tier=8)
    scored.evaluate("bob")
    scored.evaluate("carol", 1)
    scored.do("bob", attestations.Resign())
    scored.settle(SuspendAccreditation(scored.accounts["carol"]))
    assert scored.standing() == (0, 0)
    assert scored.weights("alice") == (8 * S, 8 * S)
    scored.check_laws()


def test_a_manager_speaks_for_no_asset_of_its_own_and_against_it() -> None:
    """As in the count of what reproduces a claim: else who looks after a work vouches for it."""
    scored = Scored()
    scored.accredit("bob", tier=8)
    scored.do("alice", SetManager(scored.model, scored.accounts["bob"]))
    praise = scored.evaluate("bob"), scored.audit("bob", "conditional")
    assert scored.standing() == (0, 0)
    assert scored.weights("alice") == (0, 0)
    scored.evaluate("bob", 1, supersedes=praise[0])
    assert scored.weights("alice") == (0, 8 * S)
    scored.audit("bob", "failed", supersedes=praise[1])
    assert scored.weights("alice") == (0, 16 * S)
    scored.check_laws()


def test_who_measured_the_same_speaks_of_one_another() -> None:
    """Both ways; two values agree within twice the claim's tolerance. Praise in both directions counts half."""
    scored = Scored()
    scored.accredit("bob", tier=4)
    scored.accredit("carol", tier=6)
    scored.evaluate("bob")
    assert scored.weights("bob") == (0, 0)
    first = scored.evaluate("carol", CLAIMED_PPM + 2 * TOLERANCE_PPM)
    assert (scored.weights("bob"), scored.weights("carol")) == ((3 * S, 0), (2 * S, 0))
    assert [piece.kind for piece in scored.pieces("bob")] == ["agreement"]
    scored.evaluate("carol", CLAIMED_PPM + 2 * TOLERANCE_PPM + 1, supersedes=first)
    assert (scored.weights("bob"), scored.weights("carol")) == ((0, 6 * S), (0, 4 * S))
    assert [piece.weight_against for piece in scored.pieces("bob")] == [0, 6 * S]
    scored.check_laws()


def test_an_evaluation_is_compared_with_the_four_that_measured_the_same_last_and_with_four_later_ones() -> None:
    """However many have measured it: what there is to write and to take out grows with none of them."""
    bench = ("bob", "carol", "dave", "erin", "frank", "grace", "heidi")
    scored = Scored(names=("alice", *bench))
    scored.accredit(*bench, tier=1)
    latest = {who: scored.evaluate(who) for who in bench}
    assert [raters(scored, who) for who in bench] == [4, 5, 6, 6, 6, 5, 4]
    latest["bob"] = scored.evaluate("bob", supersedes=latest["bob"])
    assert [raters(scored, who) for who in bench] == [4, 4, 5, 6, 6, 6, 5]
    context = scored.context(scored.view, b"", b"")
    refute(context, latest["frank"], bytes(32), scored.accounts["alice"], 0)
    assert [raters(scored, who) for who in bench] == [3, 3, 4, 5, 0, 5, 4]
    parts = measured_parts(scored.model, 1, "accuracy", scored.dataset, 1)
    for step in range(40):
        who = bench[step * step % len(bench)]  # some again and again, some never
        latest[who] = scored.evaluate(who, supersedes=latest[who])
        compared = {one: COMPARED.get(scored.view, *parts, f"org-{one}".encode()) for one in bench}
        lengths = [0 if record is None else len(record.others) for record in compared.values()]
        assert lengths == [raters(scored, one) for one in bench]
        assert max(lengths) <= 2 * AGREEMENTS_MAX
    scored.check_laws()


def test_what_was_superseded_is_refuted_without_touching_what_superseded_it() -> None:
    """Else what the organization says next would not find what its latest was compared with: that would go on counting,
    and the list of others would grow beyond its bound, which stops every node."""
    bench = ("bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy")
    scored = Scored(names=("alice", *bench))
    scored.accredit(*bench, tier=1)
    latest = {who: scored.evaluate(who) for who in bench[:5]}
    first = scored.evaluate("grace")
    latest["grace"] = scored.evaluate("grace", supersedes=first)
    before = [raters(scored, who) for who in bench]
    dispute = scored.file("alice", Subject("attestation", first), "refute", ground="false-statement")
    scored.conclude(dispute, uphold=True)
    assert scored.statement(first).refuted_by == dispute.hex()
    assert [raters(scored, who) for who in bench] == before == [4, 5, 5, 5, 5, 4, 0, 0, 0]
    latest["grace"] = scored.evaluate("grace", supersedes=latest["grace"])
    assert [raters(scored, who) for who in bench] == before
    for who in bench[6:]:
        scored.evaluate(who)
    parts = measured_parts(scored.model, 1, "accuracy", scored.dataset, 1)
    record = COMPARED.get(scored.view, *parts, b"org-frank")
    assert record is not None
    assert len(record.others) == raters(scored, "frank") == 2 * AGREEMENTS_MAX
    scored.check_laws()


def raters(scored: Scored, who: str) -> int:
    """By how many an attestor's latest evaluation is compared now."""
    return sum(piece.kind == "agreement" and not ended(piece) for piece in scored.pieces(who))


def ended(piece: Any) -> bool:
    return any(step.rule in ("superseded", "refuted") for step in piece.steps)


def test_what_an_organization_says_last_replaces_what_it_said() -> None:
    """By whichever account: two accounts do not weigh twice."""
    scored = Scored()
    scored.accredit("bob", tier=5)
    first = scored.audit("bob", "conditional")
    assert scored.weights("alice") == (2_500_000, 2_500_000)
    scored.audit("bob", "failed", supersedes=first)
    assert scored.weights("alice") == (0, 5 * S)
    ended = {piece.source: [step.rule for step in piece.steps] for piece in scored.pieces("alice")}
    assert ended[first.hex()] == ["superseded"]


def test_a_refuted_statement_speaks_of_nobody_and_its_bond_is_a_flow() -> None:
    scored = Scored()
    scored.accredit("bob", "carol", tier=5)
    scored.evaluate("carol")
    false = scored.evaluate("bob", 1)
    assert scored.weights("alice") == (5 * S, 5 * S)
    assert scored.weights("carol") == (0, 5 * S)
    context = scored.context(scored.view, b"", b"")
    assert refute(context, false, bytes(32), scored.accounts["alice"], BOND) == BOND
    assert scored.weights("alice") == (5 * S, 0)
    assert scored.weights("carol") == (0, 0)
    assert {step.rule for piece in scored.pieces("carol") for step in piece.steps} == {"refuted"}
    assert read_flows(scored.view)[0]["org-bob"]["org-alice"] > 0
    scored.check_laws()


def test_what_was_contributed_speaks_of_who_contributed_it_and_not_of_the_assets_creators() -> None:
    """Each version by who answers for it; of what is claimed for version 2, alice has made nothing."""
    scored = Scored()
    grant = scored.license("alice", scored.model, "bob", Terms(rights=("fine-tune",), price=0, derivatives="yes"))
    scored.accredit("erin", "frank", tier=8)
    scored.commit("bob", "B", "model")
    claim = assets.Metric("accuracy", CLAIMED_PPM, TOLERANCE_PPM, scored.dataset, 1)
    proposal = contributions.Propose(
        scored.model,
        1,
        "fine-tune",
        scored.artifact("B", "model"),
        scored.salt("B"),
        scored.now_ms + DAY_MS,
        grant,
        assets.Provenance(metrics=(claim,)),
    )
    scored.do("bob", proposal)
    identifier = contributions.contribution_id(scored.transaction_id, scored.model, proposal.artifact.cid)
    scored.do("alice", contributions.Accept(identifier, contributions.Reward()))
    scored.evaluate("erin", version=2)
    audit = attestations.Audit(scored.model, 2, "failed", cid("a report"))
    scored.do("frank", audit)
    assert (scored.weights("alice"), scored.weights("bob")) == ((0, 0), (8 * S, 8 * S))
    scored.evaluate("frank", 5, version=1)
    assert (scored.weights("alice"), scored.weights("bob")) == ((0, 8 * S), (8 * S, 8 * S))
    scored.check_laws()

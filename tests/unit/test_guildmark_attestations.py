"""Attestations by the command line and the SDK, from the proposal to the answer, against the real ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import FakeNode, run
from ledger_node_kit import account_of, decide, held_asset, licensed, serving
from modules_kit import cid

from guildmark import Client, InvalidArgument, NotFound
from guildmark.cli import main
from ledger.modules.assets import operations as assets
from ledger.modules.licenses.operations import Terms

TEXT = cid("text")
BOND = 1_000
DIGEST = "ab" * 32


@pytest.fixture
def world() -> Consortium:
    genesis = make_genesis(4, 5, development=True, commitment_age_ms=0, attestation_bond_min=BOND, dispute_bond_min=10)
    return Consortium(genesis)


@pytest.fixture(autouse=True)
def node(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with serving(world, monkeypatch, tmp_path) as fake:
        yield fake


@pytest.fixture
def dataset(world: Consortium) -> str:
    return held_asset(world, "pictures")


@pytest.fixture
def asset(world: Consortium, dataset: str) -> str:
    return held_asset(world, claims=(assets.Metric("accuracy", 900_000, 5_000, bytes.fromhex(dataset), 1),))


def accredit(capsys: pytest.CaptureFixture[str], *organizations: str) -> None:
    for organization in organizations:
        roles = ("--role", "evaluate", "--role", "audit")
        decide(capsys, "accredit", organization, *roles, "--tier", "3", "--bond", str(BOND))
        assert run(capsys, "accreditation", "post-bond", "--account", organization)["active"]


def evaluation(asset: str, dataset: str, value_ppm: int) -> tuple[str, ...]:
    measured = ("--metric", "accuracy", "--value-ppm", str(value_ppm), "--samples", "100")
    return (
        *("attestation", "evaluate", asset, "1", *measured, "--dataset", f"{dataset}:1"),
        *("--code", DIGEST, "--environment", DIGEST),
    )


def test_an_accreditation_from_the_proposal_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    change = ("accredit", "org-2", "--role", "evaluate", "--tier", "7", "--bond", str(BOND), "--days", "30")
    shown = decide(capsys, *change)["change"]
    assert (shown["kind"], shown["roles"], shown["tier"], shown["bond"]) == ("accredit", ["evaluate"], 7, BOND)
    assert run(capsys, "accreditation", "show", "org-2")["state"] == "awaiting-bond"
    assert run(capsys, "accreditation", "post-bond", "org-2", "--account", "org-2")["posted"] == BOND
    decide(capsys, "suspend-accreditation", "org-2")
    assert run(capsys, "accreditation", "show", "--account", "org-2")["state"] == "suspended"
    decide(capsys, "reinstate-accreditation", "org-2")
    assert main.run(["accreditation", "list"]) == 0
    assert "evaluate  7     active" in capsys.readouterr().out
    assert run(capsys, "accreditation", "resign", "--account", "org-2")["state"] == "resigned"
    refused = run(capsys, "governance", "propose", "end-accreditation", "org-2", "--account", "org-0", expect=1)
    assert refused["code"] == "attestations.not_accredited"
    decide(capsys, *change)
    decide(capsys, "end-accreditation", "org-2")
    assert [row["state"] for row in run(capsys, "accreditation", "list")] == ["ended"]


def test_claims_are_evaluated_audited_answered_and_refuted(
    asset: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    accredit(capsys, "org-1", "org-2")
    first = run(capsys, *evaluation(asset, dataset, 0), "--account", "org-1")
    assert (first["kind"], first["counts"], first["tier"]) == ("evaluation", True, 3)
    run(capsys, *evaluation(asset, dataset, 903_000), "--account", "org-2")
    claim = run(capsys, "asset", "show", asset)["latest"]["claims"][0]
    assert claim["standing"] == "contradicted by 1, reproduced 1 time"
    # What it supersedes is found by itself.
    second = run(capsys, *evaluation(asset, dataset, 900_000), "--account", "org-1")
    assert second["supersedes"] == first["statement"]
    assert run(capsys, "asset", "show", asset)["latest"]["reproduced"] == 2
    assert main.run(["asset", "versions", asset]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-2:] == ["2", "0"]
    audited = run(
        capsys, "attestation", "audit", asset, "1", "--verdict", "failed", "--report", TEXT, "--account", "org-1"
    )
    assert run(capsys, "attestation", "answer", audited["statement"], "--text", TEXT, "--account", "org-0")["answers"]
    assert main.run(["attestation", "list", asset]) == 0
    out = capsys.readouterr().out
    assert "accuracy 903000" in out
    assert "failed" in out
    mine = run(capsys, "attestation", "list", "--by", "org-1")
    assert {row["statement"] for row in mine} == {one["statement"] for one in (first, second, audited)}
    claimed = run(
        capsys, "dispute", "file", "--attestation", second["statement"], "--relief", "refute", "--amount", str(BOND),
        "--evidence", TEXT, "--account", "org-3",
    )  # fmt: skip
    assert (claimed["kind"], claimed["ground"]) == ("attestation", "false-statement")
    assert run(capsys, "accreditation", "show", "org-1")["disputes"] == 1
    assert run(capsys, "attestation", "show", second["statement"])["refuted_by"] is None


def test_evidence_outlives_an_accreditation_and_says_so(
    asset: str, dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    accredit(capsys, "org-1")
    run(capsys, *evaluation(asset, dataset, 900_000), "--account", "org-1")
    why = ("reputation", "show", "org-0", "--why")
    before = run(capsys, *why)
    assert [(piece["kind"], piece["accredited"]) for piece in before["evidence"]] == [("evaluation", True)]
    assert main.run(list(why)) == 0
    assert "does not count now" not in capsys.readouterr().out
    run(capsys, "accreditation", "resign", "--account", "org-1")
    assert run(capsys, "asset", "show", asset)["latest"]["reproduced"] == 0
    after = run(capsys, *why)
    assert before["weight_for"] * 99 // 100 < after["weight_for"] <= before["weight_for"], "it stays, and decays"
    assert [piece["accredited"] for piece in after["evidence"]] == [False]
    assert main.run(list(why)) == 0
    assert "the statement itself does not count now: its accreditation does not hold" in capsys.readouterr().out


def test_who_resigns_is_told_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["accreditation", "resign", "--help"]) == 0
    assert "reputation stays" in " ".join(capsys.readouterr().out.split())


def test_a_review_needs_a_paid_license(world: Consortium, asset: str, capsys: pytest.CaptureFixture[str]) -> None:
    grant = licensed(world, asset, Terms(rights=("download",), price=400))
    review = ("attestation", "review", grant, "--version", "1", "--rating-ppm")
    assert run(capsys, *review, "1", "--account", "org-2", expect=1)["code"] == "attestations.not_licensee"
    first = run(capsys, *review, "800000", "--text", TEXT, "--account", "org-1")
    second = run(capsys, *review, "900000", "--account", "org-1")
    assert (first["rating_ppm"], second["supersedes"]) == (800_000, first["statement"])


def test_wrong_usage_is_said_before_anything_is_sent(asset: str, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *evaluation(asset, "no-number", 0)[:-7], "--dataset", "x", "--code", DIGEST,
        "--environment", DIGEST, "--account", "org-1", expect=2)  # fmt: skip
    run(capsys, "attestation", "list", expect=2)
    run(capsys, "attestation", "list", asset, "--by", "org-1", expect=2)
    run(capsys, "governance", "propose", "accredit", "org-1", "--bond", "5", "--account", "org-0", expect=2)
    assert run(capsys, "accreditation", "show", "org-1", expect=3)["code"] == "query.not_found"
    assert run(capsys, "attestation", "show", DIGEST, expect=3)["code"] == "query.not_found"


def test_the_sdk_says_what_it_cannot_send(world: Consortium, node: FakeNode) -> None:
    with Client(node.url, account_of(world, "org-0")) as client:
        for arguments in ({"tier": 0}, {"tier": 11}):
            with pytest.raises(InvalidArgument, match="tier"):
                client.accreditations.propose("gm1", ("audit",), bond=1, until_ms=1, **arguments)
        for roles in ((), ("judge",), ("audit", "audit", "audit")):
            with pytest.raises(InvalidArgument, match="roles"):
                client.accreditations.propose("gm1", roles, tier=1, bond=1, until_ms=1)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            client.accreditations.get()

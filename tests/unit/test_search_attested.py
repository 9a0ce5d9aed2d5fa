"""The search says how often claims are reproduced, as the ledger does, whatever has happened to make it so."""

from __future__ import annotations

import contextlib
from pathlib import Path
from random import Random

import pytest

from ledger.errors import OperationError
from ledger.modules.assets.operations import Metric, Provenance, SetManager
from ledger.modules.attestations import operations as attestations
from ledger.modules.attestations.records import EVALUATION_HEADS, measured_parts
from ledger.modules.governance.operations import EndAccreditation, ReinstateAccreditation, SuspendAccreditation
from ledger.modules.organizations import membership
from ledger.modules.organizations.accounts import membership as standing_of
from ledger.modules.transfers.operations import Thing
from ledger.parameters import DAY_MS
from tests.unit.attestations_kit import CLAIMED_PPM, Bench
from tests.unit.disputes_kit import MORE
from tests.unit.modules_kit import NAMES
from tests.unit.search_kit import Searched, rebuilt


@pytest.fixture
def world() -> Bench:
    world = Bench()
    world.accredit("carol", "erin", "frank")
    return world


def searched(world: Bench, tmp_path: Path) -> Searched:
    return Searched(world, tmp_path / "assets.sqlite")


def test_claims_are_found_by_how_often_they_are_reproduced(world: Bench, tmp_path: Path) -> None:
    world.register("bob", "no claims")
    world.evaluate("carol")
    world.evaluate("erin")
    search = searched(world, tmp_path)
    assert [item.name for item in search.answer(reproduced=2).items] == ["model"]
    assert search.answer(reproduced=3).items == ()
    world.evaluate("frank", 0)
    search.follow()
    (item,) = search.answer(contradicted="true").items
    assert (item.reproduced, item.contradicted) == (2, 1)
    assert {item.name for item in search.answer(contradicted="false").items} == {"pictures", "no claims"}
    # A new version claims something else, of which nothing is known.
    world.add_version("alice", world.model, "second", "model")
    search.follow()
    assert search.answer(reproduced=1).items == ()


def test_a_claim_that_nobody_can_evaluate_keeps_the_others_from_counting(tmp_path: Path) -> None:
    world = Bench()
    world.accredit("carol")
    claims = (Metric("accuracy", CLAIMED_PPM, 0, world.dataset, 1), Metric("charm", 1, 0, world.dataset, 1))
    model = world.register("alice", "two claims", "model", provenance=Provenance(metrics=claims))
    world.evaluate("carol", asset=model)
    shown = world.query("assets.version", asset=model.hex())
    assert [claim.reproduced for claim in shown.claims] == [1, 0]
    assert [claim.standing for claim in shown.claims] == ["reproduced 1 time", "not evaluated"]
    assert shown.reproduced == 0
    (item,) = [item for item in searched(world, tmp_path).answer().items if item.asset == model.hex()]
    assert item.reproduced == 0


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_the_search_says_what_the_ledger_says(seed: int, tmp_path: Path) -> None:
    random, world = Random(seed), Bench()
    world.accredit(*NAMES, *MORE)
    search = searched(world, tmp_path)
    for _ in range(60):
        act(world, random)
        if random.randrange(3):
            continue
        search.follow()
        assert search.content() == rebuilt(world.view)
        found = {item.asset: (item.reproduced, item.contradicted) for item in search.answer(limit=200).items}
        for asset, standing in found.items():
            shown = world.query("assets.get", asset=asset).latest
            assert standing == (shown.reproduced, shown.contradicted)
        for least in (1, 2, 3):
            kept = {item.asset for item in search.answer(reproduced=least).items}
            assert kept == {asset for asset, (reproduced, _) in found.items() if reproduced >= least}


def act(world: Bench, random: Random) -> None:
    """Let somebody do something that a count may depend on; much of it is refused."""
    who = random.choice((*NAMES, *MORE))
    account = world.accounts[who]
    value, until_ms = random.choice((CLAIMED_PPM, 0)), random.choice((None, None, world.now_ms + 500))
    latest = EVALUATION_HEADS.get(world.view, account, *measured_parts(world.model, 1, "accuracy", world.dataset, 1))
    supersedes = None if latest is None else latest.statement
    statement = world.evaluation(value, until_ms=until_ms, supersedes=supersedes)
    acts = [
        lambda: world.do(who, statement),
        lambda: world.do(who, statement),
        lambda: world.do(who, attestations.Resign()),
        lambda: world.settle(SuspendAccreditation(account)),
        lambda: world.settle(ReinstateAccreditation(account)),
        lambda: world.settle(EndAccreditation(account)),
        lambda: world.accredit(who, until_ms=world.now_ms + random.choice((1_000, DAY_MS))),
        lambda: world.advance(random.choice((1, 600, DAY_MS))),
        lambda: world.transfer("alice", Thing("share", world.model, 1), who),
        lambda: world.do("alice", SetManager(world.model, account)),
        lambda: depart(world, f"org-{who}"),
    ]
    with contextlib.suppress(OperationError):
        random.choice(acts)()


def depart(world: Bench, organization: str) -> None:
    """Let a member leave the consortium, or come back."""
    if organization == "org-alice":
        return
    view = world.view.child()
    context = world.context(view, b"", b"departure")
    removed = standing_of(view, organization) == "removed"
    (membership.reinstate if removed else membership.remove)(context, organization)
    world.view.apply(view)

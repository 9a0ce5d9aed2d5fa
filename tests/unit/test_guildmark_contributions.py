"""Contributions and bounties by the command line and the SDK, against the real ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from epochs_kit import Consortium, make_genesis
from guildmark_kit import Answer, Asked, FakeNode, problem, run
from ledger_node_kit import account_of, held_asset, licensed, serving
from modules_kit import cid
from msgspec import structs

from guildmark import AsyncClient, Client, deriving
from guildmark.cli import main
from guildmark.errors import InvalidArgument, NotFound, Refused
from ledger.modules.assets import operations as assets
from ledger.modules.contributions.operations import Propose
from ledger.modules.licenses.operations import Terms
from ledger.parameters import HOUR_MS

TEXT = cid("text")
ROWS = b"rows of judged.csv"
DERIVING = Terms(rights=("train-on",), price=0, derivatives="yes")


@pytest.fixture
def world() -> Consortium:
    now_ms = time.time_ns() // 1_000_000
    return Consortium(make_genesis(4, 5, development=True, created_at_ms=now_ms, commitment_age_ms=0))


@pytest.fixture
def asset(world: Consortium) -> str:
    return held_asset(world)


@pytest.fixture
def grant(world: Consortium, asset: str) -> str:
    """A license of org-1 to derive."""
    return licensed(world, asset, DERIVING)


@pytest.fixture(autouse=True)
def node(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with serving(world, monkeypatch, tmp_path) as fake:
        fake.routes[("PUT", "/v1/artifacts/")] = lambda _: (204, b"")
        fake.routes[("GET", "/v1/artifacts/")] = block_or_nothing
        yield fake


def block_or_nothing(asked: Asked) -> Answer:
    """Blocks for who asks; what lacks is not told, so all of it is sent."""
    return problem(404, "artifact.not_kept_here") if asked.path.endswith("/missing") else (200, ROWS)


def propose(capsys: pytest.CaptureFixture[str], asset: str, grant: str, name: str, *more: str) -> Any:
    Path(name).write_bytes(f"rows of {name}".encode())
    words = ("contribution", "propose", asset, name, "--right", "train-on", "--grant", grant, "--account", "org-1")
    return run(capsys, *words, *more)


def test_a_bounty_and_a_contribution_for_it(asset: str, grant: str, capsys: pytest.CaptureFixture[str]) -> None:
    bounty = run(capsys, "bounty", "open", asset, "300", "--description", TEXT, "--account", "org-0")
    assert (bounty["amount"], bounty["named"]) == (300, 0)
    made = propose(
        capsys, asset, grant, "better.csv", "--bounty", bounty["bounty"], "--share-bps", "250",
        "--message", "more rows", "--metric", "accuracy=0.97",
    )  # fmt: skip
    identifier = made["contribution"]
    assert (made["state"], made["open"], made["metrics_ppm"], made["parent_version"]) == (
        "open",
        True,
        {"accuracy": 970_000},
        1,
    )
    said = run(capsys, "contribution", "comment", identifier, TEXT, "--account", "org-0")
    assert [one["text"] for one in said["comments"]] == [TEXT]
    assert main.run(["contribution", "list", asset]) == 0
    assert "250 bps and a bounty" in capsys.readouterr().out
    assert main.run(["bounty", "list"]) == 0
    assert "300" in capsys.readouterr().out
    awarded = run(capsys, "bounty", "award", bounty["bounty"], identifier, "--account", "org-0")
    assert awarded["awarded"] == identifier
    assert run(capsys, "bounty", "award", bounty["bounty"], "--account", "org-0")["awarded"] is None
    refused = run(capsys, "contribution", "accept", identifier, "--share-bps", "1", "--account", "org-0", expect=1)
    assert refused["code"] == "contributions.reward_too_low"
    accepted = run(capsys, "contribution", "accept", identifier, "--account", "org-0")
    assert (accepted["state"], accepted["version"], accepted["share_bps"]) == ("accepted", 2, 250)
    shown = run(capsys, "asset", "show", asset)
    assert shown["latest"]["notes"] == "more rows"
    assert shown["contributors"] == [made["contributor"]]
    assert sorted(owner["bps"] for owner in shown["owners"]) == [250, 9_750]
    accepted = run(capsys, "contribution", "list", "--accepted", "--by", "org-1")
    assert [item["contribution"] for item in accepted] == [identifier]
    assert run(capsys, "contribution", "show", identifier)["version"] == 2
    assert run(capsys, "bounty", "show", bounty["bounty"], expect=3)["code"] == "query.not_found"


def test_a_bounty_with_a_condition(
    world: Consortium, asset: str, grant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("bounty", "open", asset, "300", "--metric", "accuracy=0.95", "--account", "org-2")
    assert "--on" in run(capsys, *words, expect=2)["message"]
    assert "one of" in run(capsys, *words, "--on", asset, "--metric", "speed=1", expect=2)["message"]
    assert "from 0 to 1" in run(capsys, *words, "--on", asset, "--metric", "accuracy=2", expect=2)["message"]
    bounty = run(capsys, *words, "--on", f"{asset}:1", "--evaluators", "1")
    assert bounty["condition"] == {
        "metric": "accuracy",
        "bound_ppm": 950_000,
        "dataset": asset,
        "dataset_version": 1,
        "evaluators": 1,
    }
    identifier = propose(capsys, asset, grant, "better.csv", "--bounty", bounty["bounty"])["contribution"]
    assert run(capsys, "contribution", "accept", identifier, "--account", "org-0")["confirmed"] == 0
    claim = ("bounty", "claim", bounty["bounty"], identifier, "--account", "org-1")
    assert run(capsys, *claim, expect=1)["code"] == "contributions.condition_unmet"


def test_what_is_proposed_is_fetched_and_judged(
    asset: str, grant: str, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    made = propose(capsys, asset, grant, "judged.csv")
    assert [asked.body for asked in node.calls("PUT", f"/v1/artifacts/{made['cid']}/blocks/")] == [ROWS]
    words = ("contribution", "download", made["contribution"], "copy.csv", "--account", "org-0")
    assert run(capsys, *words)["path"] == "copy.csv"
    assert Path("copy.csv").read_bytes() == ROWS


def test_what_is_refused_or_withdrawn(asset: str, grant: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = propose(capsys, asset, grant, "first.csv")["contribution"]
    second = propose(capsys, asset, grant, "second.csv")["contribution"]
    run(capsys, "contribution", "refuse", first, "--reason", "no", "--account", "org-0")
    run(capsys, "contribution", "withdraw", second, "--account", "org-1")
    assert run(capsys, "contribution", "list", "--account", "org-1") == []
    bounty = run(capsys, "bounty", "open", asset, "300", "--account", "org-2")["bounty"]
    assert [item["bounty"] for item in run(capsys, "bounty", "list", "--by", "org-2")] == [bounty]
    run(capsys, "bounty", "cancel", bounty, "--account", "org-2")
    assert run(capsys, "bounty", "list", asset) == []


def test_several_owners_consent_to_what_is_prepared(
    world: Consortium, node: FakeNode, asset: str, grant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    identifier = propose(capsys, asset, grant, "better.csv", "--share-bps", "100")["contribution"]
    offered = run(
        capsys, "transfer", "offer", "--share", f"{asset}:4000", "--to", "org-2", "--account", "org-0"
    )["transfer"]  # fmt: skip
    run(capsys, "transfer", "accept", offered, "--account", "org-2")
    prepared = run(capsys, "contribution", "accept", identifier, "--prepare", "--account", "org-0")["prepared"]
    words = ("contribution", "accept", identifier, "--prepared", prepared, "--account", "org-0")
    assert run(capsys, *words, expect=1)["code"] == "assets.consent_missing"
    run(capsys, "asset", "consent", asset, prepared, "--account", "org-2")
    assert run(capsys, *words)["version"] == 2
    wrong = run(capsys, "contribution", "accept", "00" * 32, "--prepared", prepared, "--account", "org-0", expect=2)
    assert "not the acceptance" in wrong["message"]


def test_the_sdk_accepts_in_one_call(world: Consortium, node: FakeNode, asset: str, grant: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"rows")
    with Client(node.url, account_of(world, "org-1")) as maker, Client(node.url, account_of(world, "org-0")) as owner:
        made = maker.contributions.propose(asset, tmp_path / "rows.csv", right="train-on", grant=grant)
        assert owner.contributions.find(asset=asset) == [made]
        assert owner.contributions.accept(made["contribution"])["version"] == 2


def proposed(world: Consortium, who: str, asset: str, right: assets.DerivingRight, grant: str | None) -> str:
    """The code with which the chain itself answers such a contribution."""
    artifact = assets.Artifact(cid("proposed"), 4)
    commitment = assets.Commit(assets.commitment(artifact.cid, world.accounts[who], bytes(16)))
    operation = Propose(
        asset=bytes.fromhex(asset),
        parent_version=1,
        right=right,
        artifact=artifact,
        salt=bytes(16),
        expires_at_ms=world.now_ms + HOUR_MS,
        grant=None if grant is None else bytes.fromhex(grant),
        provenance=assets.Provenance(),
        message="",
        share_bps_min=0,
        bounty=None,
    )
    return world.code(world.by(who, commitment, operation))


@pytest.mark.parametrize(
    ("who", "right", "terms", "code"),
    [
        ("org-1", "train-on", "unknown", "licenses.unknown_grant"),
        ("org-1", "train-on", "of another asset", "assets.derivation_grant"),
        ("org-2", "train-on", DERIVING, "assets.derivation_grant"),
        ("org-1", "train-on", structs.replace(DERIVING, term_ms=1_000), "assets.derivation_grant_not_live"),
        ("org-1", "fine-tune", DERIVING, "assets.derivation_right"),
        ("org-1", "train-on", Terms(rights=("download",), price=0, derivatives="yes"), "assets.derivation_right"),
        ("org-1", "train-on", structs.replace(DERIVING, derivatives="no"), "assets.derivation_forbidden"),
        ("org-1", "train-on", structs.replace(DERIVING, derivatives="on-approval"), "assets.derivation_unapproved"),
        ("org-1", "train-on", None, "assets.derivation_without_grant"),
    ],
)
def test_a_license_that_does_not_do_is_refused_before_a_commitment_is_sent(
    world: Consortium,
    node: FakeNode,
    asset: str,
    who: str,
    right: assets.DerivingRight,
    terms: Terms | str | None,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the code that the chain has for it."""
    monkeypatch.setattr(deriving, "GRANT_WAIT_S", 0.0)
    grant = None
    if isinstance(terms, Terms):
        grant = licensed(world, asset, terms)
    elif terms is not None:
        grant = "ab" * 32 if terms == "unknown" else licensed(world, held_asset(world, "B"), DERIVING)
    world.execute(step_ms=2_000)
    (tmp_path / "rows.csv").write_bytes(b"rows")
    with Client(node.url, account_of(world, who)) as client, pytest.raises((Refused, NotFound)) as caught:
        client.contributions.propose(asset, tmp_path / "rows.csv", right=right, grant=grant)
    assert caught.value.code == code == proposed(world, who, asset, right, grant)
    assert not [asked for asked in node.asked if asked.method != "GET"]


def test_a_grant_that_the_answering_node_has_not_seen_yet_is_asked_for_again(
    world: Consortium, node: FakeNode, asset: str
) -> None:
    grant = licensed(world, asset, DERIVING)
    route = ("GET", "/v1/query/licenses.grant")

    def behind(_: Asked) -> Answer:
        del node.routes[route]
        return problem(404, "query.not_found")

    async def check() -> None:
        node.routes[route] = behind
        async with AsyncClient(node.url, account_of(world, "org-1")) as client:
            shown = {"asset": asset, "kind": "dataset", "owners": []}
            await deriving.require_right(client, shown, "train-on", bytes.fromhex(grant))

    asyncio.run(check())
    assert route not in node.routes


@pytest.mark.parametrize("named", [{"grant": "abcd"}, {"bounty": "abcd"}])
def test_what_is_no_id_is_refused_before_a_commitment_is_sent(
    world: Consortium, node: FakeNode, asset: str, named: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_bytes(b"rows")
    with Client(node.url, account_of(world, "org-0")) as client, pytest.raises(InvalidArgument, match="abcd"):
        client.contributions.propose(asset, tmp_path / "rows.csv", right="train-on", **named)
    assert not [asked for asked in node.asked if asked.method != "GET"]


def test_an_owner_proposes_without_a_license(world: Consortium, node: FakeNode, asset: str, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_bytes(b"rows")
    with Client(node.url, account_of(world, "org-0")) as client:
        assert client.contributions.propose(asset, tmp_path / "rows.csv", right="train-on")["state"] == "open"


def test_a_list_of_contributions_says_of_what_it_is(
    world: Consortium, node: FakeNode, asset: str, grant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no list of all. Who has no account, or one of many, names something."""
    made = propose(capsys, asset, grant, "first.csv")
    unsaid = run(capsys, "contribution", "list", expect=2)
    assert "name an asset, or a contributor with --by" in unsaid["message"]
    assert run(capsys, "contribution", "list", asset) == [made]
    with Client(node.url) as client:
        with pytest.raises(InvalidArgument, match="name an asset or a contributor"):
            client.contributions.find()
        assert client.contributions.find(asset=asset) == [made]
    with Client(node.url, account_of(world, "org-1")) as maker:
        assert maker.contributions.find() == [made]


def test_lists_of_an_asset_that_nobody_has_registered_end_as_other_errors_do(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("contribution", "list"), ("bounty", "list")):
        assert run(capsys, *words, "ab" * 32, expect=3)["code"] == "query.not_found"


def test_a_wrong_tolerance_is_refused_before_a_commitment_is_sent(
    world: Consortium, node: FakeNode, asset: str, grant: str, tmp_path: Path
) -> None:
    source = tmp_path / "rows.csv"
    source.write_bytes(b"rows")
    claimed = assets.Provenance(metrics=(assets.Metric("accuracy", 1, assets.TOLERANCE_PPM_MAX + 1),))
    with Client(node.url, account_of(world, "org-0")) as client:
        for send in (
            lambda: client.assets.register(source, kind="dataset", name="rows", provenance=claimed),
            lambda: client.assets.add_version(asset, source, provenance=claimed),
            lambda: client.contributions.propose(asset, source, grant=grant, provenance=claimed),
        ):
            with pytest.raises(InvalidArgument, match="a tolerance is from 0 to 100000 ppm, not 100001"):
                send()
    assert not [asked for asked in node.asked if asked.method == "POST"]

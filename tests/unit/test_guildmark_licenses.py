"""Licenses by the SDK and the command line after the purchase: use, renewal, revocation, seats, against the real
ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from epochs_kit import Consortium, key, make_genesis
from guildmark_kit import run
from ledger_node_kit import account_of, held_asset, serving

from guildmark.cli import main
from guildmark.cli.license import ENDED
from guildmark.cli.output import minute
from guildmark.errors import InvalidArgument, VerificationFailed
from guildmark.identity import Account
from guildmark.licenses import terms
from guildmark.sync import Client
from guildmark.vouchers import SignedVoucher, check_signature, sign_voucher
from ledger.modules.licenses.grants import State

DAY_MS = 86_400_000
SERVICE = terms(
    rights=["inference-as-service"],
    price=100,
    term_ms=DAY_MS,
    renewable=True,
    quota=10,
    quota_unit="calls",
    usage_price=3,
    seats=2,
    revocation_causes=["breach"],
    refund_mode="pro-rata",
)


@pytest.fixture
def world() -> Consortium:
    now_ms = time.time_ns() // 1_000_000
    return Consortium(make_genesis(4, created_at_ms=now_ms, development=True, commitment_age_ms=0))


@pytest.fixture
def asset(world: Consortium) -> str:
    return held_asset(world, kind="software")


@pytest.fixture
def client(world: Consortium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A client of the owner's."""
    with (
        serving(world, monkeypatch, tmp_path) as fake,
        Client(fake.url, account_of(world, "org-0"), retry_timeout_s=0.3) as made,
    ):
        yield made


def test_use_is_signed_verified_reported_and_paid(world: Consortium, asset: str, client: Client) -> None:
    licensee = client.acting_as(account_of(world, "org-1"))
    grant = licensee.licenses.buy(client.licenses.offer(asset, SERVICE).offer).grant
    assert client.licenses.get_grant(grant)["deposit"] == 30
    voucher = licensee.licenses.sign_voucher(grant, 4)
    assert client.licenses.verify_voucher(voucher) == 4
    assert client.licenses.report_usage(voucher).event("licenses.usage_reported")["amount"] == 12
    assert client.licenses.verify_voucher(voucher) == 0
    assert client.licenses.report_usage(voucher).events == []
    assert client.licenses.verify_voucher(licensee.licenses.sign_voucher(grant, 9)) == 5
    for code, wrong in (
        ("licenses.above_quota", licensee.licenses.sign_voucher(grant, 11)),
        ("licenses.voucher_key", client.licenses.sign_voucher(grant, 5)),
        ("licenses.voucher_signature", msgspec.structs.replace(voucher, count=5)),
        ("licenses.voucher_network", sign_voucher(account_of(world, "org-1"), bytes(32), grant, 5)),
    ):
        with pytest.raises(VerificationFailed) as caught:
            client.licenses.verify_voucher(wrong)
        assert caught.value.code == code
    shown = client.licenses.get_grant(grant)
    assert (shown["used"], shown["quota"], shown["deposit"], shown["paid"]) == (4, 10, 18, 112)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "did:key:x"},
        {"signature": "zz"},
        {"signature": "00"},
        {"grant": "00"},
        {"network_id": ""},
        {"count": 0},
        {"count": 2**63},
    ],
)
def test_vouchers_that_are_none_are_refused(changed: dict[str, Any]) -> None:
    account = Account(bytes(32), key("a"))
    good = sign_voucher(account, bytes(32), bytes(32), 1)
    check_signature(good, bytes(32))
    with pytest.raises(VerificationFailed) as caught:
        check_signature(msgspec.structs.replace(good, **changed), bytes(32))
    assert caught.value.code == "licenses.voucher_malformed"


def test_a_voucher_is_not_signed_for_what_is_no_count_or_grant() -> None:
    account = Account(bytes(32), key("a"))
    for grant, count, code in ((bytes(32), 0, "argument.count"), ("xyz", 1, "argument.id")):
        with pytest.raises(InvalidArgument) as caught:
            sign_voucher(account, bytes(32), grant, count)
        assert caught.value.code == code


def test_a_renewal_under_the_same_terms_is_a_further_term_of_the_grant(
    world: Consortium, asset: str, client: Client
) -> None:
    licensee = client.acting_as(account_of(world, "org-1"))
    exclusive = msgspec.structs.replace(SERVICE, exclusivity="exclusive", price=50)
    offer = client.licenses.offer(asset, exclusive).offer
    bought = licensee.licenses.buy(offer)
    again = licensee.licenses.renew(bought.grant, offer)
    assert (again.grant, again.state, again.price) == (bought.grant, "renewed", 50)
    shown = client.licenses.get_grant(bought.grant)
    assert (shown["terms_paid"], shown["end_ms"] - shown["start_ms"]) == (2, 2 * DAY_MS)


def test_a_renewal_under_other_terms_is_a_grant_that_follows(world: Consortium, asset: str, client: Client) -> None:
    licensee = client.acting_as(account_of(world, "org-1"))
    bought = licensee.licenses.buy(client.licenses.offer(asset, SERVICE).offer)
    other = client.licenses.offer(asset, msgspec.structs.replace(SERVICE, price=60)).offer
    follower = licensee.licenses.renew(bought.grant, other, price_max=60)
    assert (follower.state, follower.price) == ("active", 60)
    shown = client.licenses.get_grant(follower.grant)
    assert (shown["state"], shown["predecessor"]) == ("scheduled", bought.grant)


def test_a_list_of_ones_own_licenses_says_which_have_ended(
    world: Consortium, asset: str, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    licensee = client.acting_as(account_of(world, "org-1"))
    revoked = licensee.licenses.buy(client.licenses.offer(asset, SERVICE).offer).grant
    client.licenses.revoke(revoked, "breach")
    kept = licensee.licenses.buy(client.licenses.offer(asset, terms(rights=["download"], price=60)).offer).grant
    assert main.run(["license", "grants", "--account", "org-1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["grant", "asset_name", "version", "state", "ended", "until", "price"]
    end_ms = client.licenses.get_grant(revoked)["end_ms"]
    shown = {line.split()[0]: line.split()[3:] for line in lines[1:]}
    assert shown == {
        revoked: ["revoked", "yes", *minute(end_ms).split(), "100"],
        kept: ["active", "no", "-", "60"],
    }
    assert main.run(["license", "grants", "--account", "org-0"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1, "it has granted them, and was granted none"


def test_states_that_have_ended_are_those_of_the_ledger() -> None:
    assert set(get_args(State)) - {"escrowed", "scheduled", "active", "disputed"} == ENDED


def test_the_command_line_covers_a_license_after_its_purchase(
    world: Consortium, asset: str, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    offer = client.licenses.offer(asset, SERVICE).offer
    grant = run(capsys, "license", "buy", offer, "--account", "org-1")["grant"]
    voucher = run(capsys, "license", "sign-voucher", grant, "4", "--account", "org-1")
    (tmp_path / "voucher.json").write_text(json.dumps(voucher))
    assert run(capsys, "license", "verify-voucher", "voucher.json")["worth"] == 4
    reported = run(capsys, "license", "report-usage", "voucher.json", "--account", "org-0")
    assert reported == {"grant": grant, "used": 4, "quota": 10, "deposit": 18}
    (tmp_path / "false.json").write_text(json.dumps(voucher | {"count": 5}))
    error = run(capsys, "license", "verify-voucher", "false.json", expect=7)
    assert error["code"] == "licenses.voucher_signature"
    (tmp_path / "none.json").write_text("{}")
    error = run(capsys, "license", "report-usage", "none.json", "--account", "org-0", expect=7)
    assert error["code"] == "licenses.voucher_malformed"

    colleague = client.acting_as(account_of(world, "org-1")).accounts.open(name="colleague")
    seats = run(capsys, "license", "seats", grant, colleague.text, "--account", "org-1")
    assert seats["seats"] == [colleague.text]
    asked = ["license", "check", asset, "--right", "inference-as-service", "--account", "org-1"]
    assert run(capsys, *asked, "--for", colleague.text)["clause"] == "seats"
    (seat,) = run(capsys, "license", "grants", "--seats", asset, "--for", colleague.text)
    assert seat["grant"] == grant
    assert run(capsys, "license", "seats", grant, "--account", "org-1")["seats"] == []
    assert run(capsys, "license", "grants", "--seats", "--for", colleague.text) == []
    assert run(capsys, *asked, "--for", colleague.text, expect=4)["reason"] == "no_grant"
    assert run(capsys, *asked, "--country", "DE", "--field", "law")["reason"] == "granted"

    renewed = run(capsys, "license", "renew", grant, offer, "--account", "org-1")
    assert (renewed["state"], renewed["grant"]) == ("renewed", grant)
    token = run(capsys, "license", "token", grant)
    assert (token["token"], token["edition"], token["metadata"]["name"]) == (grant, 1, "A, license 1")
    refused = run(capsys, "license", "revoke", grant, "--cause", "whim", "--account", "org-0", expect=1)
    assert refused["code"] == "licenses.cause_not_agreed"
    revoked = run(capsys, "license", "revoke", grant, "--cause", "breach", "--account", "org-0")
    assert 190 <= revoked["refund"] <= 200, "two terms, less what has passed"
    assert run(capsys, *asked, expect=4)["reason"] == "revoked"
    shown = run(capsys, "license", "show", grant)
    assert (shown["state"], shown["used"], shown["refunded"]) == ("revoked", 4, revoked["refund"])
    error = run(capsys, "license", "claim", grant, "--account", "org-2", expect=1)
    assert error["code"] == "licenses.not_due", "the deposit returns a week after the end"


def test_a_voucher_survives_its_file() -> None:
    voucher = sign_voucher(Account(bytes(32), key("a")), bytes(32), bytes(32), 7)
    assert msgspec.json.decode(msgspec.json.encode(voucher), type=SignedVoucher) == voucher

"""Trade as people do it by the command line, on real processes: use that is counted and paid, a renewal, a revocation,
a claim that the other organizations decide, and sales that a search finds at their price."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_kit import Shell

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("trade-story")]
METERED = """
rights = ["inference-as-service"]
price = 1000
commercial = true
term_ms = 2592000000
renewable = true
quota = 10
quota_unit = "calls"
usage_price = 7
revocation_causes = ["breach"]
refund_mode = "pro-rata"
"""
DISPUTABLE = """
rights = ["download"]
price = 100000
dispute_window_ms = 864000000
"""
FEE_BPS = 250


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    made = Shell(tmp_path_factory.mktemp("trade"))
    parameters = ("commitment_age_ms=0", f"fee_bps={FEE_BPS}", "dispute_bond_min=1000")
    made("cluster", "up", *(word for parameter in parameters for word in ("--parameter", parameter)))
    (made.directory / "metered.toml").write_text(METERED)
    (made.directory / "disputable.toml").write_text(DISPUTABLE)
    yield made
    made("cluster", "down")


def register(shell: Shell, name: str) -> Any:
    (shell.directory / "work.bin").write_bytes(os.urandom(2_000))
    registered = ("asset", "register", "work.bin", "--kind", "algorithm", "--name", name, "--account", "alder")
    return shell(*registered, "--wait-held")


def balance(shell: Shell, name: str) -> int:
    return int(shell("account", "show", name)["balance"])


def owed(shell: Shell, asset: str) -> int:
    return int(shell("license", "royalties", asset, "--account", "alder")["owed"])


def test_use_is_counted_paid_renewed_and_revoked_to_the_unit(shell: Shell) -> None:
    """E4: what was deposited is paid for use that the licensee has signed for; the rest returns by itself."""
    asset = register(shell, "tide forecast")["asset"]
    offer = shell("license", "offer", asset, "--terms", "metered.toml", "--account", "alder")["offer"]
    before = balance(shell, "birch")
    bought = shell("license", "buy", offer, "--account", "birch")
    grant = bought["grant"]
    assert balance(shell, "birch") == before - 1_000 - 10 * 7
    height = shell("transaction", "show", bought["transaction"])["height"]
    found = shell("asset", "search", "tide", "--sells", "license", "--price-max", "1000", "--at-least", str(height))
    assert found["height"] >= height
    assert [(item["asset"], item["price"], item["offer"]) for item in found["items"]] == [(asset, 1_000, offer)]
    assert shell("asset", "search", "tide", "--price-max", "999")["items"] == []

    for count, worth in ((1, 1), (4, 4)):
        voucher = shell("license", "sign-voucher", grant, str(count), "--account", "birch")
        (shell.directory / "voucher.json").write_text(json.dumps(voucher))
        assert shell("license", "verify-voucher", "voucher.json")["worth"] == worth
    refused = shell("license", "report-usage", "voucher.json", "--account", "cedar", ends_with=1)
    assert refused["error"]["code"] == "licenses.not_manager"
    reported = shell("license", "report-usage", "voucher.json", "--account", "alder")
    assert (reported["used"], reported["quota"], reported["deposit"]) == (4, 10, 42)
    assert shell("license", "verify-voucher", "voucher.json")["worth"] == 0
    shell("license", "report-usage", "voucher.json", "--account", "alder")
    assert owed(shell, asset) == 1_028 - 1_028 * FEE_BPS // 10_000, "what is reported twice is paid once"

    shell("license", "renew", grant, offer, "--account", "birch")
    shown = shell("license", "show", grant)
    assert (shown["terms_paid"], shown["quota"], shown["deposit"], shown["paid"]) == (2, 20, 112, 2_028)

    assert balance(shell, "birch") == before - 2_000 - 2 * 70
    not_agreed = shell("license", "revoke", grant, "--cause", "mood", "--account", "alder", ends_with=1)
    assert not_agreed["error"]["code"] == "licenses.cause_not_agreed"
    revoked = shell("license", "revoke", grant, "--cause", "breach", "--account", "alder")
    assert 1_990 < revoked["refund"] <= 2_000, "two terms of 30 days, of which a minute has passed"
    denied = ("license", "check", asset, "--right", "inference-as-service", "--account", "birch")
    assert shell(*denied, ends_with=4)["reason"] == "revoked"
    shell("cluster", "advance-clock", "--days", "8", "--account", "dogwood")
    shown = shell("license", "show", grant)
    assert (shown["state"], shown["deposit"], shown["refunded"]) == ("revoked", 0, revoked["refund"])
    assert balance(shell, "birch") == before - 2_000 - 28 + revoked["refund"]


def test_the_others_decide_a_claim_and_its_price_returns_after_the_time_for_an_appeal(shell: Shell) -> None:
    """E5: on real processes, within the window of the license, with the parties kept from the vote."""
    made = register(shell, "mislabeled set")
    offer = shell("license", "offer", made["asset"], "--terms", "disputable.toml", "--account", "alder")["offer"]
    before = balance(shell, "birch")
    grant = shell("license", "buy", offer, "--account", "birch")["grant"]
    assert owed(shell, made["asset"]) == 0, "in escrow"
    filed = shell(
        *("dispute", "file", "--grant", grant, "--relief", "refund", "--evidence", made["cid"]),
        *("--statement", "these are other pictures", "--account", "birch"),
    )
    dispute = filed["dispute"]
    assert (filed["state"], filed["amount"], filed["claim"]["bond"]) == ("answering", 100_000, 10_000)
    assert sorted(filed["arbiters"]) == ["cedar", "dogwood"]
    assert shell("license", "show", grant)["state"] == "disputed"
    answer = ("dispute", "answer", dispute, "--bonded", "--statement", "they are as described", "--account", "alder")
    assert shell(*answer)["state"] == "voting"
    partial = shell("dispute", "vote", dispute, "--refuse", "--account", "alder", ends_with=1)
    assert partial["error"]["code"] == "disputes.not_an_arbiter"
    for arbiter, state in (("cedar", "voting"), ("dogwood", "decided")):
        assert shell("dispute", "vote", dispute, "--uphold", "--account", arbiter)["state"] == state
    assert balance(shell, "birch") == before - 100_000 - 10_000, "nothing is carried out before an appeal could come"
    assert [row["dispute"] for row in shell("dispute", "list", "--party", "alder")] == [dispute]

    shell("cluster", "advance-clock", "--days", "7", "--account", "cedar")
    ended = shell("dispute", "show", dispute)
    assert (ended["state"], ended["outcome"], ended["refunded"]) == ("closed", "upheld", 100_000)
    assert shell("license", "show", grant)["state"] == "refunded"
    assert balance(shell, "birch") == before + 10_000, "its price, its bond, and the respondent's"
    late = shell("dispute", "appeal", dispute, "--account", "alder", ends_with=1)
    assert late["error"]["code"] == "disputes.no_appeal"


def test_what_is_for_sale_is_found_at_the_price_of_now(shell: Shell) -> None:
    asset = register(shell, "harbor scene")["asset"]
    shell("market", "list", "--share", f"{asset}:100", "--price", "500", "--account", "alder")
    falling = ("--start-price", "900", "--floor-price", "100", "--steps", "8", "--hours", "9")
    shell("market", "dutch-auction", "--share", f"{asset}:200", *falling, "--account", "alder")

    def prices(*arguments: str) -> list[tuple[int, str]]:
        height = shell("query", "chain.head")["height"]
        found = shell("asset", "search", "harbor", "--sells", "share", "--at-least", str(height), *arguments)
        return [(item["price"], item["format"]) for item in found["items"]]

    assert prices() == [(500, "fixed")]
    assert prices("--price-min", "501") == [(900, "dutch")]
    assert prices("--price-max", "499") == []
    shell("cluster", "advance-clock", "--hours", "5", "--account", "dogwood")
    ((price, kind),) = prices("--price-max", "499")
    assert (price, kind) == (400, "dutch")
    offer = shell("asset", "search", "harbor")["items"][0]["offer"]
    shell("market", "take", offer, "--price-max", str(price), "--account", "cedar")
    assert prices("--price-max", "499") == []
    cedar = shell("key", "show", "cedar")["account"]
    assert {"account": cedar, "bps": 200} in shell("asset", "search", "harbor")["items"][0]["owners"]

"""The bounds of what becomes of a license: renewal, use, revocation; at them and one beyond."""

from __future__ import annotations

import pytest

from ledger.modules.licenses import operations as licenses
from ledger.modules.licenses.vouchers import Voucher, sign_voucher
from tests.unit.boundaries_kit import DAY_MS, Stage
from tests.unit.modules_kit import seed_key

SERVICE = licenses.Terms(
    rights=("inference-as-service",),
    price=1_000,
    term_ms=60_000,
    renewable=True,
    quota=5,
    quota_unit="calls",
    usage_price=7,
    revocation_causes=("breach",),
    refund_mode="pro-rata",
)
WEEK_MS = 7 * DAY_MS


def served(stage: Stage) -> tuple[bytes, bytes, int]:
    """Let bob buy a service of alice's; return the offer, the grant and its end."""
    (asset,) = stage.register("alice", "A")
    (offer,) = stage.offer("alice", asset, terms=SERVICE, expires=stage.now + 30 * DAY_MS)
    stage.send("bob", stage.purchase(offer, SERVICE))
    grant = licenses.grant_id(stage.id, offer)
    return offer, grant, int(stage.pair.state.grants[grant]["end"])


def renewal(grant: bytes, offer: bytes) -> licenses.Renew:
    return licenses.Renew(grant, offer, licenses.terms_digest(SERVICE), SERVICE.price)


def report(stage: Stage, grant: bytes, count: int) -> licenses.ReportUsage:
    key = seed_key("bob")
    signature = sign_voucher(Voucher(stage.pair.state.network, grant, count), key)
    return licenses.ReportUsage(grant, count, key.public_key, signature)


@pytest.mark.parametrize(("edge", "code"), [(-1, "licenses.renewal_too_early"), (0, "")])
def test_a_term_is_bought_a_term_ahead(edge: int, code: str) -> None:
    """Of two terms ahead the second is too early by a millisecond, or not."""
    stage = Stage()
    offer, grant, end = served(stage)
    stage.send("bob", renewal(grant, offer))
    stage.send("bob", renewal(grant, offer), code=code, later=end + edge - stage.now)
    assert stage.pair.state.grants[grant]["end"] == end + (120_000 if not code else 60_000)


@pytest.mark.parametrize(("edge", "code"), [(-1, ""), (0, "licenses.renewal_too_late")])
def test_a_grant_is_renewed_until_a_week_after_its_end(edge: int, code: str) -> None:
    stage = Stage()
    offer, grant, end = served(stage)
    stage.send("bob", renewal(grant, offer), code=code, later=end + WEEK_MS + edge - stage.now)
    assert stage.pair.state.grants[grant]["start"] == (stage.now if not code else end - 60_000)


@pytest.mark.parametrize(("count", "code"), [(5, ""), (6, "licenses.above_quota")])
def test_use_is_counted_up_to_the_quota(count: int, code: str) -> None:
    """What is counted is paid from the deposit to the unit, and a count that is known changes nothing."""
    stage = Stage()
    _, grant, _ = served(stage)
    stage.send("alice", report(stage, grant, 2))
    stage.send("alice", report(stage, grant, count), code=code)
    stage.send("alice", report(stage, grant, 1))
    left = {amount for payer, amount in stage.pair.state.escrows.values() if payer == stage.accounts["bob"]}
    assert left == ({21} if code else set())


@pytest.mark.parametrize(("edge", "code"), [(-1, ""), (0, "licenses.reports_closed")])
def test_use_is_reported_until_a_week_after_the_end(edge: int, code: str) -> None:
    stage = Stage()
    _, grant, end = served(stage)
    stage.send("alice", report(stage, grant, 1), code=code, later=end + WEEK_MS + edge - stage.now)


@pytest.mark.parametrize(("before_end", "refund"), [(60_000, 1_000), (59_999, 1_000), (60, 1), (59, 1), (1, 1)])
def test_a_refund_is_rounded_up(before_end: int, refund: int) -> None:
    """1,000 for 60,000 ms, the rest of it: never less than it is worth."""
    stage = Stage()
    _, grant, end = served(stage)
    before = stage.pair.state.balances[stage.accounts["bob"]]
    later = max(0, end - before_end - stage.now)
    stage.send("alice", licenses.Revoke(grant, "breach"), later=max(1, later))
    paid = stage.pair.state.grants[grant]["refunded"]
    assert stage.pair.state.balances[stage.accounts["bob"]] == before + paid
    assert paid == refund


def test_a_grant_cannot_be_revoked_at_its_end() -> None:
    stage = Stage()
    _, grant, end = served(stage)
    stage.send("alice", licenses.Revoke(grant, "breach"), code="licenses.not_revocable", later=end - stage.now)

"""What leaves the bounds of an operation is said with the field's name, before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

from guildmark.cli.evidence import read_evidence
from guildmark.errors import InvalidArgument, Refused
from guildmark.identity import Account
from guildmark.open_until import HOUR_MS, SLACK_MS, open_until
from guildmark.transactions import prepare
from ledger.modules.assets.operations import Artifact, Register
from ledger.modules.credits.operations import Transfer
from ledger.modules.disputes.operations import File, Subject
from ledger.modules.transfers.operations import Offer, Thing
from ledger.parameters import Parameters
from primitives.keys import SigningKey
from tests.unit.modules_kit import cid

ACCOUNT = Account(bytes(32), SigningKey(bytes(32)))


@pytest.mark.parametrize(
    ("operation", "named"),
    [
        (Transfer(bytes(32), 2**63), "credits.transfer: amount: "),
        (Transfer(bytes(32), 2**64), "credits.transfer: amount: "),
        (Transfer(bytes(32), 10**40), "credits.transfer: amount: "),
        (Offer(Thing("asset", bytes(32)), bytes(32), -1, 1), "transfers.offer: price: "),
        (Register(Artifact(cid("x"), 1), bytes(16), "dataset", ""), "assets.register: name: "),
        (
            File(Subject("asset", bytes(32)), "infringement", "freeze_sales", 0, 1, "evidence.txt"),
            "disputes.file: evidence: ",
        ),
    ],
)
def test_what_is_out_of_bounds_is_named(operation: Any, named: str) -> None:
    with pytest.raises(Refused) as caught:
        prepare(ACCOUNT, bytes(32), [operation], 1)
    assert caught.value.code == "transaction.malformed"
    assert caught.value.message.startswith(named)


class _Client:
    """A network that lets things stay open for so long."""

    def __init__(self, longest_ms: int) -> None:
        self._parameters = Parameters(offer_lifetime_ms_max=longest_ms)

    async def parameters(self) -> Parameters:
        return self._parameters

    async def network_time_ms(self) -> int:
        return 1_000


@pytest.mark.parametrize(
    ("longest_ms", "lifetime_ms", "ends_at_ms"),
    [
        (30 * HOUR_MS, 10 * HOUR_MS, 1_000 + 10 * HOUR_MS),
        (30 * HOUR_MS, 30 * HOUR_MS, 1_000 + 30 * HOUR_MS - SLACK_MS),
        (3 * HOUR_MS, 7 * HOUR_MS, 1_000 + 3 * HOUR_MS - SLACK_MS),
        (60_000, 7 * HOUR_MS, 31_000),
    ],
)
def test_an_end_is_within_what_the_network_allows(longest_ms: int, lifetime_ms: int, ends_at_ms: int) -> None:
    import asyncio

    client: Any = _Client(longest_ms)
    assert asyncio.run(open_until(client, lifetime_ms, 7 * HOUR_MS)) == ends_at_ms


def test_a_longer_end_that_somebody_asked_for_is_not_shortened_in_silence() -> None:
    import asyncio

    client: Any = _Client(30 * HOUR_MS)
    with pytest.raises(InvalidArgument, match="longer than 30 hours") as caught:
        asyncio.run(open_until(client, 31 * HOUR_MS, 7 * HOUR_MS))
    assert caught.value.code == "argument.lifetime"


def test_evidence_is_a_cid_or_a_file(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "proof.txt").write_bytes(b"proof")
    context: Any = None
    assert read_evidence(context, context, str(tmp_path / "proof.txt")) == cid("proof")
    assert cid("proof") in capsys.readouterr().err
    assert read_evidence(context, context, cid("x")) == cid("x")
    assert read_evidence(context, context, None) is None

"""Charters as the SDK reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from guildmark.charters import charter, read_charter
from guildmark.errors import Refused
from ledger.modules.assets.charter import Majority
from ledger.modules.charters.adoption import check_charter

SPEC = Path(__file__).parents[2] / "docs" / "spec" / "charters.md"
FIELDS: dict[str, Any] = {
    "voting_period_ms": 60_000,
    "majority": {"quorum_bps": 1, "threshold_bps": 5_001},
    "charter": {"quorum_bps": 5_000, "threshold_bps": 6_667},
    "dissolution": {"quorum_bps": 5_000, "threshold_bps": 6_667},
    "drag_along_bps": 10_000,
}


def test_the_file_of_the_specification_is_a_charter(tmp_path: Path) -> None:
    match = re.search(r"```toml\n(.*?)```", SPEC.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    path = tmp_path / "charter.toml"
    path.write_text(match[1], encoding="utf-8")
    made = read_charter(path)
    check_charter(made)
    assert made.payments == Majority(5_000, 6_667)
    assert made.terms == made.management == Majority(5_000, 5_001)
    assert made.voted_aliases == ("production",)


def test_lists_come_in_any_order_and_what_is_left_out_has_its_default() -> None:
    made = charter(**FIELDS, voted=["terms", "management", "terms"])
    assert made.voted == ("management", "terms")
    assert (made.least_price, made.treasury_bps, made.voted_aliases) == (0, 0, ())


@pytest.mark.parametrize(
    "changed",
    [
        {"unknown": 1},
        {"drag_along_bps": 6_666},
        {"drag_along_bps": "8000"},
        {"majority": {"quorum_bps": 1}},
        {"charter": 7},
        {"voted": ["everything"]},
        {"voted": "terms"},
        {"voting_period_ms": None},
    ],
)
def test_what_is_no_charter_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        charter(**(FIELDS | changed))
    assert caught.value.code == "charters.charter"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="dissolution, drag_along_bps"):
        charter(**{name: FIELDS[name] for name in ("voting_period_ms", "majority", "charter")})
    path = tmp_path / "charter.toml"
    path.write_text("= 1", encoding="utf-8")
    with pytest.raises(Refused, match=r"charter\.toml"):
        read_charter(path)

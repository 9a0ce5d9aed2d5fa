"""A charter's own rules: what fits together, and adopting it."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.reference.state import Call, need

KINDS = ("terms", "aliases", "contributions", "management", "payments", "charter", "dissolution")


def check_charter(charter: Any) -> None:
    plain = plain_charter(charter)
    for names in (plain["voted"], plain["voted_aliases"]):
        need(tuple(sorted(names)) == names and len(set(names)) == len(names), "charters.unordered")
    need("latest" not in plain["voted_aliases"], "charters.alias_reserved")
    quorum, threshold = plain["charter"]
    need(quorum >= 5_000 and threshold >= 6_667, "charters.charter_majority")
    hardest = [max(plain[kind][part] for kind in KINDS if kind != "dissolution") for part in (0, 1)]
    need([quorum, threshold] == hardest, "charters.charter_easier")
    harder = [one >= other for one, other in zip(plain["dissolution"], hardest, strict=True)]
    need(all(harder), "charters.dissolution_easier")


def plain_charter(charter: Any) -> dict[str, Any]:
    fields = msgspec.structs.asdict(charter)
    return fields | {kind: (fields[kind].quorum_bps, fields[kind].threshold_bps) for kind in KINDS}


def adopt(call: Call, asset: bytes, charter: Any, revision: int) -> None:
    call.state.charters[asset] = plain_charter(charter) | {"revision": revision, "since": call.now, "spent": 0}

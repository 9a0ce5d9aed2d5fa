"""What can be seen of accreditations and statements, in the shape of observation_kit.py."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ledger.modules.assets.records import VERSIONS
from ledger.modules.attestations.operations import Audit, Evaluate
from ledger.modules.attestations.reading import claims_of, confirming, counts, latest_of, verdicts
from ledger.modules.attestations.records import ACCREDITATIONS, ANSWERS, STATEMENTS, Statement
from ledger.state.view import StateView
from tests.reference.attestations import LESS_IS_BETTER, counting, open_disputes, posted, standing_of

Seen = dict[str, dict[Any, Any]]
"""Table -> key -> value."""
BOUND = 905_000
"""That an evaluation reaches or not."""


def attestations_in_reference(state: Any) -> Seen:
    newest = {}
    for key, row in state.statements.items():
        newest[row["kind"], row["about"], row["attestor"]] = key
    return {
        "accreditations": {
            key: {**row, "posted": posted(state, key), "disputes": open_disputes(state, key)}
            for key, row in state.accreditations.items()
        },
        "statements": {
            key: {**row, "superseded": newest[row["kind"], row["about"], row["attestor"]] != key}
            for key, row in state.statements.items()
        },
        "answers": dict(state.answers),
        "standings": {
            (key, number): standing_of(state, key, number)
            for key, asset in state.assets.items()
            for number, version in enumerate(asset["versions"], 1)
            if version["claims"]
        },
        **_counted(state),
    }


def _counted(state: Any) -> Seen:
    """What counts, about everything that anybody ever spoke of."""
    reaching: dict[Any, int] = {}
    audits: dict[Any, Counter[str]] = {}
    for row in state.statements.values():
        if row["kind"] == "evaluation":
            less = row["about"][2] in LESS_IS_BETTER
            values = counting(state, "evaluation", row["about"])
            reaching[row["about"]] = sum(
                impartial and (value <= BOUND if less else value >= BOUND) for impartial, value in values
            )
        elif row["kind"] == "audit":
            found = counting(state, "audit", row["about"])
            audits[row["about"]] = Counter(verdict for impartial, verdict in found if impartial or verdict == "failed")
    return {"reaching": reaching, "audits": audits}


def attestations_in_chain(view: StateView, now_ms: int) -> Seen:
    statements = dict(STATEMENTS.items(view))
    said = [row.said for row in statements.values()]
    seen: Seen = {
        "accreditations": {
            key: {
                "organization": row.organization,
                "roles": row.roles,
                "tier": row.tier,
                "bond": row.bond,
                "until": row.until_ms,
                "since": row.since_ms,
                "suspended": row.suspended,
                "ended": row.ended,
                "bond_until": row.bond_until_ms,
                "posted": row.posted,
                "disputes": row.disputes,
            }
            for key, row in ACCREDITATIONS.items(view)
        },
        "statements": {
            key: {**_statement(row), "superseded": latest_of(view, row) != key} for key, row in statements.items()
        },
        "answers": {(key[:32], key[32:]): (row.text, row.at_ms) for key, row in ANSWERS.items(view)},
        "standings": {
            (key[:32], number): [
                (claim.reproduced, claim.contradicted) for claim in claims_of(view, key[:32], number, at_ms=now_ms)
            ]
            for key, version in VERSIONS.items(view)
            for number in [int.from_bytes(key[32:], "big")]
            if version.provenance.metrics
        },
        "reaching": {
            (*about, one.metric, one.dataset, one.dataset_version): confirming(
                view, *about, one.metric, one.dataset, one.dataset_version, BOUND, at_ms=now_ms
            )
            for one in said
            if isinstance(one, Evaluate)
            for about in [(one.asset, one.version)]
        },
        "audits": {
            (one.asset, one.version): verdicts(view, one.asset, one.version, at_ms=now_ms)
            for one in said
            if isinstance(one, Audit)
        },
    }
    for key, row in statements.items():
        if isinstance(row.said, Audit) and row.said.verdict == "failed" and counts(view, key, row, at_ms=now_ms):
            assert seen["audits"][row.asset, row.version]["failed"] > 0
    return seen


def _statement(row: Statement) -> dict[str, Any]:
    said: Any = row.said
    common = {
        "attestor": row.attestor,
        "organization": row.organization,
        "supersedes": said.supersedes,
        "refuted": row.refuted_by,
        "contested": row.contested,
        "at": row.stated_at_ms,
        "tier": row.tier,
    }
    if isinstance(said, Evaluate):
        about: tuple[Any, ...] = (said.asset, said.version, said.metric, said.dataset, said.dataset_version)
        return {**common, "kind": "evaluation", "about": about, "said": said.value_ppm, "until": said.until_ms}
    if isinstance(said, Audit):
        about = (said.asset, said.version)
        return {**common, "kind": "audit", "about": about, "said": said.verdict, "until": said.until_ms}
    rated = (row.asset, row.version, said.rating_ppm)
    return {**common, "kind": "review", "about": (said.grant,), "said": rated, "until": None}

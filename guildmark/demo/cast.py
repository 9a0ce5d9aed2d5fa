"""Who is in the story, and on which terms they deal."""

from __future__ import annotations

from typing import Any, Final

from guildmark.cluster.network import AccountPlan

DATA_OWNER: Final = "aurora"
MAKER: Final = "borealis"
BUYER: Final = "cumulus"
OUTSIDER: Final = "delphi"

ORGANIZATIONS: Final = (
    (DATA_OWNER, "Aurora Institute"),
    (MAKER, "Borealis Labs"),
    (BUYER, "Cumulus Health"),
    (OUTSIDER, "Delphi Bank"),
)
NAMES: Final = dict(ORGANIZATIONS)
CREDITS_EACH: Final = 1_000_000
"""Minor units."""
ACCOUNTS: Final = tuple(AccountPlan(name, name, CREDITS_EACH) for name, _ in ORGANIZATIONS)

EVALUATOR_BOND: Final = 50_000
EVALUATOR_TIER: Final = 3
ACCREDITED_FOR_MS: Final = 30 * 86_400_000
"""Whom the consortium accredits puts a bond up, for as long as it may state something and a dispute may take."""
RATING_PPM: Final = 900_000
"""What the buyer thinks of the model."""

GENESIS: Final[dict[str, Any]] = {
    "name": "demo",
    "commitment_age_ms": 4_000,
    "attestation_bond_min": EVALUATOR_BOND,
}
NODE: Final[dict[str, dict[str, Any]]] = {"consensus": {"suspicion_timeout_ms": 1_000, "turn_ms": 2_000}}

DENIED_USE: Final = "surveillance"
TRAINING_TERMS: Final[dict[str, Any]] = {
    "rights": ["train-on", "download"],
    "price": 10_000,
    "commercial": True,
    "derivatives": "yes",
    "revenue_share_bps": 1_000,
    "revenue_share_depth": 2,
    "field_deny": [DENIED_USE],
    "attribution": "Trained on Handwritten digits by the Aurora Institute",
}
"""The data set: a fee, and a tenth of what the models trained on it earn, two generations deep. What it denies, all
that is made of it must deny too."""
EVALUATION_TERMS: Final[dict[str, Any]] = {"rights": ["download", "publish-benchmarks"], "price": 0}
"""The data set again, for who only wants to measure a model on it."""
MODEL_TERMS: Final[dict[str, Any]] = {
    "rights": ["download", "inference"],
    "price": 100_000,
    "commercial": True,
    "editions_max": 100,
    "term_ms": 365 * 86_400_000,
    "renewable": True,
    "seats": 5,
    "field_deny": [DENIED_USE],
    "transferable": True,
    "resale_royalty_bps": 500,
    "revocation_causes": ["misuse"],
    "notice_ms": 7 * 86_400_000,
    "refund_mode": "pro-rata",
    "attribution": "Digit reader by Borealis Labs",
}
"""The model: one of a hundred numbered licenses for a year, with seats, which may be passed on."""
TRANSFER_PRICE: Final = 250_000

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

GENESIS: Final[dict[str, Any]] = {"name": "demo", "commitment_age_ms": 4_000}
NODE: Final[dict[str, dict[str, Any]]] = {"consensus": {"suspicion_timeout_ms": 1_000, "turn_ms": 2_000}}

TRAINING_TERMS: Final[dict[str, Any]] = {
    "rights": ["train-on", "download"],
    "price": 10_000,
    "commercial": True,
    "derivatives": "yes",
    "revenue_share_bps": 1_000,
    "revenue_share_depth": 2,
}
"""The data set: a fee, and a tenth of what the models trained on it earn, two generations deep."""
EVALUATION_TERMS: Final[dict[str, Any]] = {"rights": ["download", "publish-benchmarks"], "price": 0}
"""The data set again, for who only wants to measure a model on it."""
MODEL_TERMS: Final[dict[str, Any]] = {"rights": ["download", "inference"], "price": 100_000, "commercial": True}
TRANSFER_PRICE: Final = 250_000

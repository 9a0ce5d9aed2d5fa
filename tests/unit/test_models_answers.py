"""What comes out of the confined child is a stranger's word: it is read as such, and moves no terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from guildmark.models import evaluate as evaluating
from guildmark.models.errors import MESSAGE_CHARACTERS_MAX, ConfinedRunFailed, ModelRefused, printable
from guildmark.models.evaluate import Evaluation, evaluate
from guildmark.models.metrics import METRICS
from guildmark.models.sandbox import Outcome
from guildmark.models.scoring import NOISE_MAX, noise_of

MEASURED = {"value_ppm": 500_000, "least_ppm": 400_000, "greatest_ppm": 600_000}
ANSWER: dict[str, Any] = {
    "event": "evaluated",
    "samples": 10,
    "correct": 5,
    "metrics": dict.fromkeys(METRICS, MEASURED),
    "undecided": 2,
    "left_out": 0,
    "classes": 2,
    "groups": 2,
    "noise_ppb": 1,
    "parameters": 3,
    "values": 4,
    "tensors": 1,
    "tensors_digest": "ab" * 32,
}


def answered(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> Evaluation:
    """Evaluate with a child that says this and ends well."""
    outcome = Outcome(0, "", json.dumps(answer).encode() + b"\n", "", (), 1)
    monkeypatch.setattr(evaluating, "run_module", lambda *_, **__: outcome)
    return evaluate(Path("model.keras"), Path("data.npz"))


def test_what_a_run_measured_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert answered(monkeypatch, ANSWER).accuracy_ppm == 500_000


@pytest.mark.parametrize(
    "lie",
    [
        {"metrics": {}},
        {"metrics": ANSWER["metrics"] | {"made-up": MEASURED}},
        {"metrics": ANSWER["metrics"] | {"accuracy": MEASURED | {"value_ppm": 700_000}}},
        {"metrics": ANSWER["metrics"] | {"accuracy": MEASURED | {"greatest_ppm": 1_000_001}}},
        {"metrics": ANSWER["metrics"] | {"accuracy": MEASURED | {"least_ppm": -1}}},
        {"samples": 0},
        {"correct": 11},
        {"undecided": -1},
        {"tensors_digest": "\x1b[2J"},
        {"samples": "many"},
        {"event": "refused", "code": "\x1b[2J", "message": ""},
    ],
)
def test_what_no_run_measures_is_a_failure_and_no_value(monkeypatch: pytest.MonkeyPatch, lie: dict[str, Any]) -> None:
    """M6: a child whose last words are nonsense; nothing of it is stated or kept in a report."""
    with pytest.raises(ConfinedRunFailed) as caught:
        answered(monkeypatch, ANSWER | lie)
    assert caught.value.code == "confined.failed"


def test_a_refusal_is_one_line_that_can_be_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """M4: the text of a refusal holds names that a stranger's file chose."""
    with pytest.raises(ModelRefused) as caught:
        answered(monkeypatch, {"event": "refused", "code": "model.config", "message": "a\x1b]0;b\x07\nc\u202ed"})
    assert (caught.value.code, caught.value.message) == ("model.config", "a\\x1b]0;b\\x07 c\\u202ed")
    assert len(printable("\x1b" * 10_000_000)) == MESSAGE_CHARACTERS_MAX


def test_scores_that_are_no_numbers_when_computed_again_are_noise() -> None:
    scores = np.ones((2, 2), np.float32)
    for bad in (np.nan, np.inf):
        again = scores.copy()
        again[1, 0] = bad
        assert noise_of(scores, again) > NOISE_MAX

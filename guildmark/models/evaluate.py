"""Measure a model on held-out data, in a confined child. Nothing of the model is ever loaded into this process."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import msgspec

from guildmark.models.errors import ConfinedRunFailed, ModelRefused
from guildmark.models.inspection import PARAMETERS_MAX
from guildmark.models.sandbox import Limits, Outcome, run_module

EVALUATION_LIMITS = Limits(wall_ms=120_000)


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a model achieved."""

    correct: int
    total: int
    accuracy_ppm: int
    """correct / total in parts per million, rounded down."""
    parameters: int
    tensors: int
    tensors_digest: str
    """Hex; compare it with the registered one."""
    isolation: tuple[str, ...] = ()
    """What confined the child beyond its limits: `network`, `processes`, `files`."""


class _Refused(msgspec.Struct, frozen=True, tag_field="event", tag="refused"):
    code: str
    message: str


def evaluate(
    model: Path,
    dataset: Path,
    *,
    inputs: str = "x_test",
    labels: str = "y_test",
    parameters_max: int = PARAMETERS_MAX,
    limits: Limits = EVALUATION_LIMITS,
) -> Evaluation:
    """Load the `.keras` file `model` in a confined child and count its right answers on two arrays of the `.npz` file.

    Takes about 4 s, most of which is the import of TensorFlow. Blocks; call it in a thread beside an event loop.

    Raises:
        ModelRefused: the model or the data set is one that we do not load; codes as in `inspection`, `dataset`,
            `artifacts.tensors`, and `model.not_loadable`, `model.inputs`.
        ConfinedRunFailed: the child ran out of time, memory or output, or crashed.
    """
    request = {
        "model": str(model.resolve()),
        "dataset": str(dataset.resolve()),
        "inputs": inputs,
        "labels": labels,
        "parameters_max": parameters_max,
    }
    with tempfile.TemporaryDirectory(prefix="guildmark-evaluation-") as directory:
        outcome = run_module(
            "guildmark.models.evaluation_child",
            [json.dumps(request)],
            directory=Path(directory),
            readable=[model, dataset],
            limits=limits,
        ).check()
    return _answer(outcome)


def _answer(outcome: Outcome) -> Evaluation:
    last = outcome.stdout.strip().rpartition(b"\n")[2]
    try:
        fields = msgspec.json.decode(last, type=dict[str, object])
        if fields.get("event") == "refused":
            refused = msgspec.convert(fields, _Refused)
            raise ModelRefused(refused.code, refused.message)
        evaluation = msgspec.convert(fields, Evaluation)
    except msgspec.MsgspecError as error:
        raise ConfinedRunFailed("confined.failed", f"the child gave no answer: {error}", outcome.stderr) from error
    return msgspec.structs.replace(evaluation, isolation=outcome.isolation)

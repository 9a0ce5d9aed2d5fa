"""Whether a model could be measured again at all, told to its owner before it is registered with a claim."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from guildmark.models.errors import ModelRefused
from guildmark.models.evaluate import Settings
from guildmark.models.inspection import PARAMETERS_MAX, VALUES_MAX, inspect_model
from guildmark.models.metrics import METRICS
from guildmark.models.outputs import require_classifier


def why_not_measured(path: Path, claimed: Iterable[str]) -> str | None:
    """What every evaluator's program will refuse in the `.keras` file at `path`, which claims the metrics `claimed`.

    None where its configuration lets nothing be foreseen. Loads nothing, and needs no TensorFlow. Raises OSError.
    """
    try:
        summary = inspect_model(path, PARAMETERS_MAX, VALUES_MAX // Settings().batch)
        if not set(METRICS).isdisjoint(claimed):
            require_classifier(summary.scores)
    except ModelRefused as error:
        return str(error)
    return None

"""Load a model and measure it. Runs confined (`guildmark.models.evaluate`), as a stranger's model may do anything.

`evaluation_child REQUEST`, REQUEST being JSON with `model`, `dataset`, `inputs`, `labels` (names of arrays), and
`parameters_max`. Writes one JSON line: `{"event": "evaluated", ...}` or `{"event": "refused", "code", "message"}`.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from artifacts.errors import InvalidModelFile
from artifacts.tensors import tensor_index, tensors_digest
from guildmark.models.errors import ModelRefused
from guildmark.models.inspection import ModelSummary, inspect_model


def main() -> int:
    """Return 0 also for a refusal, which is an answer."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    try:
        answer = evaluate(request)
    except (ModelRefused, InvalidModelFile) as error:
        answer = {"event": "refused", "code": error.code, "message": error.message}
    except MemoryError:
        message = "the model needs more memory than is allowed"
        answer = {"event": "refused", "code": "model.too_large", "message": message}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """Inspect, index, load and measure, in this order; raises what `main` reports."""
    path = Path(request["model"])
    summary = inspect_model(path, int(request["parameters_max"]))
    entries = tensor_index(path)
    weights = sum(math.prod(entry.shape) for entry in entries if entry.name.startswith("layers/"))
    if weights > 2 * summary.parameters + 1_000:
        raise ModelRefused("model.weights", "the file holds more weights than its configuration has use for")
    from guildmark.models.dataset import read_arrays
    from guildmark.models.scoring import accuracy_ppm, count_correct

    inputs, labels = read_arrays(Path(request["dataset"]), (request["inputs"], request["labels"]))
    if labels.ndim != 1 or not len(inputs) == len(labels) > 0:
        raise ModelRefused("dataset.array", "inputs and labels differ in number")
    model = _load(path, summary)
    import tensorflow as tf

    try:
        correct = count_correct(model, inputs, labels)
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError from error
    except (ValueError, tf.errors.OpError) as error:
        raise ModelRefused("model.inputs", f"the model does not take these inputs: {error}") from error
    return {
        "event": "evaluated",
        "correct": correct,
        "total": len(labels),
        "accuracy_ppm": accuracy_ppm(correct, len(labels)),
        "parameters": int(model.count_params()),
        "tensors": len(entries),
        "tensors_digest": tensors_digest(entries).hex(),
    }


def _load(path: Path, summary: ModelSummary) -> Any:
    try:
        import keras
    except ImportError as error:
        raise ModelRefused("model.tensorflow_missing", "install guildmark[tensorflow] to load models") from error
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        # Everything that Keras says to an archive that is not quite a model.
        version = summary.keras_version[:20]
        raise ModelRefused(
            "model.not_loadable", f"Keras cannot load it (saved by {version}): {str(error)[:500]}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())

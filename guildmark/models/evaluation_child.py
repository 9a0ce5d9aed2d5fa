"""Load a model and measure it. Runs confined (`guildmark.models.evaluate`), as a stranger's model may do anything.

`evaluation_child REQUEST`, REQUEST being JSON as `Request` reads it. Writes JSON lines: `{"event": "progress", "done",
"total"}` while it goes, and at the end `{"event": "evaluated", ...}` or `{"event": "refused", "code", "message"}`.

Every step is taken before the next one allocates: the archive's configuration and weights against the budget, the data
set's sizes, the model, its graph for one batch against the budget, and only then a sample.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from artifacts.errors import InvalidModelFile
from artifacts.tensors import tensor_index, tensors_digest
from guildmark.models.dataset import Array
from guildmark.models.errors import INSTALL, ModelRefused
from guildmark.models.examples import Arrays, Examples, open_examples
from guildmark.models.inspection import ModelSummary, inspect_model
from guildmark.models.metrics import measure
from guildmark.models.outputs import SCORES_MIN, require_classifier
from guildmark.models.scoring import NOISE_MAX, Tally, noise_of

PROGRESS_LINES_MAX: Final = 200
PARTS_PER_BILLION: Final = 1_000_000_000


class Request(msgspec.Struct, frozen=True):
    """What to evaluate, and how."""

    model: str
    dataset: str
    arrays: Arrays
    parameters_max: int
    values_max: int
    """Numbers that the graph of one batch may compute."""
    batch: int
    threads: int


def main() -> int:
    """Return 0 also for a refusal, which is an answer."""
    request = msgspec.json.decode(sys.argv[1], type=Request)
    try:
        answer = evaluate(request)
    except (ModelRefused, InvalidModelFile) as error:
        answer = {"event": "refused", "code": error.code, "message": error.message}
    except MemoryError:
        message = "the model or the data set needs more memory than is allowed"
        answer = {"event": "refused", "code": "model.too_large", "message": message}
    tell(answer)
    return 0


def tell(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def evaluate(request: Request) -> dict[str, Any]:
    """Inspect, index, open, load, trace and measure, in this order; raises what `main` reports."""
    path = Path(request.model)
    summary = inspect_model(path, request.parameters_max, request.values_max // request.batch)
    require_classifier(summary.scores)
    entries = tensor_index(path)
    weights = sum(math.prod(entry.shape) for entry in entries if entry.name.startswith("layers/"))
    if weights > 2 * summary.parameters + 1_000:
        raise ModelRefused("model.weights", "the file holds more weights than its configuration has use for")
    examples = open_examples(Path(request.dataset), request.arrays)
    model = _load(path, summary, request.threads)
    import tensorflow as tf

    try:
        answer = _measure(model, examples, request)
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError from error
    except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
        raise ModelRefused("model.inputs", f"the model does not take these inputs: {str(error)[:500]}") from error
    return answer | {
        "event": "evaluated",
        "left_out": examples.left_out,
        "parameters": int(model.count_params()),
        "tensors": len(entries),
        "tensors_digest": tensors_digest(entries).hex(),
    }


def _load(path: Path, summary: ModelSummary, threads: int) -> Any:
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise ModelRefused("model.tensorflow_missing", f"models are loaded by TensorFlow; {INSTALL}") from error
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, AttributeError, OSError, RuntimeError) as error:
        # Everything that Keras says to an archive that is not quite a model.
        version = summary.keras_version[:20]
        raise ModelRefused(
            "model.not_loadable", f"Keras cannot load it (saved by {version}): {str(error)[:500]}"
        ) from error


def _measure(model: Any, examples: Examples, request: Request) -> dict[str, Any]:
    stated = _one(model.inputs, "input")
    shape = examples.input_shape(tuple(stated.shape[1:]))
    run, classes, values = _trace(model, (request.batch, *shape), stated.dtype, request.values_max)
    if examples.classes not in (None, classes) or examples.largest_label >= classes:
        raise ModelRefused(
            "model.scores", f"the model answers {classes} scores; the data set has {examples.classes or 'more'} classes"
        )
    tally = Tally(classes, examples.groups)
    noise = 0.0
    step = max(1, examples.count // PROGRESS_LINES_MAX)
    told = 0
    for start in range(0, examples.count, request.batch):
        inputs, labels, groups = examples.batch(start, min(start + request.batch, examples.count))
        inputs = inputs.astype(stated.dtype)
        scores = np.asarray(run(_filled(inputs, request.batch)))[: len(inputs)]
        tally.add(scores, labels, groups)
        if start == 0:
            noise = noise_of(scores, _one_by_one(model, inputs))
        if start - told >= step:
            told = start
            tell({"event": "progress", "done": start, "total": examples.count})
    if noise > NOISE_MAX:
        raise ModelRefused(
            "evaluation.noise",
            f"the same scores, computed in another order, differ by {noise:.2e} of the largest: too much to count by",
        )
    counts = tally.counts()
    return {
        "correct": sum(item.hits[1] for item in counts.classes),
        "samples": counts.samples,
        "undecided": counts.undecided,
        "classes": classes,
        "groups": examples.groups,
        "metrics": {name: msgspec.to_builtins(found) for name, found in measure(counts).items()},
        "noise_ppb": math.ceil(noise * PARTS_PER_BILLION),
        "values": values,
    }


def _one(tensors: Any, what: str) -> Any:
    if not isinstance(tensors, list) or len(tensors) != 1:
        raise ModelRefused("model.inputs", f"a model with one {what} is measured, no other")
    return tensors[0]


def _trace(model: Any, shape: tuple[int, ...], dtype: str, values_max: int) -> tuple[Any, int, int]:
    """The model as a graph for one batch: what runs it, the scores per sample, and how many numbers it computes.

    Tracing computes shapes and no values, so the sizes here are the real ones, whatever the configuration claimed.
    """
    import tensorflow as tf

    graph_function = tf.function(lambda inputs: model(inputs, training=False), autograph=False)
    concrete = graph_function.get_concrete_function(tf.TensorSpec(shape, dtype))
    values = 0
    for operation in concrete.graph.get_operations():
        for output in operation.outputs:
            sizes = output.shape.as_list() if output.shape.rank is not None else []
            if None in sizes:
                raise ModelRefused("model.inputs", "the model computes something whose size is not known beforehand")
            values += math.prod(sizes)
    if values > values_max:
        raise ModelRefused(
            "model.too_large", f"a batch of {shape[0]} takes {values} numbers, more than {values_max}; not run"
        )
    answered = concrete.structured_outputs
    if not isinstance(answered, tf.Tensor) or answered.shape.rank != 2 or answered.shape[1] < SCORES_MIN:
        raise ModelRefused("model.scores", "a classifier answers two scores or more for each sample")
    return concrete, int(answered.shape[1]), values


def _filled(inputs: Array, batch: int) -> Any:
    """The last batch gets the size of the others, so that all samples go through the same kernels."""
    import tensorflow as tf

    missing = batch - len(inputs)
    whole = np.concatenate([inputs, np.zeros((missing, *inputs.shape[1:]), inputs.dtype)]) if missing else inputs
    return tf.constant(whole)


def _one_by_one(model: Any, inputs: Array) -> Array:
    """The same scores in another order of additions: each sample alone, and not as one graph."""
    return np.concatenate([np.asarray(model(inputs[i : i + 1], training=False)) for i in range(len(inputs))])


if __name__ == "__main__":
    sys.exit(main())

"""Train the demo's model in a confined child, and say what a registration needs to know about it."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from guildmark.models.errors import ConfinedRunFailed, ModelError
from guildmark.models.sandbox import Limits, run_module

TRAINING_LIMITS = Limits(wall_ms=300_000, cpu_seconds=600)

LIBRARIES_MISSING: Final = 4
"""Exit status of `digits_training` where TensorFlow, Keras or scikit-learn is not installed."""

_MODEL: Final = "model.keras"
_DATASET: Final = "dataset.npz"
_FACTS: Final = "facts.json"
_LEFT: Final = (_MODEL, _DATASET, _FACTS)

Progress = Callable[[dict[str, Any]], None]
"""Gets each step: `event` is `started`, `dataset`, `ready`, `epoch` (with `epoch`, `epochs`, `loss`, `accuracy`),
`saved` or `trained`."""


class TrainedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What training gave."""

    model: Path
    """The `.keras` file; takes raw pixels."""
    dataset: Path
    """The `.npz` file: `x_train`, `y_train`, `x_test`, `y_test`."""
    correct: int
    """Of `total` held-out examples, as the saved file classifies them."""
    total: int
    accuracy_ppm: int
    train_examples: int
    parameters: int
    hyperparameters: dict[str, str]
    preprocessing: tuple[str, ...]
    libraries: dict[str, str]
    elapsed_ms: int
    """In the child, the import of TensorFlow included."""


def train_digits(
    directory: Path,
    *,
    seed: int = 7,
    epochs: int = 10,
    batch_size: int = 32,
    learning_rate: float = 0.001,
    on_progress: Progress | None = None,
    limits: Limits = TRAINING_LIMITS,
) -> TrainedModel:
    """Train on scikit-learn's handwritten digits; leaves `model.keras`, `dataset.npz` and `facts.json` in `directory`.

    One seed gives one model on one machine and one set of libraries. Blocks for some seconds; call it in a thread
    beside an event loop; that thread calls `on_progress`.

    Raises:
        ModelError: `model.tensorflow_missing`.
        ConfinedRunFailed: the child failed, ran out of time or crashed.
        OSError: the directory cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True)
    request = {"seed": seed, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}

    def on_line(line: bytes) -> None:
        # Whatever else a library prints to stdout is not progress.
        with contextlib.suppress(msgspec.DecodeError):
            event = msgspec.json.decode(line, type=dict[str, Any])
            if on_progress is not None and "event" in event:
                on_progress(event)

    # A directory of its own: what lies in the caller's is neither the child's to read nor counted as written by it.
    with tempfile.TemporaryDirectory(prefix=".training-", dir=directory) as scratch:
        outcome = run_module(
            "guildmark.models.digits_training",
            [json.dumps(request)],
            directory=Path(scratch),
            limits=limits,
            on_line=on_line,
        )
        if outcome.returncode == LIBRARIES_MISSING:
            raise ModelError("model.tensorflow_missing", outcome.stderr.strip())
        outcome.check()
        try:
            for name in _LEFT:
                (Path(scratch) / name).replace(directory / name)
            facts = msgspec.json.decode((directory / _FACTS).read_bytes(), type=dict[str, Any])
            places = {"model": str(directory / _MODEL), "dataset": str(directory / _DATASET)}
            return msgspec.convert(facts | places, TrainedModel, dec_hook=_decode_path)
        except (OSError, msgspec.MsgspecError) as error:
            raise ConfinedRunFailed("confined.failed", f"training left no facts: {error}", outcome.stderr) from error


def _decode_path(expected: type, value: Any) -> Any:
    assert expected is Path
    return Path(value)

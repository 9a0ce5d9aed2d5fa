"""Measure a model on a data set, in a confined child. Nothing of the model is ever loaded into this process."""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from guildmark.models.errors import INSTALL, ConfinedRunFailed, ModelRefused
from guildmark.models.inspection import PARAMETERS_MAX, VALUES_MAX
from guildmark.models.metrics import METRICS, PPM, Measured
from guildmark.models.sandbox import Limits, Outcome, run_module

EVALUATION_LIMITS: Final = Limits(
    wall_ms=600_000, cpu_seconds=1_200, directory_bytes=256 << 20, directory_files=256, processes=8, nice=5
)
"""Memory for what the budget permits: `VALUES_MAX` numbers of four bytes, `PARAMETERS_MAX` three times (file, array and
variable), a data set's arrays, TensorFlow. Nothing that an evaluation needs lies in its directory, which is small
because it is memory too where the system permits. Foreign code yields to everything else that the machine does."""

NEEDED: Final = ("tensorflow", "keras", "numpy", "h5py")
"""What the child imports."""

OnSamples = Callable[[int, int], None]
"""(samples done, samples in all)."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the sums are computed: part of the environment that an evaluator states. The defaults are everybody's."""

    threads: int = 1
    onednn: bool = False
    batch: int = 16
    """Samples at a time, always as many: the last batch is filled up."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What a model achieved."""

    samples: int
    correct: int
    metrics: dict[str, Measured]
    """By name, all that the counts give (`metrics.METRICS`)."""
    undecided: int
    """Samples that another order of additions could have told otherwise."""
    left_out: int
    """Samples of the data set without exactly one class."""
    classes: int
    groups: int
    noise_ppb: int
    """How far the scores of the first batch moved when each was computed alone, in parts per billion of the largest."""
    parameters: int
    values: int
    """Numbers that the graph of one batch computes."""
    tensors: int
    tensors_digest: str
    """Hex; compare it with the registered one."""
    isolation: tuple[str, ...] = ()
    """What confined the child beyond its limits: `network`, `processes`, `files`, `memory`, `disk`."""
    elapsed_ms: int = 0

    @property
    def accuracy_ppm(self) -> int:
        """correct / samples in parts per million, rounded down."""
        return self.metrics["accuracy"].value_ppm


class _Refused(msgspec.Struct, frozen=True, tag_field="event", tag="refused"):
    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{1,32}\.[a-z0-9_]{1,32}$")]
    message: str


def require_tensorflow() -> None:
    """Check that the child will find what it imports; imports nothing.

    Raises:
        ModelRefused: `model.tensorflow_missing`.
    """
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelRefused(
            "model.tensorflow_missing", f"measuring takes {', '.join(missing)}, not installed here: {INSTALL}"
        )


def evaluate(
    model: Path,
    dataset: Path,
    *,
    inputs: str = "x_test",
    labels: str = "y_test",
    groups: str = "group_test",
    parameters_max: int = PARAMETERS_MAX,
    values_max: int = VALUES_MAX,
    settings: Settings | None = None,
    limits: Limits = EVALUATION_LIMITS,
    on_samples: OnSamples | None = None,
) -> Evaluation:
    """Load the `.keras` file `model` in a confined child and measure it on `dataset`.

    That is a directory in the layout of `openimages`, or a `.npz` file with the named arrays. Takes about 4 s before
    the first sample, most of which is the import of TensorFlow. Blocks; call it in a thread beside an event loop; that
    thread calls `on_samples`.

    Raises:
        ModelRefused: the model or the data set is one that we do not load; codes as in `inspection`, `dataset`,
            `openimages`, `images`, `artifacts.tensors`, and `model.not_loadable`, `model.inputs`, `model.scores`,
            `model.tensorflow_missing`, `evaluation.noise`.
        ConfinedRunFailed: the child crashed, or took more time, output, memory, disk or processes than it may.
    """
    require_tensorflow()
    chosen = settings or Settings()
    request = {
        "model": str(model.resolve()),
        "dataset": str(dataset.resolve()),
        "arrays": (inputs, labels, groups),
        "parameters_max": parameters_max,
        "values_max": values_max,
        "batch": chosen.batch,
        "threads": chosen.threads,
    }

    def on_line(line: bytes) -> None:
        # A hostile child may write anything; what is no progress is passed over.
        with contextlib.suppress(msgspec.MsgspecError):
            told = msgspec.json.decode(line, type=_Progress)
            if on_samples is not None and 0 <= told.done <= told.total:
                on_samples(told.done, told.total)

    with tempfile.TemporaryDirectory(prefix="guildmark-evaluation-") as directory:
        outcome = run_module(
            "guildmark.models.evaluation_child",
            [msgspec.json.encode(request).decode()],
            directory=Path(directory),
            scratch=True,
            readable=[model, dataset],
            limits=msgspec.structs.replace(limits, threads=chosen.threads),
            on_line=on_line,
            environment={"TF_ENABLE_ONEDNN_OPTS": str(int(chosen.onednn))},
        ).check()
    return _answer(outcome)


class _Progress(msgspec.Struct, frozen=True, tag_field="event", tag="progress"):
    done: int
    total: int


def _answer(outcome: Outcome) -> Evaluation:
    last = outcome.stdout.strip().rpartition(b"\n")[2]
    try:
        fields: dict[str, Any] = msgspec.json.decode(last, type=dict[str, Any])
        if fields.get("event") == "refused":
            refused = msgspec.convert(fields, _Refused)
            raise ModelRefused(refused.code, refused.message)
        evaluation = msgspec.convert(fields, Evaluation)
        _check(evaluation)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfinedRunFailed("confined.failed", f"the child gave no answer: {error}", outcome.stderr) from error
    return msgspec.structs.replace(evaluation, isolation=outcome.isolation, elapsed_ms=outcome.elapsed_ms)


def _check(found: Evaluation) -> None:
    """Raise ValueError where the numbers cannot be those of a run, whoever wrote them."""
    if found.metrics.keys() != set(METRICS):
        raise ValueError("other metrics than those that are measured")
    if any(not 0 <= one.least_ppm <= one.value_ppm <= one.greatest_ppm <= PPM for one in found.metrics.values()):
        raise ValueError("a metric out of its bounds")
    if not (found.samples > 0 and 0 <= found.correct <= found.samples and 0 <= found.undecided <= found.samples):
        raise ValueError("counts that are none of samples")
    if len(found.tensors_digest) != 64 or not set(found.tensors_digest) <= set("0123456789abcdef"):
        raise ValueError("a digest of tensors that is none")

"""How a model came about, in the terms of a registration: hyperparameters, preprocessing, metrics, code version.

The ledger takes integers and short texts only. What is not asked for here (machines, people) has no place on a chain.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from guildmark.assets import asset_bytes
from guildmark.claims import require_tolerances
from guildmark.models.errors import ModelError
from guildmark.models.training import TrainedModel
from ledger.modules.assets.operations import Derivation, Metric, Provenance


def provenance(
    *,
    hyperparameters: Mapping[str, str | int | float] | None = None,
    preprocessing: Sequence[str] = (),
    metrics_ppm: Mapping[str, int] | None = None,
    tolerance_ppm: int = 0,
    measured_on: tuple[str, int] | None = None,
    code_version: str = "",
    derivations: Iterable[Derivation] = (),
) -> Provenance:
    """Build the provenance of a version; names are sorted, values written as text, metrics in parts per million.

    `measured_on` is a registered data set and its version: what is claimed of it can be measured again, and is
    reproduced where another's value differs by `tolerance_ppm` at most.

    Raises:
        ModelError: `provenance.invalid`, when a name, text or number leaves the ledger's bounds.
        InvalidArgument: `argument.id`, `argument.tolerance`.
    """
    dataset, version = (None, None) if measured_on is None else (asset_bytes(measured_on[0]), measured_on[1])
    made = Provenance(
        derivations=tuple(derivations),
        hyperparameters=tuple(sorted((name, str(value)) for name, value in (hyperparameters or {}).items())),
        preprocessing=tuple(preprocessing),
        metrics=tuple(
            Metric(name, value, tolerance_ppm, dataset, version) for name, value in sorted((metrics_ppm or {}).items())
        ),
        code_version=code_version,
    )
    require_tolerances(made.metrics)
    try:
        return msgspec.convert(msgspec.to_builtins(made, builtin_types=(bytes,)), Provenance)
    except msgspec.ValidationError as error:
        raise ModelError("provenance.invalid", f"the ledger does not take this provenance: {error}") from error


def provenance_of(
    trained: TrainedModel, derivations: Iterable[Derivation] = (), measured_on: tuple[str, int] | None = None
) -> Provenance:
    """The provenance of a model from `guildmark.models.training.train_digits`, measured on the version of the data set
    that `measured_on` names."""
    libraries = {f"library.{name}": number for name, number in trained.libraries.items()}
    return provenance(
        hyperparameters=trained.hyperparameters | libraries,
        preprocessing=trained.preprocessing,
        metrics_ppm={"accuracy": trained.accuracy_ppm},
        code_version=code_version(Path(__file__).with_name("digits_training.py")),
        measured_on=measured_on,
        derivations=derivations,
    )


def code_version(*sources: Path) -> str:
    """Name the code by its content: `sha256:` and the hex digest of the files' digests, in the order given.

    Raises:
        OSError: a file cannot be read.
    """
    digests = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources)
    return f"sha256:{hashlib.sha256(digests).hexdigest()}"

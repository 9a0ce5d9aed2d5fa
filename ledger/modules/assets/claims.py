"""What a version's registrant claims that it reaches, in a form that others can measure."""

from __future__ import annotations

from ledger.errors import OperationError
from ledger.modules.assets.operations import Metric
from ledger.modules.assets.reads import require_asset, require_version
from ledger.state.view import Readable


def check_claims(view: Readable, metrics: tuple[Metric, ...]) -> None:
    """Check that what a claim was measured on can be told: a registered version of a data set, or nothing.

    Raises:
        OperationError: `assets.metric_dataset`, `assets.unknown_asset` or `assets.unknown_version`.
    """
    for dataset, version in dict.fromkeys((metric.dataset, metric.dataset_version) for metric in metrics):
        if dataset is None and version is None:
            continue
        if dataset is None or version is None:
            raise OperationError("assets.metric_dataset", "a claim names a data set and its version, or neither")
        if require_asset(view, dataset).kind != "dataset":
            raise OperationError("assets.metric_dataset", f"asset {dataset.hex()} is no data set")
        require_version(view, dataset, version)

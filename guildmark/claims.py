"""What a version claims of itself, checked before anything is sent: a registration begins with a commitment, and who
learns of a wrong number only from its end has paid for one and waited."""

from __future__ import annotations

from collections.abc import Iterable

from guildmark.errors import InvalidArgument
from ledger.modules.assets.operations import TOLERANCE_PPM_MAX, Metric


def require_tolerances(metrics: Iterable[Metric]) -> None:
    """Check that each claim says something.

    Raises:
        InvalidArgument: `argument.tolerance`, naming the metric.
    """
    for metric in metrics:
        if not 0 <= metric.tolerance_ppm <= TOLERANCE_PPM_MAX:
            raise InvalidArgument(
                "argument.tolerance",
                f"{metric.name}: a tolerance is from 0 to {TOLERANCE_PPM_MAX} ppm, not {metric.tolerance_ppm}",
            )

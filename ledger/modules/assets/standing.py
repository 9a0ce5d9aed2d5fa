"""What others have found about a version, as queries show it beside what its registrant claims."""

from __future__ import annotations

from typing import Any

from ledger.modules.attestations.reading import ClaimStanding, claims_of, reproductions, verdicts
from ledger.modules.fields import Result
from ledger.state.view import Readable


class StandingResult(Result, frozen=True):
    """A claim of the registrant, and what organizations without an interest in the asset have found."""

    metric: str
    claimed_ppm: int
    tolerance_ppm: int
    dataset: str | None
    """A claim that names none can be neither reproduced nor contradicted."""
    dataset_version: int | None
    reproduced: int
    """Organizations whose evaluation is within the tolerance."""
    contradicted: int
    """Organizations whose evaluation is not."""
    standing: str
    """The same in words: `reproduced 2 times`, `contradicted by 1`, both, or `not evaluated`."""


class AuditsResult(Result, frozen=True):
    """How many organizations' audits came to each verdict."""

    passed: int
    conditional: int
    failed: int


def found_by_others(view: Readable, asset: bytes, version: int, at_ms: int) -> dict[str, Any]:
    """Return the fields of `VersionResult` that statements about an existing version decide."""
    claims = claims_of(view, asset, version, at_ms=at_ms)
    reproduced, contradicted = reproductions(claims)
    audits = verdicts(view, asset, version, at_ms=at_ms)
    return {
        "claims": tuple(_standing(claim) for claim in claims),
        "reproduced": reproduced,
        "contradicted": contradicted,
        "audits": AuditsResult(audits.get("passed", 0), audits.get("conditional", 0), audits.get("failed", 0)),
    }


def _standing(claim: ClaimStanding) -> StandingResult:
    return StandingResult(
        metric=claim.metric,
        claimed_ppm=claim.claimed_ppm,
        tolerance_ppm=claim.tolerance_ppm,
        dataset=None if claim.dataset is None else claim.dataset.hex(),
        dataset_version=claim.dataset_version,
        reproduced=claim.reproduced,
        contradicted=claim.contradicted,
        standing=_in_words(claim.reproduced, claim.contradicted),
    )


def _in_words(reproduced: int, contradicted: int) -> str:
    times = "1 time" if reproduced == 1 else f"{reproduced} times"
    words = [f"contradicted by {contradicted}"] if contradicted else []
    words += [f"reproduced {times}"] if reproduced else []
    return ", ".join(words) or "not evaluated"

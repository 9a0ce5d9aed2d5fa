"""Evaluate a registered model on a registered data set, and compare with what its owner claims.

Both are downloaded, or taken from local copies whose CIDs are the registered ones; the model's tensors must be those
that the version states. What comes of it is a `Reevaluation`: what an attestation says, and the report that can be
kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from artifacts.errors import ArtifactError
from artifacts.unixfs import build, build_file
from guildmark.errors import Denied, NotFound, Refused
from guildmark.models.errors import ModelRefused
from guildmark.models.evaluate import (
    EVALUATION_LIMITS,
    Evaluation,
    OnSamples,
    Settings,
    evaluate,
    require_tensorflow,
)
from guildmark.models.metrics import METRICS, Measured
from guildmark.models.program import code_digest, environment, environment_digest, sources
from guildmark.models.sandbox import Limits
from guildmark.models.verdict import Claim, Verdict, judge
from ledger.modules.attestations.operations import MetricName

if TYPE_CHECKING:
    from guildmark.sync import Client

OnBytes = Callable[[int, int], None]
SPREAD_MAX_PPM: Final = 0
"""Without a claim, a value is stated where no other order of additions gives another."""


class Subject(msgspec.Struct, frozen=True):
    """One version of an asset, and its bytes."""

    asset: str
    """64 hex digits."""
    version: int
    cid: str
    size_bytes: int


class Reevaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured, of what, by what; everything that another evaluator needs to come to the same."""

    model: Subject
    dataset: Subject
    metric: str
    measured: Measured
    claim: Claim | None
    verdict: Verdict
    evaluation: Evaluation
    sources: dict[str, str]
    """Of the program: name -> SHA-256 in hex."""
    code: str
    """Digest of the program, in hex."""
    environment: dict[str, str]
    environment_digest: str
    """In hex."""

    def check_stated(self) -> None:
        """Raise where this run states no value.

        Raises:
            ModelRefused: `evaluation.undecided`.
        """
        if self.verdict == "undecided":
            raise ModelRefused(
                "evaluation.undecided",
                f"other threads, kernels or processors could find anything from {self.measured.least_ppm} to "
                f"{self.measured.greatest_ppm} ppm; by the rule of docs/spec/evaluation.md no value is stated",
            )

    def report(self) -> bytes:
        """The report: JSON with sorted names; times are left out, so that equal runs give equal bytes."""
        told = msgspec.structs.replace(self, evaluation=msgspec.structs.replace(self.evaluation, elapsed_ms=0))
        return msgspec.json.format(msgspec.json.encode({"format": 1, "report": told}, order="sorted"), indent=2) + b"\n"


def report_cid(report: bytes) -> str:
    """Under what name the report can be stored and asked for."""
    return build_file(report).cid


def reevaluate(
    client: Client,
    asset: str,
    dataset: str,
    metric: str = "accuracy",
    *,
    directory: Path,
    version: int | str | None = None,
    dataset_version: int | str | None = None,
    model_copy: Path | None = None,
    dataset_copy: Path | None = None,
    spread_max_ppm: int = SPREAD_MAX_PPM,
    settings: Settings | None = None,
    limits: Limits = EVALUATION_LIMITS,
    on_bytes: OnBytes | None = None,
    on_samples: OnSamples | None = None,
) -> Reevaluation:
    """Evaluate `asset` on `dataset`; downloads go to `directory`. Blocks for the length of downloads and evaluation.

    Raises:
        ModelRefused: `metric.unknown`, `evaluation.kind`, `evaluation.copy` (a local copy is not what is registered),
            `evaluation.tensors` (the model's tensors are not those that the version states), and as `evaluate`.
        ConfinedRunFailed: as `evaluate`.
        GuildmarkError: as `client.assets.download`.
    """
    if metric not in METRICS:
        raise ModelRefused("metric.unknown", f"this program measures {', '.join(METRICS)}, not {metric[:80]!r}")
    require_tensorflow()
    chosen = settings or Settings()
    model, entry = _subject(client, asset, version, "model")
    data, _ = _subject(client, dataset, dataset_version, "dataset")
    copies = (model_copy, model), (dataset_copy, data)
    for copy, subject in copies:  # both, before the other one is downloaded in vain
        if copy is not None:
            _check_copy(copy, subject)
    file = model_copy or _download(client, model, "model", directory / "model.keras", on_bytes)
    examples = dataset_copy or _download(client, data, "data set", directory / "dataset", on_bytes)
    found = evaluate(file, examples, settings=chosen, limits=limits, on_samples=on_samples)
    if entry.get("tensors_digest") not in (None, found.tensors_digest):
        raise ModelRefused(
            "evaluation.tensors", "the tensors of the model's file are not those that the version states"
        )
    claim = claim_of(entry, metric, data)
    facts = environment(chosen)
    measured = found.metrics[metric]
    return Reevaluation(
        model=model,
        dataset=data,
        metric=metric,
        measured=measured,
        claim=claim,
        verdict=judge(measured, claim, spread_max_ppm),
        evaluation=found,
        sources={name: digest.hex() for name, digest in sources()},
        code=code_digest().hex(),
        environment=facts,
        environment_digest=environment_digest(facts).hex(),
    )


def require_accredited(client: Client) -> None:
    """Check that the client's account may state what it is about to measure, which takes long.

    Raises:
        ModelRefused: `evaluation.not_accredited`.
    """
    try:
        found = client.accreditations.get()
    except NotFound:
        found = None
    if found is None or not found["active"] or "evaluate" not in found["roles"]:
        standing = "it has no accreditation" if found is None else _standing(found)
        raise ModelRefused(
            "evaluation.not_accredited",
            f"the account may not state what versions reach: {standing}; measure without "
            "--submit, or see `guildmark accreditation show` and `guildmark governance propose accredit`",
        )


def _standing(accreditation: dict[str, Any]) -> str:
    return f"its accreditation, to {' and '.join(accreditation['roles'])}, is {accreditation['state']}"


def state(client: Client, found: Reevaluation, report: str | None = None) -> str:
    """State the value on the network, by the client's account; `report` is the CID of a report that is kept.

    Returns the statement's id (hex).

    Raises:
        ModelRefused: `evaluation.undecided`. Refused: `attestations.*`.
    """
    found.check_stated()
    return client.attestations.evaluate(
        found.model.asset,
        found.model.version,
        cast(MetricName, found.metric),
        found.measured.value_ppm,
        samples=found.evaluation.samples,
        dataset=found.dataset.asset,
        dataset_version=found.dataset.version,
        code=found.code,
        environment=found.environment_digest,
        report=report,
    )


def claim_of(entry: dict[str, Any], metric: str, dataset: Subject) -> Claim | None:
    """What a version (as `assets.version` shows it) claims to reach on this version of this data set."""
    for claim in entry.get("claims", ()):
        if (claim["metric"], claim["dataset"], claim["dataset_version"]) == (metric, dataset.asset, dataset.version):
            return Claim(int(claim["claimed_ppm"]), int(claim["tolerance_ppm"]))
    return None


def _subject(client: Client, asset: str, version: int | str | None, kind: str) -> tuple[Subject, dict[str, Any]]:
    registered = client.assets.get(asset)["kind"]
    if registered != kind:
        raise ModelRefused("evaluation.kind", f"{asset} is registered as {registered}, not as {kind}")
    entry = client.assets.version(asset, version)
    return Subject(entry["asset"], int(entry["version"]), entry["cid"], int(entry["size_bytes"])), entry


def _check_copy(copy: Path, subject: Subject) -> None:
    """Raise ModelRefused, `evaluation.copy`, unless the copy is what is registered."""
    try:
        found = build(copy).cid
    except ArtifactError as error:
        raise ModelRefused("evaluation.copy", f"{copy}: {error.message}") from error
    if found != subject.cid:
        raise ModelRefused("evaluation.copy", f"{copy} has the CID {found}, registered is {subject.cid}")


def _download(client: Client, subject: Subject, what: str, target: Path, on_bytes: OnBytes | None) -> Path:
    try:
        client.artifacts.download(subject.cid, subject.size_bytes, target, progress=on_bytes)
    except (Denied, NotFound, Refused) as error:  # of two downloads: say which
        named = f"the {what} {subject.asset}, version {subject.version}, cannot be downloaded: {error.message}"
        raise type(error)(error.code, named) from error
    return target

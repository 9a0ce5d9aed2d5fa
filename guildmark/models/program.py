"""Which program evaluates, and in what environment: two digests that an evaluator signs with a value.

    code          tagged_hash("evaluation-code", encode(((name, SHA-256 of the source), ...)))     names as in SOURCES
    environment   tagged_hash("evaluation-environment", encode(((name, text), ...)))               sorted by name

Equal digests say that two evaluators did the same; different ones, where to look when their values differ. They are
the evaluator's word, as the value is. Computed by the process that starts the child, never by the child.
"""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from guildmark.models.evaluate import Settings
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

SOURCES: Final = (
    "artifacts/archive.py",
    "artifacts/tensors.py",
    "guildmark/models/dataset.py",
    "guildmark/models/evaluation_child.py",
    "guildmark/models/examples.py",
    "guildmark/models/images.py",
    "guildmark/models/inspection.py",
    "guildmark/models/metrics.py",
    "guildmark/models/openimages.py",
    "guildmark/models/outputs.py",
    "guildmark/models/resampling.py",
    "guildmark/models/scoring.py",
)
"""What decides the integers: everything of ours that the child runs, but the errors that it raises and the identifiers
that it prints."""
PACKAGES: Final = ("h5py", "keras", "numpy", "tensorflow")
_DISTRIBUTIONS: Final = {"tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-intel")}
_ROOT: Final = Path(__file__).resolve().parents[2]


def sources() -> tuple[tuple[str, bytes], ...]:
    """(name, SHA-256) of every source. Raises OSError where one cannot be read."""
    return tuple((name, hashlib.sha256((_ROOT / name).read_bytes()).digest()) for name in SOURCES)


def code_digest() -> Digest:
    """The digest of the evaluating program."""
    return tagged_hash("evaluation-code", encode(sources()))


def environment(settings: Settings) -> dict[str, str]:
    """What the sums may depend on beyond the program; sorted by name."""
    facts = {name: _version(name) for name in PACKAGES} | {
        "batch": str(settings.batch),
        "machine": platform.machine(),
        "onednn": "on" if settings.onednn else "off",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": platform.system(),
        "threads": str(settings.threads),
    }
    return dict(sorted(facts.items()))


def environment_digest(facts: dict[str, str]) -> Digest:
    """The digest of what `environment` says."""
    return tagged_hash("evaluation-environment", encode(tuple(sorted(facts.items()))))


def _version(package: str) -> str:
    for distribution in _DISTRIBUTIONS.get(package, (package,)):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "none"

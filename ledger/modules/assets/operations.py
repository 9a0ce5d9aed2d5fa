"""What may be asked about assets: registering, versions, ownership.

An artifact is registered in two steps, so that nobody who sees a registration before it is ordered can be first:
`assets.commit` with `commitment(...)`, then, when that is old enough, the operation that reveals CID and salt.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from ledger.modules.assets.charter import Charter
from ledger.modules.fields import (
    AMOUNT_MAX,
    Alias,
    Amount,
    Bytes32,
    CidText,
    Code,
    Operation,
    Part,
    Rate,
    Salt,
    ShortText,
    TimeMs,
    VersionNumber,
)
from primitives.codec import encode
from primitives.digest import Digest, tagged_hash

Kind = Literal["model", "dataset", "algorithm", "software", "artwork", "object3d"]
Visibility = Literal["public", "licensed"]
"""Whether anyone may download, or only who owns or holds a grant."""
DerivingRight = Literal["train-on", "fine-tune", "distill-merge"]
"""The rights under which one asset may be derived from another."""

PARENTS_MAX = 8
TOLERANCE_PPM_MAX: Final = 100_000
"""A tenth. Of a claim that allowed for more, `reproduced` would say nothing: every value is within a whole of it."""
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Pairs = Annotated[tuple[tuple[Code, ShortText], ...], msgspec.Meta(max_length=32)]
PartsPerMillion = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
ArtifactBytes = Annotated[int, msgspec.Meta(ge=0, le=AMOUNT_MAX)]


class Derivation(Part, frozen=True):
    """One parent of a version, and by what right."""

    parent: Bytes32
    """Asset id."""
    right: DerivingRight
    grant: Bytes32 | None = None
    """The live grant whose terms set rate, cap and depth; None where the parent has the same sole owner."""


class Metric(Part, frozen=True):
    """A measured figure as the registrant states it; floats differ between machines, so it is scaled to an integer."""

    name: Code
    value_ppm: PartsPerMillion
    """Parts per million: an accuracy of 0.9731 is 973_100."""
    tolerance_ppm: Annotated[int, msgspec.Meta(ge=0, le=TOLERANCE_PPM_MAX)] = 0
    """By how much a re-evaluation may differ and still reproduce it."""
    dataset: Bytes32 | None = None
    """The registered data set that it was measured on. What names none, nobody can reproduce or contradict."""
    dataset_version: VersionNumber | None = None
    """Of the data set, where there is one."""


class Provenance(Part, frozen=True):
    """How a version came about. The parents are checked; the rest is the registrant's word."""

    derivations: Annotated[tuple[Derivation, ...], msgspec.Meta(max_length=PARENTS_MAX)] = ()
    hyperparameters: Pairs = ()
    preprocessing: Annotated[tuple[ShortText, ...], msgspec.Meta(max_length=32)] = ()
    metrics: Annotated[tuple[Metric, ...], msgspec.Meta(max_length=32)] = ()
    code_version: ShortText = ""


class Artifact(Part, frozen=True):
    """The bytes of a version, by content."""

    cid: CidText
    size_bytes: ArtifactBytes
    tensors_digest: Bytes32 | None = None
    """For models: the digest of the sorted digests of the tensors. Model files differ at each save, tensors do not."""


class TransferTerms(Part, frozen=True):
    """What its creators ask for when the asset itself changes hands; frozen at registration."""

    resale_royalty_bps: Annotated[int, msgspec.Meta(ge=0, le=1_500)] = 0
    least_royalty: Amount = 0
    """Units per sale or gift, when that is more than the rate gives; moves inside one organization are exempt."""
    gifts: bool = True


class Commit(Operation, frozen=True, tag="assets.commit"):
    """Commit to an artifact without showing it."""

    commitment: Bytes32


class Register(Operation, frozen=True, tag="assets.register"):
    """Reveal a commitment of the sender and register a new asset with its first version; the sender owns it."""

    artifact: Artifact
    salt: Salt
    kind: Kind
    name: Name
    description: Annotated[str, msgspec.Meta(max_length=4096)] = ""
    tags: Annotated[tuple[Code, ...], msgspec.Meta(max_length=16)] = ()
    metadata: Pairs = ()
    """For people and programs. Blocks are never rewritten, so neither here nor in the description is room for personal
    data."""
    visibility: Visibility = "licensed"
    provenance: Provenance = Provenance()
    creators: Annotated[tuple[tuple[Bytes32, Rate], ...], msgspec.Meta(max_length=16)] = ()
    """(account, bps), summing to 10_000; empty says that the sender alone made it."""
    manager: Bytes32 | None = None
    """Who makes offers, versions and aliases; None names the sender."""
    transfer_terms: TransferTerms = TransferTerms()
    charter: Charter | None = None
    """How the asset's owners decide together; None leaves it to manager and consents."""


class AddVersion(Operation, frozen=True, tag="assets.add_version"):
    """Reveal a commitment of the sender, the asset's manager, and register the next version."""

    asset: Bytes32
    artifact: Artifact
    salt: Salt
    provenance: Provenance = Provenance()
    notes: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class SetAlias(Operation, frozen=True, tag="assets.set_alias"):
    """Let a name of the asset, such as `stable`, point to a version. By the manager."""

    asset: Bytes32
    alias: Alias
    version: VersionNumber | None = None
    """None removes the alias."""


class SetManager(Operation, frozen=True, tag="assets.set_manager"):
    """Replace the manager. By who holds more than 5_000 bps, together with those who have consented."""

    asset: Bytes32
    manager: Bytes32


class Consent(Operation, frozen=True, tag="assets.consent"):
    """Agree, as one of several owners, to an operation that another of them is to send. Counts until it is used, until
    it expires, and while the sender owns a share."""

    asset: Bytes32
    action: Bytes32
    """`action_digest` of the operation, which nobody can exchange for another."""
    expires_at_ms: TimeMs


class WithdrawConsent(Operation, frozen=True, tag="assets.withdraw_consent"):
    """Take a consent back that was not used yet."""

    asset: Bytes32
    action: Bytes32


class UpdateMetadata(Operation, frozen=True, tag="assets.update_metadata"):
    """Replace what describes an asset; versions and their artifacts stay as they are. By the manager."""

    asset: Bytes32
    name: Name
    description: Annotated[str, msgspec.Meta(max_length=4096)]
    tags: Annotated[tuple[Code, ...], msgspec.Meta(max_length=16)]
    metadata: Pairs


class Retire(Operation, frozen=True, tag="assets.retire"):
    """End an asset's further use in trade. Grants live on; its artifacts stay claimed for ever. By the owner of all
    shares, or by one of several with the consent of all others."""

    asset: Bytes32


class ReportHeld(Operation, frozen=True, tag="assets.report_held"):
    """State that the sender, a validator, holds every block of a version's artifact."""

    asset: Bytes32
    version: VersionNumber


def commitment(artifact_cid: str, account: bytes, salt: bytes, tensors_digest: bytes | None = None) -> Digest:
    """Return what `account` commits to before it registers the artifact, of a model with its tensors' digest; `salt`
    (16 random bytes) hides both.

    Both are claimed for ever. Whoever saw a digest could else claim it with any artifact that it has committed to.
    """
    return tagged_hash("artifact-commitment", encode((artifact_cid, account, salt, tensors_digest)))


def asset_id(network_id: bytes, account: bytes, artifact_cid: str) -> Digest:
    """Return the id that the asset gets when `account` registers `artifact_cid`; known before it is registered."""
    return tagged_hash("asset", encode((network_id, account, artifact_cid)))


def action_digest(operation: msgspec.Struct) -> Digest:
    """Return what the owners of an asset consent to: the very operation, in all its fields."""
    return tagged_hash("owners-action", encode(operation))

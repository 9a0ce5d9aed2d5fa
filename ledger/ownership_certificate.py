"""Ownership certificates: one file that shows who owned an asset at a height, to anyone who knows the genesis hash.

    file = magic, then canonical MessagePack: [genesis, asset, [record, proof] of the asset, of its ownership and of its
           latest version, hand-offs, header, finality certificate]
    hand-off = [header, finality certificate, next validator set], of the last block of each epoch before the header's

Verification needs no store, node or network. It goes from the known hash to the genesis, from the genesis to the
validator set, from a quorum of its signatures to the epoch's last header, from there to the next set, and so on to the
header; from the header to the state root, and from there to each record; every byte is on that way, so a flipped,
missing or surplus one fails.

What is believed: that no quorum of any of these sets' keys has signed another block of that height, then or later.
Keys of members that have long left can be stolen; who knows a recent block from elsewhere pins it (`trust`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeVar

import msgspec

from ledger import epochs
from ledger.block import Header, block_hash
from ledger.errors import InvalidGenesis, InvalidProof, LedgerError
from ledger.genesis import GENESIS_BYTES_MAX, Genesis
from ledger.modules.assets.records import ASSETS, OWNERSHIP, VERSIONS, Asset, Ownership, Version, version_part
from ledger.state.proofs import StateProof, verify_state_proof
from ledger.validators import ValidatorSet, genesis_set, validator_set
from primitives.codec import CodecError, decode, encode
from primitives.digest import tagged_hash
from primitives.finality import Bytes32, FinalityCertificate, verify_certificate
from primitives.identifiers import account_to_text

if TYPE_CHECKING:
    from ledger.chain import Chain

MAGIC: Final = b"guildmark ownership certificate 2\n"
"""Also the version: another format has another last digit."""
CERTIFICATE_BYTES_MAX: Final = 64 * 1024 * 1024
HANDOFFS_MAX: Final = 4_096
"""Epochs that a certificate can cross: about 3 KB each with four validators, and three signatures to check."""

T = TypeVar("T")
Trust = tuple[int, bytes]
"""(height, block hash) that the verifier knows from elsewhere."""


class ProvenRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A state record's value and the proof that it is in the state."""

    value: bytes
    proof: StateProof


class Handoff(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of an epoch, where its validators name those of the next."""

    header: Header
    finality: FinalityCertificate
    members: ValidatorSet


class OwnershipCertificate(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    genesis: Annotated[bytes, msgspec.Meta(max_length=GENESIS_BYTES_MAX)]
    """Canonical MessagePack of the genesis, whose tagged hash is the network id."""
    asset_id: Bytes32
    asset: ProvenRecord
    ownership: ProvenRecord
    version: ProvenRecord
    """The latest version at that height."""
    handoffs: Annotated[tuple[Handoff, ...], msgspec.Meta(max_length=HANDOFFS_MAX)]
    """One for each epoch before the header's, in order."""
    header: Header
    finality: FinalityCertificate


class Owner(msgspec.Struct, frozen=True):
    account: str
    """gm1..."""
    bps: int


class VerifiedOwnership(msgspec.Struct, frozen=True):
    """What a certificate shows. Made for JSON."""

    network_id: str
    network_name: str
    development: bool
    asset: str
    """Asset id in hex."""
    kind: str
    name: str
    retired: bool
    owners: tuple[Owner, ...]
    owned_since_ms: int
    registered_at_ms: int
    version: int
    """The latest, whose artifact is `cid`."""
    cid: str
    height: int
    epoch: int
    """So many times the validators named their successors since the genesis."""
    block_hash: str
    block_time_ms: int
    signers: tuple[str, ...]
    """Organizations whose validators certified the block."""
    validators: int
    pinned: bool
    """The block is one that the verifier knew from elsewhere."""


class Prepared(NamedTuple):
    """A certificate that lacks the signatures under its block."""

    height: int
    network: bytes
    asset_id: bytes
    records: tuple[ProvenRecord, ProvenRecord, ProvenRecord]
    handoffs: tuple[Handoff, ...]
    header: Header


def prepare(chain: Chain, asset_id: bytes) -> Prepared:
    """Collect records and proofs at the head. `complete` needs the certificate of that height, which may come later.

    Raises:
        LedgerError: `query.not_found`; `certificate.too_many_epochs`; `certificate.pending` while the certificate of
            an earlier epoch's end is not here.
    """
    view = chain.view()
    asset = ASSETS.get(view, asset_id)
    if asset is None:
        raise LedgerError("query.not_found", f"no asset {asset_id.hex()}")
    proven = []
    for key in _keys(asset_id, asset):
        value = view.get(key)
        assert value is not None, "an asset has an owner and a version"
        proven.append(ProvenRecord(value, chain.prove(key)))
    records = (proven[0], proven[1], proven[2])
    return Prepared(chain.height, encode(chain.genesis), asset_id, records, _handoffs(chain), chain.head)


def complete(prepared: Prepared, finality: FinalityCertificate) -> bytes:
    """Return the file: `prepared` with the certificate of its block."""
    assert finality.block_hash == block_hash(prepared.header)
    asset, ownership, version = prepared.records
    return MAGIC + encode(
        OwnershipCertificate(
            genesis=prepared.network,
            asset_id=prepared.asset_id,
            asset=asset,
            ownership=ownership,
            version=version,
            handoffs=prepared.handoffs,
            header=prepared.header,
            finality=finality,
        )
    )


def export(chain: Chain, asset_id: bytes) -> bytes:
    """Return the ownership certificate of an asset at the head.

    Raises:
        LedgerError: `query.not_found`; `certificate.pending` while the head lacks its finality certificate.
    """
    prepared = prepare(chain, asset_id)
    finality = chain.certificate(prepared.height)
    if finality is None:
        raise LedgerError("certificate.pending", f"block {prepared.height} is not certified yet; try again at once")
    return complete(prepared, finality)


def verify(data: bytes, genesis_hash: bytes, trust: Trust | None = None) -> VerifiedOwnership:
    """Verify a certificate with nothing but the genesis hash (the network id, 32 bytes). Pure.

    With `trust` the certificate's block must be the one known.

    Raises:
        InvalidProof: `certificate.*` or `proof.*`, saying which step does not hold.
    """
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise InvalidProof("certificate.size", f"a certificate has at most {CERTIFICATE_BYTES_MAX} bytes")
    if not data.startswith(MAGIC):
        raise InvalidProof("certificate.magic", "not an ownership certificate of this version")
    file = _decode(data[len(MAGIC) :], OwnershipCertificate)
    if tagged_hash("genesis", file.genesis) != genesis_hash:
        raise InvalidProof("certificate.genesis", "the certificate belongs to another network")
    genesis = _decode(file.genesis, Genesis)
    members = _members(genesis, genesis_hash)
    for epoch, handoff in enumerate(file.handoffs):
        members = _follow(handoff, genesis_hash, epoch, members)
    if file.header.epoch != len(file.handoffs):
        raise InvalidProof("certificate.header", "the header is of another epoch than the hand-offs lead to")
    hashed = _check_block(file.header, file.finality, genesis_hash, members)
    if trust is not None and (file.header.height, hashed) != trust:
        raise InvalidProof("certificate.trust", f"block {file.header.height} ({hashed.hex()}) is not the pinned one")
    root = file.header.state_root
    # Nothing of a record is used, not even its number of versions, before the record is proven.
    verify_state_proof(root, ASSETS.key(file.asset_id), file.asset.value, file.asset.proof)
    asset = _decode(file.asset.value, Asset)
    _, owner_key, version_key = _keys(file.asset_id, asset)
    verify_state_proof(root, owner_key, file.ownership.value, file.ownership.proof)
    verify_state_proof(root, version_key, file.version.value, file.version.proof)
    ownership = _decode(file.ownership.value, Ownership)
    return VerifiedOwnership(
        network_id=genesis_hash.hex(),
        network_name=genesis.name,
        development=genesis.development,
        asset=file.asset_id.hex(),
        kind=asset.kind,
        name=asset.name,
        retired=asset.retired,
        owners=tuple(Owner(account_to_text(share.account), share.bps) for share in ownership.shares),
        owned_since_ms=ownership.since_ms,
        registered_at_ms=asset.registered_at_ms,
        version=asset.versions,
        cid=_decode(file.version.value, Version).artifact.cid,
        height=file.header.height,
        epoch=file.header.epoch,
        block_hash=hashed.hex(),
        block_time_ms=file.header.timestamp_ms,
        signers=tuple(members.validators[index].organization for index, _ in file.finality.signatures),
        validators=len(members.validators),
        pinned=trust is not None,
    )


def describe(verified: VerifiedOwnership) -> str:
    """Say in a few lines what was verified, and what it rests on."""
    owners = ", ".join(f"{owner.account} ({owner.bps // 100}.{owner.bps % 100:02} %)" for owner in verified.owners)
    lines = [
        f"{verified.kind} {verified.name!r}, asset {verified.asset}",
        f"owned by {owners}",
        f"version {verified.version}, artifact {verified.cid}" + (", retired" if verified.retired else ""),
        f"at height {verified.height}, block {verified.block_hash}, block time {verified.block_time_ms} ms",
        f"in epoch {verified.epoch}: each validator set up to it was named by the one before",
        f"certified by {len(verified.signers)} of {verified.validators} validators: {', '.join(verified.signers)}",
        f"network {verified.network_name!r} {verified.network_id}" + (" (development)" if verified.development else ""),
        "the block is pinned" if verified.pinned else "the block is not pinned: its validators' keys are believed safe",
    ]
    return "\n".join(lines)


def _keys(asset_id: bytes, asset: Asset) -> Sequence[bytes]:
    """Return the state keys of the three records, in the file's order."""
    return (
        ASSETS.key(asset_id),
        OWNERSHIP.key(asset_id),
        VERSIONS.key(asset_id, version_part(asset.versions)),
    )


def _handoffs(chain: Chain) -> tuple[Handoff, ...]:
    """Return the ends of all epochs before the head's."""
    if chain.head.epoch > HANDOFFS_MAX:
        raise LedgerError(
            "certificate.too_many_epochs", f"{chain.head.epoch} epochs; a certificate crosses at most {HANDOFFS_MAX}"
        )
    view = chain.view()
    handoffs = []
    for epoch in range(chain.head.epoch):
        height = epochs.last_height(view, epoch)
        assert height is not None
        header, finality, members = chain.header(height), chain.certificate(height), validator_set(view, epoch + 1)
        assert header is not None
        assert members is not None
        if finality is None:
            raise LedgerError("certificate.pending", f"the certificate of block {height}, an epoch's last, is not here")
        handoffs.append(Handoff(header, finality, members))
    return tuple(handoffs)


def _follow(handoff: Handoff, network_id: bytes, epoch: int, members: ValidatorSet) -> ValidatorSet:
    """Check that `members`, the set of `epoch`, ended it with this block, and return the set that the block names."""
    header = handoff.header
    if header.epoch != epoch or header.epoch_end != header.height:
        raise InvalidProof("certificate.handoff", f"block {header.height} is not the last one of epoch {epoch}")
    _check_block(header, handoff.finality, network_id, members)
    if header.next_validator_set_hash != handoff.members.hash():
        raise InvalidProof("certificate.handoff", f"block {header.height} names another next set")
    return handoff.members


def _members(genesis: Genesis, genesis_hash: bytes) -> ValidatorSet:
    try:
        genesis.validate()
    except InvalidGenesis as error:
        raise InvalidProof("certificate.genesis", error.message) from error
    return genesis_set(genesis_hash, genesis.validators)


def _check_block(header: Header, finality: FinalityCertificate, network_id: bytes, members: ValidatorSet) -> bytes:
    """Check that a quorum of `members` certified `header`; return its hash."""
    if header.network_id != network_id or header.validator_set_hash != members.hash():
        raise InvalidProof("certificate.header", "the header is not of this network and its validator set")
    hashed = block_hash(header)
    signed = (finality.epoch, finality.height, finality.block_hash, finality.epoch_end)
    if signed != (header.epoch, header.height, hashed, header.epoch_end):
        raise InvalidProof("certificate.header", "the signatures are under another block than the header's")
    reason = verify_certificate(network_id, members.signing_keys(), finality)
    if reason is not None:
        raise InvalidProof("certificate.signatures", reason)
    return hashed


def _decode(data: bytes, expected: type[T]) -> T:
    try:
        return decode(data, expected)
    except CodecError as error:
        raise InvalidProof("certificate.malformed", str(error)) from error

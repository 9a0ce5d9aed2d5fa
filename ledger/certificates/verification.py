"""Checking a certificate with nothing but the genesis hash. Pure: no store, node, clock or network."""

from __future__ import annotations

from ledger.block import block_hash
from ledger.certificates.format import (
    CERTIFICATE_BYTES_MAX,
    MAGIC,
    BlockStart,
    Certificate,
    Handoff,
    ProvenRecord,
    Trust,
)
from ledger.certificates.subjects.asset import VerifiedAsset
from ledger.certificates.verified import Verified, Where
from ledger.errors import InvalidProof
from ledger.light.blocks import check_seal, genesis_members
from ledger.state.proofs import verify_state_proof
from ledger.validators import ValidatorSet
from primitives.codec import CodecError, decode


def verify(data: bytes, genesis_hash: bytes, trust: Trust | None = None) -> Verified:
    """Verify a certificate with nothing but the genesis hash (the network id, 32 bytes).

    With `trust` the way from the start to the block must lead through the block known, or begin or end there. A
    certificate that starts from a block needs that block as `trust`.

    Raises:
        InvalidProof: `certificate.*` or `proof.*`, saying which step does not hold.
    """
    file = read(data)
    way = _Way(file, genesis_hash)
    for handoff in file.handoffs:
        way.follow(handoff)
    if file.header.epoch != way.epoch or file.header.height < way.least_height:
        raise InvalidProof("certificate.header", "the header is of another epoch than the hand-offs lead to")
    hashed = check_seal(file.header, file.trail, file.finality, genesis_hash, way.members)
    if way.start_height == file.header.height and way.passed and way.passed[0] != (file.header.height, hashed):
        raise InvalidProof("certificate.header", "the header is not the block that the certificate starts from")
    way.passed.append((file.header.height, hashed))
    _check_trust(file, way, trust)
    where = Where(
        network_id=genesis_hash.hex(),
        network_name=way.network_name,
        development=way.development,
        height=file.header.height,
        epoch=file.header.epoch,
        block_hash=hashed.hex(),
        block_time_ms=file.header.timestamp_ms,
        signers=tuple(way.members.validators[index].organization for index, _ in file.finality.signatures),
        validators=len(way.members.validators),
        start_height=way.start_height,
        pinned=trust is not None,
    )
    records = _ProvenRecords(file.header.state_root, file.records)
    verified = file.subject.read(records, where)
    records.finish()
    return verified


def verify_asset(data: bytes, genesis_hash: bytes, trust: Trust | None = None) -> VerifiedAsset:
    """As `verify`, of a certificate of ownership.

    Raises:
        InvalidProof: `certificate.subject` for a certificate about something else.
    """
    verified = verify(data, genesis_hash, trust)
    if not isinstance(verified, VerifiedAsset):
        raise InvalidProof("certificate.subject", f"the certificate is about another subject: {verified.proves}")
    return verified


def read(data: bytes) -> Certificate:
    """Read a file without believing anything of it.

    Raises:
        InvalidProof: `certificate.size`, `certificate.magic`, `certificate.malformed`.
    """
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise InvalidProof("certificate.size", f"a certificate has at most {CERTIFICATE_BYTES_MAX} bytes")
    if not data.startswith(MAGIC):
        raise InvalidProof("certificate.magic", "not a certificate of this version")
    try:
        return decode(data[len(MAGIC) :], Certificate)
    except CodecError as error:
        raise InvalidProof("certificate.malformed", str(error)) from error


class _Way:
    """From the start through the hand-offs: whose word counts by now, and since which height."""

    def __init__(self, file: Certificate, network_id: bytes) -> None:
        self.network_id = network_id
        self.passed: list[Trust] = []
        start = file.start
        if isinstance(start, BlockStart):
            header = start.header
            if header.network_id != network_id:
                raise InvalidProof("certificate.genesis", "the certificate belongs to another network")
            if header.validator_set_hash != start.members.hash():
                raise InvalidProof("certificate.header", "the validator set is not the start's")
            self.network_name: str = ""
            self.development: bool | None = None
            self.members: ValidatorSet = start.members
            self.epoch, self.start_height = header.epoch, header.height
            self.passed.append((header.height, block_hash(header)))
        else:
            genesis, self.members = genesis_members(start.genesis, network_id)
            self.network_name, self.development = genesis.name, genesis.development
            self.epoch = self.start_height = 0
        self.least_height = self.start_height

    def follow(self, handoff: Handoff) -> None:
        """Check that the set of this epoch ended it with this block, and go on with the set that the block names."""
        header = handoff.header
        if header.epoch != self.epoch or header.epoch_end != header.height or header.height < self.least_height:
            raise InvalidProof("certificate.handoff", f"block {header.height} does not end epoch {self.epoch}")
        hashed = check_seal(header, (), handoff.finality, self.network_id, self.members)
        if header.next_validator_set_hash != handoff.members.hash():
            raise InvalidProof("certificate.handoff", f"block {header.height} names another next set")
        if self.passed and self.passed[-1][0] == header.height and self.passed[-1][1] != hashed:
            raise InvalidProof("certificate.handoff", f"block {header.height} is not the one that was passed")
        self.passed.append((header.height, hashed))
        self.members, self.epoch, self.least_height = handoff.members, self.epoch + 1, header.height + 1


def _check_trust(file: Certificate, way: _Way, trust: Trust | None) -> None:
    if isinstance(file.start, BlockStart):
        height, hashed = way.passed[0]
        if trust != (height, hashed):
            raise InvalidProof(
                "certificate.trust",
                f"it starts from block {height}: trust {height}:{hashed.hex()} if you know it from elsewhere",
            )
    elif trust is not None and trust not in way.passed:
        height, hashed = way.passed[-1]
        raise InvalidProof("certificate.trust", f"block {height} ({hashed.hex()}) is not the pinned one")


class _ProvenRecords:
    """The records of a file, each proven when it is read, in order."""

    def __init__(self, root: bytes, records: tuple[ProvenRecord, ...]) -> None:
        self._root = root
        self._left = list(reversed(records))

    def get(self, key: bytes) -> bytes | None:
        if not self._left or self._left[-1].key != key:
            raise self.refusal("", "the records are not those that show the subject")
        record = self._left.pop()
        verify_state_proof(self._root, key, record.value, record.proof)
        return record.value

    def refusal(self, code: str, message: str) -> InvalidProof:
        del code
        return InvalidProof("certificate.records", message)

    def finish(self) -> None:
        """Require that no record is left over."""
        if self._left:
            raise self.refusal("", "there are more records than the subject needs")

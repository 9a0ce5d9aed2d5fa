"""Certificates and the light client: bytes, and what checking takes in units of one signature check of the same run.

    python -m benchmarks.micro.light_client

Headers are made here, with sets of real size and certificates by quorum; the state has 100,000 records.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from benchmarks.micro.cluster_start import signature_check_s
from ledger.block import Header, block_hash
from ledger.certificates.format import MAGIC, Certificate, GenesisStart, Handoff, ProvenRecord
from ledger.certificates.subjects import AbsenceSubject, AssetSubject, Subject
from ledger.certificates.verification import verify
from ledger.genesis import Genesis, GenesisOrganization, GenesisValidator, network_id
from ledger.light.blocks import GenesisPoint, LightBlock
from ledger.light.client import Ask, EpochEnd, LightClient, LightState, drive
from ledger.modules.assets.operations import Artifact, Provenance, TransferTerms
from ledger.modules.assets.records import ASSETS, OWNERSHIP, VERSIONS, Asset, Ownership, Share, Version, version_part
from ledger.parameters import Parameters
from ledger.state.proofs import prove
from ledger.state.tree import StateTree
from ledger.validators import ValidatorRecord, ValidatorSet, genesis_set
from primitives.codec import encode
from primitives.finality import FinalityCertificate, finality_statement
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey
from primitives.quorum import quorum

RECORDS: Final = 100_000
EPOCHS: Final = 1_000
TLS_CERTIFICATE_BYTES: Final = 330
"""As those that nodes make for themselves."""
REPEATS: Final = 5
START_MS: Final = 1_700_000_000_000


def key(index: int) -> SigningKey:
    return SigningKey(hashlib.sha256(b"validator %d" % index).digest())


def tls(index: int) -> bytes:
    return hashlib.shake_256(b"certificate %d" % index).digest(TLS_CERTIFICATE_BYTES)


def member(index: int) -> ValidatorRecord:
    return ValidatorRecord(
        f"organization-{index}",
        hashlib.sha256(b"account %d" % index).digest(),
        "gmnode1" + hashlib.sha256(b"node %d" % index).hexdigest()[:38],
        key(index).public_key,
        tls(index),
        f"validator-{index}.example:7000",
        0,
    )


class Headers:
    """One block an epoch, its last, and `replaced` members leave at each end, first come, first go."""

    def __init__(self, network: bytes, first: ValidatorSet, epochs: int, replaced: int, state_root: bytes) -> None:
        size = len(first.validators)
        self.sets, self.keys = [first], [[key(index) for index in range(size)]]
        for epoch in range(1, epochs + 1):
            new = range(size + (epoch - 1) * replaced, size + epoch * replaced)
            self.sets.append(ValidatorSet((*self.sets[-1].validators[replaced:], *map(member, new))))
            self.keys.append([*self.keys[-1][replaced:], *map(key, new)])
        self.network, self.blocks = network, list[LightBlock]()
        for epoch in range(epochs + 1):
            self._seal(epoch, last=epoch == epochs, state_root=state_root)

    def _seal(self, epoch: int, *, last: bool, state_root: bytes) -> None:
        height, members = epoch + 1, self.sets[epoch]
        header = Header(
            version=1,
            network_id=self.network,
            height=height,
            parent_hash=block_hash(self.blocks[-1].header) if self.blocks else bytes(32),
            epoch=epoch,
            proposer=0,
            timestamp_ms=START_MS + height,
            transactions_root=bytes(32),
            receipts_root=bytes(32),
            state_root=state_root,
            validator_set_hash=members.hash(),
            next_validator_set_hash=self.sets[epoch if last else epoch + 1].hash(),
            epoch_end=0 if last else height,
        )
        hashed = block_hash(header)
        statement = finality_statement(self.network, epoch, height, hashed, header.epoch_end)
        signing = range(quorum(len(members.validators)))
        votes = tuple((index, self.keys[epoch][index].sign(statement)) for index in signing)
        finality = FinalityCertificate(epoch, height, hashed, header.epoch_end, votes)
        self.blocks.append(LightBlock(header, (), finality, members))

    def handoffs(self) -> tuple[Handoff, ...]:
        following = self.sets[1:]
        return tuple(
            Handoff(block.header, block.finality, members)
            for block, members in zip(self.blocks[:-1], following, strict=True)
        )


class Provider:
    """Shows the headers, and counts."""

    def __init__(self, headers: Headers) -> None:
        self._headers = headers
        self.asked = self.bytes = 0

    def __call__(self, ask: Ask) -> LightBlock:
        block = self._headers.blocks[ask.epoch if isinstance(ask, EpochEnd) else -1]
        self.asked += 1
        self.bytes += len(encode(block))
        return block


def make_genesis(size: int) -> tuple[Genesis, bytes]:
    genesis = Genesis(
        version=1,
        name="benchmark",
        salt="ab" * 32,
        created_at_ms=START_MS,
        development=True,
        parameters=Parameters(),
        organizations=tuple(GenesisOrganization(f"organization-{i}", f"Organization {i}") for i in range(size)),
        accounts=(),
        validators=tuple(
            GenesisValidator(
                f"organization-{i}",
                member(i).node_id,
                key_to_text(key(i).public_key),
                base64.b64encode(tls(i)).decode("ascii"),
                member(i).address,
            )
            for i in range(size)
        ),
    )
    return genesis, network_id(genesis)


class State(NamedTuple):
    tree: StateTree
    asset: bytes
    records: dict[bytes, bytes]


def make_state() -> State:
    """One asset among many records."""
    owner, asset = hashlib.sha256(b"owner").digest(), hashlib.sha256(b"asset").digest()
    cid = "b" + "a" * 58
    records = {
        ASSETS.key(asset): encode(
            Asset(
                kind="model",
                name="digits",
                description="a small network that reads digits",
                tags=("vision",),
                metadata=(),
                visibility="licensed",
                organization="organization-0",
                manager=owner,
                creators=(Share(owner, 10_000),),
                transfer_terms=TransferTerms(),
                registered_at_ms=START_MS,
                versions=1,
                transfers=0,
                denied_uses=(),
                commercial=True,
            )
        ),
        OWNERSHIP.key(asset): encode(Ownership((Share(owner, 10_000),), START_MS, 0)),
        VERSIONS.key(asset, version_part(1)): encode(Version(Artifact(cid, 8), Provenance(), "", START_MS)),
    }
    others = ((b"balance/" + hashlib.sha256(b"%d" % i).digest(), b"\x91\x01") for i in range(RECORDS))
    return State(StateTree.build([*records.items(), *others]), asset, records)


def certificate(headers: Headers, genesis: Genesis, state: State, subject: Subject) -> bytes:
    """Return the file that a node would make."""
    keys = list(state.records) if isinstance(subject, AssetSubject) else [b"asset/" + bytes(32)]
    top = headers.blocks[-1]
    records = tuple(ProvenRecord(key, state.records.get(key), prove(state.tree, key)) for key in keys)
    start = GenesisStart(encode(genesis))
    return MAGIC + encode(Certificate(start, headers.handoffs(), top.header, (), top.finality, subject, records))


def one_check_s() -> float:
    """Return the least time of a check, over runs so short that some are not disturbed."""
    return min(signature_check_s(200) for _ in range(20))


def best(action: Callable[[], object]) -> float:
    """Return the shortest time of a few (seconds): the others were disturbed."""
    times = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        action()
        times.append(time.perf_counter() - begun)
    return min(times)


def certificates(state: State, check_s: float) -> None:
    print("certificate              validators  epochs      bytes  signatures  checks of one signature")
    for size, epochs in ((4, 0), (4, 10), (4, 100), (7, 0), (7, 100)):
        genesis, network = make_genesis(size)
        headers = Headers(network, genesis_set(network, genesis.validators), epochs, 1, state.tree.root)
        subjects: tuple[Subject, ...] = (AssetSubject(state.asset), AbsenceSubject("asset", bytes(32)))
        for subject in subjects:
            data = certificate(headers, genesis, state, subject)
            verified = verify(data, network)
            cost = best(lambda data=data, network=network: verify(data, network)) / check_s  # type: ignore[misc]  # bound now
            count = (epochs + 1) * quorum(size)
            print(f"{verified.proves:24} {size:10} {epochs:7} {len(data):10,} {count:11} {cost:24.1f}")


def light_clients(check_s: float) -> None:
    print(f"\nlight client over {EPOCHS:,} epochs   blocks asked       bytes  checks of one signature   of stepping")
    for size, replaced in ((4, 0), (4, 1), (10, 1), (10, 3), (31, 1)):
        network = hashlib.sha256(b"%d %d" % (size, replaced)).digest()
        first = ValidatorSet(tuple(map(member, range(size))))
        headers = Headers(network, first, EPOCHS, replaced, bytes(32))

        def step(headers: Headers = headers, network: bytes = network, first: ValidatorSet = first) -> Provider:
            client, provider = _client(network, first), Provider(headers)
            for height in range(1, EPOCHS + 2):
                drive(client.update(height), lambda _, at=height: provider(EpochEnd(at - 1)))  # type: ignore[misc]  # binds height
            return provider

        def skip(headers: Headers = headers, network: bytes = network, first: ValidatorSet = first) -> Provider:
            client, provider = _client(network, first), Provider(headers)
            drive(client.update(), provider)
            return provider

        stepping = _timed(step)
        for name, (took_s, provider) in (("step", stepping), ("skip", _timed(skip))):
            share = took_s / stepping[0]
            label = f"{name}, {size} validators, {replaced} new an epoch"
            print(f"{label:38} {provider.asked:5} {provider.bytes:12,} {took_s / check_s:24,.0f} {share:13.3f}")


def _client(network: bytes, first: ValidatorSet) -> LightClient:
    return LightClient(LightState(1, network, GenesisPoint(first, START_MS), ()))


def _timed(action: Callable[[], Provider]) -> tuple[float, Provider]:
    begun = time.perf_counter()
    provider = action()
    return time.perf_counter() - begun, provider


def main() -> None:
    check_s = one_check_s()
    certificates(make_state(), check_s)
    light_clients(check_s)
    print(f"\none signature check: {check_s * 1e6:.1f} us at first, {one_check_s() * 1e6:.1f} us at last")


if __name__ == "__main__":
    main()

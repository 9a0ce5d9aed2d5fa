"""A small chain with something of every kind, and certificates of all of it, from fixed keys.

As a program it writes the vectors of docs/spec/vectors/certificates anew: `python tests/unit/certificates_kit.py`.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import libipld
import msgspec
from epochs_kit import Consortium, add, key, make_genesis, remove

from ledger.block import block_hash
from ledger.certificates.export import complete, export, prepare
from ledger.certificates.format import MAGIC, Certificate, Trust
from ledger.certificates.subjects import (
    AbsenceSubject,
    AccountSubject,
    AssetSubject,
    GrantSubject,
    LicenseSubject,
    Subject,
    VersionSubject,
)
from ledger.light.serving import sealed
from ledger.modules.assets.operations import AddVersion, Artifact, Commit, Register, asset_id, commitment
from ledger.modules.licenses.operations import Offer, Purchase, Terms, grant_id, offer_id, terms_digest
from ledger.transaction import transaction_id
from ledger.validators import ValidatorRecord, ValidatorSet
from primitives.codec import decode, encode
from primitives.finality import FinalityCertificate, finality_statement

VECTORS = Path(__file__).resolve().parents[2] / "docs" / "spec" / "vectors" / "certificates"
TERMS = Terms(rights=("inference",), price=20, commercial=True, term_ms=1_000_000)
SALT = bytes(16)
STRANGER = ValidatorRecord("org-0", bytes(32), "gmnode1", bytes(32), b"certificate", "stranger.example:7000", 0)


def cid(content: bytes) -> str:
    return str(libipld.encode_cid(b"\x01\x55\x12\x20" + hashlib.sha256(content).digest()))


class World(NamedTuple):
    chain: Consortium
    asset: bytes
    offer: bytes
    grant: bytes

    def certify(self) -> None:
        height = self.chain.chain.height
        self.chain.chain.add_certificate(self.chain.certify(height))


def register(world: Consortium, content: bytes, organization: str = "org-0", **changes: Any) -> bytes:
    account = world.accounts[organization]
    fields: dict[str, Any] = {"kind": "dataset", "name": "digits"} | changes
    assert world.code(world.by(organization, Commit(commitment(cid(content), account, SALT)))) == ""
    assert world.code(world.by(organization, Register(Artifact(cid(content), 8), SALT, **fields))) == ""
    return asset_id(world.network_id, account, cid(content))


def build(validators: int = 4, organizations: int = 8) -> World:
    """An asset of two versions, an offer and a grant, in epoch 0 at a certified head."""
    world = Consortium(make_genesis(validators, organizations, commitment_age_ms=1))
    asset = register(world, b"artifact")
    account = world.accounts["org-0"]
    assert world.code(world.by("org-0", Commit(commitment(cid(b"second"), account, SALT)))) == ""
    assert world.code(world.by("org-0", AddVersion(asset, Artifact(cid(b"second"), 9), SALT, notes="better"))) == ""
    offered = world.by("org-0", Offer(asset, TERMS, world.now_ms + 1_000_000))
    assert world.code(offered) == ""
    offer = offer_id(transaction_id(offered), asset, terms_digest(TERMS))
    bought = world.by("org-1", Purchase(offer, terms_digest(TERMS), TERMS.price))
    assert world.code(bought) == ""
    made = World(world, asset, offer, grant_id(transaction_id(bought), offer))
    made.certify()
    return made


def turn(world: Consortium, index: int) -> None:
    """Replace the validator v`index` by n`index`, of a further organization, and certify what the end needs."""
    count = len(world.members())
    world.approve(add(f"n{index}", f"org-{count + index}"))
    assert world.code(world.ready(f"n{index}")) == ""
    world.approve(remove(f"v{index}"))
    world.turn()
    for height in (world.chain.epoch.base, world.chain.height):
        world.chain.add_certificate(world.certify(height))


def subjects(world: World) -> dict[str, Subject]:
    """One subject of every kind, named as their vectors are."""
    accounts = world.chain.accounts
    return {
        "asset": AssetSubject(world.asset),
        "version": VersionSubject(world.asset, 1),
        "license": LicenseSubject(world.offer),
        "grant": GrantSubject(world.grant),
        "account": AccountSubject(accounts["org-1"]),
        "absent-artifact": AbsenceSubject("artifact", cid(b"nobody's").encode()),
        "absent-tensors": AbsenceSubject("tensors", hashlib.sha256(b"tensors").digest()),
        "absent-asset": AbsenceSubject("asset", hashlib.sha256(b"asset").digest()),
        "absent-license": AbsenceSubject("license", hashlib.sha256(b"offer").digest()),
        "absent-grant": AbsenceSubject("grant", hashlib.sha256(b"grant").digest()),
    }


class Made(NamedTuple):
    """Files by name, with what their verifier knows."""

    genesis_hash: bytes
    good: dict[str, bytes]
    trust: dict[str, Trust]
    """For those that need it, or hold with it too."""
    bad: dict[str, bytes]


@lru_cache(maxsize=1)
def made() -> Made:
    """Certificates of every kind, over hand-offs, from a known block and with a trail; and files that do not hold."""
    world = build()
    chain = world.chain.chain
    good = {name: export(chain, subject) for name, subject in subjects(world).items()}
    trust: dict[str, Trust] = {}
    for _ in range(2):
        world.chain.execute()
    prepared = prepare(chain, AssetSubject(world.asset))
    for _ in range(2):
        world.chain.execute()
    world.certify()
    _, trail, finality = sealed(chain, prepared.height)
    good["asset-trail"] = complete(prepared, finality, trail)
    good["asset-since"] = export(chain, AssetSubject(world.asset), since=1)
    trust["asset-since"] = known(world, 1)
    for index in range(4):
        turn(world.chain, index)
    good["asset-handoffs"] = export(chain, AssetSubject(world.asset))
    good["absent-artifact-handoffs"] = export(chain, subjects(world)["absent-artifact"])
    middle = chain.epoch.base - 1
    good["asset-since-handoffs"] = export(chain, AssetSubject(world.asset), since=middle)
    trust["asset-since-handoffs"] = known(world, middle)
    trust["asset-handoffs"] = known(world, chain.height)
    return Made(world.chain.network_id, good, trust, forged(good))


def known(world: World, height: int) -> Trust:
    header = world.chain.chain.header(height)
    assert header is not None
    return height, block_hash(header)


def changed(data: bytes, **changes: Any) -> bytes:
    """Return a file with other fields."""
    opened = decode(data[len(MAGIC) :], Certificate)
    return MAGIC + encode(msgspec.structs.replace(opened, **changes))


def forged(good: dict[str, bytes]) -> dict[str, bytes]:
    """Files of which no verifier may believe anything."""
    asset = decode(good["asset"][len(MAGIC) :], Certificate)
    gone = decode(good["absent-asset"][len(MAGIC) :], Certificate)
    far = decode(good["asset-handoffs"][len(MAGIC) :], Certificate)
    replace = msgspec.structs.replace
    first, *others = asset.records
    signatures = asset.finality.signatures
    return {
        "flipped-bit": good["asset"][:-1] + bytes([good["asset"][-1] ^ 1]),
        "surplus-byte": good["asset"] + b"\x00",
        "missing-byte": good["asset"][:-1],
        "other-magic": good["asset"].replace(b"certificate 3", b"certificate 2", 1),
        "other-subject": changed(good["asset"], subject=AssetSubject(bytes(32))),
        "absence-of-a-present-asset": changed(
            good["asset"], subject=AbsenceSubject("asset", first.key[-32:]), records=(replace(first, value=None),)
        ),
        "presence-of-an-absent-asset": changed(
            good["absent-asset"],
            subject=AssetSubject(gone.records[0].key[-32:]),
            records=(replace(gone.records[0], value=first.value), *others),
        ),
        "record-missing": changed(good["asset"], records=(first, *others[:-1])),
        "record-surplus": changed(good["asset"], records=(first, *others, first)),
        "records-swapped": changed(good["asset"], records=(first, *reversed(others))),
        "signer-twice": changed(
            good["asset"],
            finality=replace(asset.finality, signatures=(signatures[0], signatures[0], *signatures[1:])),
        ),
        "too-few-signers": changed(good["asset"], finality=replace(asset.finality, signatures=signatures[:-1])),
        "bad-signature-beside-a-quorum": changed(
            good["asset"], finality=replace(asset.finality, signatures=(*signatures, (3, bytes(64))))
        ),
        "handoff-missing": changed(good["asset-handoffs"], handoffs=far.handoffs[:-1]),
        "handoffs-swapped": changed(
            good["asset-handoffs"], handoffs=(far.handoffs[1], far.handoffs[0], *far.handoffs[2:])
        ),
        "set-of-the-past": changed(
            good["asset-handoffs"],
            handoffs=(replace(far.handoffs[0], members=far.handoffs[1].members), *far.handoffs[1:]),
        ),
        "set-that-nobody-named": changed(
            good["asset-handoffs"],
            handoffs=(*far.handoffs[:-1], replace(far.handoffs[-1], members=usurped(far)[2])),
            header=usurped(far)[0],
            finality=usurped(far)[1],
        ),
        "signed-by-strangers": changed(good["asset"], header=usurped(asset)[0], finality=usurped(asset)[1]),
        "misspelled-cid": changed(
            good["absent-artifact"],
            subject=AbsenceSubject("artifact", b"b" + b"a" * 58),
        ),
    }


def usurped(file: Certificate) -> tuple[Any, Any, Any]:
    """Return the file's header, a certificate of it and a set, all three of strangers who sign for themselves."""
    keys = [key(f"stranger {index}") for index in range(4)]
    real = file.handoffs[-1].members if file.handoffs else None
    pattern = real.validators[0] if real is not None else STRANGER
    strangers = ValidatorSet(
        tuple(
            msgspec.structs.replace(pattern, signing_key=signing.public_key, node_id=f"gmnode1{index}")
            for index, signing in enumerate(keys)
        )
    )
    header = msgspec.structs.replace(file.header, validator_set_hash=strangers.hash())
    hashed = block_hash(header)
    statement = finality_statement(header.network_id, header.epoch, header.height, hashed, header.epoch_end)
    votes = tuple((index, signing.sign(statement)) for index, signing in enumerate(keys))
    return header, FinalityCertificate(header.epoch, header.height, hashed, header.epoch_end, votes), strangers


def write_vectors() -> None:
    """Write the files and what a verifier must say of each."""
    files = made()
    VECTORS.mkdir(parents=True, exist_ok=True)
    for path in VECTORS.glob("*"):
        path.unlink()
    index: dict[str, Any] = {"genesis_hash": files.genesis_hash.hex(), "good": {}, "bad": {}}
    for kind in ("good", "bad"):
        for name, data in getattr(files, kind).items():
            (VECTORS / f"{name}.gmcert").write_bytes(data)
            entry: dict[str, Any] = {"sha256": hashlib.sha256(data).hexdigest()}
            if name in files.trust:
                height, hashed = files.trust[name]
                entry["trust"] = f"{height}:{hashed.hex()}"
            index[kind][name] = entry
    (VECTORS / "index.json").write_bytes(msgspec.json.format(msgspec.json.encode(index), indent=2) + b"\n")


if __name__ == "__main__":
    write_vectors()

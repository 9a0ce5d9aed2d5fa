"""Certificates over the real modules: whole they verify, with any byte changed they do not."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import libipld
import msgspec
import pytest
from ledger_core_kit import VALIDATORS, Kit, make_genesis

from ledger.block import Header, block_hash
from ledger.certificates.export import complete, export, prepare
from ledger.certificates.format import MAGIC, Certificate, GenesisStart, ProvenRecord
from ledger.certificates.subjects.asset import AssetSubject
from ledger.certificates.verification import verify, verify_asset
from ledger.certificates.verified import describe
from ledger.errors import InvalidProof, LedgerError
from ledger.modules.assets.operations import Artifact, Commit, Register, asset_id, commitment
from ledger.modules.assets.records import ASSETS, Ownership, Share
from ledger.operations import default_registry
from primitives.codec import decode, encode
from primitives.finality import FinalityCertificate, finality_statement
from primitives.identifiers import account_to_text
from primitives.keys import SigningKey

CID = libipld.encode_cid(b"\x01\x55\x12\x20" + hashlib.sha256(b"artifact").digest())


@lru_cache(maxsize=1)
def registered() -> tuple[Kit, bytes]:
    """A chain of the real modules with one registered asset at a certified head, and the asset's id."""
    kit = Kit(registry=default_registry())
    salt = bytes(16)
    first = kit.execute(kit.transaction(Commit(commitment(CID, kit.accounts[0], salt))))
    kit.now_ms += kit.genesis.parameters.commitment_age_ms
    second = kit.execute(
        kit.transaction(Register(Artifact(CID, 8), salt, "dataset", "digits")), *[filler(kit, n) for n in range(40)]
    )
    assert {receipt.code for receipt in (*first.receipts, *second.receipts)} == {""}
    kit.chain.add_certificate(kit.certificate(kit.chain.height))
    return kit, asset_id(kit.network_id, kit.accounts[0], CID)


def filler(kit: Kit, number: int) -> bytes:
    """Further records, so that the tree has some depth."""
    return kit.transaction(Commit(hashlib.sha256(b"%d" % number).digest()), owner=1)


@lru_cache(maxsize=1)
def file() -> bytes:
    kit, asset = registered()
    return export(kit.chain, AssetSubject(asset))


def refusal(data: bytes, **options: Any) -> str:
    kit, _ = registered()
    with pytest.raises(InvalidProof) as caught:
        verify(data, options.pop("genesis_hash", kit.network_id), **options)
    return caught.value.code


def resealed(**changes: Any) -> bytes:
    opened = decode(file()[len(MAGIC) :], Certificate)
    return MAGIC + encode(msgspec.structs.replace(opened, **changes))


def test_a_certificate_shows_the_owner_with_nothing_but_the_genesis_hash() -> None:
    kit, asset = registered()
    verified = verify_asset(file(), kit.network_id)
    assert verified.asset == asset.hex()
    assert [(owner.account, owner.bps) for owner in verified.owners] == [(account_to_text(kit.accounts[0]), 10_000)]
    assert (verified.height, verified.block_hash) == (kit.chain.height, kit.chain.head_hash.hex())
    assert (verified.cid, verified.version, verified.name) == (CID, 1, "digits")
    assert verified.signers == ("org-0", "org-1", "org-2")
    assert not verified.pinned
    text = describe(verified)
    assert account_to_text(kit.accounts[0]) in text
    assert "3 of 4 validators" in text


def test_every_flipped_byte_fails() -> None:
    """P1: over every position, with two different flips."""
    data, network = file(), registered()[0].network_id
    for index in range(len(data)):
        for mask in (1 << index % 8, 0xFF):
            changed = data[:index] + bytes([data[index] ^ mask]) + data[index + 1 :]
            with pytest.raises(InvalidProof):
                verify(changed, network)


def test_missing_and_surplus_bytes_fail() -> None:
    """P1: truncated anywhere, a byte dropped or added anywhere, something appended."""
    data, network = file(), registered()[0].network_id
    for index in range(0, len(data), 3):
        for changed in (data[:index], data[:index] + data[index + 1 :], data[:index] + b"\x00" + data[index:]):
            with pytest.raises(InvalidProof):
                verify(changed, network)
    for surplus in (b"\x00", b"\xc0", data):
        assert refusal(data + surplus) == "certificate.malformed"


def test_another_network_is_refused() -> None:
    assert refusal(file(), genesis_hash=bytes(32)) == "certificate.genesis"
    other = encode(make_genesis(name="another"))
    assert refusal(resealed(start=GenesisStart(other))) == "certificate.genesis"


def test_a_pinned_block_must_be_the_certificates() -> None:
    kit, _ = registered()
    assert verify(file(), kit.network_id, (kit.chain.height, kit.chain.head_hash)).pinned
    assert refusal(file(), trust=(kit.chain.height, bytes(32))) == "certificate.trust"
    assert refusal(file(), trust=(1, kit.chain.head_hash)) == "certificate.trust"


def test_another_owner_or_asset_cannot_be_shown() -> None:
    kit, _ = registered()
    opened = decode(file()[len(MAGIC) :], Certificate)
    asset, owned, version = opened.records
    ownership = decode(owned.value or b"", Ownership)
    stolen = msgspec.structs.replace(ownership, shares=(Share(kit.accounts[1], 10_000),))
    forged = ProvenRecord(owned.key, encode(stolen), owned.proof)
    assert refusal(resealed(records=(asset, forged, version))) == "proof.mismatch"
    assert refusal(resealed(subject=AssetSubject(bytes(32)))) == "certificate.records"
    for wrong in ((asset, asset, version), (asset, owned), (asset, version, owned), (asset, owned, version, version)):
        assert refusal(resealed(records=wrong)) == "certificate.records"
    gone = ProvenRecord(asset.key, None, asset.proof)
    assert refusal(resealed(records=(gone, owned, version))) == "proof.mismatch"


def test_signatures_of_strangers_or_too_few_fail() -> None:
    """P3: only a quorum of the genesis set counts, over this very header."""
    kit, _ = registered()
    opened = decode(file()[len(MAGIC) :], Certificate)
    header: Header = opened.header
    statement = finality_statement(kit.network_id, 0, header.height, block_hash(header), 0)
    strangers = tuple((index, SigningKey(bytes([200 + index]) * 32).sign(statement)) for index in range(3))
    finality = FinalityCertificate(0, header.height, block_hash(header), 0, strangers)
    assert refusal(resealed(finality=finality)) == "certificate.signatures"
    few = msgspec.structs.replace(opened.finality, signatures=opened.finality.signatures[:2])
    assert refusal(resealed(finality=few)) == "certificate.signatures"
    for change in ({"height": 1}, {"epoch": 1}, {"state_root": bytes(32)}, {"validator_set_hash": bytes(32)}):
        assert refusal(resealed(header=msgspec.structs.replace(header, **change))) == "certificate.header"
    forged = msgspec.structs.replace(header, validator_set_hash=bytes(32))
    hashed = block_hash(forged)
    signed = finality_statement(kit.network_id, 0, header.height, hashed, 0)
    votes = tuple((index, VALIDATORS[index].sign(signed)) for index in range(3))
    swapped = resealed(header=forged, finality=FinalityCertificate(0, header.height, hashed, 0, votes))
    assert refusal(swapped) == "certificate.header"


def test_an_export_waits_for_the_certificate_of_its_height() -> None:
    """The head may run ahead of its certificate: the proofs are taken now, the signatures added when they come."""
    kit, asset = registered()
    other = Kit(registry=default_registry())
    for height in range(1, kit.chain.height + 1):
        other.chain.replay(kit.chain.encoded_block(height) or b"")
    with pytest.raises(LedgerError) as caught:
        export(other.chain, AssetSubject(asset))
    assert caught.value.code == "certificate.pending"
    prepared = prepare(other.chain, AssetSubject(asset))
    other.execute(other.transaction(Commit(bytes(32))))
    assert complete(prepared, kit.certificate(prepared.height)) == file()
    with pytest.raises(LedgerError) as caught:
        export(kit.chain, AssetSubject(bytes(32)))
    assert caught.value.code == "query.not_found"


def test_the_record_in_the_file_is_the_one_in_the_state() -> None:
    kit, asset = registered()
    opened = decode(file()[len(MAGIC) :], Certificate)
    assert opened.records[0].value == kit.chain.view().get(ASSETS.key(asset))
    assert len(file()) < 16_384

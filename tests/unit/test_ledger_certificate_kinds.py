"""Certificates of every kind, from the genesis or a known block, over hand-offs and trails: what they prove, and what
no verifier believes. The files are those of docs/spec/vectors/certificates."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from certificates_kit import TERMS, VECTORS, build, changed, cid, known, made, subjects
from certificates_kit import turn as turn_epoch

from ledger.certificates.export import export
from ledger.certificates.format import MAGIC, BlockStart, Certificate, ProvenRecord
from ledger.certificates.subjects import AbsenceSubject, AssetSubject, GrantSubject, VersionSubject
from ledger.certificates.subjects.absence import VerifiedAbsence
from ledger.certificates.verification import verify, verify_asset
from ledger.certificates.verified import describe
from ledger.errors import InvalidProof, LedgerError
from ledger.modules.assets.records import ARTIFACTS
from primitives.codec import decode, encode
from primitives.identifiers import account_to_text

GOOD = sorted(made().good)
BAD = sorted(made().bad)


def refusal(data: bytes, trust: Any = None) -> str:
    with pytest.raises(InvalidProof) as caught:
        verify(data, made().genesis_hash, trust)
    return caught.value.code


def shown(name: str) -> Any:
    files = made()
    return verify(files.good[name], files.genesis_hash, files.trust.get(name))


def test_every_kind_shows_what_is_in_the_state() -> None:
    world = build()
    accounts = world.chain.accounts
    asset, version, offer = shown("asset"), shown("version"), shown("license")
    assert (asset.proves, asset.version, asset.cid) == ("asset", 2, cid(b"second"))
    assert (version.proves, version.version, version.versions, version.cid) == ("version", 1, 2, cid(b"artifact"))
    assert (offer.proves, offer.rights, offer.price, offer.current) == ("license", TERMS.rights, TERMS.price, True)
    grant, account = shown("grant"), shown("account")
    assert (grant.licensee, grant.rights, grant.state) == (
        account_to_text(accounts["org-1"]),
        TERMS.rights,
        "escrowed",
    )
    assert (account.organization, account.balance) == ("org-1", 980)
    for name in GOOD:
        verified = shown(name)
        assert verified.network_id == made().genesis_hash.hex()
        assert len(describe(verified).splitlines()) >= 6
        msgspec.json.encode(verified)


@pytest.mark.parametrize("what", ["artifact", "tensors", "asset", "license", "grant"])
def test_absence_is_proven_of_everything_that_is_registered(what: str) -> None:
    """P2: by the record that would be there; what is there cannot be shown absent."""
    verified = shown(f"absent-{what}")
    assert isinstance(verified, VerifiedAbsence)
    assert verified.absent == what
    world = build()
    there = {
        "artifact": cid(b"artifact").encode(),
        "asset": world.asset,
        "license": world.offer,
        "grant": world.grant,
    }
    if what in there:
        with pytest.raises(LedgerError) as caught:
            export(world.chain.chain, AbsenceSubject(what, there[what]))  # type: ignore[arg-type]  # a name of these
        assert caught.value.code == "certificate.present"


def test_a_present_record_is_not_absent_and_an_absent_one_not_present() -> None:
    """P2: whatever proof is offered for it."""
    world = build()
    chain = world.chain.chain
    key = ARTIFACTS.key(cid(b"artifact").encode())
    gone = decode(made().good["absent-artifact"][len(MAGIC) :], Certificate)
    for proof in (chain.prove(key), *(record.proof for record in gone.records)):
        forged = changed(
            made().good["absent-artifact"],
            subject=AbsenceSubject("artifact", cid(b"artifact").encode()),
            records=(ProvenRecord(key, None, proof),),
        )
        assert refusal(forged).startswith("proof.")


@pytest.mark.parametrize(
    "identifier", [b"b" + b"a" * 58, b"x" * 32, cid(b"1").upper().encode(), cid(b"1").encode()[:-1]]
)
def test_the_absence_of_what_cannot_exist_is_not_shown(identifier: bytes) -> None:
    """P2: a misspelled CID is absent for ever, and says nothing of the artifact."""
    with pytest.raises(LedgerError) as caught:
        export(build().chain.chain, AbsenceSubject("artifact", identifier))
    assert caught.value.code == "query.argument"
    with pytest.raises(LedgerError):
        export(build().chain.chain, AbsenceSubject("asset", cid(b"1").encode()))


@pytest.mark.parametrize(
    "subject", [AssetSubject(bytes(32)), VersionSubject(build().asset, 3), GrantSubject(bytes(32))]
)
def test_what_is_not_there_has_no_certificate(subject: Any) -> None:
    with pytest.raises(LedgerError) as caught:
        export(build().chain.chain, subject)
    assert caught.value.code == "query.not_found"


@pytest.mark.parametrize("name", BAD)
def test_a_forged_file_is_refused(name: str) -> None:
    """P1, P3: nothing but the file and the genesis hash is needed to see it."""
    refusal(made().bad[name], made().trust.get("asset-handoffs") if "handoff" in name else None)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "asset"])
def test_changed_bytes_of_every_kind_fail(name: str) -> None:
    """P1: at every tenth position, another one for each kind; the asset's file is tried at every byte elsewhere."""
    data, trust = made().good[name], made().trust.get(name)
    for index in range(len(name) % 10, len(data), 10):
        flipped = data[:index] + bytes([data[index] ^ 1 << index % 8]) + data[index + 1 :]
        for wrong in (flipped, data[:index] + data[index + 1 :], data[:index] + b"\x00" + data[index:]):
            refusal(wrong, trust)


def test_one_subject_has_one_file() -> None:
    """P1: each file is the canonical encoding of what it says."""
    for data in made().good.values():
        assert MAGIC + encode(decode(data[len(MAGIC) :], Certificate)) == data


def test_a_certificate_from_a_known_block_needs_that_block() -> None:
    """P3: of itself it proves nothing: anybody can make a set and a block of it."""
    data, trust = made().good["asset-since-handoffs"], made().trust["asset-since-handoffs"]
    verified = verify_asset(data, made().genesis_hash, trust)
    assert (verified.start_height, verified.pinned, verified.epoch) == (trust[0], True, 4)
    assert verified.development is None
    assert refusal(data) == "certificate.trust"
    assert refusal(data, (trust[0], bytes(32))) == "certificate.trust"
    assert refusal(data, made().trust["asset-handoffs"]) == "certificate.trust"
    opened = decode(data[len(MAGIC) :], Certificate)
    assert isinstance(opened.start, BlockStart)
    assert len(data) < len(made().good["asset-handoffs"])
    other = msgspec.structs.replace(opened.start, members=opened.handoffs[0].members)
    assert refusal(changed(data, start=other), trust) == "certificate.header"
    with pytest.raises(InvalidProof) as caught:
        verify(data, bytes(32), trust)
    assert caught.value.code == "certificate.genesis"


def test_a_pin_may_be_any_block_that_the_way_leads_through() -> None:
    data = made().good["asset-handoffs"]
    opened = decode(data[len(MAGIC) :], Certificate)
    world = build()
    for index in range(2):
        turn_epoch(world.chain, index)
    passed = [handoff.header.height for handoff in opened.handoffs]
    assert passed == sorted(passed)
    from ledger.block import block_hash

    for handoff in opened.handoffs:
        assert verify(data, made().genesis_hash, (handoff.header.height, block_hash(handoff.header))).pinned
    assert refusal(data, (passed[0], bytes(32))) == "certificate.trust"


def test_a_start_at_the_end_of_an_epoch_or_at_the_block_itself_holds() -> None:
    world = build()
    turn_epoch(world.chain, 0)
    chain = world.chain.chain
    for height in (chain.epoch.base, chain.height):
        data = export(chain, AssetSubject(world.asset), since=height)
        assert verify(data, world.chain.network_id, known(world, height)).start_height == height
    with pytest.raises(LedgerError) as caught:
        export(chain, AssetSubject(world.asset), since=chain.height + 1)
    assert caught.value.code == "certificate.start"


def test_a_certificate_shows_a_past_height_as_it_was() -> None:
    """P2: also what was absent then and is there now."""
    world = build()
    chain = world.chain.chain
    for height in range(1, chain.height + 1):
        chain.add_certificate(world.chain.certify(height))
    turn_epoch(world.chain, 0)
    then = verify(export(chain, AbsenceSubject("asset", world.asset), height=1), world.chain.network_id)
    assert (then.height, then.epoch) == (1, 0)
    first = verify_asset(export(chain, AssetSubject(world.asset), height=2), world.chain.network_id)
    assert (first.height, first.version, first.cid) == (2, 1, cid(b"artifact"))
    for height in (chain.epoch.base, chain.height):
        assert verify(export(chain, AssetSubject(world.asset), height=height), world.chain.network_id).height == height
    with pytest.raises(LedgerError) as caught:
        export(chain, AssetSubject(world.asset), height=chain.height + 1)
    assert caught.value.code == "query.not_found"


def test_a_trail_must_link_to_the_certified_block() -> None:
    data = made().good["asset-trail"]
    opened = decode(data[len(MAGIC) :], Certificate)
    assert len(opened.trail) == 2
    assert refusal(changed(data, trail=opened.trail[1:])) == "certificate.trail"
    assert refusal(changed(data, trail=opened.trail[:1])) == "certificate.header"
    assert refusal(changed(data, trail=(opened.trail[0], *opened.trail))) == "certificate.trail"
    forged = msgspec.structs.replace(opened.header, state_root=bytes(32))
    assert refusal(changed(data, header=forged)) == "certificate.trail"


def test_an_ownership_check_refuses_other_kinds() -> None:
    with pytest.raises(InvalidProof) as caught:
        verify_asset(made().good["grant"], made().genesis_hash)
    assert caught.value.code == "certificate.subject"


def test_the_vectors_are_those_of_the_specification() -> None:
    """Made by `python tests/unit/certificates_kit.py` from fixed keys; a change of the format shows here."""
    index = msgspec.json.decode((VECTORS / "index.json").read_bytes())
    assert index["genesis_hash"] == made().genesis_hash.hex()
    for kind in ("good", "bad"):
        files = getattr(made(), kind)
        assert sorted(index[kind]) == sorted(files)
        for name, entry in index[kind].items():
            data = (VECTORS / f"{name}.gmcert").read_bytes()
            assert data == files[name], name
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]


def test_every_subject_has_a_vector() -> None:
    assert set(subjects(build())) <= set(GOOD)

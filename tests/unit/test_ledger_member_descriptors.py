"""A validator's public descriptor, and the genesis that descriptors make: whatever is changed is noticed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.errors import InvalidGenesis
from ledger.genesis import Genesis, load, network_id
from ledger.genesis_assembly import Decisions, assemble, changed_parameters, differences, write_new
from ledger.member_descriptor import (
    FoundingAccount,
    InvalidDescriptor,
    MemberDescriptor,
    describe,
    parse,
    write,
)
from p2p.identity import make_identity
from primitives.identifiers import key_to_text
from primitives.keys import SigningKey

DECISIONS = Decisions(name="consortium", salt=bytes(32), created_at_ms=1_700_000_000_000)


def member(
    organization: str, *, address: str = "", accounts: int = 1, founders: Sequence[FoundingAccount] = (), **changed: Any
) -> MemberDescriptor:
    """A descriptor with new keys, `accounts` new founding accounts, and those of others."""
    keys = [key_to_text(SigningKey.generate().public_key) for _ in range(accounts)]
    values: dict[str, Any] = {
        "organization": organization,
        "organization_name": organization.title(),
        "certificate_der": make_identity().certificate_der,
        "address": address or f"{organization}.example:7100",
        "accounts": [
            *founders,
            *(FoundingAccount(f"{organization}-{index}", key, "00" * 16) for index, key in enumerate(keys)),
        ],
        "signing_key": SigningKey.generate(),
    }
    return describe(**{**values, **changed})


@pytest.fixture(scope="module")
def members() -> list[MemberDescriptor]:
    return [member(name) for name in ("dogwood", "alder", "cedar", "birch")]


@pytest.mark.parametrize("name", ["Alder", 'Ålder "Inst" \\ \u200b', "木", "x" * 64])
def test_a_descriptor_is_read_as_it_was_written(name: str) -> None:
    made = member("alder", organization_name=name, accounts=2)
    assert parse(write(made), "here") == made


def test_every_changed_value_is_noticed() -> None:
    """What a typo, an exchanged key or a swapped address does to a file."""
    made, other = member("alder", accounts=2), member("birch")
    text = write(made).decode()
    exchanged = {
        "organization": "birch",
        "organization_name": "Someone else",
        "node_id": other.node_id,
        "signing_key": other.signing_key,
        "tls_certificate": other.tls_certificate,
        "address": "birch.example:7100",
        "signature": other.signature,
    }
    assert set(exchanged) | {"version", "accounts"} == set(made.__struct_fields__)
    for name, value in exchanged.items():
        changed = re.sub(rf"(?m)^{name} = .*$", f'{name} = "{value}"', text, count=1)
        assert changed != text
        with pytest.raises(InvalidDescriptor) as refused:
            parse(changed.encode(), "member.toml")
        assert refused.value.code == "descriptor.signature", name
        assert "member.toml" in refused.value.message
    for changed in (
        text.replace(made.accounts[1].key, other.accounts[0].key),
        text.replace(made.accounts[0].salt, "01" * 16, 1),
        text[: text.rindex("[[accounts]]")],
    ):
        with pytest.raises(InvalidDescriptor, match="signature does not hold"):
            parse(changed.encode(), "member.toml")


def test_a_signed_descriptor_that_contradicts_itself_is_refused() -> None:
    """Whoever holds a signing key can sign anything; what it says is checked all the same."""
    key, made, other = SigningKey.generate(), member("alder"), member("birch")
    unsigned = msgspec.structs.replace(made, signing_key=key_to_text(key.public_key))
    for changes, code in [
        ({"node_id": other.node_id}, "descriptor.node_id"),
        ({"tls_certificate": "AAAA"}, "descriptor.certificate"),
        ({"tls_certificate": other.tls_certificate}, "descriptor.node_id"),
        ({"address": "nowhere"}, "descriptor.address"),
        ({"address": "0.0.0.0:7100"}, "descriptor.address"),
        ({"address": "a.example:0"}, "descriptor.address"),
        ({"address": "a.example:65536"}, "descriptor.address"),
        ({"organization_name": "two\nlines"}, "descriptor.text"),
        ({"accounts": made.accounts * 2}, "descriptor.key"),
        ({"accounts": (FoundingAccount("own", key_to_text(key.public_key), "00" * 16),)}, "descriptor.key"),
        ({"accounts": (FoundingAccount("bad", "did:key:z6Mk", "00" * 16),)}, "descriptor.key"),
        ({"organization": "Alder"}, "descriptor.malformed"),
    ]:
        lie = msgspec.structs.replace(unsigned, **changes)
        signed = msgspec.structs.replace(lie, signature=key.sign(lie.signed_bytes()).hex())
        with pytest.raises(InvalidDescriptor) as refused:
            parse(write(signed), "member.toml")
        assert refused.value.code == code, changes


def test_what_people_type_is_refused_before_anything_is_made() -> None:
    for changes, words in [
        ({"organization": "Alder Inc."}, "begins with a letter"),
        ({"organization_name": ""}, "1 to 64"),
        ({"address": "alder.example"}, "host:port"),
    ]:
        with pytest.raises(InvalidDescriptor, match=words):
            member(**{"organization": "alder", **changes})  # type: ignore[arg-type]


def test_rubbish_is_no_descriptor() -> None:
    for data in (b"", b"\xff", b"version = 1", b"[", b"a" * 70_000, write(member("alder")) + b"more = 1\n"):
        with pytest.raises(InvalidDescriptor):
            parse(data, "here")


def test_descriptors_make_one_genesis_in_whatever_order_they_are_named(members: list[MemberDescriptor]) -> None:
    made = assemble(members, DECISIONS)
    assert network_id(assemble(members[::-1], DECISIONS)) == network_id(made)
    assert [entry.organization for entry in made.validators] == ["alder", "birch", "cedar", "dogwood"]
    assert [entry.id for entry in made.organizations] == ["alder", "birch", "cedar", "dogwood"]
    assert {entry.node_id for entry in made.validators} == {entry.node_id for entry in members}
    assert differences(made, members) == []
    other = msgspec.structs.replace(DECISIONS, salt=b"\x01" * 32)
    assert network_id(assemble(members, other)) != network_id(made)


def test_credits_go_to_the_first_account_and_are_no_difference(members: list[MemberDescriptor]) -> None:
    paid = assemble(members, msgspec.structs.replace(DECISIONS, credits={"birch": 7}, parameters={"fee_bps": 100}))
    assert [entry.credits for entry in paid.accounts] == [0, 7, 0, 0]
    assert changed_parameters(paid) == {"fee_bps": 100}
    assert differences(paid, members) == []
    with pytest.raises(InvalidGenesis, match="no descriptor brings an account of it"):
        assemble(members, msgspec.structs.replace(DECISIONS, credits={"elm": 7}))


def test_members_that_make_no_network_are_named(members: list[MemberDescriptor]) -> None:
    alder = members[1]
    for described, words in [
        (members[:3], "3 validators: a network has at least 4"),
        ([*members, alder], "2 descriptors are of one validator, gmnode1"),
        ([*members, member("elm", address=alder.address)], "of alder and of elm, have the address"),
        ([*members, member("alder", address="b:1", organization_name="Aldi")], "'Alder' in one descriptor and 'Aldi'"),
        ([*members[1:], member("alder", address="b:1", accounts=0)], "alder has 2 of 4"),
        ([*members, member("elm", accounts=0)], "elm: no descriptor brings an account"),
        ([*members, member("elm", accounts=0, founders=alder.accounts)], "the account key"),
    ]:
        with pytest.raises(InvalidGenesis, match=words):
            assemble(described, DECISIONS)
    assemble(members[:1], msgspec.structs.replace(DECISIONS, development=True))


@pytest.mark.parametrize("text", ["a\x1b[2K", "a\nb", "\x9b1m", "\u202eabc", "\u2066a"])
def test_a_name_that_would_hide_what_people_compare_is_refused(members: list[MemberDescriptor], text: str) -> None:
    """A terminal obeys what it prints: the file's author could show another network id than the true one."""
    with pytest.raises(InvalidGenesis) as refused:
        assemble(members, msgspec.structs.replace(DECISIONS, name=text))
    assert refused.value.code == "genesis.text"
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()
    with pytest.raises(InvalidDescriptor):
        member("alder", organization_name=text)


@pytest.mark.parametrize(
    "decided",
    [{"name": ""}, {"credits": {"alder": 2**63}}, {"parameters": {"fee_bps": -1}}, {"parameters": {"no_such": 1}}],
)
def test_a_decision_that_is_out_of_range_is_called_one(
    members: list[MemberDescriptor], decided: dict[str, Any]
) -> None:
    with pytest.raises(InvalidGenesis, match=r"what was decided makes no network: .*`\$"):
        assemble(members, msgspec.structs.replace(DECISIONS, **decided))


def test_a_genesis_that_cannot_be_written_leaves_nothing_in_the_way(
    members: list[MemberDescriptor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(genesis: Genesis) -> bytes:
        raise OSError(28, "No space left on device")

    path = tmp_path / "genesis.json"
    genesis = assemble(members, DECISIONS)
    with monkeypatch.context() as patched:
        patched.setattr("ledger.genesis_assembly.write", full)
        with pytest.raises(InvalidGenesis, match="No space left"):
            write_new(genesis, path)
    write_new(genesis, path)
    with pytest.raises(InvalidGenesis, match="never overwritten"):
        write_new(genesis, path)
    assert load(path) == genesis


def swap_key(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    return _validator(genesis, signing_key=member("elm").signing_key)


def swap_certificate(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    return _validator(genesis, tls_certificate=member("elm").tls_certificate)


def swap_address(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    return _validator(genesis, address="elsewhere.example:7100")


def swap_node(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    return _validator(genesis, node_id=member("elm").node_id)


def add_validator(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    extra = msgspec.structs.replace(member("elm").validator(), organization="alder")
    return msgspec.structs.replace(genesis, validators=(*genesis.validators, extra))


def drop_validator(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    return msgspec.structs.replace(genesis, validators=genesis.validators[1:])


def add_account(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    extra = msgspec.structs.replace(genesis.accounts[0], key=member("elm").accounts[0].key, credits=10**9)
    return msgspec.structs.replace(genesis, accounts=(*genesis.accounts, extra))


def repeat_account(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    extra = msgspec.structs.replace(genesis.accounts[0], salt="11" * 16)
    return msgspec.structs.replace(genesis, accounts=(extra, *genesis.accounts))


def swap_account(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    thief = msgspec.structs.replace(genesis.accounts[0], key=member("elm").accounts[0].key)
    return msgspec.structs.replace(genesis, accounts=(thief, *genesis.accounts[1:]))


def move_account(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    moved = msgspec.structs.replace(genesis.accounts[0], organization="birch")
    return msgspec.structs.replace(genesis, accounts=(moved, *genesis.accounts[1:]))


def add_organization(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    voter = msgspec.structs.replace(genesis.organizations[0], id="elm")
    return msgspec.structs.replace(genesis, organizations=(*genesis.organizations, voter))


def rename_organization(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    renamed = msgspec.structs.replace(genesis.organizations[0], name="Aldi")
    return msgspec.structs.replace(genesis, organizations=(renamed, *genesis.organizations[1:]))


def reorder(genesis: Genesis, members: list[MemberDescriptor]) -> Genesis:
    return msgspec.structs.replace(genesis, validators=genesis.validators[::-1])


def _validator(genesis: Genesis, **changes: str) -> Genesis:
    changed = msgspec.structs.replace(genesis.validators[0], **changes)
    return msgspec.structs.replace(genesis, validators=(changed, *genesis.validators[1:]))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (swap_key, "descriptor says signing_key"),
        (swap_certificate, "descriptor says tls_certificate"),
        (swap_address, "descriptor says address alder.example:7100, the genesis elsewhere.example:7100"),
        (swap_node, "is not in the genesis"),
        (add_validator, "a validator of alder .* without a descriptor"),
        (drop_validator, "the validator of alder .* is not in the genesis"),
        (add_account, "an account of alder .* without a descriptor"),
        (repeat_account, "or twice"),
        (swap_account, "the account alder-0 of alder .* is not in the genesis"),
        (move_account, "another organization, name or salt"),
        (add_organization, "an organization elm without a descriptor"),
        (rename_organization, "'Alder' by itself and 'Aldi' in the genesis"),
        (reorder, "in another order"),
    ],
)
def test_a_member_notices_whatever_the_assembler_changed(
    members: list[MemberDescriptor], spoil: Callable[[Genesis, list[MemberDescriptor]], Genesis], words: str
) -> None:
    found = differences(spoil(assemble(members, DECISIONS), members), members)
    assert any(re.search(words, sentence) for sentence in found), found


def test_a_missing_or_foreign_descriptor_is_named(members: list[MemberDescriptor]) -> None:
    made = assemble(members, DECISIONS)
    assert "a validator of dogwood" in differences(made, members[1:])[0]
    assert any("the validator of elm" in sentence for sentence in differences(made, [*members, member("elm")]))

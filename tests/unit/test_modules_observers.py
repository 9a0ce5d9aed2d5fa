"""Observers on the ledger: who registers which node, what ends a registration, and whom the links then let in."""

from __future__ import annotations

from typing import Any

import pytest
from epochs_kit import Consortium, add, address, certificate, key, make_genesis, node, rekey

from ledger.errors import LedgerError
from ledger.modules.governance.operations import (
    ReinstateOrganization,
    RemoveOrganization,
    SuspendOrganization,
    Vote,
)
from ledger.modules.observers.operations import Register, Withdraw, registration_bytes
from ledger.modules.observers.records import OBSERVERS_PER_ORGANIZATION_MAX
from ledger.modules.organizations.operations import AddKey, OpenAccount
from ledger.modules.organizations.quota import usage
from ledger.transaction import build
from node.membership import registered_peers
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_id


def world(validators: int = 4, organizations: int = 5) -> Consortium:
    return Consortium(make_genesis(validators, organizations))


def registration(name: str, organization: str, network: bytes, **changes: Any) -> Register:
    """What the organization sends for its node `name`, signed by that node's TLS key."""
    tls, where = changes.get("tls_certificate", certificate(name)), changes.get("address", address(name))
    signer = key(changes.get("signer", f"tls {name}"))
    proof = signer.sign(registration_bytes(network, organization, tls, where))
    return Register(changes.get("node_id", node(name)), tls, where, changes.get("proof", proof))


def register(consortium: Consortium, name: str, organization: str = "org-4", **changes: Any) -> str:
    operation = registration(name, organization, consortium.network_id, **changes)
    return consortium.code(consortium.by(organization, operation))


def roles(consortium: Consortium) -> dict[str, str]:
    """Whom the links let in, and as what."""
    return {peer.node_id: peer.role for peer in registered_peers(consortium.chain, consortium.chain.epoch.number)}


def test_an_organization_registers_its_nodes_and_takes_them_out_again() -> None:
    consortium = world()
    before = usage(consortium.chain.view(), "org-4")
    operation = registration("o1", "org-4", consortium.network_id)
    block = consortium.execute(consortium.by("org-4", operation))
    assert block.receipts[-1].code == ""
    assert block.membership_changed, "the nodes renew their peers"
    assert roles(consortium)[node("o1")] == "observer"
    (listed,) = consortium.chain.query("observers.list", {})
    assert (listed.node_id, listed.organization, listed.address, listed.admitted) == (
        node("o1"),
        "org-4",
        address("o1"),
        True,
    )
    assert usage(consortium.chain.view(), "org-4").records == before.records + 2, (
        "the record, and its place in the index"
    )
    assert not consortium.execute().membership_changed
    block = consortium.execute(consortium.by("org-4", Withdraw(node("o1"))))
    assert block.receipts[-1].code == ""
    assert block.membership_changed
    assert node("o1") not in roles(consortium)
    assert usage(consortium.chain.view(), "org-4") == before
    assert consortium.chain.query("observers.list", {}) == []
    assert consortium.replayed().head == consortium.chain.head


def test_a_registration_sent_again_moves_the_node_to_another_address() -> None:
    consortium = world()
    assert register(consortium, "o1") == ""
    (before,) = consortium.chain.query("observers.list", {})
    assert register(consortium, "o1", address="") == "", "a node that only dials has no address"
    (after,) = consortium.chain.query("observers.list", {})
    assert (after.address, after.registered_at_ms) == ("", before.registered_at_ms)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tls_certificate": b"no certificate"}, "observers.tls_certificate"),
        ({"tls_certificate": certificate("o1") + certificate("o2")}, "observers.tls_certificate"),
        ({"node_id": node("o2")}, "observers.node_id"),
        ({"signer": "tls o2"}, "observers.proof"),
        ({"signer": "org-4"}, "observers.proof"),
        ({"proof": bytes(64)}, "observers.proof"),
    ],
)
def test_a_node_is_registered_by_who_has_its_key(changes: dict[str, Any], code: str) -> None:
    """Certificates are public: nobody registers another's node, and nobody keeps it out by doing so."""
    consortium = world()
    assert register(consortium, "o1", **changes) == code
    assert node("o1") not in roles(consortium)


def test_a_proof_is_of_one_organization_one_address_and_one_network() -> None:
    """Whoever sees a registration on its way cannot send it as its own."""
    consortium, other = world(), Consortium(make_genesis(4, 6))
    seen = registration("o1", "org-4", consortium.network_id)
    assert consortium.code(consortium.by("org-3", seen)) == "observers.proof"
    moved = Register(seen.node_id, seen.tls_certificate, "elsewhere:1", seen.proof)
    assert consortium.code(consortium.by("org-4", moved)) == "observers.proof"
    assert other.code(other.by("org-4", seen)) == "observers.proof"
    assert consortium.code(consortium.by("org-4", seen)) == ""


def test_one_node_is_one_organizations_observer_or_a_validator() -> None:
    consortium = world()
    assert register(consortium, "o1", "org-3") == ""
    assert register(consortium, "o1", "org-4") == "observers.node_taken"
    assert register(consortium, "v0", "org-0") == "observers.node_taken", "it validates"
    consortium.approve(add("n0", "org-4"))
    assert register(consortium, "n0") == "observers.node_taken", "it was let in as a validator"
    assert consortium.code(consortium.by("org-4", Withdraw(node("o1")))) == "observers.another_organization"
    assert consortium.code(consortium.by("org-4", Withdraw(node("o2")))) == "observers.unknown_observer"


def test_an_organization_has_a_bounded_number_of_observers() -> None:
    consortium = world()
    many = [
        registration(f"o{index}", "org-4", consortium.network_id) for index in range(OBSERVERS_PER_ORGANIZATION_MAX)
    ]
    assert consortium.code(consortium.by("org-4", *many)) == ""
    assert register(consortium, "another") == "observers.too_many"
    assert register(consortium, "o0", address="moved:1") == "", "no further one"
    assert register(consortium, "another", "org-3") == "", "another organization's number is its own"
    assert consortium.code(consortium.by("org-4", Withdraw(node("o0")))) == ""
    assert register(consortium, "o16") == ""
    first = consortium.chain.query("observers.list", {"organization": "org-4", "limit": "10"})
    rest = consortium.chain.query("observers.list", {"organization": "org-4", "after": first[-1].node_id})
    assert len(first) + len(rest) == OBSERVERS_PER_ORGANIZATION_MAX
    assert [one.node_id for one in first + rest] == sorted(one.node_id for one in first + rest)
    assert len(consortium.chain.query("observers.list", {})) == OBSERVERS_PER_ORGANIZATION_MAX + 1
    with pytest.raises(LedgerError, match="no such organization"):
        consortium.chain.query("observers.list", {"organization": "nöbody"})


def test_only_an_account_that_speaks_for_the_organization_registers_by_an_owner_key() -> None:
    consortium = world()
    operator, customer = key("operator"), key("customer")
    opened = account_id(consortium.network_id, "org-4", customer.public_key, bytes(16))
    prepared = consortium.by(
        "org-4", AddKey(operator.public_key, "operator"), OpenAccount(customer.public_key, bytes(16), "customer")
    )
    assert consortium.code(prepared) == ""
    operation = registration("o1", "org-4", consortium.network_id)

    def sent(sender: bytes, signer: str, what: Any) -> str:
        return consortium.code(
            build(
                network_id=consortium.network_id,
                sender=sender,
                key=key(signer),
                operations=[what],
                expires_at_ms=consortium.now_ms + 10_000,
            )
        )

    assert sent(opened, "customer", operation) == "organizations.not_vouching"
    assert sent(consortium.accounts["org-4"], "operator", operation) == "organizations.key_not_allowed"
    assert register(consortium, "o1") == ""
    assert sent(opened, "customer", Withdraw(node("o1"))) == "organizations.not_vouching"


def test_observers_of_a_suspended_or_removed_organization_are_let_in_no_more() -> None:
    consortium = world()
    assert register(consortium, "o1") == ""
    assert register(consortium, "o2", "org-3") == ""
    for change in (SuspendOrganization("org-4"), ReinstateOrganization("org-4"), RemoveOrganization("org-4")):
        consortium.approve(change)
        assert (node("o1") in roles(consortium)) == isinstance(change, ReinstateOrganization)
        admitted = {one.node_id: one.admitted for one in consortium.chain.query("observers.list", {})}
        assert admitted[node("o1")] == isinstance(change, ReinstateOrganization)
        assert roles(consortium)[node("o2")] == "observer"
    assert register(consortium, "o3") == "organizations.removed"
    assert consortium.code(consortium.by("org-4", Withdraw(node("o1")))) == "", "its quota comes back"


def test_a_block_that_suspends_an_organization_says_that_the_nodes_have_changed() -> None:
    consortium = world()
    proposal, _ = consortium.propose(SuspendOrganization("org-4"))
    voters = ("org-0", "org-1", "org-2", "org-3")
    blocks = [consortium.execute(consortium.by(voter, Vote(proposal, True))) for voter in voters]
    assert consortium.chain.query("organizations.get", {"organization": "org-4"}).membership == "suspended"
    assert [block.membership_changed for block in blocks] == [False, False, False, True]


def test_an_observer_becomes_a_validator_and_is_one_thing_at_a_time() -> None:
    """The registration ends with the vote that lets the node in, and its organization gets the quota back."""
    consortium = world()
    assert register(consortium, "n0") == ""
    assert consortium.propose(add("n0", "org-3"))[1] in ("governance.node_taken", "governance.power")
    consortium.approve(add("n0", "org-4"))
    assert roles(consortium)[node("n0")] == "candidate"
    assert consortium.chain.query("observers.list", {}) == []
    never_observed = world()
    never_observed.propose(add("n0", "org-3"))
    never_observed.approve(add("n0", "org-4"))
    assert usage(consortium.chain.view(), "org-4") == usage(never_observed.chain.view(), "org-4")
    assert consortium.code(consortium.ready("n0")) == ""
    assert "n0" in consortium.turn()
    assert roles(consortium)[node("n0")] == "validator"
    assert consortium.replayed().head == consortium.chain.head


def test_another_organizations_observer_is_no_validators_next_node() -> None:
    consortium = world()
    assert register(consortium, "n1", "org-4") == ""
    assert consortium.propose(rekey("v0", "n1"))[1] == "governance.node_taken"
    assert register(consortium, "n2", "org-0") == ""
    consortium.approve(rekey("v0", "n2"))
    assert roles(consortium)[node("n2")] == "candidate"


@pytest.mark.parametrize("where", ["nowhere", "host:", ":1", "a b:1", "host:123456"])
def test_an_address_is_host_and_port_or_nothing(where: str) -> None:
    operation = registration("o1", "org-4", bytes(32), address=where)
    with pytest.raises(CodecError):
        decode(encode(operation), Register)

"""The genesis file: read strictly, named by its values, refused with the member's path."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ledger_core_kit import OWNERS, VALIDATORS, make_genesis

from ledger.errors import InvalidGenesis
from ledger.genesis import load, network_id, organization_account, parse, validator_account, write
from ledger.parameters import LIFETIME_MS_MAX, Parameters
from ledger.validators import genesis_set
from primitives.identifiers import account_id, key_to_text


def edited(change: Callable[[Any], None]) -> bytes:
    document = json.loads(write(make_genesis()))
    change(document)
    return json.dumps(document).encode()


def test_a_written_genesis_is_read_back_and_spaces_do_not_matter(tmp_path: Path) -> None:
    genesis = make_genesis()
    (tmp_path / "genesis.json").write_bytes(write(genesis))
    assert load(tmp_path / "genesis.json") == genesis
    compact = edited(lambda document: None)
    backwards = json.dumps(dict(reversed(json.loads(write(genesis)).items()))).encode()
    assert network_id(parse(compact)) == network_id(parse(backwards)) == network_id(genesis)


def test_every_value_changes_the_network_id() -> None:
    base = network_id(make_genesis())
    others = [
        make_genesis(name="other"),
        make_genesis(salt="cd" * 32),
        make_genesis(created_at_ms=1),
        make_genesis(parameters=Parameters(fee_bps=251)),
        make_genesis(accounts=make_genesis().accounts[:2]),
        make_genesis(validators=make_genesis().validators[::-1]),
    ]
    assert len({base, *(network_id(other) for other in others)}) == len(others) + 1


def set_at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = value

    return change


OWNER_TEXT = key_to_text(OWNERS[0].public_key)
CASES: list[tuple[Callable[[Any], None], str, str]] = [
    (set_at("unknown", value=1), "genesis.malformed", "unknown"),
    (set_at("version", value=2), "genesis.malformed", "version"),
    (set_at("version", value=True), "genesis.malformed", "version"),
    (set_at("salt", value="AB" * 32), "genesis.malformed", "salt"),
    (set_at("salt", value="ab" * 31), "genesis.malformed", "salt"),
    (set_at("created_at_ms", value=-1), "genesis.malformed", "created_at_ms"),
    (set_at("validators", value=[]), "genesis.malformed", "validators"),
    (set_at("organizations", 0, "id", value="Org"), "genesis.malformed", "organizations"),
    (set_at("organizations", 0, "id", value="org-0\n"), "genesis.malformed", "organizations"),
    (set_at("organizations", 1, "id", value="org-0"), "genesis.repeated", "organizations"),
    (set_at("accounts", 0, "organization", value="nobody"), "genesis.organization", "accounts[0]"),
    (set_at("accounts", 0, "key", value="did:key:zNo"), "genesis.key", "accounts[0].key"),
    (set_at("accounts", 0, "credits", value=1.5), "genesis.malformed", "credits"),
    (set_at("accounts", 0, "credits", value=True), "genesis.malformed", "credits"),
    (set_at("accounts", 0, "credits", value=2**63 - 1), "genesis.supply", "accounts"),
    (set_at("validators", 1, "organization", value="nobody"), "genesis.organization", "validators[1]"),
    (set_at("validators", 1, "signing_key", value=OWNER_TEXT), "genesis.validator_key", "validators[1]"),
    (set_at("validators", 1, "tls_certificate", value="AB"), "genesis.certificate", "validators[1]"),
    (set_at("validators", 1, "tls_certificate", value="AB=="), "genesis.certificate", "validators[1]"),
    (set_at("validators", 1, "node_id", value="gmnode10"), "genesis.repeated", "node_id"),
    (set_at("validators", 1, "address", value="nowhere"), "genesis.malformed", "address"),
    (set_at("parameters", "fee_bps", value=501), "genesis.malformed", "fee_bps"),
    (set_at("parameters", "window", value=0), "genesis.malformed", "window"),
    (set_at("parameters", "lifetime_ms", value=600_001), "genesis.malformed", "lifetime_ms"),
    (set_at("parameters", "proposal_bytes_max", value=2**63), "genesis.malformed", "proposal_bytes_max"),
    (set_at("parameters", "whim", value=1), "genesis.malformed", "whim"),
]


@pytest.mark.parametrize(("change", "code", "named"), CASES)
def test_what_is_wrong_is_refused_with_its_place(change: Callable[[Any], None], code: str, named: str) -> None:
    """G5: hostile parameters too, here at their first door."""
    with pytest.raises(InvalidGenesis) as caught:
        parse(edited(change))
    assert caught.value.code == code, caught.value.message
    assert named in caught.value.message


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 100_000, b'"\xff"', b"null", b"NaN"])
def test_what_is_no_json_of_a_genesis_is_refused(data: bytes) -> None:
    """A1: nothing untyped comes out of hostile JSON."""
    with pytest.raises(InvalidGenesis) as caught:
        parse(data)
    assert caught.value.code == "genesis.malformed"


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidGenesis) as caught:
        load(tmp_path / "none.json")
    assert caught.value.code == "genesis.unreadable"


def test_outside_development_no_organization_may_stop_or_fork_the_network() -> None:
    make_genesis(development=False)
    validators = list(make_genesis().validators)
    import msgspec

    validators[1] = msgspec.structs.replace(validators[1], organization="org-0")
    with pytest.raises(InvalidGenesis) as caught:
        make_genesis(development=False, validators=tuple(validators))
    assert caught.value.code == "genesis.power"
    make_genesis(development=True, validators=tuple(validators))
    with pytest.raises(InvalidGenesis) as caught:
        make_genesis(development=False, parameters=Parameters(commitment_age_ms=0))
    assert caught.value.code == "genesis.parameter"


@pytest.mark.parametrize("interval_ms", [0, LIFETIME_MS_MAX - 1])
def test_a_rejoin_that_was_late_cannot_undo_the_one_after_it(interval_ms: int) -> None:
    """R5: it waits in some pool while its validator loses that number too, and votes again under another. A lifetime
    that is short now may have been long when it was signed."""
    parameters = Parameters(lifetime_ms=5_000, rejoin_interval_ms=interval_ms)
    with pytest.raises(InvalidGenesis) as caught:
        make_genesis(development=False, parameters=parameters)
    assert caught.value.code == "genesis.parameter"
    make_genesis(development=True, parameters=parameters)


def test_accounts_follow_from_the_network_organization_key_and_salt() -> None:
    genesis = make_genesis()
    network = network_id(genesis)
    expected = account_id(network, "org-0", OWNERS[0].public_key, bytes(16))
    assert organization_account(network, genesis.accounts[0]) == expected
    members = genesis_set(network, genesis.validators)
    assert members.validators[0].account == validator_account(network, genesis.validators[0])
    assert members.signing_keys() == tuple(key.public_key for key in VALIDATORS)
    assert len({member.account for member in members.validators}) == 4

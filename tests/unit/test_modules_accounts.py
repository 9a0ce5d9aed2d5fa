"""Organizations, accounts, keys, quotas, credits and the development clock."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from ledger.errors import LedgerError
from ledger.modules.assets import operations as assets
from ledger.modules.credits.operations import Transfer
from ledger.modules.development.operations import AdvanceClock
from ledger.modules.organizations.accounts import key_role
from ledger.modules.organizations.operations import AddKey, OpenAccount, RevokeKey, RotateKey
from ledger.modules.organizations.quota import usage
from ledger.modules.transfers import operations as transfers
from ledger.modules.transfers.operations import Thing
from ledger.operations import default_registry
from ledger.state.view import Readable, StateView
from primitives.codec import CodecError, decode, encode
from primitives.identifiers import account_id, account_to_text
from tests.unit.modules_kit import NAMES, START_MS, SUPPLY_EACH, World, make_genesis, seed_key

KEY = seed_key("spare").public_key
SALT = bytes(16)
SMALL_ORDER = bytes([1]) + bytes(31)


VALIDATOR_OPERATIONS = {"assets.report_held", "validators.ready", "validators.rejoin", "validators.report_evidence"}
OPERATOR_OPERATIONS = {
    "assets.commit",
    "assets.add_version",
    "assets.set_alias",
    "assets.update_metadata",
    "licenses.offer",
    "licenses.withdraw_offer",
    "licenses.approve_derivatives",
    "licenses.report_usage",
    "licenses.set_seats",
    "attestations.evaluate",
    "attestations.audit",
    "attestations.review",
    "attestations.answer",
    "contributions.comment",
    "contributions.refuse",
    "contributions.withdraw",
    "contributions.claim_bounty",
}


def test_roles_sign_what_they_are_for_and_nothing_else() -> None:
    rules = {operation.__struct_config__.tag: rule for operation, rule in default_registry().rules.items()}
    assert set(rules) >= OPERATOR_OPERATIONS | VALIDATOR_OPERATIONS
    for tag, rule in rules.items():
        assert ("owner" in rule.signers) is (tag not in VALIDATOR_OPERATIONS)
        assert ("operator" in rule.signers) is (tag in OPERATOR_OPERATIONS)
        assert ("validator" in rule.signers) is (tag in VALIDATOR_OPERATIONS)
        assert "release" not in rule.signers


def test_an_operator_key_makes_versions_but_moves_no_credits() -> None:
    world = World()
    world.do("alice", AddKey(KEY, "operator"))
    assert key_role(world.view, world.accounts["alice"], KEY) == "operator"
    world.refused("organizations.key_not_allowed", "alice", Transfer(world.accounts["bob"], 1), role="operator")
    world.do("alice", assets.Commit(bytes(32)), role="operator")


def test_rotation_ends_the_old_key_at_once() -> None:
    """G4: the account stays, the old key is none of its keys any more."""
    world = World()
    alice = world.accounts["alice"]
    old = seed_key("alice").public_key
    world.do("alice", RotateKey(old, KEY))
    assert key_role(world.view, alice, old) is None
    assert key_role(world.view, alice, KEY) == "owner"
    world.refused("organizations.unknown_key", "alice", RotateKey(old, seed_key("x").public_key))


def test_an_account_always_keeps_an_owner_key() -> None:
    world = World()
    first = seed_key("alice").public_key
    world.do("alice", AddKey(KEY, "operator"))
    world.refused("organizations.last_owner_key", "alice", RevokeKey(first))
    world.do("alice", AddKey(seed_key("second").public_key, "owner"), RevokeKey(first), RevokeKey(KEY))
    keys = world.query("accounts.get", account=account_to_text(world.accounts["alice"])).keys
    assert [entry.role for entry in keys] == ["owner"]


def test_keys_that_prove_nothing_are_refused() -> None:
    """A8: under a small-order key any message verifies somewhere."""
    world = World()
    for operation in (AddKey(SMALL_ORDER, "owner"), OpenAccount(SMALL_ORDER, SALT, "")):
        world.refused("organizations.invalid_key", "alice", operation)
    world.refused("organizations.key_exists", "alice", AddKey(seed_key("alice").public_key, "operator"))


def test_the_number_of_keys_is_bounded() -> None:
    world = World()
    world.do("alice", *(AddKey(seed_key(str(index)).public_key, "release") for index in range(15)))
    world.refused("organizations.too_many_keys", "alice", AddKey(KEY, "release"))


class Counting:
    """A state that counts what is read of it."""

    def __init__(self, base: Readable) -> None:
        self.base, self.reads = base, 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return self.base.get(key)

    def iterate(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for pair in self.base.iterate(prefix, start):
            self.reads += 1
            yield pair


def test_a_key_of_many_accounts_costs_what_one_of_a_few_does() -> None:
    """Whoever opens accounts with one key, or adds one key to them, must not make each further one dearer."""
    world = World()

    def reads(operation: OpenAccount | AddKey) -> int:
        state = Counting(world.view)
        context = world.context(StateView(state), world.accounts["alice"], bytes(32))
        world.registry.handlers[type(operation)](context, operation)
        return state.reads

    seen = []
    for number in range(100):
        opened = OpenAccount(KEY, number.to_bytes(16, "big"), "")
        if number in (5, 99):
            seen.append([reads(opened), reads(AddKey(KEY, "owner"))])
        world.do("alice", opened)
    assert seen[0] == seen[1]


def test_an_organization_opens_accounts_that_cannot_open_more() -> None:
    world = World()
    world.do("alice", OpenAccount(KEY, SALT, "lab"))
    opened = account_id(world.network_id, "org-alice", KEY, SALT)
    assert world.events[0].account == opened  # type: ignore[attr-defined]
    world.refused("organizations.account_exists", "alice", OpenAccount(KEY, SALT, "again"))
    world.do("alice", OpenAccount(KEY, bytes([1]) * 16, "the same key, another account"))
    world.refused("organizations.not_vouching", opened, OpenAccount(seed_key("y").public_key, SALT, ""))
    listed = world.query("accounts.list", organization="org-alice")
    assert account_to_text(opened) in [entry.account for entry in listed]
    page = world.query("accounts.list", organization="org-alice", limit="2")
    rest = world.query("accounts.list", organization="org-alice", after=page[-1].account)
    assert [*page, *rest] == listed


def test_a_validators_account_signs_statements_and_can_own_nothing() -> None:
    """What it received would be stranded: its key may sign no transfer."""
    world = World()
    validator = world.validators[0]
    world.refused("organizations.key_not_allowed", validator, Transfer(world.accounts["bob"], 1), role="validator")
    world.refused("credits.invalid_recipient", "alice", Transfer(validator, 1))
    asset = world.register("alice", "A")
    expires_at_ms, whole = world.now_ms + 1_000, Thing("asset", asset)
    world.refused("transfers.invalid_recipient", "alice", transfers.Offer(whole, validator, 1, expires_at_ms))
    world.refused("transfers.invalid_recipient", "alice", transfers.OfferGift(whole, validator, expires_at_ms))
    world.refused("assets.invalid_manager", "alice", assets.SetManager(asset, validator))


def test_quota_is_charged_at_creation_and_returned_at_deletion() -> None:
    world = World()
    before = usage(world.view, "org-alice")
    world.do("alice", assets.Commit(bytes(32)))
    charged = usage(world.view, "org-alice")
    assert (charged.records, charged.deadlines) == (before.records + 1, before.deadlines + 1)
    assert charged.bytes > before.bytes
    world.advance(world.parameters.commitment_lifetime_ms)
    assert usage(world.view, "org-alice") == before


def test_a_full_quota_stops_the_organization_and_nobody_else() -> None:
    world = World(make_genesis(quota_deadlines_per_organization=10))
    for index in range(10):
        world.do("alice", assets.Commit(bytes([index]) * 32))
    world.refused("organizations.quota_deadlines", "alan", assets.Commit(bytes([99]) * 32))
    world.do("bob", assets.Commit(bytes([99]) * 32))
    world.advance(world.parameters.commitment_lifetime_ms)
    world.do("alan", assets.Commit(bytes([99]) * 32))


def test_records_and_bytes_are_bounded_too() -> None:
    world = World(make_genesis(quota_records_per_organization=100))
    left = 100 - usage(world.view, "org-alice").records
    world.do("alice", *(assets.Commit(bytes([index]) * 32) for index in range(left)))
    world.refused("organizations.quota_records", "alice", assets.Commit(bytes([255]) * 32))
    world = World(make_genesis(quota_bytes_per_organization=100_000))
    for index in range(20):
        world.register("alice", f"A{index}", held=False, description="x" * 4_000)
    for label in ("fits", "does not"):
        world.commit("alice", label)
    world.do("alice", world.registration("alice", "fits", description="x" * 4_000))
    assert 95_000 < usage(world.view, "org-alice").bytes < 100_000
    world.refused(
        "organizations.quota_bytes", "alice", world.registration("alice", "does not", description="x" * 4_000)
    )


def test_a_full_quota_strands_no_earnings() -> None:
    from ledger.modules.licenses.operations import Terms
    from ledger.modules.royalties.operations import Withdraw

    world = World(make_genesis(quota_records_per_organization=100))
    asset = world.register("alice", "A")
    world.license("alice", asset, "bob", Terms(rights=("download",), price=1_000))
    left = 100 - usage(world.view, "org-alice").records
    world.do("alice", *(assets.Commit(bytes([index]) * 32) for index in range(left)))
    world.refused("organizations.quota_records", "alice", assets.Commit(bytes([255]) * 32))
    world.do("alice", Withdraw(asset))
    assert world.balance("alice") == SUPPLY_EACH + 975


def test_credits_move_and_are_conserved() -> None:
    world = World()
    world.do("alice", Transfer(world.accounts["bob"], 1_000))
    assert (world.balance("alice"), world.balance("bob")) == (SUPPLY_EACH - 1_000, SUPPLY_EACH + 1_000)
    world.do("alice", Transfer(world.accounts["bob"], SUPPLY_EACH - 1_000))
    assert world.balance("alice") == 0
    world.check_laws()
    assert world.query("credits.supply").supply == 5 * SUPPLY_EACH
    assert world.query("credits.balance", account=account_to_text(world.accounts["alice"])).balance == 0


@pytest.mark.parametrize("amount", [0, -1, -(2**63), 2**63, 2**64 - 1, True, 1.0, 0.5, "1", None])
def test_amounts_that_are_none_are_refused(amount: object) -> None:
    """E4: 0, negative, 2^63, bool and float never reach a handler, and a handler refuses them all the same."""
    world = World()
    operation = Transfer(world.accounts["bob"], amount)  # type: ignore[arg-type]
    with pytest.raises(CodecError):
        decode(encode(operation), Transfer)
    with pytest.raises(LedgerError) as caught:
        world.registry.handlers[Transfer](world.context(world.view, world.accounts["alice"], b""), operation)
    assert caught.value.code == "credits.amount_invalid"


def test_transfers_that_are_none_are_refused() -> None:
    """E6: a payment to oneself; E2: more than there is."""
    world = World()
    world.refused("credits.self_transfer", "alice", Transfer(world.accounts["alice"], 1))
    world.refused("credits.invalid_recipient", "alice", Transfer(bytes(32), 1))
    world.refused("credits.insufficient", "alice", Transfer(world.accounts["bob"], SUPPLY_EACH + 1))


def test_holders_that_only_modules_name_cannot_be_paid_by_transfer() -> None:
    """Treasury, pools and escrows are no accounts: credits sent there would be stranded."""
    from ledger.modules.credits.records import TREASURY, escrow_holder, pool_holder

    world = World()
    asset = world.register("alice", "A")
    for holder in (TREASURY, pool_holder(asset), escrow_holder(asset)):
        world.refused("credits.invalid_recipient", "alice", Transfer(holder, 1))


def test_a_failing_operation_undoes_the_ones_before_it() -> None:
    """E5: operations of one transaction succeed or fail together."""
    world = World()
    world.refused(
        "credits.insufficient",
        "alice",
        Transfer(world.accounts["bob"], SUPPLY_EACH - 1),
        Transfer(world.accounts["bob"], 2),
    )
    assert world.balance("bob") == SUPPLY_EACH


def test_time_is_advanced_on_development_networks_only() -> None:
    world = World()
    world.do("alice", AdvanceClock(5_000))
    world.do("alice", AdvanceClock(1))
    assert world.query("development.clock").offset_ms == 5_001
    assert world.registry.clock_offset_ms(world.view) == 5_001
    production = World(msgspec.structs.replace(make_genesis(), development=False))
    assert production.query("development.clock") == type(production.query("development.clock"))(False, 0)
    production.refused("development.not_a_development_network", "alice", AdvanceClock(1))


def test_the_clock_cannot_leave_its_range() -> None:
    world = World()
    step = AdvanceClock(3_660 * 86_400_000)
    world.do("alice", *[step] * 10)
    world.refused("development.out_of_range", "alice", step)


def test_queries_name_what_is_wrong_with_them() -> None:
    """A1: full-width digits, upper-case hex and unknown subjects are refused by a typed error."""
    world = World()
    for name, arguments, code in [
        ("accounts.get", {"account": "gm1nonsense"}, "query.argument"),
        ("accounts.get", {"account": account_to_text(bytes(32))}, "query.not_found"),
        ("accounts.list", {"organization": "nobody"}, "query.not_found"),
        ("organizations.get", {"organization": "nöbody"}, "query.not_found"),
        ("assets.get", {"asset": "AB" * 32}, "query.argument"),
        ("assets.get", {"asset": "ab" * 32}, "query.not_found"),
        ("assets.get", {"asset": "ab"}, "query.argument"),
        ("assets.list", {"limit": "１２"}, "query.argument"),
        ("assets.list", {"kind": "unicorn"}, "query.argument"),
        ("assets.by_artifact", {"cid": "bafkr"}, "query.not_found"),
        ("assets.version", {"asset": "ab" * 32}, "query.not_found"),
        ("licenses.grants", {}, "query.argument"),
        ("licenses.grant", {"grant": "ab" * 32}, "query.not_found"),
        ("licenses.offer", {"offer": "ab" * 32}, "query.not_found"),
        ("licenses.terms", {"terms": "ab" * 32}, "query.not_found"),
        ("royalties.stack", {"asset": "ab" * 32}, "query.not_found"),
    ]:
        with pytest.raises(LedgerError) as caught:
            world.query(name, **arguments)
        assert caught.value.code == code, name


def test_the_first_state_is_what_the_genesis_says() -> None:
    world = World()
    listed = world.query("organizations.list")
    assert [entry.organization for entry in listed] == sorted(f"org-{name}" for name in NAMES)
    account = world.query("accounts.get", account=account_to_text(world.accounts["alice"]))
    assert (account.organization, account.balance, account.opened_at_ms) == ("org-alice", SUPPLY_EACH, START_MS)
    world.check_laws()

"""Seats: whom a licensee lets use its grant."""

from __future__ import annotations

import msgspec

from ledger.modules.licenses import check as checks
from ledger.modules.licenses.grants import require_grant
from ledger.modules.licenses.operations import SetSeats
from ledger.modules.licenses.records import GRANTS
from ledger.modules.organizations.quota import usage
from primitives.identifiers import account_to_text
from tests.unit.modules_kit import World
from tests.unit.standing_kit import USE, colleague, shown, sold


def may(world: World, account: bytes, asset: bytes, right: str = "inference") -> tuple[bool, str, str]:
    answer = checks.check(world.view, account, asset, right, world.now_ms)
    return answer.allowed, answer.reason, answer.clause


def test_a_seat_lets_a_colleague_use_the_grant() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(USE, seats=3))
    first, second, third = (colleague(world, label) for label in "abc")
    before = usage(world.view, "org-bob")
    assert may(world, first, asset) == (False, "no_grant", "")
    world.do("bob", SetSeats(grant, (second, first, world.accounts["bob"], first)), role="operator")
    assert may(world, first, asset) == may(world, second, asset) == (True, "granted", "seats")
    assert may(world, world.accounts["bob"], asset) == (True, "granted", "")
    assert may(world, first, asset, "download") == (False, "right_not_granted", "rights")
    assert set(shown(world, grant).seats) == {account_to_text(first), account_to_text(second)}
    world.check_laws()
    asked = {"account": account_to_text(first)}
    assert world.query("licenses.seats", **asked) == [shown(world, grant)]
    assert world.query("licenses.seats", **asked, asset=asset.hex()) == [shown(world, grant)]
    assert world.query("licenses.seats", **asked, after=grant.hex()) == []
    assert world.query("licenses.seats", **asked, asset=world.register("carol", "C").hex()) == []
    world.do("bob", SetSeats(grant, (third,)))
    assert may(world, first, asset) == (False, "no_grant", "")
    assert may(world, third, asset)[0]
    world.check_laws()
    world.do("bob", SetSeats(grant, ()))
    assert may(world, third, asset) == (False, "no_grant", "")
    assert usage(world.view, "org-bob") == before
    world.check_laws()


def test_seats_that_are_refused() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(USE, seats=2))
    first, second = colleague(world, "a"), colleague(world, "b")
    world.refused("licenses.unknown_grant", "bob", SetSeats(bytes(32), ()))
    world.refused("licenses.not_licensee", "alice", SetSeats(grant, (first,)))
    world.refused("licenses.too_many_seats", "bob", SetSeats(grant, (first, second)))
    for stranger in (world.accounts["carol"], world.validators[1], bytes(32)):
        world.refused("licenses.seat_account", "bob", SetSeats(grant, (stranger,)))
    alone = world.license("alice", asset, "bob", USE)
    world.refused("licenses.no_seats", "bob", SetSeats(alone, (first,)))
    short = world.license("alice", asset, "bob", msgspec.structs.replace(USE, seats=2, term_ms=5))
    world.do("bob", SetSeats(short, (first,)))
    world.advance(5)
    world.refused("licenses.not_active", "bob", SetSeats(short, (second,)))
    world.do("bob", SetSeats(short, ()))


def test_seats_of_an_earlier_licensee_are_void() -> None:
    world = World()
    asset, grant = sold(world, msgspec.structs.replace(USE, seats=2))
    seat = colleague(world)
    world.do("bob", SetSeats(grant, (seat,)))
    record = require_grant(world.view, grant)
    moved = msgspec.structs.replace(record, licensee=world.accounts["carol"], organization="org-carol")
    GRANTS.put(world.view, moved, grant)
    assert may(world, seat, asset) == (False, "no_seat", "seats")
    assert shown(world, grant).seats == ()
    assert world.query("licenses.seats", account=account_to_text(seat)) == []
    before = usage(world.view, "org-bob")
    world.do("carol", SetSeats(grant, ()))
    assert may(world, seat, asset) == (False, "no_grant", "")
    assert usage(world.view, "org-bob").records == before.records - 2

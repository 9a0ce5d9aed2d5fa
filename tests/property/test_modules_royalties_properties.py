"""Laws of payments, for amounts, rates and orders that hypothesis finds."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import OperationError
from ledger.modules.assets.operations import TransferTerms
from ledger.modules.assets.records import BY_OWNER, OWNERSHIP, Ownership, Share
from ledger.modules.credits.records import pool_holder
from ledger.modules.fields import MARKER
from ledger.modules.royalties import pools
from ledger.modules.royalties.records import ANCESTORS_MAX, CAP_BPS, Entry, Stack
from ledger.modules.royalties.splits import Split, split_gift, split_resale, split_sale, split_share_sale
from tests.thoroughness import tries
from tests.unit.modules_kit import World

AMOUNTS = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1))


@st.composite
def stacks(draw: st.DrawFn, least: bool = True) -> Stack:
    entries = []
    left_bps = CAP_BPS
    for index in range(draw(st.one_of(st.integers(0, 6), st.just(ANCESTORS_MAX)))):
        rate = draw(st.integers(0, left_bps))
        left_bps -= rate
        cap = draw(st.one_of(st.none(), st.integers(0, 10_000)))
        entries.append(
            Entry(
                ancestor=bytes([index]) * 32,
                rate_bps=rate,
                cap=cap,
                least=draw(st.integers(0, 50)) if least else 0,
                depth=1,
                paid=0 if cap is None else draw(st.integers(0, cap)),
                remainder=draw(st.integers(0, 9_999)),
            )
        )
    return Stack(tuple(entries), draw(st.integers(0, 9_999)), draw(st.integers(0, 9_999)))


def check_split(split: Split, amount: int, before: Stack) -> None:
    royalties = [units for _, units in split.royalties]
    assert split.fee + sum(royalties) + split.creators + split.rest == amount
    assert min([split.fee, split.creators, split.rest, *royalties]) >= 0
    for entry in split.stack.entries:
        assert entry.cap is None or entry.paid <= entry.cap
        assert 0 <= entry.remainder < 2**20
    assert len(split.stack.entries) == len(before.entries)


@given(stacks(), AMOUNTS, st.integers(0, 500), st.booleans())
def test_the_parts_of_a_sale_sum_to_the_price(stack: Stack, amount: int, fee_bps: int, exempt: bool) -> None:
    """E3: exactly, or the payment is refused as a whole."""
    try:
        split = split_sale(stack, amount, fee_bps, exempt=exempt)
    except OperationError:
        assert sum(entry.least for entry in stack.entries) > 0
        assert not exempt
        return
    check_split(split, amount, stack)


@given(stacks(), AMOUNTS, st.integers(0, 500), st.integers(0, 1_500), st.integers(0, 1_000), st.booleans())
def test_the_parts_of_a_resale_sum_to_the_price(
    stack: Stack, price: int, fee_bps: int, resale_bps: int, least: int, exempt: bool
) -> None:
    terms = TransferTerms(resale_bps, least)
    try:
        split = split_resale(stack, price, fee_bps, terms, exempt=exempt)
    except OperationError:
        return
    check_split(split, price, stack)


@given(
    st.one_of(stacks(), stacks(least=False)),
    AMOUNTS,
    st.integers(0, 500),
    st.integers(0, 1_500),
    st.integers(0, 50_000),
    st.booleans(),
    st.integers(1, 9),
)
def test_the_parts_of_share_sales_sum_to_the_price(
    stack: Stack, price: int, fee_bps: int, resale_bps: int, part_bps: int, exempt: bool, times: int
) -> None:
    """Whatever part of the price the creators' least royalty is, the ancestors lose nothing to it."""
    terms = TransferTerms(resale_bps, price * part_bps // 10_000)
    for _ in range(times):
        try:
            split = split_share_sale(stack, price, fee_bps, terms, exempt=exempt)
        except OperationError:
            return
        check_split(split, price, stack)
        stack = split.stack


@given(stacks(), st.integers(0, 1_000))
def test_a_gift_pays_each_its_least(stack: Stack, least: int) -> None:
    split = split_gift(stack, TransferTerms(100, least), exempt=False)
    amount = split.creators + sum(units for _, units in split.royalties)
    check_split(split, amount, stack)
    parts = dict(split.royalties)
    for entry in stack.entries:
        left = entry.least if entry.cap is None else min(entry.least, entry.cap - entry.paid)
        assert parts.get(entry.ancestor, 0) >= left
    assert amount >= least


@given(stacks(least=False), st.lists(st.integers(0, 200), max_size=60), st.integers(0, 500))
def test_small_payments_lose_nothing(stack: Stack, amounts: list[int], fee_bps: int) -> None:
    """What an ancestor without a cap has received or is still owed is its rate of everything, exactly."""
    start = stack
    received: dict[bytes, int] = {}
    net = 0
    for amount in amounts:
        split = split_sale(stack, amount, fee_bps, exempt=False)
        check_split(split, amount, stack)
        net += amount - split.fee
        for ancestor, units in split.royalties:
            received[ancestor] = received.get(ancestor, 0) + units
        stack = split.stack
    for before, after in zip(start.entries, stack.entries, strict=True):
        if before.cap is None:
            due = net * before.rate_bps + before.remainder
            assert received.get(before.ancestor, 0) * 10_000 + after.remainder == due


def sold(kind: str, stack: Stack, price: int, fee_bps: int, resale_bps: int) -> Stack:
    """Return the stack after a sale of one kind, without least royalties."""
    terms = TransferTerms(resale_bps, 0)
    if kind == "use":
        return split_sale(stack, price, fee_bps, exempt=False).stack
    if kind == "share":
        return split_share_sale(stack, price, fee_bps, terms, exempt=False).stack
    return split_resale(stack, price, fee_bps, terms, exempt=False, of_grant=kind == "grant").stack


SALES = st.tuples(st.sampled_from(["use", "share", "share", "asset", "grant"]), st.sampled_from([1, 1, 1, 2, 3]))


@settings(max_examples=tries(40), deadline=None)
@given(stacks(least=False), st.lists(SALES, min_size=1, max_size=12), st.sampled_from([0, 250]), st.integers(0, 1_500))
def test_what_sales_of_few_units_leave_to_be_paid_stays_within_its_bound(
    stack: Stack, sales: list[tuple[str, int]], fee_bps: int, resale_bps: int
) -> None:
    """Whatever sales follow one another, again and again; the bound is one that the record must keep."""
    for number in range(200 * len(sales)):
        kind, price = sales[number % len(sales)]
        stack = sold(kind, stack, price, fee_bps, resale_bps)
        carried = sum(entry.remainder for entry in stack.entries)
        assert carried + stack.share_resale_remainder < (ANCESTORS_MAX + 1) * 10_000


@given(st.integers(1, CAP_BPS), st.integers(1, 1_500), st.sampled_from([0, 250]))
@settings(max_examples=tries(20), deadline=None)
def test_creators_of_shares_never_take_again_and_again_what_ancestors_are_due(
    rate_bps: int, resale_bps: int, fee_bps: int
) -> None:
    """Sales of the asset are followed by one of a share whenever the creators' next unit is due, and would leave the
    ancestors nothing of it."""
    stack = Stack((Entry(bytes(32), rate_bps, None, 0, 8),))
    for _ in range(3_000):
        due = stack.resale_remainder + resale_bps >= 10_000
        stack = sold("share" if due else "asset", stack, 1, fee_bps, resale_bps)
        assert stack.entries[0].remainder < 3 * 10_000


@st.composite
def parts_of_a_whole(draw: st.DrawFn) -> list[int]:
    """Basis points of 1 to 10 payees."""
    cuts = draw(st.lists(st.integers(1, 9_999), max_size=9, unique=True))
    bounds = [0, *sorted(cuts), 10_000]
    return [after - before for before, after in pairwise(bounds)]


@settings(max_examples=60, deadline=None)
@given(parts_of_a_whole(), st.lists(st.integers(1, 10_000), min_size=1, max_size=4))
def test_payees_get_their_parts_rounded_down_and_the_pool_keeps_what_is_left(bps: list[int], prices: list[int]) -> None:
    """E3: 1 to 10 payees, whatever their basis points; nobody gets more than its part, and all together the price."""
    world = World()
    asset = world.register("alice", "shared")
    payees = [bytes([number]) * 32 for number in range(1, len(bps) + 1)]
    owners = tuple(Share(payee, part) for payee, part in zip(payees, bps, strict=True))
    OWNERSHIP.put(world.view, Ownership(owners, world.now_ms, 0), asset)
    context = world.context(world.view, b"", b"test")
    got = dict.fromkeys(payees, 0)
    for number, price in enumerate(prices):
        pools.receive(context, "org-alice", asset, world.accounts["dave"], price)
        for payee, part in zip(payees, bps, strict=True):
            if (payee[0] + number) % 2:
                got[payee] += pools.withdraw(context, asset, asset, payee, part)
    for payee, part in zip(payees, bps, strict=True):
        got[payee] += pools.withdraw(context, asset, asset, payee, part)
        assert got[payee] == sum(prices) * part // 10_000
    left = [pools.owed(world.view, asset, payee, part) for payee, part in zip(payees, bps, strict=True)]
    assert all(units == 0 for units, _ in left)
    assert sum(got.values()) * 10_000 + sum(fraction for _, fraction in left) == sum(prices) * 10_000
    assert world.balance(pool_holder(asset)) == sum(prices) - sum(got.values())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("earn"), st.integers(1, 30)),
        st.tuples(st.just("move"), st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 10_000))),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.lists(st.tuples(st.integers(0, 29), st.integers(0, 3)), max_size=40))
def test_what_co_owners_get_does_not_depend_on_when_they_withdraw(
    steps: list[tuple[str, object]], withdrawals: list[tuple[int, int]]
) -> None:
    """Two worlds with the same income and share changes; in one, owners withdraw at odd moments."""
    patient = _play(steps, [])
    assert _play(steps, withdrawals) == patient


def _play(steps: list[tuple[str, object]], withdrawals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    world = World()
    asset = world.register("alice", "shared")
    names = ("alice", "bob", "carol", "dave")
    accounts = [world.accounts[name] for name in names]
    shares = {accounts[0]: 10_000}
    withdrawn = dict.fromkeys(accounts, 0)
    context = world.context(world.view, b"", b"test")

    def withdraw(account: bytes) -> None:
        withdrawn[account] += pools.withdraw(context, asset, asset, account, shares.get(account, 0))

    for index, (kind, argument) in enumerate(steps):
        for moment, who in withdrawals:
            if moment == index:
                withdraw(accounts[who])
        if kind == "earn":
            assert isinstance(argument, int)
            pools.receive(context, "org-alice", asset, accounts[3], argument)
            continue
        assert isinstance(argument, tuple)
        giver, taker, bps = accounts[argument[0]], accounts[argument[1]], argument[2]
        moved = min(bps, shares.get(giver, 0))
        if giver == taker or not moved:
            continue
        before = (taker, shares.get(taker, 0))
        pools.move_share(context, asset, (giver, shares[giver]), before, moved)
        shares[giver] -= moved
        shares[taker] = shares.get(taker, 0) + moved
        present = tuple(Share(account, bps) for account, bps in sorted(shares.items()) if bps)
        OWNERSHIP.put(world.view, Ownership(present, world.now_ms, 0), asset)
        for account in accounts:
            if shares.get(account):
                BY_OWNER.put(world.view, MARKER, account, asset)
            else:
                BY_OWNER.delete(world.view, account, asset)
        world.check_laws()
    for account in accounts:
        withdraw(account)
    left = world.balance(pool_holder(asset))
    assert left < len(accounts), "fractions of a unit, at most one for each owner"
    return [
        (withdrawn[account], pools.owed(world.view, asset, account, shares.get(account, 0))[1]) for account in accounts
    ]

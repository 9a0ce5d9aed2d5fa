"""Laws of reputation: kept up step by step it equals what is made of all evidence anew; what returns gains nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.modules.assets.operations import TransferTerms
from ledger.modules.assets.records import ASSETS, OWNERSHIP, Asset, Ownership, Share
from ledger.modules.module import Context
from ledger.modules.organizations.records import ACCOUNTS, ORGANIZATIONS, Account, Organization
from ledger.modules.reputation import evidence, flows
from ledger.modules.reputation.decay import HALF_LIFE_MS, from_grid, to_grid
from ledger.modules.reputation.formula import S, review_weight
from ledger.modules.reputation.reading import Book
from ledger.modules.reputation.returns import read_flows, returned
from ledger.parameters import Parameters
from tests.readable_kit import ReadableView
from tests.reference import reputation
from tests.unit.modules_kit import START_MS, Dictionary

ORGANIZATIONS_IN_LIFE = ("a", "b", "c", "d", "e")
PEOPLE = {bytes([number]) * 32: ORGANIZATIONS_IN_LIFE[number % 5] for number in range(1, 9)}
ACCOUNT_IDS = tuple(PEOPLE)
WORKS: dict[bytes, tuple[dict[bytes, int], dict[bytes, int]]] = {
    b"\xa1" * 32: ({ACCOUNT_IDS[0]: 10_000}, {ACCOUNT_IDS[0]: 10_000}),
    b"\xa2" * 32: ({ACCOUNT_IDS[1]: 6_000, ACCOUNT_IDS[5]: 4_000}, {ACCOUNT_IDS[1]: 2_500, ACCOUNT_IDS[2]: 7_500}),
    b"\xa3" * 32: ({ACCOUNT_IDS[3]: 3_333, ACCOUNT_IDS[2]: 6_667}, {ACCOUNT_IDS[4]: 10_000}),
}
"""Asset -> (owners, creators)."""

account = st.sampled_from(ACCOUNT_IDS)
work = st.sampled_from(tuple(WORKS))
amount = st.sampled_from([1, 10_000, 999_999, 10**6, 5 * 10**6, 10**9])
rating = st.sampled_from([0, 1, 333_333, 500_000, 999_999, S])
index = st.integers(0, 30)
step = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1, 86_400_000, HALF_LIFE_MS // 7, HALF_LIFE_MS, 3 * HALF_LIFE_MS])),
    st.tuples(st.just("pay"), account, account, amount),
    st.tuples(st.just("buy"), account, work, amount),
    st.tuples(st.just("review"), account, work, amount, rating),
    st.tuples(st.just("state"), account, account, st.integers(1, 10), rating),
    st.tuples(st.just("lose"), account, account, st.integers(1, 9_999)),
    st.tuples(st.just("end"), index),
    st.tuples(st.just("rate"), index, rating),
    st.tuples(st.just("refund"), index, amount),
)


class Life:
    """The module over a state of its own, and the reference beside it."""

    def __init__(self) -> None:
        self.view = ReadableView(Dictionary())
        self.now_ms, self.height = START_MS, 0
        self.given: list[tuple[bytes, str]] = []
        self.reference: Any = SimpleNamespace(
            accounts={key: {"organization": name} for key, name in PEOPLE.items()},
            assets={
                key: {"shares": owners, "creators": creators, "organization": PEOPLE[min(creators)]}
                for key, (owners, creators) in WORKS.items()
            },
            flows={},
            words={},
            purses={},
            now=START_MS,
        )
        for name in ORGANIZATIONS_IN_LIFE:
            ORGANIZATIONS.put(self.view, Organization(name, name), name.encode())
        for key, name in PEOPLE.items():
            ACCOUNTS.put(self.view, Account(name, "", (), vouches=True, opened_at_ms=0), key)
        for key, (owners, creators) in WORKS.items():
            OWNERSHIP.put(self.view, Ownership(shares(owners), 0, 0), key)
            ASSETS.put(self.view, plain_asset(shares(creators)), key)

    def context(self, sender: bytes = b"") -> Context:
        return Context(
            view=self.view,
            network_id=bytes(32),
            height=self.height,
            block_time_ms=self.now_ms,
            parameters=Parameters(),
            sender=sender,  # type: ignore[arg-type]
            signer=b"",
            transaction_id=bytes(32),
        )

    def take(self, action: tuple[Any, ...]) -> None:
        self.height += 1
        kind, *arguments = action
        getattr(self, f"do_{kind}")(*arguments)
        self.compare()

    def do_wait(self, ms: int) -> None:
        self.now_ms += ms
        self.reference.now = self.now_ms

    def do_pay(self, payer: bytes, recipient: bytes, units: int) -> None:
        flows.moved(self.context(), payer, recipient, units)
        reputation.paid(self.reference, payer, {recipient: 10_000}, units)

    def do_buy(self, payer: bytes, asset: bytes, units: int) -> None:
        owners = WORKS[asset][0]
        flows.moved_to_holders(self.context(), payer, shares(owners), units)
        reputation.paid(self.reference, payer, owners, units)

    def do_review(self, rater: bytes, asset: bytes, units: int, said: int) -> None:
        self.do_buy(rater, asset, units)
        identifier = self.identifier("review")
        evidence.review(self.context(rater), identifier, b"\x01" * 32, asset, said, units)
        owners = WORKS[asset][0]
        own, parts = PEOPLE[rater], dict[str, int]()
        for one, bps in owners.items():
            if PEOPLE[one] != own:
                parts[PEOPLE[one]] = parts.get(PEOPLE[one], 0) + bps
        words = self.reference.words
        words[len(words)] = (
            "given",
            identifier,
            self.now_ms,
            rater,
            own,
            tuple(reputation.answering(self.reference, asset).items()),
            said,
            review_weight(units),
            units,
            tuple(parts.items()),
        )

    def do_state(self, rater: bytes, subject: bytes, tier: int, said: int) -> None:
        identifier = self.identifier("evaluation")
        about = (Share(subject, 10_000),)
        testimony = evidence.Testimony("evaluation", identifier, identifier, rater, bytes(32), said, tier * S, about)
        evidence.state(self.context(rater), testimony)
        reputation.stated(self.reference, identifier, rater, {subject: 10_000}, said, tier)

    def do_lose(self, first: bytes, second: bytes, bps: int) -> None:
        identifier = self.identifier("dispute")
        losers = {first: bps, second: 10_000 - bps} if first != second else {first: 10_000}
        evidence.lose(self.context(), identifier, bytes(32), "a", shares(losers))
        reputation.lost(self.reference, identifier, dict(sorted(losers.items())))

    def do_end(self, number: int) -> None:
        if number < len(self.given):
            evidence.end(self.context(), self.given[number][0], "superseded")
            reputation.ended(self.reference, self.given[number][0])

    def do_rate(self, number: int, said: int) -> None:
        spoken = [identifier for identifier, kind in self.given if kind != "dispute"]
        if spoken:
            identifier = spoken[number % len(spoken)]
            evidence.rate_anew(self.context(), identifier, b"\x02" * 32, said)
            reputation.rated_anew(self.reference, identifier, said)

    def do_refund(self, number: int, left: int) -> None:
        reviews = [identifier for identifier, kind in self.given if kind == "review"]
        if reviews:
            identifier = reviews[number % len(reviews)]
            evidence.paid_back(self.context(), identifier, left - 1)
            words = self.reference.words
            words[len(words)] = ("returned", identifier, left - 1, self.now_ms)

    def identifier(self, kind: str) -> bytes:
        identifier = len(self.given).to_bytes(32, "big")
        self.given.append((identifier, kind))
        return identifier

    def compare(self) -> None:
        book = Book(self.view, self.now_ms)
        found: dict[Any, Any] = {key: tuple(book.account(key)) for key in PEOPLE}
        found |= {name: tuple(book.organization(name)) for name in ORGANIZATIONS_IN_LIFE}
        expected = reputation.scores(self.reference, self.now_ms)
        assert {key: weights for key, weights in found.items() if any(weights)} == expected
        moved = {(one, two): units for one, row in read_flows(self.view)[0].items() for two, units in row.items()}
        assert moved == reputation.moved(self.reference)


def shares(parts: dict[bytes, int]) -> tuple[Share, ...]:
    return tuple(Share(key, parts[key]) for key in sorted(parts))


def plain_asset(creators: tuple[Share, ...]) -> Asset:
    owner = creators[0].account
    return Asset(
        kind="dataset",
        name="work",
        description="",
        tags=(),
        metadata=(),
        visibility="public",
        organization=PEOPLE[owner],
        manager=owner,
        creators=creators,
        transfer_terms=TransferTerms(),
        registered_at_ms=0,
        versions=1,
        transfers=0,
        denied_uses=(),
        commercial=True,
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(step, min_size=1, max_size=25))
def test_step_by_step_is_from_scratch(steps: list[tuple[Any, ...]]) -> None:
    """At every height, to the unit: payments, reviews, statements, lost disputes, supersession and refunds."""
    life = Life()
    for action in steps:
        life.take(action)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 60 * S), st.integers(0, 2**42), st.integers(0, 2**42))
def test_decay_is_a_function_of_time_alone(weight: int, begin_ms: int, wait_ms: int) -> None:
    """What was entered is read exactly, never grows, and halves in a half-life."""
    entered = to_grid(weight, begin_ms)
    assert from_grid(entered, begin_ms) == weight
    later = from_grid(entered, begin_ms + wait_ms)
    assert later <= weight
    assert abs(2 * from_grid(entered, begin_ms + wait_ms + HALF_LIFE_MS) - later) <= 1


matrices = st.dictionaries(
    st.sampled_from("PABCDE"), st.dictionaries(st.sampled_from("PABCDE"), st.integers(1, 50), max_size=5), max_size=6
)


@settings(max_examples=300, deadline=None)
@given(matrices)
def test_no_less_is_said_to_return_than_can(matrix: dict[str, dict[str, int]]) -> None:
    """Never below the largest flow over at most three steps, never above what leaves the one or reaches the other."""
    moved = {one: {two: units for two, units in row.items() if two != one} for one, row in matrix.items()}
    found = returned(moved, "P", "A")
    assert largest_flow(moved) <= found
    assert found <= sum(moved.get("P", {}).values())
    assert found <= sum(row.get("A", 0) for row in moved.values())


def largest_flow(moved: dict[str, dict[str, int]]) -> int:
    """Augmenting paths over layers: P, those after the first step, those after the second, A."""
    between = [name for name in "BCDE" if name not in "PA"]
    edges: dict[tuple[str, str], int] = {("P", "A"): moved.get("P", {}).get("A", 0)}
    for one in between:
        edges["P", one + "1"] = moved.get("P", {}).get(one, 0)
        edges[one + "1", one + "2"] = 10**9
        edges[one + "2", "A"] = moved.get(one, {}).get("A", 0)
        for two in between:
            if one != two:
                edges[one + "1", two + "2"] = moved.get(one, {}).get(two, 0)
    edges |= {(two, one): edges.get((two, one), 0) for one, two in list(edges)}
    total = 0
    while way := path(edges):
        room = min(edges[pair] for pair in way)
        for one, two in way:
            edges[one, two] -= room
            edges[two, one] += room
        total += room
    return total


def path(edges: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    reached: dict[str, list[tuple[str, str]]] = {"P": []}
    queue = ["P"]
    for place in queue:
        for (one, two), room in edges.items():
            if one == place and room and two not in reached:
                reached[two] = [*reached[place], (one, two)]
                queue.append(two)
    return reached.get("A", [])

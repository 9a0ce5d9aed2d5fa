"""Two ledgers side by side: a chain that executes real blocks, and the reference. After every block they are compared.

What happens follows from a genesis and a list of steps, each of a few words and a number, so that a failing run is a
short list that shrinks.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

import msgspec

from ledger.chain import Chain
from ledger.execution import DecidedBatch, DecidedProposal
from ledger.genesis import Genesis, network_id
from ledger.modules.royalties.operations import Withdraw
from ledger.state.store import MemoryStore, Store
from ledger.transaction import SALT_BYTES, VERSION, SignedTransaction, TransactionBody
from primitives.codec import CodecError, decode, encode
from primitives.digest import domain, tagged_hash
from primitives.identifiers import account_to_text
from primitives.keys import SigningKey
from tests.property.attestations_observation_kit import Seen
from tests.property.charges_kit import uncharged
from tests.property.decisions_kit import deciding_registry
from tests.property.drawing_kit import AMOUNT_MAX, Draft, Draw, Notebook, Nothing
from tests.property.observation_kit import differences, seen_in_chain, seen_in_reference
from tests.property.situations_kit import SITUATIONS
from tests.readable_kit import blocks_read_again
from tests.reference import ledger as reference
from tests.reference.grants import live, may_use, overlap, reserves, state_of
from tests.reference.locks import open_things
from tests.reference.royalties import creators_pool
from tests.reference.state import BPS
from tests.unit.modules_kit import NAMES, make_genesis, seed_key

DAY_MS = 86_400_000
OPERATIONS = {reference.tag_of(operation): operation for operation in SITUATIONS}
FAULTS = (
    "transaction.expired",
    "transaction.expiry_too_far",
    "transaction.duplicate",
    "transaction.bad_signature",
    "transaction.malformed",
    "transaction.wrong_network",
    "transaction.unknown_signer",
    "organizations.key_not_allowed",
)
PAUSES = ("short", "short", "commitment", "commitment", "deadline", "minute", "long")
decode_plain = msgspec.msgpack.decode
_SIGNATURE = domain("transaction-signature")


class Attempt(NamedTuple):
    """One transaction to come: what is wrong with it, if anything, and which operations it holds."""

    fault: str
    tags: tuple[str, ...]
    seed: int


class Step(NamedTuple):
    """One block to come."""

    pause: str
    seed: int
    attempts: tuple[Attempt, ...]


def random_steps(random: Random, blocks: int) -> list[Step]:
    """Choose steps by the weights of the situations."""
    tags, weights = list(OPERATIONS), [situation.weight for situation in SITUATIONS.values()]
    steps = []
    for _ in range(blocks):
        attempts = [
            Attempt(
                random.choice(FAULTS) if random.randrange(100) < 6 else "",
                tuple(random.choices(tags, weights, k=random.choice((1, 1, 1, 2, 3)))),
                random.randrange(2**32),
            )
            for _ in range(random.randrange(1, 8))
        ]
        steps.append(Step(random.choice(PAUSES), random.randrange(2**32), tuple(attempts)))
    return steps


def random_genesis(seed: int, *, ends: bool = False) -> Genesis:
    """Vary what the rules depend on: fees, how much a block sweeps, how long an escrow waits. With `ends` there are as
    many credits as there can be."""
    genesis = _random_genesis(seed)
    if not ends:
        return genesis
    each, left = divmod(AMOUNT_MAX, len(genesis.accounts))
    first, *others = (msgspec.structs.replace(account, credits=each) for account in genesis.accounts)
    accounts = (msgspec.structs.replace(first, credits=each + left), *others)
    return msgspec.structs.replace(genesis, accounts=accounts)


def _random_genesis(seed: int) -> Genesis:
    return make_genesis(
        fee_bps=(250, 0, 500)[seed % 3],
        deadlines_per_block_max=(1_000, 2)[seed % 2],
        escrow_timeout_ms=(50_000, DAY_MS)[seed // 2 % 2],
        commitment_age_ms=(10_000, 3_000, 10_000, 0)[seed // 4 % 4],
        artifact_bytes_max=5_000,
        recovery_delay_ms=(60_000, 7 * DAY_MS)[seed // 4 % 2],
        dispute_answer_ms=(600_000, DAY_MS)[seed // 2 % 2],
        dispute_voting_ms=(DAY_MS, 60_000)[seed // 8 % 2],
        dispute_appeal_ms=600_000,
        dispute_bond_min=100,
        attestation_bond_min=1_000,
        attestation_bond_max=10**7,
        window=(16, 256)[seed // 2 % 2],
        voting_period_ms=(600_000, 7 * DAY_MS)[seed // 4 % 2],
        decision_delay_ms=60_000,
        payment_delay_ms=(50_000, DAY_MS)[seed % 2],
    )


class Pair:
    """A chain and the reference over one genesis, and everything that was sent to them."""

    def __init__(
        self, genesis: Genesis, store: Store | None = None, *, lineages: bool = False, ends: bool = False
    ) -> None:
        self.genesis = genesis
        self.store = store or MemoryStore()
        self.registry = deciding_registry()
        with blocks_read_again():
            self.chain = Chain.open(self.store, genesis, self.registry)
        self.state = reference.begin(genesis)
        self.notebook = Notebook(lineages=lineages, ends=ends)
        validators = [seed_key(f"validator {index}") for index in range(len(genesis.validators))]
        self.notebook.keys = {key.public_key: key for key in (*map(seed_key, (*NAMES, "alan")), *validators)}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """(operation or `transaction`, code) -> how often; empty codes are successes."""
        self.reasons: Counter[tuple[str, str]] = Counter()
        """(event, code) -> how often: why something ended."""
        self.events: Counter[str] = Counter()
        self.operations = 0
        """Operations of transactions that were sent, whatever became of them."""
        self.swept = 0
        self._sent: list[tuple[bytes, reference.Sent]] = []
        self._latest: list[str] = []
        self._uncharged = uncharged(self.chain.view())
        self.compare()

    # --- blocks

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.step(step)

    def step(self, step: Step) -> None:
        """Let both ledgers execute one block, and compare all that can be seen of them."""
        random = Random(step.seed)
        proposed_ms = self._proposed_ms(step.pause, random)
        self._block(proposed_ms, (self._prepare(attempt) for attempt in step.attempts), random.random())

    def _block(self, proposed_ms: int, sending: Iterable[tuple[bytes, reference.Sent] | None], part: float) -> None:
        """Execute one block. What is sent may depend on what the transactions before it did; the first `part` of them
        is one batch, the rest another."""
        self._latest = []
        swept = reference.begin_block(self.state, proposed_ms)
        sent: list[bytes] = []
        fates: list[reference.Fate] = []
        for data, described in filter(None, sending):
            fate = reference.execute(self.state, described)
            self._count(described, fate)
            sent.append(data)
            fates.append(fate)
            self._latest = [*self._latest, "+".join(reference.tag_of(one) for one in described.operations)]
        cut = int(part * (len(sent) + 1))
        batches = [DecidedBatch(0, self.chain.height, sent[:cut]), DecidedBatch(1, self.chain.height, sent[cut:])]
        reference.end_block(self.state)
        proposal = DecidedProposal(self.chain.height % 4, proposed_ms)
        with blocks_read_again():
            block = self.chain.execute(self.chain.height + 1, proposal, batches)
        assert block.header.timestamp_ms == self.state.now
        actual = [
            (outcome.mark.code, "" if outcome.receipt is None else block.receipts[outcome.receipt].code)
            for outcome in block.outcomes
        ]
        expected = [(fate.mark, fate.code) for fate in fates]
        assert actual == expected, f"{self.where}: {_unequal(actual, expected)}"
        assert len(block.receipts) - block.transactions_executed == swept
        self.swept += swept
        for event in [decode_plain(event) for receipt in block.receipts for event in receipt.events]:
            self.events[event["type"]] += 1
            if "code" in event:
                self.reasons[event["type"], event["code"]] += 1
        self.compare()

    def _proposed_ms(self, pause: str, random: Random) -> int:
        """Choose a time for the next block; `deadline` is the next one, a millisecond before it or after it."""
        now, due = self.state.now, sorted(self.state.deadlines)
        later = random.choice((0, 1, 100, 999))
        if pause == "commitment":
            later = self.state.commitment_age + random.choice((-1, 0, 0, 1, 5_000))
        elif pause == "deadline" and due:
            later = due[0][0] - now + random.choice((-1, 0, 0, 1))
        elif pause == "minute":
            later = random.choice((10_000, 50_000, 60_000))
        elif pause == "long" and random.randrange(3) == 0:
            later = random.choice((DAY_MS, 3 * DAY_MS, 15 * DAY_MS))
        return int(now + later - self.state.offset)

    # --- transactions

    def _prepare(self, attempt: Attempt) -> tuple[bytes, reference.Sent] | None:
        """Make a transaction for the present situation; None where nobody can do any of it."""
        random = Random(attempt.seed)
        drafts: list[Any] = []
        sender: bytes | None = None
        others = random.choices(list(OPERATIONS), [situation.weight for situation in SITUATIONS.values()], k=6)
        for tag in (*attempt.tags, *others):
            if drafts and tag in others and tag not in attempt.tags:
                break
            try:
                sender, operations = self._draft(tag, random, sender)
            except Nothing:
                continue
            drafts += operations
        if sender is None:
            return None
        if attempt.fault == "transaction.duplicate" and self._sent:
            fresh = [one for one in self._sent if one[1].id in self.state.executed and one[1].expires > self.state.now]
            return random.choice(fresh or self._sent)
        prepared = self.transaction(sender, drafts, random, attempt.fault)
        self._sent = [*self._sent[-50:], prepared]
        return prepared

    def _draft(self, tag: str, random: Random, actor: bytes | None) -> Draft:
        sender, operations = SITUATIONS[OPERATIONS[tag]].draft(Draw(random, self.state, self.notebook, actor))
        if self.notebook.ends and not all(map(can_be_said, operations)):
            raise Nothing  # a unit more than there can be
        return sender, operations

    def transaction(
        self,
        sender: bytes,
        operations: Sequence[Any],
        random: Random,
        fault: str = "",
        expires: int | None = None,
    ) -> tuple[bytes, reference.Sent]:
        """Sign operations, with one fault or with none, to expire somewhere within the lifetime or at `expires`."""
        state = self.state
        if expires is None:
            expires = state.now + random.choice((1, 60_000, 60_000, state.lifetime))
        network = state.network
        if fault == "transaction.expired":
            expires = state.now - random.choice((0, 1, 5_000))
        elif fault == "transaction.expiry_too_far":
            expires = state.now + state.lifetime + random.choice((1, 5_000))
        elif fault == "transaction.wrong_network":
            network = bytes(32)
        key = self._key_for(sender, random, fault)
        body = TransactionBody[Any](
            version=VERSION,
            network_id=network,
            sender=sender,
            signer=key.public_key,
            expires_at_ms=expires,
            salt=hashlib.sha256(self.notebook.next("transaction").encode()).digest()[:SALT_BYTES],
            operations=tuple(operations),
            memo="",
        )
        content = encode(body)
        if fault == "transaction.malformed":
            content += b"\x00" if random.randrange(2) else b""
            content = content if content[-1:] == b"\x00" else content[:-1]
        signature = key.sign(_SIGNATURE + content)
        if fault == "transaction.bad_signature":
            signature = bytes([signature[0] ^ 1]) + signature[1:]
        data = encode(SignedTransaction(content, signature))
        identifier = tagged_hash("transaction", content)
        signed, malformed = fault != "transaction.bad_signature", fault == "transaction.malformed"
        return data, reference.Sent(identifier, network, sender, key.public_key, expires, operations, signed, malformed)

    def _key_for(self, sender: bytes, random: Random, fault: str) -> SigningKey:
        """Mostly a key that may sign; for a fault any other of the sender's, or one that is not the sender's."""
        keys = dict(self.state.accounts[sender]["keys"]) if sender in self.state.accounts else {}
        if fault == "transaction.unknown_signer" or not keys:
            return seed_key("nobody's")
        strong = [key for key, role in keys.items() if role in ("owner", "validator")]
        weak = [key for key in keys if key not in strong]
        others = fault == "organizations.key_not_allowed" or random.randrange(12) == 0
        return self.notebook.keys[random.choice(weak if others and weak else strong)]

    def _count(self, sent: reference.Sent, fate: reference.Fate) -> None:
        self.operations += len(sent.operations)
        if fate.mark:
            self.outcomes["transaction", fate.mark] += 1
        elif fate.failed is not None:
            self.outcomes[reference.tag_of(sent.operations[fate.failed]), fate.code] += 1
        else:
            self.outcomes.update((reference.tag_of(operation), "") for operation in sent.operations)

    @property
    def where(self) -> str:
        """The latest block, and the operations in it."""
        return f"block {self.chain.height} of {', '.join(self._latest) or 'no transaction'}"

    # --- what must hold

    def compare(self) -> None:
        """Everything that can be seen is equal, and the laws hold."""
        chain = seen_in_chain(self.chain.view(), self.state.now)
        ours = seen_in_reference(self.state)
        if chain != ours:
            raise AssertionError(f"{self.where}:\n" + "\n".join(differences(chain, ours)))
        self.check_laws(chain)

    def check_laws(self, seen: Seen) -> None:
        """E2, E3, E4 and more, of what the chain holds, at every height."""
        assert sum(seen["balances"].values()) == self.state.supply, "E4: credits are what was there or minted"
        assert min(seen["balances"].values()) > 0, "E2: no balance is negative"
        for escrow, (_, amount) in seen["escrows"].items():
            assert seen["balances"].get(tagged_hash("escrow", escrow), 0) == amount, "an escrow holds its credits"
        owed: Counter[bytes] = Counter()
        for (pool, _), parts in seen["owed"].items():
            owed[pool] += parts
        for pool in seen["received"]:
            held = seen["balances"].get(tagged_hash("pool", pool), 0)
            assert owed[pool] == held * BPS, "E3: what a pool holds is owed, to the ten-thousandth"
        for asset in seen["assets"].values():
            assert sum(asset[16].values()) == BPS, "shares are conserved"
            assert min(asset[16].values()) > 0
        for *_, stack in seen["stacks"].values():
            assert sum(entry["rate"] for entry in stack.values()) <= 5_000
            assert all(entry["cap"] is None or entry["paid"] <= entry["cap"] for entry in stack.values())
        check_locks(seen)
        check_escrows(seen)
        self._check_exclusive()
        assert uncharged(self.chain.view()) == self._uncharged, "what is there is charged to somebody, once"

    def _check_exclusive(self) -> None:
        """E1: no two live grants overlap where one of them excludes the other."""
        alive = [(key, grant) for key, grant in self.state.grants.items() if live(self.state, grant)]
        for key, grant in alive:
            if reserves(self.state, grant):
                assert not [
                    other_key
                    for other_key, other in alive
                    if other_key != key and other["asset"] == grant["asset"] and overlap(self.state, grant, other)
                ], "E1: an exclusive grant has company"

    def ask(self) -> None:
        """Queries answer what the reference says, on every account, asset and grant."""
        state, registry, view = self.state, self.chain.registry, self.chain.view()

        def answer(name: str, **arguments: Any) -> Any:
            return registry.queries[name](view, self.chain.network_id, state.now, **arguments)

        for account in state.accounts:
            assert answer("credits.balance", account=account_to_text(account)).balance == state.balances.get(account, 0)
        for key, grant in state.grants.items():
            assert answer("licenses.grant", grant=key.hex()).state == state_of(state, grant)
        for key, asset in state.assets.items():
            shown, name = answer("assets.get", asset=key.hex()), {"asset": key.hex()}
            assert {share.account: share.bps for share in shown.owners} == {
                account_to_text(account): bps for account, bps in asset["shares"].items()
            }
            assert (shown.retired, shown.versions) == (asset["retired"], len(asset["versions"]))
            assert len(answer("royalties.stack", **name).entries) == len(asset["stack"])
            assert answer("royalties.pool", **name).received == state.received.get(key, 0)
            for account in state.accounts:
                units = sum(state.owed.get((pool, account), 0) // BPS for pool in (key, creators_pool(key)))
                text = account_to_text(account)
                assert answer("royalties.owed", **name, account=text).owed == units
                for right in ("download", "train-on"):
                    allowed = answer("licenses.check", **name, account=text, right=right).allowed
                    assert allowed == may_use(state, account, key, right)

    def finish(self) -> None:
        """Let time run out: whatever was left open ends by itself, and everybody can withdraw what is owed."""
        self.ask()
        while self.state.deadlines:
            self.let_pass(max(0, max(self.state.deadlines)[0] - self.state.now))
        assert self.state.escrows == {}
        assert self.state.transfers == {}
        assert list(open_things(self.state)) == []
        assert self.state.buyers_offers == {}
        for _ in range(100):  # what pays a debt may be another's earnings, and in part the debtor's own
            if all(parts < BPS for parts in self.state.owed.values()):
                break
            self._withdraw_all()
        assert all(parts < BPS for parts in self.state.owed.values()), "somebody's earnings are stranded"

    def _withdraw_all(self) -> None:
        creators = {creators_pool(asset): asset for asset in self.state.assets}
        for (pool, account), parts in sorted(self.state.owed.items()):
            if parts >= BPS and self.state.owed[pool, account] >= BPS:
                operation = Withdraw(creators.get(pool, pool))
                self.let_pass(1, self.transaction(account, [operation], Random(1)))

    def let_pass(self, ms: int, *prepared: tuple[bytes, reference.Sent]) -> None:
        """Execute one block so much later, with these transactions."""
        self._block(self.state.now + ms - self.state.offset, prepared, 0)

    def replay(self) -> None:
        """X: from genesis, a fresh chain arrives at the same root at every height; and this one opens again."""
        fresh = Chain.open(MemoryStore(), self.genesis, self.registry)
        for height in range(1, self.chain.height + 1):
            encoded, header = self.chain.encoded_block(height), self.chain.header(height)
            assert encoded is not None
            assert header is not None
            replayed = fresh.replay(encoded)
            assert replayed.header.state_root == header.state_root
        assert fresh.head_hash == self.chain.head_hash
        assert Chain.open(self.store, self.genesis, self.registry).head_hash == self.chain.head_hash
        assert network_id(self.genesis) == fresh.network_id


def can_be_said(operation: Any) -> bool:
    """Whether all fields of an operation are within their ranges."""
    try:
        decode(encode(operation), type(operation))
    except (CodecError, OverflowError):
        return False
    return True


def check_locks(seen: Seen) -> None:
    """A7: every lock is of exactly one open transfer, listing or auction; locked shares are their holder's."""
    opened = {**seen["transfers"], **seen["listings"], **seen["auctions"]}
    things = [(row["thing"], row["holder"], key) for key, row in opened.items()]
    locks = [(("asset", key, 0), row[20]) for key, row in seen["assets"].items() if row[20] is not None]
    locks += [(("grant", key, 0), row["lock"]) for key, row in seen["grants"].items() if row["lock"] is not None]
    assert sorted(locks) == sorted((thing, key) for thing, _, key in things if thing[0] != "share")
    locked: Counter[bytes] = Counter()
    for (kind, asset, bps), holder, _ in things:
        if kind == "share":
            locked[asset + holder] += bps
            assert seen["assets"][asset][20] is None, "a whole asset is locked only while none of its shares is"
    assert locked == seen["locked shares"]
    assert all(seen["assets"][key[:32]][16].get(key[32:], 0) >= bps for key, bps in locked.items())


def check_escrows(seen: Seen) -> None:
    """Every escrow is of one open payment, and in full: grants in escrow, deposits, gifts, offers, best bids, bonds,
    bounties."""
    expected: dict[bytes, int] = {}
    for key, grant in seen["grants"].items():
        if grant["due"] is not None or (grant["disputed"] and key in seen["escrows"]):
            expected[key] = grant["price"]
        if grant["usage_due"] is not None or (grant["quota"] and grant["state"] == "escrowed"):
            deposit = tagged_hash("usage-deposit", key)
            price = seen["terms"][grant["terms"]]["usage_price"]
            expected[deposit] = (grant["quota"] - grant["used"]) * price
    expected |= {key: row["royalty"] for key, row in seen["transfers"].items() if not row["price"]}
    expected |= {key: row["price"] for key, row in seen["buyers' offers"].items()}
    expected |= {row["offer"]: row["price"] for row in seen["decided sales"].values()}
    expected |= {key: row["best"][1] for key, row in seen["auctions"].items() if row.get("best")}
    for key, row in seen["disputes"].items():
        for bond in ("claim", "answer", "appeal") if row["outcome"] is None else ():
            if row[bond] is not None:
                expected[tagged_hash("dispute-bond", key + bond.encode())] = row[bond][1]
    for account, row in seen["accreditations"].items():
        expected[tagged_hash("attestation-bond", account)] = row["posted"]
    expected |= {key: row["amount"] for key, row in seen["bounties"].items()}
    waiting = [row["offer"] for row in seen["decided sales"].values()]
    expected |= {offer: seen["escrows"][offer][1] for offer in waiting}
    held = {key: amount for key, (_, amount) in seen["escrows"].items() if amount}
    assert held == {key: amount for key, amount in expected.items() if amount}


def _unequal(actual: list[tuple[str, str]], expected: list[tuple[str, str]]) -> list[str]:
    pairs = zip(actual, expected, strict=True)
    return [f"{one} but the reference says {other}" for one, other in pairs if one != other]

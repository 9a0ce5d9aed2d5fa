"""Trade in licenses, alone and mixed with other work.

Before the load some accounts register an asset each, upload it, wait until a quorum holds it, and offer licenses on it
to everybody, under terms that exclude nobody. Under load a transaction is of one of these kinds, drawn by weight:

    purchase   an account that owns no asset buys a grant under an offer: payment to the owner, fee, royalty pool,
               edition, grant and its two indexes. Grants are active at once, as the assets are available.
    offer      an owner makes a further offer on its asset, under the same terms and with a deadline.
    transfer   credits between two accounts, as in the workload `transfers`.

Checking a license is a question to one node and no transaction; it is not part of any workload. Nor is handing assets
over, whose acceptance must follow its offer in order.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from benchmarks.errors import BenchError
from benchmarks.workloads.accounts import Identity
from benchmarks.workloads.transfers import AMOUNT_MAX
from benchmarks.workloads.workload import Facts
from guildmark.client import AsyncClient
from guildmark.identity import Account
from ledger.modules.credits.operations import Transfer
from ledger.modules.licenses.operations import Offer, Purchase, Terms, terms_digest
from ledger.operations import Operation
from primitives.identifiers import AccountId

Kind = Literal["purchase", "offer", "transfer"]
Weight = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
ARTIFACT_BYTES: Final = 1_024
HELD_TIMEOUT_S: Final = 120.0


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A workload file, in TOML."""

    weights: dict[Kind, Weight]
    operations: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    """In each transaction, all of one kind."""
    assets: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 16
    """On which licenses are offered; at most a quarter of the accounts."""
    price: Annotated[int, msgspec.Meta(ge=0, le=1_000)] = 10
    """Of a license, in minor units."""


def read_parameters(path: Path) -> Parameters:
    """Raises BenchError `workload.malformed`."""
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Parameters)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise BenchError("workload.malformed", f"{path}: {error}") from error


class State(msgspec.Struct):
    """What setting up has made."""

    assets: list[bytes]
    """Asset at belongs to account at."""
    offers: list[bytes]
    offers_expire_at_ms: int


class Trade:
    """See the module."""

    signed = True

    def __init__(self, name: str, parameters: Parameters) -> None:
        """Raises BenchError `workload.malformed`."""
        self.name = name
        self._parameters = parameters
        self._kinds = [kind for kind, weight in parameters.weights.items() if weight]
        self._weights = [weight for weight in parameters.weights.values() if weight]
        if not self._kinds:
            raise BenchError("workload.malformed", f"{name}: no kind of transaction has a weight above 0")
        self.terms = Terms(rights=("inference",), price=parameters.price)
        self._digest = terms_digest(self.terms)

    def set_up(self, facts: Facts) -> dict[str, Any]:
        """Register the assets and offer licenses on them; takes as long as a commitment must age, and a little more."""
        made = asyncio.run(self._make(facts, self.assets(len(facts.accounts))))
        state: dict[str, Any] = msgspec.to_builtins(made, builtin_types=(bytes,))
        return state

    def assets(self, accounts: int) -> int:
        """Return how many of the first accounts own an asset each.

        Raises:
            BenchError: `workload.accounts`.
        """
        if self._kinds == ["transfer"]:
            return 0
        count = min(self._parameters.assets, accounts // 4)
        if not count:
            raise BenchError("workload.accounts", f"{self.name} needs at least 4 accounts")
        return count

    async def _make(self, facts: Facts, count: int) -> State:
        async with AsyncClient(list(facts.urls), network_id=facts.network_id) as client:
            made = await asyncio.gather(*(self._register(client, facts.accounts[at], at) for at in range(count)))
        return State(
            [asset for asset, _, _ in made], [offer for _, offer, _ in made], min([e for _, _, e in made], default=0)
        )

    async def _register(self, client: AsyncClient, owner: Identity, number: int) -> tuple[bytes, bytes, int]:
        """Register, upload and offer one asset; return asset, offer, and when the offer ends."""
        acting = client.acting_as(Account(AccountId(owner.account), owner.key))
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "artifact"
            path.write_bytes(random.Random(f"artifact {number} {owner.account.hex()}").randbytes(ARTIFACT_BYTES))
            registered = await acting.assets.register(path, kind="dataset", name=f"data set {number}")
        await acting.artifacts.wait_held(registered.cid, HELD_TIMEOUT_S)
        offer = await acting.licenses.offer(registered.asset, self.terms)
        return bytes.fromhex(registered.asset), bytes.fromhex(offer.offer), offer.expires_at_ms

    def load(self, facts: Facts, state: Mapping[str, Any]) -> None:
        self._accounts = facts.accounts
        self._state = msgspec.convert(dict(state), State)

    def operations(self, index: int, rng: random.Random) -> tuple[Identity, Sequence[Operation]]:  # noqa: ARG002
        (kind,) = rng.choices(self._kinds, self._weights)
        count = self._parameters.operations
        if kind == "transfer":
            sender = rng.randrange(len(self._accounts))
            return self._accounts[sender], tuple(self._transfer(sender, rng) for _ in range(count))
        if kind == "offer":
            owner = rng.randrange(len(self._state.assets))
            # One transaction makes one offer under the same terms on an asset.
            return self._accounts[owner], (
                Offer(self._state.assets[owner], self.terms, self._state.offers_expire_at_ms),
            )
        offers = self._state.offers
        buyer = rng.randrange(len(offers), len(self._accounts))
        bought = rng.sample(offers, min(count, len(offers)))
        return self._accounts[buyer], tuple(Purchase(offer, self._digest, self._parameters.price) for offer in bought)

    def _transfer(self, sender: int, rng: random.Random) -> Operation:
        count = len(self._accounts)
        recipient = (sender + rng.randrange(1, count)) % count
        return Transfer(self._accounts[recipient].account, rng.randint(1, AMOUNT_MAX))

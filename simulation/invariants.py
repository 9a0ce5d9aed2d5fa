"""Laws that hold after every event, whatever was lost, delayed, crashed or said by liars.

I1 agreement: one block a height. I2 total order: no gaps, each block on its parent, no transaction twice. I3 validity:
what executed was submitted, signed, in time and for this network. I4 certificates: a quorum of distinct members under
one statement. I5, I6, I8: see `wire_laws`. I7 monotone: view, stable checkpoint and height never fall within a life.
I9 root equality. I11 durability: what any node reported as committed is in every node's ledger in the end. I13 bounds:
nothing grows beyond its cap. I14, progress, is demanded when the faults are over; I15: evidence names liars only.

Each check costs as much as what changed, not as much as what there is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import partial
from typing import Final

from consensus.pbft.early import EARLY_MESSAGES_MAX
from consensus.pbft.state import State
from ledger.block import Header
from ledger.opaque import is_bundle
from ledger.transaction import decode_transaction
from node.core import CoreConfiguration, NodeCore
from p2p.channels import Channel
from primitives.finality import FinalityCertificate, verify_certificate
from primitives.quorum import fault_bound, quorum
from simulation.node import SimulatedNode
from simulation.promises import InvariantViolated
from simulation.wire_laws import WireLaws
from simulation.world import World

__all__ = ["InvariantViolated", "Invariants"]

FULL_LOOK_EVERY: Final = 64
"""Checks of a node between two that look into every list; the others look at the number of entries."""
_POOL: Final = CoreConfiguration().pool


class Invariants:
    """Checks the nodes of one run."""

    def __init__(
        self, world: World, network_id: bytes, nodes: Sequence[SimulatedNode], faulty: Container[int] = ()
    ) -> None:
        """`faulty` members are Byzantine: no law is asked of them."""
        self._world = world
        self._network_id = network_id
        self._nodes = nodes
        self._faulty = faulty
        self._sets: dict[int, list[int]] = {}
        self._wire = WireLaws(len(nodes), faulty, self.members, lambda index: (nodes[index].lives, nodes[index].up))
        self.submitted: set[bytes] = set()
        """Ids of all transactions that the simulated accounts ever signed."""
        self.accounts: Container[bytes] = ()
        """The accounts' public keys: only the run has their private ones."""
        self._agreed: dict[int, tuple[bytes, bytes]] = {}
        """Height -> (block hash, state root)."""
        self._reached: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        """(node, life) -> (epoch, view, stable checkpoint, last executed)."""
        self._certified = [0] * len(nodes)
        self._looks = 0
        for node in nodes:
            node.disk.on_durable = partial(self._wire.promises.on_durable, node.index)

    @property
    def agreed_height(self) -> int:
        """The highest block of any correct node."""
        return len(self._agreed)

    def members(self, epoch: int) -> Sequence[int]:
        """Return the nodes in the validator set of `epoch`, in order of replica id; none while nobody knows it."""
        if epoch not in self._sets:
            for node in self._nodes:
                validators = () if node.chain is None else node.chain.validators(epoch)
                if validators:
                    self._sets[epoch] = [node.names.index(validator.node_id) for validator in validators]
                    break
            else:
                return ()
        return self._sets[epoch]

    # --- after every event

    def after_event(self) -> None:
        """Check the nodes that did anything."""
        touched = self._world.touched
        for index in sorted(touched) if len(touched) > 1 else touched:
            if index not in self._faulty:
                self._check(index, self._nodes[index])
        touched.clear()

    def _check(self, index: int, node: SimulatedNode) -> None:
        if node.violations:
            raise InvariantViolated(node.violations[0])
        if node.headers:
            for header, hashed in node.headers:
                self._check_block(node, header, hashed)
            node.headers.clear()
        if node.certified_height > self._certified[index]:
            self._certified[index] = node.certified_height
            self._check_certificate(node)
        if node.core is not None:
            self._check_state(index, node, node.core)

    def _check_block(self, node: SimulatedNode, header: Header, hashed: bytes) -> None:
        known = self._agreed.get(header.height)
        if known is None:
            self._agreed[header.height] = (hashed, header.state_root)
            self._check_contents(node, header)
        elif known[1] != header.state_root:
            raise InvariantViolated(f"I9: node {node.index} has another state root at {header.height}")
        elif known[0] != hashed:
            raise InvariantViolated(f"I1: node {node.index} has another block {header.height}")

    def _check_contents(self, node: SimulatedNode, header: Header) -> None:
        """I3, of the first node that has this block; the others have the same."""
        block = None if node.chain is None else node.chain.block(header.height)
        assert block is not None
        for batch in block.batches:
            for data, mark in zip(batch.transactions, batch.marks, strict=True):
                if mark:
                    continue  # dropped or a duplicate
                if is_bundle(data):
                    continue  # nobody signs it; that it executes once is I2
                transaction = decode_transaction(data)
                body = transaction.body
                if body.signer in self.accounts and transaction.id not in self.submitted:
                    problem = "was never submitted"
                elif body.network_id != self._network_id:
                    problem = "is another network's"
                elif body.expires_at_ms < header.timestamp_ms:
                    problem = "had expired"
                elif not transaction.verify():
                    problem = "is not signed by its signer"
                else:
                    continue
                raise InvariantViolated(f"I3: transaction {transaction.id.hex()} of block {header.height} {problem}")

    def _check_certificate(self, node: SimulatedNode) -> None:
        assert node.chain is not None
        certificate = node.chain.certificate(node.certified_height)
        if certificate is None:
            return  # the height was told by a certificate above it
        keys = [validator.signing_key for validator in node.chain.validators(certificate.epoch)]
        reason = why_bad(self._network_id, keys, certificate)
        if reason is None and certificate.block_hash != self._agreed[certificate.height][0]:
            reason = "it names another block"
        if reason is not None:
            raise InvariantViolated(f"I4: node {node.index} took a certificate of block {certificate.height}: {reason}")

    def _check_state(self, index: int, node: SimulatedNode, core: NodeCore) -> None:
        """I7 and I13."""
        state = engine_state(core)
        low = state.low
        now = (state.validators.epoch, state.view, low, state.last_executed)
        # What a crash took back was never durable, hence never shown to anyone: a new life starts a new count.
        life = (index, node.lives)
        before = self._reached.get(life)
        if before != now:
            if before is not None and (now[:2] < before[:2] or now[2] < before[2] or now[3] < before[3]):
                raise InvariantViolated(
                    f"I7: node {index} fell from {before} to {now} (epoch, view, stable checkpoint, executed)"
                )
            self._reached[life] = now
        window, n = state.configuration.window, state.validators.n
        # A restart can find an older certificate than those whose windows its promises fill: they are kept, and the
        # Status messages that open the gate show where the others are.
        kept = state.gated
        if (
            (len(state.slots) > 2 * window and not kept)
            or len(state.view_changes) > n
            or len(state.pending_new_views) > n
            or len(core.pool) > _POOL.transactions_max
        ):
            raise InvariantViolated(f"I13: node {index} holds more than its bounds allow")
        self._looks += 1
        if self._looks % FULL_LOOK_EVERY == 0:
            self._look_closely(index, state)

    def _look_closely(self, index: int, state: State) -> None:
        window, n = state.configuration.window, state.validators.n
        problems = {
            "slots outside the window": not state.gated
            and any(not state.low < sequence <= state.high + window for sequence in state.slots),
            "early messages": any(len(kept) > EARLY_MESSAGES_MAX for kept in state.early.values()),
            "early messages of strangers": len(state.early) > n,
            "prepared certificates": len(state.prepared) > window and not state.gated,
            "decided proposals": len(state.decided) > 2 * window,
            "checkpoints": len(state.checkpoints) > 2 * window,
            "view changes fetched": len(state.fetched_view_changes) > n * n,
            "waiting batches": any(len(queue) > 2 * window for queue in state.waiting.values()),
        }
        for name, wrong in problems.items():
            if wrong:
                raise InvariantViolated(f"I13: node {index} has too many {name}")

    # --- at the network

    def on_sent(self, sender: int, channel: Channel, payload: bytes) -> None:
        """A correct node sends: I5, I6, I8."""
        self._wire.on_sent(sender, channel, payload)

    def on_arrival(self, receiver: int, payload: bytes) -> None:
        """Something reaches a node, correct or not."""
        self._wire.promises.on_arrival(receiver, payload)

    def on_forgotten(self, index: int) -> None:
        """A node's log is lost, old, or damaged."""
        self._wire.promises.on_lost(index)

    def on_adversary_sent(self, sender: int, channel: Channel, payload: bytes) -> None:
        """What Byzantine members say binds nobody; it is only looked at."""
        self._wire.on_adversary_sent(sender, channel, payload)

    # --- in the end

    def check_durable(self, among: Iterable[int] | None = None) -> None:
        """I11, when the faults are over and the nodes agree: what was reported as committed is everywhere.

        `among` are the nodes asked, all by default: who has left the set does not get the newest blocks.
        """
        asked = range(len(self._nodes)) if among is None else among
        honest = [self._nodes[index] for index in asked if index not in self._faulty]
        committed = set[bytes]().union(*(node.certified for node in honest))
        for node in honest:
            lost = committed - node.executed_ids.keys()
            if lost:
                raise InvariantViolated(f"I11: node {node.index} lacks {len(lost)} committed transactions")


def engine_state(core: NodeCore) -> State:
    """Look into the engine: its status in words costs too much to ask for after every event."""
    state: State = vars(vars(core)["_driver"].engine)["_state"]
    return state


def why_bad(network_id: bytes, keys: Sequence[bytes], certificate: FinalityCertificate) -> str | None:
    """Judge a certificate, with a quorum computed here: return None, or what is wrong with it."""
    signers = {index for index, _ in certificate.signatures}
    n = len(keys)
    needed = -(-(n + fault_bound(n) + 1) // 2)
    assert needed == quorum(n)
    if len(signers) < needed:
        return f"{len(signers)} distinct signers, {needed} needed"
    return verify_certificate(network_id, keys, certificate)
